from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orchestrator.intake.list_reading import read_list
from orchestrator.intake.numbers.lookup.lookup_tables import are_kept, cache_folder, load_tables, prepare_tables
from orchestrator.intake.plan import ChunkLimits
from orchestrator.intake.preparing import LARGE_BYTES, SMALL_BYTES, Preparation, announced_bytes
from orchestrator.intake.sources.find import Input
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.settings import JobSettings

    MakeJob = Callable[..., JobSettings]


def always(_total: int) -> ChunkLimits:
    return ChunkLimits(20_000, 1, 10_000_000)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a cache of its own, which is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_tables.cache_clear()
    folder = cache_folder()
    assert folder is not None
    return folder


async def test_a_small_list_does_without(tmp_path: Path) -> None:
    """Up to some 50,000 lines nothing is built; once that many were drawn, also of a stream, tables are there."""
    async with Workers(1) as workers:
        preparation = Preparation("CH", 0, workers, tmp_path)
        assert await preparation.tables(SMALL_BYTES - 1) is None
        assert await preparation.tables(1) is None
        assert await preparation.tables(LARGE_BYTES - SMALL_BYTES - 1) is None
        assert await preparation.tables(1) == await preparation.tables(1) == cache_folder()


async def test_tables_that_are_kept_serve_smaller_lists(tmp_path: Path, cache: Path) -> None:
    """Loading is quick: some 4,000 lines are worth it."""
    load_tables(None, cache)
    async with Workers(1) as workers:
        preparation = Preparation(None, SMALL_BYTES - 1, workers, tmp_path)
        assert await preparation.tables(0) is None
        assert await preparation.tables(1) == cache


@pytest.mark.parametrize("cache", ["", "file/cache"])
def test_without_a_cache_the_work_folder_serves(tmp_path: Path, cache: str) -> None:
    """Where nothing can be kept, workers share what one of them has built."""
    (tmp_path / "file").write_text("")
    assert prepare_tables("CH", tmp_path / cache if cache else None, tmp_path) == tmp_path
    assert are_kept("CH", tmp_path)


def test_sizes_that_are_known(tmp_path: Path) -> None:
    """Files have sizes; a stream, or a file that is gone, counts when it is read."""
    (tmp_path / "a").write_bytes(b"12345")
    inputs = [Input(str(tmp_path / "a"), "a"), Input("-", "standard input")]
    assert announced_bytes([*inputs, Input(str(tmp_path / "b"), "b")]) == 5


async def test_a_large_list_reads_like_a_small_one(tmp_path: Path, make_job: MakeJob) -> None:
    """The way that a list takes changes nothing about what comes out."""
    lines = [f"+4179{i:07d}" if i % 7 else f"07{i % 9} 828 {i % 100:02d} 51" for i in range(9_000)]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    job = make_job("list.txt", default_region="CH")
    async with Workers(2) as workers:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("orchestrator.intake.preparing.LARGE_BYTES", SMALL_BYTES)
            plan = await read_list(job, always, workers)
        assert are_kept("CH", cache_folder())
        files = {path.name: path.read_bytes() for path in (job.directory / "chunks").iterdir()}
        rejected = (job.directory / "rejected.csv").read_bytes()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("orchestrator.intake.preparing.LARGE_BYTES", 1 << 40)
            patch.setattr("orchestrator.intake.preparing.SMALL_BYTES", 1 << 40)
            assert await read_list(job, always, workers) == plan
    assert {path.name: path.read_bytes() for path in (job.directory / "chunks").iterdir()} == files
    assert (job.directory / "rejected.csv").read_bytes() == rejected
    assert plan.counts.accepted > 3_000


def test_reading_imports_no_tables() -> None:
    """Start-up counts: what only large lists need is imported when there is one."""
    code = "import sys, orchestrator.intake; print([n for n in sys.modules if n.startswith('orchestrator.intake.')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    assert "'orchestrator.intake.preparing'" in found.stdout
    assert "orchestrator.intake.numbers.lookup" not in found.stdout
