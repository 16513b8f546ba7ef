"""Runs pieces of the work on worker processes, which `orchestrator.pieces` is the inside of.

A piece is a module-level function from files to files. The rules:

- Each process is a fresh interpreter, never a fork of this one: threads and locks of the parent don't survive a fork.
- There is one line to each process, a pair of sockets, and nothing else: no name in a directory for temporary files, no
  semaphore in shared memory, no helper process. What a machine may lack can't stop the work then.
- Workers parse what comes from outside. They get no descriptor but their line, and of the environment only what an
  interpreter needs (`KEPT`): a key is not there to be found.
- A piece that kills its process costs that piece only: there is one piece in a process at a time. A death by chance is
  not taken for the piece's fault: it is done once more, in a fresh process.
- The parent decides when to stop: its signals are blocked in workers from their first moment, and they end when it
  is gone.
- A piece that reads what comes from outside has limits of its own, kept by its process: one that hangs or hoards
  dies, and costs itself only.
- Everything goes through `run_in_executor`, which virtual time in tests depends on.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from orchestrator.errors import PieceDiedError, StorageError
from orchestrator.files import failed_machine
from orchestrator.pieces import GO, OUT_OF_TIME, Call, Line, Narrow, PieceLimits, out_of_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from types import TracebackType

__all__ = ["MEMORY_BYTES", "PieceLimits", "Workers"]

T = TypeVar("T")

MEMORY_BYTES: Final = 2 << 30
CALLS_AHEAD: Final = 2  # a worker: one being worked on, one waiting, so that none idles while the parent wakes up
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

KEPT: Final = (
    *("PATH", "HOME", "TMPDIR", "TZ", "TZDIR", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LOCALE_ARCHIVE"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "NIX_LD", "NIX_LD_LIBRARY_PATH", "GLIBC_TUNABLES"),
    *("DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"),
    *("PYTHONHOME", "PYTHONUTF8", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONPLATLIBDIR", "PYTHONMALLOC"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "COVERAGE_PROCESS_CONFIG"),
)
"""What a worker has of the environment, by whole names: nobody keeps a key in one of these."""

LIBRARIES: Final = dict.fromkeys(
    (
        *("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
        *("VECLIB_MAXIMUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "ARROW_IO_THREADS"),
    ),
    "1",  # there is a worker a core already; each thread of a library's pool costs a stack, which counts as data
) | {"ARROW_DEFAULT_MEMORY_POOL": "system"}  # its own takes 1 GiB of addresses with the first array
"""What keeps numeric libraries from taking memory by the machine's size; they read it when they are imported."""

_START = "import sys; from orchestrator.pieces import serve; serve(int(sys.argv[1]))"


class _DiedError(Exception):
    """A process died on a piece; it had less room than it was promised where `narrow` says so."""

    def __init__(self, exit_code: int, narrow: Narrow | None) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
        self.narrow = narrow


class _RemoteTraceback(Exception):  # noqa: N818 - no error of its own; named and shaped as in `concurrent.futures`
    """The way to an exception in another process, as text with the exceptions' own words in it."""

    def __init__(self, tb: str) -> None:
        super().__init__()  # without words: those of exceptions of ours are shown
        self.tb = tb


