from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.engines import processes, standstill
from orchestrator.engines.standstill import LOOKS, Standstill, at_rest
from orchestrator.errors import PieceDiedError, StorageError
from orchestrator.workers import Workers

LOOK_S = 0.01


@pytest.fixture(autouse=True)
def looks_that_come_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often; and leave these processes to no other test, nor take them from one."""
    for owner, name in ((processes, "_started"), (processes._Process, "close")):
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
    monkeypatch.setattr(processes, "LOOK_S", LOOK_S)


def lock_up(folder: Path, times: int) -> str:
    """Wait for oneself, for ever, when called for one of the first times."""
    (folder / str(os.getpid())).touch()
    if begun(folder) <= times:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    return "done"


def begun(folder: Path) -> int:
    return len(list(folder.iterdir()))


def nap(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


def work(seconds: float) -> str:
    """Go on all the time, a bit at a time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(200_000))
        time.sleep(LOOK_S / 2)
    return "done"


def thread(folder: Path, number: int, state: str, ticks: int = 7) -> None:
    """Write what Linux says of a thread, with an awkward name."""
    (folder / "task" / str(number)).mkdir(exist_ok=True, parents=True)
    rest = " ".join(map(str, [1, 1, 1, 0, -1, 4194304, 10, 0, 0, 0, ticks, 2, 0, 0, 20, 5, 3, 0]))
    (folder / "task" / str(number) / "stat").write_text(f"{number} (a) S (b) {state} {rest}\n")


def room(folder: Path, left_bytes: int) -> None:
    """Write what Linux says of the memory of a process, and of what it has read and written."""
    most = (16 << 20) + left_bytes
    (folder / "status").write_text("VmSize:\t 99999 kB\nVmData:\t   16384 kB\nVmStk:\t     132 kB\n")
    (folder / "limits").write_text(
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        f"Max file size             unlimited            unlimited            bytes     \n"
        f"Max data size             {most:<20} unlimited            bytes     \n"
    )
    (folder / "io").write_text("rchar: 7\nwchar: 3\n")


def try_for_ever(folder: Path) -> None:
    """Ask for memory again and again, as an interpreter does that has none left to say so."""
    (folder / str(os.getpid())).touch()
    held = []
    size = 1 << 20
    while True:
        try:
            held.append(bytearray(size))
        except MemoryError:
            size = max(1 << 10, size // 2)


async def test_a_piece_that_waits_for_ever(tmp_path: Path) -> None:
    """It has a bound although it takes no processor time, and costs itself only."""
    async with Workers(1) as workers, asyncio.timeout(60):
        with pytest.raises(PieceDiedError, match="lock_up stands still"):
            await workers.run(lock_up, tmp_path, 2)
        assert await workers.run(nap, 0) == "done"


async def test_a_piece_that_waits_by_chance_is_done_again(tmp_path: Path) -> None:
    """Threads that wait for one another met at a bad moment: the second time they may not."""
    async with Workers(1) as workers, asyncio.timeout(60):
        assert await workers.run(lock_up, tmp_path, 1) == "done"
    assert begun(tmp_path) == 2


async def test_a_piece_that_asks_for_memory_for_ever(tmp_path: Path) -> None:
    """It takes the processor all the time, and comes to nothing: it has a bound, too."""
    async with Workers(1, memory_bytes=32 << 20) as workers, asyncio.timeout(60):
        with pytest.raises(PieceDiedError, match="try_for_ever stands still"):
            await workers.run(try_for_ever, tmp_path)
    assert begun(tmp_path) == 2


async def test_a_piece_that_goes_on_has_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that ends, and work that takes long, are no standstill."""
    monkeypatch.setattr(standstill, "LOOKS", 30)
    async with Workers(2) as workers, asyncio.timeout(60):
        assert await workers.run(nap, LOOK_S * 5) == "done"
        assert await workers.run(work, LOOK_S * 150) == "done"


async def test_a_stopped_process_does_not_stand_still() -> None:
    """Whoever stopped it may let it go on: a debugger, a batch system, a laptop's lid."""
    async with Workers(1) as workers, asyncio.timeout(60):
        pid = await workers.run(os.getpid)
        psutil.Process(pid).suspend()
        piece = asyncio.create_task(workers.run(nap, 0))
        done, _ = await asyncio.wait({piece}, timeout=LOOK_S * LOOKS * 2)
        assert not done
        psutil.Process(pid).resume()
        assert await piece == "done"


async def test_an_ignored_signal_does_not_keep_it(tmp_path: Path) -> None:
    """Whoever started the program may have ignored what ends a piece, which a process inherits."""
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        async with Workers(1) as workers, asyncio.timeout(60):
            with pytest.raises(PieceDiedError, match="stands still"):
                await workers.run(lock_up, tmp_path, 2)
    finally:
        signal.signal(signal.SIGALRM, before)


async def test_a_process_that_never_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits before its first word is the machine's."""
    monkeypatch.setattr(processes, "_START", "import time; time.sleep(600)")
    async with Workers(1) as workers, asyncio.timeout(60):
        with pytest.raises(StorageError, match="no worker process can be started"):
            await workers.run(nap, 0)


@pytest.mark.parametrize("state", ["R", "D", "T", "t", "Z"])
def test_what_is_no_rest(tmp_path: Path, state: str) -> None:
    """One thread that runs, waits for a disk, or was stopped, and the process is not at rest."""
    room(tmp_path, 1 << 20)
    thread(tmp_path, 1, "S")
    assert at_rest(tmp_path)
    thread(tmp_path, 2, state)
    assert not at_rest(tmp_path)


def test_rest_is_told_by_what_was_done(tmp_path: Path) -> None:
    """A tick more of any thread, or another thread, is another rest; the same state is not."""
    thread(tmp_path, 1, "S")
    before = at_rest(tmp_path)
    assert at_rest(tmp_path) == before
    thread(tmp_path, 1, "S", ticks=8)
    assert at_rest(tmp_path) != before
    thread(tmp_path, 1, "S")
    thread(tmp_path, 2, "S", ticks=0)
    assert at_rest(tmp_path) != before


def test_no_room_and_nothing_read_or_written(tmp_path: Path) -> None:
    """One that runs and has taken all of its memory is at rest, unless it reads or writes; with any room it is not."""
    thread(tmp_path, 1, "R")
    room(tmp_path, 0)
    before = at_rest(tmp_path)
    thread(tmp_path, 1, "R", ticks=700)
    assert before
    assert at_rest(tmp_path) == before
    (tmp_path / "io").write_text("rchar: 8\nwchar: 3\n")
    assert at_rest(tmp_path) not in ("", before)
    room(tmp_path, 1 << 20)
    assert not at_rest(tmp_path)


def test_nobody_knows(tmp_path: Path) -> None:
    """Where the system says nothing, nothing is held to stand still."""
    assert not at_rest(tmp_path / "nothing")
    watched = Standstill(2**22 + 1)
    assert not any(watched.look() for _ in range(2 * LOOKS))
