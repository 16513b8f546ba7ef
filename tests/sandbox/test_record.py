from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orchestrator.sandbox.catalog import ApiStyle
from orchestrator.sandbox.record import TASKS, LineFile, TaskFile, TaskRecord, read_lines, read_tasks

if TYPE_CHECKING:
    from pathlib import Path

TASK = TaskRecord("t0", ApiStyle.V1, "amazon", "amazon", "ab", 1300, 100, 0.02, "sí.txt", "sandbox", 7.5)


async def test_tasks_come_back_as_they_were(tmp_path: Path) -> None:
    """Order and every field survive the file."""
    tasks = [replace(TASK, id=f"t{n}", rows=n) for n in range(5)]
    file = TaskFile(tmp_path)
    for task in tasks:
        await file.append(task)
    file.close()
    assert read_tasks(tmp_path) == tasks


async def test_an_append_returns_only_when_its_line_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is still at it, no submit can be answered; appends that wait share the next sync."""
    syncing, go, synced = threading.Event(), threading.Event(), []

    def slow_sync(descriptor: int) -> None:
        syncing.set()
        go.wait()
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", slow_sync)
    file = TaskFile(tmp_path)
    appends = [asyncio.create_task(file.append(replace(TASK, id=f"t{n}"))) for n in range(10)]
    await asyncio.to_thread(syncing.wait)
    assert not any(task.done() for task in appends)
    assert read_tasks(tmp_path)
    go.set()
    await asyncio.gather(*appends)
    file.close()
    assert len(synced) == 2  # the first alone, the nine that came meanwhile together
    assert [task.id for task in read_tasks(tmp_path)] == [f"t{n}" for n in range(10)]


async def test_a_cancelled_append_takes_no_line_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are shared between handlers: the end of one must not lose those of others."""
    syncing, go = threading.Event(), threading.Event()

    def slow_sync(_descriptor: int) -> None:
        syncing.set()
        go.wait()

    monkeypatch.setattr(os, "fsync", slow_sync)
    file = TaskFile(tmp_path)
    first, second = (asyncio.create_task(file.append(replace(TASK, id=name))) for name in ("t0", "t1"))
    await asyncio.to_thread(syncing.wait)
    first.cancel()
    go.set()
    await second
    assert first.cancelled()
    file.close()
    assert [task.id for task in read_tasks(tmp_path)] == ["t0", "t1"]


async def test_a_torn_last_line_is_dropped_and_cut_away(tmp_path: Path) -> None:
    """A kill in the middle of a write loses that task only, and the next line starts clean."""
    file = TaskFile(tmp_path)
    await file.append(TASK)
    file.close()
    with (tmp_path / TASKS).open("ab") as torn:
        torn.write(b'{"id":"t1","sty')
    assert read_tasks(tmp_path) == [TASK]
    file = TaskFile(tmp_path)
    await file.append(replace(TASK, id="t2"))
    file.close()
    assert [task.id for task in read_tasks(tmp_path)] == ["t0", "t2"]


def test_a_damaged_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    """The record is evidence: nothing of it is passed over."""
    (tmp_path / TASKS).write_bytes(b'{"id":\n{}\n')
    with pytest.raises(ValueError, match="Expecting value"):
        read_tasks(tmp_path)


def test_no_file_means_no_lines(tmp_path: Path) -> None:
    """A directory that was never used is empty."""
    assert read_lines(tmp_path / TASKS) == []


async def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """Two sandboxes in one directory would both believe in their own balance."""
    file = TaskFile(tmp_path)
    with pytest.raises(BlockingIOError):
        TaskFile(tmp_path)
    file.close()
    TaskFile(tmp_path).close()


def test_files_are_private(tmp_path: Path) -> None:
    """What holds names and times is for its owner only."""
    file = LineFile(tmp_path / "requests.jsonl")
    file.append({"time": 1.0})
    file.close()
    assert (tmp_path / "requests.jsonl").stat().st_mode & 0o777 == 0o600