class _Process:
    """One worker process, and the line to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._line = Line(ours)
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with our own program
                    [sys.executable, "-P", "-c", _START, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=_environment(),
                )
        except BaseException:
            self._line.close()
            raise

    def wait_until_ready(self) -> None:
        """Wait for its first word; `StorageError` when it ended before."""
        try:
            self._line.receive()
        except (EOFError, OSError) as error:
            raise StorageError(
                f"no worker process can be started: it ended with {self._process.wait()} before it had begun, and may "
                "have said why above; repair that, or give the machine more memory, and run the same command again"
            ) from error

    def ask(self, call: bytes) -> tuple[Any, Exception | None, str]:
        """Have a piece done; return its value, or else its exception and the way to it. Raises `_DiedError`."""
        narrow = None
        try:
            self._line.send(call)
            answered = pickle.loads(self._line.receive())  # noqa: S301 - from our own process
            if isinstance(answered, Narrow):
                narrow = answered
                answered = pickle.loads(self._line.receive())  # noqa: S301 - the same
        except (EOFError, OSError):
            raise _DiedError(self._process.wait(), narrow) from None
        value, error, told = answered
        return value, error, told

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()

    def close(self) -> None:
        """Let it end, and wait for that."""
        with suppress(OSError):
            self._line.send(GO)
        self._line.close()
        self._process.wait()


class Workers:
    """A bounded pool of processes, as an asynchronous context manager; a piece that finds none idle starts one.

    `memory_bytes` is what any piece may take.
    """

    def __init__(self, count: int, memory_bytes: int = MEMORY_BYTES) -> None:
        self.count = count
        self._memory_bytes = memory_bytes
        # A process inherits what is blocked in the thread that starts it, and no signal of the group ever hits it.
        self._threads = ThreadPoolExecutor(count, "worker", partial(signal.pthread_sigmask, signal.SIG_BLOCK, SIGNALS))
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._ending = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the processes. A piece that nobody waits for is killed: it replaces files whole or not at all."""
        self._ending = True
        for process in tuple(self._busy):
            process.kill()
        await asyncio.get_running_loop().run_in_executor(None, self._end)

    async def run(self, piece: Callable[..., T], *args: object, limits: PieceLimits | None = None) -> T:
        """Run `piece(*args)` in a worker and return what it returns; raises what it raises.

        Raises `PieceDiedError` when the piece kills its process, or takes more memory or processor time than it may;
        `StorageError` when the machine has no process for it, or not what it was promised.
        """
        with _beginning():
            done = asyncio.get_running_loop().run_in_executor(self._threads, self._do, piece, args, limits)
        value: T = await done
        return value

    async def map(
        self,
        piece: Callable[..., T],
        calls: AsyncGenerator[tuple[object, ...]],
        *,
        limits: PieceLimits | None = None,
    ) -> list[T]:
        """Run `piece` with each tuple of arguments; return the results in the order of the calls.

        Draws a few calls ahead of the workers and no more, so that arguments may be large. The first error, of a
        piece or of `calls`, ends the rest and comes out as itself.
        """
        ahead = asyncio.Semaphore(self.count * CALLS_AHEAD)
        tasks: list[asyncio.Task[T]] = []
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group, aclosing(calls):
                async for args in calls:
                    await ahead.acquire()
                    tasks.append(group.create_task(self.run(piece, *args, limits=limits)))
                    tasks[-1].add_done_callback(lambda _: ahead.release())
        except BaseExceptionGroup as errors:
            failure = errors.exceptions[0]
        if failure is not None:
            raise failure
        return [task.result() for task in tasks]

    def _do(self, piece: Callable[..., T], args: tuple[object, ...], limits: PieceLimits | None) -> T:
        """Have a piece done, in a thread that waits for it."""
        name = getattr(piece, "__name__", "a piece")
        wish = limits.memory_bytes if limits and limits.memory_bytes is not None else self._memory_bytes
        call = pickle.dumps(
            Call(
                name=name,
                work=pickle.dumps((piece, args)),
                cpu_s=limits.cpu_s if limits else None,
                memory_bytes=min(wish, self._memory_bytes),
            )
        )
        try:
            value, error, told = self._ask(call)
        except _DiedError as first:
            if self._ending or first.exit_code == -OUT_OF_TIME:  # that was no chance
                raise _verdict(name, first) from None
            try:
                value, error, told = self._ask(call)
            except _DiedError as second:
                raise _verdict(name, second) from None
        if error is not None:
            raise error from _RemoteTraceback(told)
        answer: T = value
        return answer

    def _ask(self, call: bytes) -> tuple[Any, Exception | None, str]:
        try:
            process = self._idle.pop()
        except IndexError:
            process = _started()
        self._busy.add(process)
        if self._ending:  # whoever ended the busy ones may not have seen this one
            process.kill()
        try:
            answered = process.ask(call)
        except _DiedError:
            process.close()
            raise
        finally:
            self._busy.discard(process)
        self._idle.append(process)
        return answered

    def _end(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for process in self._idle:
            process.close()


def _started() -> _Process:
    with _beginning():
        process = _Process()
    process.wait_until_ready()
    return process


@contextmanager
def _beginning() -> Iterator[None]:
    """Turn a machine that has no more files, processes or memory for workers into a `StorageError`."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = failed_machine(error) or getattr(error, "strerror", None)
        if not reason:
            raise
        raise StorageError(f"no worker process can be started: {reason}") from error


def _environment() -> dict[str, str]:
    """Return what a worker gets of the environment; it finds modules where this process does."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | LIBRARIES | {"PYTHONPATH": os.pathsep.join(sys.path)}


def _verdict(name: str, died: _DiedError) -> PieceDiedError | StorageError:
    """Say what a piece died of, and whose fault that is."""
    if died.exit_code == -OUT_OF_TIME:
        return PieceDiedError(f"{name} takes too long")
    if died.narrow is not None:
        return out_of_memory(name, died.narrow)
    if died.exit_code == -signal.SIGKILL:  # no piece can do that to itself, within its limits
        return StorageError(
            f"{name}: its worker process was killed from outside, as the system does when memory is short; give the "
            "machine or container more memory, or set [workers] count lower, and run the same command again"
        )
    return PieceDiedError(f"{name} killed its worker process")
