from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from orchestrator.errors import PieceDiedError, StorageError
from orchestrator.workers import NICE, PieceLimits, Workers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

BIG = 256 << 20


@pytest.fixture
async def workers() -> AsyncGenerator[Workers, None]:
    async with Workers(2, memory_bytes=BIG) as pool:
        yield pool


def add(a: int, b: int) -> int:
    return a + b


def fail(message: str) -> None:
    raise StorageError(message)


def die(times: Path | None = None) -> int:
    """Kill the own process; with a folder, only when called for the first time."""
    if times is None or not (times / "died").exists():
        if times is not None:
            (times / "died").touch()
        os._exit(9)
    return 1


def hoard() -> int:
    return len(bytearray(2 * BIG))


def spin(where: str) -> None:
    """Take far longer than allowed: in Python, or in foreign code that no exception reaches."""
    if where == "python":
        busy(2.0)
    else:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 1 << 30)


def hold(size_bytes: int) -> int:
    return len(bytearray(size_bytes))


def surroundings() -> tuple[int, int, tuple[int, int], str]:
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    handlers = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    ignored = sum(handler is signal.SIG_IGN for handler in handlers)
    return os.nice(0), limit, (ignored, os.getpid()), type(sys.modules.get("numpy")).__name__


def linger(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(600)


def busy(cpu_s: float) -> float:
    started = time.process_time()
    while (used := time.process_time() - started) < cpu_s:
        pass
    return used


def die_then_linger(folder: Path) -> None:
    """Kill the first process, and never end in the second."""
    first = folder.with_name("first")
    if not first.exists():
        first.touch()
        os._exit(9)
    linger(folder)


def mark(folder: Path, name: int) -> int:
    (folder / f"{name}").touch()
    return name


def finished(folder: Path) -> int:
    return len(list(folder.iterdir()))


async def appear(folder: Path) -> int:
    """Wait until a lingering piece has said which process it is in."""
    return await asyncio.to_thread(_first_name, folder)


def _first_name(folder: Path) -> int:
    while not (names := [path.name for path in folder.iterdir()]):
        time.sleep(0.01)
    return int(names[0])


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_piece_returns_its_value(workers: Workers) -> None:
    """`run` hands arguments to a process and its value back."""
    assert await workers.run(add, 1, 2) == 3


async def test_a_pieces_error_comes_out_as_itself(workers: Workers) -> None:
    """Errors keep class and message on their way out of a worker."""
    with pytest.raises(StorageError, match="disk"):
        await workers.run(fail, "disk")


async def test_no_process_without_a_piece() -> None:
    """The pool starts lazily: without a piece there is no process to wait for."""
    async with Workers(2) as workers:
        assert not workers._pools


async def test_surroundings_of_a_piece(workers: Workers) -> None:
    """A worker is another process, ignores both signals, has low priority, limited memory, nothing heavy loaded."""
    nice, limit, (ignored, pid), numpy = await workers.run(surroundings)
    assert (nice - os.nice(0), limit, ignored, numpy) == (NICE, BIG, 2, "NoneType")
    assert pid != os.getpid()


async def test_a_deadly_piece_costs_only_itself(workers: Workers) -> None:
    """A piece that kills its process fails; every other piece that was inside, or comes later, succeeds."""
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(workers.run(add, i, i)) for i in range(20)]
        deadly = group.create_task(_died(workers))
    assert [task.result() for task in others] == [2 * i for i in range(20)]
    assert deadly.result() == "die killed its worker process"
    assert await workers.run(add, 2, 2) == 4


async def _died(workers: Workers) -> str:
    with pytest.raises(PieceDiedError) as caught:
        await workers.run(die)
    return str(caught.value)


async def test_a_piece_that_died_by_chance_is_run_again(workers: Workers, tmp_path: Path) -> None:
    """Only a piece that kills its process when it is alone there is the culprit."""
    assert await workers.run(die, tmp_path) == 1


async def test_out_of_memory_is_the_death_of_a_piece(workers: Workers) -> None:
    """A piece over the memory limit is a dead piece; its worker lives on."""
    with pytest.raises(PieceDiedError, match="hoard needs more memory"):
        await workers.run(hoard)
    assert await workers.run(add, 2, 2) == 4


