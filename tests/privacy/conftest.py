"""Folders in memory where there are any: syncing a disk would be most of what these tests do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.playing import scratch


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch() as path:
        yield path
