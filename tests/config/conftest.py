"""A configuration that is right, and what `load` says once something in it is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.config import load
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.settings import Settings

GOOD = """\
[job]
inputs = ["numbers.txt"]

[vendors.main]
base_url = "https://api.example.com"

[platforms.instagram]

[platforms.amazon]
"""


@pytest.fixture
def good() -> str:
    return GOOD


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the current directory one of the test's own, so that messages say just `config.toml`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def loaded() -> Callable[..., Settings]:
    """Load a configuration from its text and overrides."""

    def load_text(text: str, *overrides: str) -> Settings:
        Path("config.toml").write_text(text)
        return load(Path("config.toml"), overrides)

    return load_text


@pytest.fixture
def complaints(loaded: Callable[..., Settings]) -> Callable[..., list[str]]:
    """Return the lines that `load` complains with about a text and overrides."""

    def complaints_about(text: str, *overrides: str) -> list[str]:
        with pytest.raises(UsageError) as caught:
            loaded(text, *overrides)
        return str(caught.value).splitlines()

    return complaints_about


@pytest.fixture
def complaint_about(complaints: Callable[..., list[str]]) -> Callable[[str, str], str]:
    """Return the one complaint about the good configuration with `[table]` holding one more line."""

    def about(table: str, line: str) -> str:
        header = f"[{table}]\n"
        text = GOOD.replace(header, header + line + "\n") if header in GOOD else f"{GOOD}{header}{line}\n"
        (complaint,) = complaints(text)
        return complaint

    return about
