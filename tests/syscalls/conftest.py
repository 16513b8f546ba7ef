"""What the tests here share: one vendor with all their jobs, and the points of a clean run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.syscalls.harness import Bench
from tests.syscalls.living import all_points
from tests.syscalls.points import Point


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Give a vendor and room for jobs."""
    with Bench(tmp_path_factory.mktemp("syscalls")) as bench:
        yield bench


@pytest.fixture(scope="session")
def points(bench: Bench) -> list[Point]:
    """Give the points of a clean run."""
    if not sys.platform.startswith("linux"):
        pytest.skip("strace is for Linux")
    assert shutil.which("strace"), "these tests fail system calls with strace: install it"
    return all_points(bench)[0]
