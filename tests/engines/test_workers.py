from __future__ import annotations

import asyncio
import ctypes
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
import types
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from orchestrator.engines import processes as processes_module
from orchestrator.errors import PieceDiedError, StorageError
from orchestrator.pieces import NICE
from orchestrator.report.traces import trace_of
from orchestrator.workers import PieceLimits, Workers
from tests.conftest import Child

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

BIG = 256 << 20
RAW = "Aurelia Quillfeather"


@pytest.fixture(autouse=True)
def processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what tests of jobs want: these tests are about how a process begins and ends."""
    for owner, name in ((processes_module, "_started"), (processes_module._Process, "close")):
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)


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


def import_half() -> None:
    sys.modules["half_imported"] = types.ModuleType("half_imported")
    raise MemoryError


def import_numpy() -> str:
    import numpy as np  # noqa: PLC0415 - what is proved: it is imported within the limits of a piece

    return np.__version__


def fail_to_import(message: str) -> None:
    raise ImportError(message)


def is_half_imported() -> bool:
    return "half_imported" in sys.modules


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


def surroundings() -> tuple[int, int, set[int], str]:
    """Return priority, process, blocked signals, and whether numpy is there by itself."""
    return os.nice(0), os.getpid(), set(signal.pthread_sigmask(signal.SIG_BLOCK, ())), str("numpy" in sys.modules)


def belongings() -> tuple[str, list[str]]:
    """Return the environment as this process began with it, and the names of its open files."""
    kept = Path("/proc/self/environ").read_text()
    links = [Path(f"/proc/self/fd/{number}") for number in range(100)]
    return f"{os.environ} {kept}", [str(link.readlink()) for link in links if link.is_symlink()]


def quote(raw: str) -> None:
    raise ValueError(f"cannot read {raw}")


class OddError(Exception):
    def __init__(self, *, key: int) -> None:
        super().__init__(key)


def be_odd() -> None:
    raise OddError(key=1)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def abort_for_memory() -> None:
    """Die as foreign code does that gets no memory."""
    os.abort()


def misuse_the_interpreter() -> None:
    """Fail as foreign code does that has an error of its own: a `SystemError`."""
    ctypes.pythonapi.PyErr_BadInternalCall()


def say_nothing_of_memory() -> None:
    """Fail as foreign code does that got no memory and does not say so."""
    raise SystemError("<built-in function read> returned NULL without setting an exception")


def find_memory_taken() -> None:
    """Fail as foreign code does that goes on after it got no memory."""
    raise SystemError("<method 'read'> returned a result with an exception set") from MemoryError()


def want_it_all() -> int:
    return len(bytearray(1 << 30))


def room() -> int:
    """Return how much more data this process may take."""
    pages = Path("/proc/self/statm").read_text().split()
    return resource.getrlimit(resource.RLIMIT_DATA)[0] - int(pages[5]) * resource.getpagesize()


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
    before = psutil.Process().children()
    async with Workers(2):
        assert psutil.Process().children() == before


async def test_surroundings_of_a_piece(workers: Workers) -> None:
    """A worker is another process, is not hit by its parent's signals, has low priority, and nothing heavy loaded."""
    nice, pid, blocked, numpy = await workers.run(surroundings)
    assert (nice - os.nice(0), numpy) == (NICE, "False")
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= blocked
    assert pid != os.getpid()


