"""Runs pieces of the work on worker processes.

A piece is a module-level function from files to files. The rules:

- Processes come from a fork server, never from a fork of this process: threads and locks of the parent don't survive
  a fork.
- A piece that kills its process costs that piece only. One dead process breaks a whole `ProcessPoolExecutor`, so every
  piece that was inside runs again, alone; the one that kills alone is the culprit.
- The parent decides when to stop: workers ignore its signals, and end when it is gone.
- A piece that reads what comes from outside has limits of its own, kept by its process: one that hangs or hoards
  dies, and costs itself only.
- Everything goes through `run_in_executor`, which virtual time in tests depends on.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Self, TypeVar

from orchestrator.errors import PieceDiedError, StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from multiprocessing.process import BaseProcess
    from types import TracebackType

T = TypeVar("T")

MEMORY_BYTES = 2 << 30
PIECES_PER_WORKER = 2  # one being worked on, one waiting, so that no worker idles while the parent wakes up
NICE = 5


@dataclass(frozen=True, slots=True)
class PieceLimits:
    """What one piece may take: seconds of processor time, and the data of its process, where less than a worker's.

    Processor time and not the clock's: a machine that was suspended, or a slow disk, is no piece's fault.
    """

    cpu_s: float
    memory_bytes: int | None = None


class Workers:
    """A bounded pool of processes, as an asynchronous context manager; the first piece starts it.

    `memory_bytes` limits the data of each process; a piece that needs more dies.
    """

    def __init__(self, count: int, memory_bytes: int = MEMORY_BYTES) -> None:
        self.count = count
        self._memory_bytes = memory_bytes
        self._slots = asyncio.Semaphore(count * PIECES_PER_WORKER)
        self._alone = asyncio.Lock()
        self._pools: set[ProcessPoolExecutor] = set()
        self._shared: ProcessPoolExecutor | None = None
        self._abandoned = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the processes. A piece that nobody waits for is killed: it replaces files whole or not at all."""
        for pool in tuple(self._pools):
            await self._close(pool, kill=self._abandoned)

    async def run(self, piece: Callable[..., T], *args: object, limits: PieceLimits | None = None) -> T:
        """Run `piece(*args)` in a worker and return what it returns; raises what it raises.

        Waits while enough pieces are inside. Raises `PieceDiedError` when the piece kills its process, or takes more
        memory or processor time than it may; `StorageError` when no process can be started.
        """
        call = partial(_guarded, piece, args, limits)
        async with self._slots:
            try:
                return await self._run_shared(call)
            except BrokenProcessPool:
                return await self._run_alone(call, _name(piece))

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
        ahead = asyncio.Semaphore(self.count * PIECES_PER_WORKER)
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

    async def _run_shared(self, call: Callable[[], T]) -> T:
        if self._shared is None:
            self._shared = self._open(self.count)
        pool = self._shared
        try:
            return await self._run_in(pool, call)
        except BrokenProcessPool:
            if self._shared is pool:
                self._shared = None
                await self._close(pool, kill=True)
            raise

    async def _run_alone(self, call: Callable[[], T], name: str) -> T:
        """Run a piece that was inside a broken pool, one at a time, in a process that nothing else can break."""
        async with self._alone:
            pool = self._open(1)
            processes: list[BaseProcess] = []
            try:
                return await self._run_in(pool, call, processes)
            except BrokenProcessPool:
                ended_by = {process.exitcode for process in processes}
                reason = "takes too long" if -_OUT_OF_TIME in ended_by else "killed its worker process"
                raise PieceDiedError(f"{name} {reason}") from None
            finally:
                await self._close(pool, kill=self._abandoned)

    async def _run_in(
        self, pool: ProcessPoolExecutor, call: Callable[[], T], processes: list[BaseProcess] | None = None
    ) -> T:
        try:
            with _beginning():
                future = asyncio.get_running_loop().run_in_executor(pool, call)
            if processes is not None:
                processes.extend(_processes(pool))
            return await future
        except asyncio.CancelledError:
            self._abandoned = True  # the process can't be told, and goes on
            raise

    def _open(self, count: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("forkserver")
        with _beginning():
            pool = ProcessPoolExecutor(
                count, mp_context=context, initializer=_begin_worker, initargs=(self._memory_bytes,)
            )
        self._pools.add(pool)
        return pool

    async def _close(self, pool: ProcessPoolExecutor, *, kill: bool) -> None:
        self._pools.discard(pool)
        if kill:
            for process in _processes(pool):
                process.kill()
        # In a thread, as it waits for the processes.
        await asyncio.get_running_loop().run_in_executor(None, partial(pool.shutdown, wait=True, cancel_futures=True))


@contextmanager
def _beginning() -> Iterator[None]:
    """Turn a machine that has no more files, processes or memory for workers into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"no worker process can be started: {error.strerror or error}; raise the limit (ulimit -a shows it) and "
            "run the same command again"
        ) from error


def _processes(pool: ProcessPoolExecutor) -> tuple[BaseProcess, ...]:
    """Return the processes of a pool; it has no public way to end a piece that runs, before Python 3.14."""
    return tuple((pool._processes or {}).values())  # noqa: SLF001 - see above


def _guarded(piece: Callable[..., T], args: tuple[object, ...], limits: PieceLimits | None) -> T:
    """Run a piece in the worker."""
    try:
        with _limited(limits):
            return piece(*args)
    except MemoryError:
        raise PieceDiedError(f"{_name(piece)} needs more memory than it may have") from None


_OUT_OF_TIME = signal.SIGPROF
"""Its default action ends the process, in whatever foreign code that is stuck; no exception could."""


@contextmanager
def _limited(limits: PieceLimits | None) -> Iterator[None]:
    """Keep this process within the limits of one piece."""
    if limits is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if limits.memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (_at_most(limits.memory_bytes, before[0]), before[1]))
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _at_most(wish: int, limit: int) -> int:
    return wish if limit == resource.RLIM_INFINITY else min(wish, limit)


def _name(piece: Callable[..., object]) -> str:
    return getattr(piece, "__name__", "a piece")


def _begin_worker(memory_bytes: int) -> None:
    """Prepare a new worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(NICE)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_at_most(memory_bytes, hard), hard))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the parent is gone, also when that was killed.

    Idle workers hold both ends of the pool's queue, so its end of file never reaches them.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
