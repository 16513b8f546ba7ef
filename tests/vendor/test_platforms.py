"""What the program knows about platforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.settings import Style
from orchestrator.vendor.platforms import KNOWN

if TYPE_CHECKING:
    from orchestrator.settings import PlatformSettings


def test_documented(platforms: dict[str, PlatformSettings]) -> None:
    """The documented platforms need no configuration: every key is one of a platform's, with the documented value."""
    instagram, amazon = platforms["instagram"], platforms["amazon"]
    assert (instagram.style, instagram.path) == (Style.SIMPLE, "/ins/api/simple/tasks")
    assert (amazon.style, amazon.path, amazon.task_type) == (Style.V1, "/v1/tasks", "amazon")
    assert (instagram.min_rows, amazon.min_rows) == (1, 100)
    assert (instagram.price_per_10000, amazon.price_per_10000) == (1.0, 2.0)


def test_columns(platforms: dict[str, PlatformSettings]) -> None:
    """The verdicts' column is looked for under the platform's own name first."""
    for name in KNOWN:
        assert platforms[name].result_columns[0] == name


def test_the_vendor_is_not_known() -> None:
    """Which vendor is asked, with which key, is always the user's to say."""
    for keys in KNOWN.values():
        assert "vendor" not in keys
