"""Result files on their way through the workers: which go together, and what each of them costs the others."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from orchestrator.dispatch import result_reader
from orchestrator.dispatch.result_reader import ResultReader
from orchestrator.errors import PieceDiedError, StorageError
from orchestrator.results import ResultCheck, take_results
from orchestrator.results.together import FILES_TOGETHER, ROWS_TOGETHER
from orchestrator.workers import PieceLimits, Workers
from tests.results.test_keeping import make_check

T = TypeVar("T")


class Held(Workers):
    """Workers that note what they are given, and give nothing back until they are let go."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.batches: list[int] = []
        self.go = asyncio.Event()

    async def run(self, piece: Callable[..., T], *args: Any, limits: PieceLimits | None = None) -> T:
        assert limits is not None
        self.batches.append(len(args[0]))
        await self.go.wait()
        return piece(*args)


@pytest.mark.parametrize(
    ("rows", "batches"),
    [
        ([10] * 5, [5]),
        ([ROWS_TOGETHER] * 4, [1, 1, 1, 1]),
        ([10, 10, ROWS_TOGETHER - 10, 10, 10], [2, 1, 2]),
        ([1] * (FILES_TOGETHER + 3), [FILES_TOGETHER, 3]),
    ],
)
async def test_what_waits_goes_together(tmp_path: Path, rows: list[int], batches: list[int]) -> None:
    """Small files gather for a moment and go together, up to some rows and files; a large one goes at once."""
    workers = Held(2)
    reader = ResultReader(workers)
    checks = [make_check(tmp_path, f"{number:06d}") for number in range(len(rows))]
    takers = [asyncio.create_task(reader.take(check, row)) for check, row in zip(checks, rows, strict=True)]
    await asyncio.sleep(0)
    workers.go.set()
    reports = await asyncio.gather(*takers)
    assert [report.counts for report in reports] == [{"yes": 10}] * len(rows)
    assert workers.batches == batches


def kill_on_the_second(checks: tuple[ResultCheck, ...]) -> list[Any]:
    """Stand for a parser that a file breaks."""
    if any(check.result.stem == "000002" for check in checks):
        os.abort()
    return take_results(checks)


async def test_a_file_that_breaks_its_worker_costs_that_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that went with it are read all the same."""
    monkeypatch.setattr(result_reader, "take_results", kill_on_the_second)
    checks = [make_check(tmp_path, f"{number:06d}") for number in (1, 2, 3)]
    async with Workers(1) as workers:
        reader = ResultReader(workers)
        takers = [asyncio.create_task(reader.take(check, 10)) for check in checks]
        first, second, third = await asyncio.gather(*takers, return_exceptions=True)
    assert isinstance(second, PieceDiedError)
    assert not isinstance(first, BaseException)
    assert not isinstance(third, BaseException)


async def test_what_is_cut_off(tmp_path: Path) -> None:
    """Closing leaves no call behind, and whoever waits is cancelled."""
    workers = Held(1)
    reader = ResultReader(workers)
    taker = asyncio.create_task(reader.take(make_check(tmp_path), 10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await reader.close()
    with pytest.raises(asyncio.CancelledError):
        await taker
    assert len(asyncio.all_tasks()) == 1


def fail_with_the_disk(checks: tuple[ResultCheck, ...]) -> list[Any]:
    """Stand for a disk that fails below all files of a call."""
    raise StorageError("the disk fails")


async def test_a_disk_that_fails_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits for a file gets the error; nothing is left that asyncio would log with a traceback."""
    monkeypatch.setattr(result_reader, "take_results", fail_with_the_disk)
    async with Workers(1) as workers:
        reader = ResultReader(workers)
        with pytest.raises(StorageError, match="the disk fails"):
            await reader.take(make_check(tmp_path), 10)
    gc.collect()
    assert caplog.messages == []