async def test_a_worker_has_no_secret_and_no_file_of_ours(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What parses files from outside can't find a key, in its environment or in what the kernel keeps of it."""
    for name in ("EKYCPRO_API_KEY", "MY_OWN_KEY", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY", "LC_KEY", "PYTHON_KEY"):
        monkeypatch.setenv(name, "s3cret")
    with (tmp_path / "ledger").open("wb") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003 - the function takes it so
        environ, files = await workers.run(belongings)
    assert "s3cret" not in environ
    assert "PYTHONPATH" in environ
    assert [name for name in files if name.startswith(str(tmp_path))] == []
    assert sum(name.startswith("socket:") for name in files) == 1


async def test_the_way_through_a_worker_is_shown(workers: Workers) -> None:
    """A piece that fails in another process shows its frames there, not its words."""
    with pytest.raises(ValueError, match="Aurelia") as raised:
        await workers.run(quote, RAW)
    trace = trace_of(raised.value)
    assert "in quote" in trace
    assert "Aurelia" not in trace


async def test_an_exception_that_cannot_travel(workers: Workers) -> None:
    """It is named, and its worker lives on."""
    with pytest.raises(RuntimeError, match="OddError, which can't be sent"):
        await workers.run(be_odd)
    assert await workers.run(add, 2, 2) == 4


async def test_killed_from_outside(workers: Workers) -> None:
    """SIGKILL is what the kernel ends processes with when memory is short: the machine's fault, never the file's."""
    with pytest.raises(StorageError, match=r"be_killed: .* killed from outside.*set \[workers\] count lower"):
        await workers.run(be_killed)
    assert await workers.run(add, 2, 2) == 4


async def test_an_idle_worker_that_was_killed(workers: Workers) -> None:
    """The next piece is done all the same."""
    pid = await workers.run(os.getpid)
    os.kill(pid, signal.SIGKILL)
    assert await workers.run(add, 2, 2) == 4


@pytest.mark.parametrize("piece", [say_nothing_of_memory, find_memory_taken])
async def test_memory_that_foreign_code_hides(workers: Workers, piece: Callable[[], None]) -> None:
    """What foreign code makes of too little memory is a matter of memory, too."""
    with pytest.raises(PieceDiedError, match="needs more memory"):
        await workers.run(piece)


@pytest.mark.parametrize(
    ("piece", "says"),
    [
        ("want_it_all", "StorageError no memory for want_it_all"),
        ("abort_for_memory", "StorageError no memory for abort_for_memory"),
        ("say_nothing_of_memory", "StorageError no memory for say_nothing_of_memory"),
        ("misuse_the_interpreter", "PieceDiedError misuse_the_interpreter breaks the code that reads it"),
    ],
)
@pytest.mark.parametrize("limit", ["RLIMIT_DATA", "RLIMIT_AS"])
def test_a_limit_from_outside_is_nobodys_fault(start_child: Child, piece: str, says: str, limit: str) -> None:
    """A piece that does not get the memory that it was promised blames the limit, not what it read.

    Another error of foreign code is no matter of memory, however little there is: it would end every run.
    """
    child = start_child(
        "import asyncio, resource, sys\n"
        "from orchestrator.workers import Workers\n"
        "import tests.engines.test_workers as pieces\n"
        "kind = getattr(resource, sys.argv[2])\n"
        "async def main():\n"
        "    async with Workers(1, memory_bytes=1 << 30) as workers:\n"
        "        resource.setrlimit(kind, (900 << 20, 900 << 20))\n"
        "        await workers.run(getattr(pieces, sys.argv[1]))\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n",
        piece,
        limit,
    )
    said, _ = child.communicate(timeout=60)
    name = {"RLIMIT_DATA": "ulimit -d", "RLIMIT_AS": "ulimit -v"}[limit]
    assert said.startswith(says)
    assert (f": the limit on the memory of a process ({name} 921600)" in said) == said.startswith("StorageError")


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
    """A piece over the memory limit is a dead piece; others are done."""
    with pytest.raises(PieceDiedError, match="hoard needs more memory"):
        await workers.run(hoard)
    assert await workers.run(add, 2, 2) == 4


async def test_what_a_lack_of_memory_leaves_half_done_meets_no_other_piece() -> None:
    """A module whose import was cut off stays half imported in its process, which does no further piece."""
    async with Workers(1) as workers:
        with pytest.raises(PieceDiedError, match="import_half needs more memory"):
            await workers.run(import_half)
        assert not await workers.run(is_half_imported)


async def test_a_library_that_does_not_fit() -> None:
    """A lack of memory is one also where the loader of shared objects met it, and its half library meets no other."""
    async with Workers(1, memory_bytes=1 << 20) as pool:
        before = await pool.run(os.getpid)
        with pytest.raises(PieceDiedError, match="import_numpy needs more memory than it may have"):
            await pool.run(import_numpy)
        assert (after := await pool.run(os.getpid)) != before
        with pytest.raises(ImportError, match="cannot load module"):
            await pool.run(fail_to_import, "cannot load module more than once per process")
        assert await pool.run(os.getpid) != after


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
    small, near = PieceLimits(cpu_s=60, memory_bytes=BIG // 2), 8 << 20
    assert abs(await workers.run(room, limits=small) - BIG // 2) < near
    assert abs(await workers.run(room, limits=PieceLimits(cpu_s=60, memory_bytes=2 * BIG)) - BIG) < near
    with pytest.raises(PieceDiedError, match="hold needs more memory"):
        await workers.run(hold, BIG // 2 + near, limits=small)
    assert await workers.run(hold, BIG - near) == BIG - near


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


@pytest.mark.parametrize("spare", [0, 3])
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
