"""What the program knows about platforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator import sandbox
from orchestrator.settings import Style
from orchestrator.vendor_api.platforms import ALSO_CALLED, DOCUMENTED, KNOWN, SEEN_ELSEWHERE

if TYPE_CHECKING:
    from orchestrator.settings import PlatformSettings

TASK_TYPES = (
    "ws tg facebook apple viber line zalo twitter linkedin_phone vk max signal tiktok snapchat microsoft netflix airbnb"
    " shopee Binance temu"
)
WITH_COLUMNS = (
    "ws_active ws_avatar ws_business tg_avatar tg_active globalCarrier us_carrier_premium active_check high_value_users"
)
BODY_OR_FACE = {"age", "gender", "avatar", "hair_color", "skin_color"}


def test_documented(platforms: dict[str, PlatformSettings]) -> None:
    """The documented platforms need no configuration: every key is one of a platform's, with the documented value."""
    instagram, amazon = platforms["instagram"], platforms["amazon"]
    assert (instagram.style, instagram.path) == (Style.SIMPLE, "/ins/api/simple/tasks")
    assert (amazon.style, amazon.path, amazon.task_type) == (Style.V1, "/v1/tasks", "amazon")
    assert (instagram.min_rows, amazon.min_rows) == (1, 100)
    assert (instagram.price_per_10000, amazon.price_per_10000) == (1.0, 2.0)


def test_task_types_seen_elsewhere(platforms: dict[str, PlatformSettings]) -> None:
    """Each task type of the family's other pages is one platform of style v1, in the vendor's own spelling."""
    seen = [platforms[name] for name in SEEN_ELSEWHERE]
    assert sorted(platform.task_type for platform in seen) == sorted(f"{TASK_TYPES} {WITH_COLUMNS}".split())
    assert {(platform.style, platform.path) for platform in seen} == {(Style.V1, "/v1/tasks")}


def test_limits_seen_elsewhere(platforms: dict[str, PlatformSettings]) -> None:
    """Where a page names the fewest or the most rows of a task, that is the default; else the general ones are."""
    fewest = {name: p.min_rows for name, p in platforms.items() if p.min_rows != 1}
    assert fewest == {"amazon": 100, "whatsapp": 500, "facebook": 100, "vk": 1_000, "max": 1_000}
    assert {name: p.max_rows for name, p in platforms.items() if p.max_rows != 10_000_000} == {"temu": 100_000}


def test_no_price_is_made_up(platforms: dict[str, PlatformSettings]) -> None:
    """Only the documented platforms have a price: without one nothing is sent to a real vendor."""
    assert {name for name, platform in platforms.items() if platform.price_per_10000 is not None} == set(DOCUMENTED)


def test_columns(platforms: dict[str, PlatformSettings]) -> None:
    """A yes/no type has its verdicts under the platform's own name first, and under "activated" last."""
    for name, platform in platforms.items():
        if platform.task_type in WITH_COLUMNS.split():
            assert platform.result_columns or platform.extra_columns, name
            assert not BODY_OR_FACE & set(platform.extra_columns)
            continue
        assert (platform.result_columns[0], platform.result_columns[-1]) == (name, "activated")
        assert platform.style is Style.SIMPLE or platform.task_type.lower() in platform.result_columns


def test_names_can_be_columns_and_folders() -> None:
    """Every known name is one that a configuration may use: small letters, and underscores between them."""
    assert all(name.replace("_", "").isalpha() and name.islower() for name in KNOWN)


def test_other_words_lead_to_known_names() -> None:
    """A word for a platform is no name of another one."""
    assert set(ALSO_CALLED.values()) <= set(KNOWN)
    assert not set(ALSO_CALLED) & set(KNOWN)


@pytest.mark.parametrize("name", list(KNOWN))
def test_the_embedded_vendor_sells_every_known_platform(platforms: dict[str, PlatformSettings], name: str) -> None:
    """Whatever can be configured in one line can be tried out for nothing, under the same limits."""
    platform = platforms[name]
    word = platform.task_type or platform.path.split("/")[1]
    assert sandbox.platform_of(sandbox.ApiStyle(platform.style), word) in (name, platform.task_type)


def test_the_vendor_is_not_known() -> None:
    """Which vendor is asked, with which key, is always the user's to say."""
    for keys in KNOWN.values():
        assert "vendor" not in keys
