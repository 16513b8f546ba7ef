"""Runs pieces of the work on worker processes of this machine, which `orchestrator.pieces` is the inside of.

The rules:

- Each process is a fresh interpreter, never a fork of this one: threads and locks of the parent don't survive a fork.
- There is one line to each process, a pair of sockets, and nothing else: no name in a directory for temporary files, no
  semaphore in shared memory, no helper process. What a machine may lack can't stop the work then.
- Workers parse what comes from outside. They get no descriptor but their line, and of the environment only what an
  interpreter needs (`KEPT`): a key is not there to be found.
- A piece that kills its process costs that piece only: there is one piece in a process at a time. A death by chance is
  not taken for the piece's fault: it is done once more, in a fresh process.
- A piece that nobody waits for any more is killed: it replaces files whole or not at all.
- The parent decides when to stop: its signals are blocked in workers from their first moment, and they end when it
  is gone.
- A piece that reads what comes from outside has limits of its own, kept by its process: one that takes too long or
  hoards dies, and costs itself only. Any piece that stands still dies (`engines.standstill`).
- Everything goes through `run_in_executor`, which virtual time in tests depends on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from orchestrator.engines.standstill import LOOK_S, Standstill
from orchestrator.errors import PieceDiedError, StorageError
from orchestrator.files import failed_machine
from orchestrator.pieces import GO, NARROW, OUT_OF_TIME, SPENT, STOOD_STILL, MessageLine, out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from orchestrator.pieces import Order, PieceFiles

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
    """A process died on a piece; `narrow` is the limit that left it less room than it was promised, if one did."""

    def __init__(self, exit_code: int, narrow: str) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
        self.narrow = narrow


class _Process:
    """One worker process, and the line to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._line = MessageLine(ours)
        self.is_spent = False
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
            self._receive()
        except (EOFError, OSError) as error:
            self._line.close()
            raise StorageError(
                f"no worker process can be started: it ended with {self._process.wait()} before it had begun, and may "
                "have said why above; repair that, or give the machine more memory, and run the same command again"
            ) from error

    def ask(self, call: bytes) -> bytes:
        """Have a piece done, and return what its process sent of it. Raises `_DiedError`."""
        narrow = ""
        try:
            self._line.send(call)
            while (answered := self._receive()).startswith((NARROW, SPENT)):
                if answered == SPENT:
                    self.is_spent = True
                else:
                    narrow = answered.removeprefix(NARROW).decode()
        except (EOFError, OSError):
            raise _DiedError(self._process.wait(), narrow) from None
        return answered

    def _receive(self) -> bytes:
        """Wait for what it has to say, for as long as it goes on."""
        watched = Standstill(self._process.pid)
        while not self._line.comes(within_s=LOOK_S):
            if watched.look():
                self._process.send_signal(STOOD_STILL)
        return self._line.receive()

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()

    def close(self) -> None:
        """Let it end, and wait for that."""
        with suppress(OSError):
            self._line.send(GO)
        self._line.close()
        self._process.wait()


@dataclass(slots=True, eq=False)
class _Place:
    """Where a piece is being done: in which process, and whether somebody still waits for it."""

    process: _Process | None = None
    is_left: bool = False

    def leave(self) -> None:
        """End the piece: nobody waits for it."""
        self.is_left = True
        if self.process is not None:
            self.process.kill()


class Processes:
    """A bounded pool of processes; a piece that finds none idle starts one."""

    def __init__(self, count: int) -> None:
        self.count = count
        # A process inherits what is blocked in the thread that starts it, and no signal of the group ever hits it.
        self._threads = ThreadPoolExecutor(count, "worker", partial(signal.pthread_sigmask, signal.SIG_BLOCK, SIGNALS))
        self._idle: list[_Process] = []
        self._places: set[_Place] = set()
        self._ending = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the processes, and with them what they do."""
        self._ending = True
        for place in tuple(self._places):
            place.leave()
        await asyncio.get_running_loop().run_in_executor(None, self._end)

    def takes(self, files: PieceFiles | None) -> bool:  # noqa: ARG002 - it has all files
        return True

    async def do(self, order: Order) -> bytes:
        """Have a piece done; `workers.Engine` has the rest."""
        place = _Place()
        with _beginning():
            done = asyncio.get_running_loop().run_in_executor(self._threads, self._do, order, place)
        try:
            return await done
        except asyncio.CancelledError:
            place.leave()
            raise

    def _do(self, order: Order, place: _Place) -> bytes:
        """Have a piece done, in a thread that waits for it."""
        call = order.packed()
        self._places.add(place)
        try:
            return self._ask(call, place)
        except _DiedError as first:
            if self._ending or place.is_left or first.exit_code == -OUT_OF_TIME:  # that was no chance
                raise _verdict(order.name, first) from None
            try:
                return self._ask(call, place)
            except _DiedError as second:
                raise _verdict(order.name, second) from None
        finally:
            self._places.discard(place)

    def _ask(self, call: bytes, place: _Place) -> bytes:
        try:
            process = self._idle.pop()
        except IndexError:
            process = _started()
        place.process = process
        if self._ending or place.is_left:  # whoever ended the others may not have seen this one
            process.kill()
        try:
            answered = process.ask(call)
        except _DiedError:
            process.close()
            raise
        finally:
            place.process = None
        if process.is_spent:
            process.close()
        else:
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
    if died.narrow:
        return out_of_memory(name, died.narrow)
    if died.exit_code == -STOOD_STILL:
        return PieceDiedError(f"{name} stands still")
    if died.exit_code == -signal.SIGKILL:  # no piece can do that to itself, within its limits
        return StorageError(
            f"{name}: its worker process was killed from outside, as the system does when memory is short; give the "
            "machine or container more memory, or set [workers] count lower, and run the same command again"
        )
    return PieceDiedError(f"{name} killed its worker process")