@pytest.mark.parametrize("where", ["python", "foreign code"])
async def test_a_piece_that_never_ends_costs_only_itself(workers: Workers, where: str) -> None:
    """A piece over its processor time is a dead piece, wherever it is stuck; others succeed."""
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(workers.run(add, i, i)) for i in range(6)]
        with pytest.raises(PieceDiedError, match="spin takes too long"):
            await workers.run(spin, where, limits=PieceLimits(cpu_s=0.2))
    assert [task.result() for task in others] == [2 * i for i in range(6)]
    assert await workers.run(add, 2, 2) == 4


async def test_the_limits_of_a_piece_end_with_it(workers: Workers) -> None:
    """The next piece in the same process has the worker's limits again; a limit above the worker's changes nothing."""
    small = PieceLimits(cpu_s=60, memory_bytes=BIG // 2)
    assert (await workers.run(surroundings, limits=small))[1] == BIG // 2
    assert (await workers.run(surroundings, limits=PieceLimits(cpu_s=60, memory_bytes=2 * BIG)))[1] == BIG
    with pytest.raises(PieceDiedError, match="hold needs more memory"):
        await workers.run(hold, BIG // 2, limits=small)
    assert await workers.run(hold, BIG // 2) == BIG // 2


async def test_time_left_over_is_nobodys(workers: Workers) -> None:
    """A piece that ended in time leaves no clock ticking for the next one."""
    for _ in range(4):
        await workers.run(add, 1, 1, limits=PieceLimits(cpu_s=0.05))
    assert await workers.run(busy, 0.2) >= 0.2


async def test_cancelled_while_alone(tmp_path: Path) -> None:
    """Cancellation escapes from a piece that runs again alone, and its process is gone afterwards."""
    async with Workers(1) as workers:
        task = asyncio.create_task(workers.run(die_then_linger, tmp_path))
        pid = await appear(tmp_path)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert gone(pid)


async def test_cancelled_piece_is_killed_at_the_end(tmp_path: Path) -> None:
    """Cancellation escapes at once, and leaving the context does not wait for the abandoned piece."""
    async with Workers(1) as workers:
        task = asyncio.create_task(workers.run(linger, tmp_path))
        pid = await appear(tmp_path)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert gone(pid)


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    """After SIGKILL of the parent no worker process is left behind."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio, os, pathlib, sys, time\n"
        "from orchestrator.workers import Workers\n"
        "async def main():\n"
        "    async with Workers(1) as workers:\n"
        "        print(await workers.run(os.getpid), flush=True)\n"
        "        os.kill(os.getpid(), 9)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, str(script)]
    done = subprocess.run(  # noqa: S603 - our own script
        command, stdout=subprocess.PIPE, text=True, env=environment, check=False, timeout=60
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 20
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def no_files_but(spare: int) -> Iterator[None]:
    """Let this process open only so many more files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.open(os.devnull, os.O_RDONLY)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one + spare, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("spare", [0, 6])
async def test_a_machine_without_files_left(workers: Workers, spare: int) -> None:
    """No worker can be started: that is the machine's, to be mended, and no fault of the program."""
    with no_files_but(spare), pytest.raises(StorageError, match=r"no worker .* Too many open files; raise the limit"):
        await workers.run(add, 1, 2)


async def test_map_keeps_the_order(workers: Workers) -> None:
    """Results stand in the order of the calls, however the pieces finish."""

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        for i in range(30):
            yield i, 1

    assert await workers.map(add, calls()) == list(range(1, 31))


async def test_map_draws_few_calls_ahead(workers: Workers, tmp_path: Path) -> None:
    """No more arguments are drawn than the workers can soon use."""
    ahead = []

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        for i in range(30):
            ahead.append(i - finished(tmp_path))
            yield tmp_path, i

    await workers.map(mark, calls())
    assert max(ahead) <= 2 * workers.count


async def test_map_raises_the_first_error_bare(workers: Workers) -> None:
    """An error of a piece or of the calls ends the map and comes out without a group round it."""

    async def calls(*, broken: bool) -> AsyncGenerator[tuple[object, ...], None]:
        for message in ("disk", "disk"):
            yield (message,)
        if broken:
            raise KeyError(message)

    with pytest.raises(StorageError):
        await workers.map(fail, calls(broken=False))
    with pytest.raises(KeyError):
        await workers.map(str, calls(broken=True))


@pytest.mark.looptime
async def test_under_virtual_time(workers: Workers) -> None:
    """A piece runs in no virtual time, however long its process takes to start within the time-out's real time."""
    async with asyncio.timeout(60):
        assert await workers.run(add, 1, 2) == 3
