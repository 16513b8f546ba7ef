"""Runs pieces of the work, on an engine: the processes of this machine, or those of many.

Whatever the engine, the same comes out: a piece's value, or its error with the way to it. Which engine it is, no piece
knows, and no stage. Pieces that need more than files (`pieces.on_files`) are done on processes of this machine always.
"""

from __future__ import annotations

import asyncio
import pickle
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

from orchestrator.engines.processes import Processes
from orchestrator.pieces import Order, PieceFiles, PieceLimits

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from types import TracebackType

__all__ = ["MEMORY_BYTES", "Engine", "PieceLimits", "Workers"]

T = TypeVar("T")

MEMORY_BYTES: Final = 2 << 30
CALLS_AHEAD: Final = 2  # a worker: one being worked on, one waiting, so that none idles while the parent wakes up


class Engine(Protocol):
    """What runs pieces. It is an asynchronous context manager: nothing of it runs before, and nothing afterwards."""

    @property
    def count(self) -> int:
        """How many pieces it can do at a time, as it is now."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def takes(self, files: PieceFiles | None) -> bool:
        """Whether it does a piece with these files, None for one that needs more; else processes of this machine do."""

    async def do(self, order: Order) -> bytes:
        """Have a piece done, with what it reads and writes; return what `pieces.answer` sends of it.

        A piece that nobody waits for any more is ended. Raises `PieceDiedError` when the piece kills its process, or
        takes more memory or processor time than it may, or stands still; `StorageError` when a machine has no process
        for it, or not what it was promised; `EngineError` when there is nobody to do it.
        """


class _RemoteTraceback(Exception):  # noqa: N818 - no error of its own; named and shaped as in `concurrent.futures`
    """The way to an exception in another process, as text with the exceptions' own words in it."""

    def __init__(self, tb: str) -> None:
        super().__init__()  # without words: those of exceptions of ours are shown
        self.tb = tb


class Workers:
    """Workers on an engine, as an asynchronous context manager; by default `count` processes of this machine.

    `memory_bytes` is what any piece may take.
    """

    def __init__(self, count: int, memory_bytes: int = MEMORY_BYTES, engine: Engine | None = None) -> None:
        self._here = Processes(count)
        self._engine: Engine = self._here if engine is None else engine
        self._memory_bytes = memory_bytes

    @property
    def count(self) -> int:
        """How many pieces can be done at a time, as it is now."""
        return self._engine.count

    async def __aenter__(self) -> Self:
        if self._engine is not self._here:
            await self._engine.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End what runs: it replaces files whole or not at all."""
        try:
            if self._engine is not self._here:
                await self._engine.__aexit__(exc_type, exc, traceback)
        finally:
            await self._here.__aexit__(exc_type, exc, traceback)

    async def run(self, piece: Callable[..., T], *args: object, limits: PieceLimits | None = None) -> T:
        """Run `piece(*args)` in a worker and return what it returns; raises that of `Engine.do`, and what it raises."""
        wish = limits.memory_bytes if limits and limits.memory_bytes is not None else self._memory_bytes
        order = Order(piece, args, limits.cpu_s if limits else None, min(wish, self._memory_bytes))
        engine = self._engine
        if engine is not self._here and not engine.takes(order.files()):
            engine = self._here
        value, error, told = pickle.loads(await engine.do(order))  # noqa: S301 - from a process of ours
        if error is not None:
            raise error from _RemoteTraceback(told)
        answer: T = value
        return answer

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
        tasks: list[asyncio.Task[T]] = []
        waiting: set[asyncio.Task[T]] = set()
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group, aclosing(calls):
                async for args in calls:
                    tasks.append(group.create_task(self.run(piece, *args, limits=limits)))
                    waiting.add(tasks[-1])
                    while len(waiting) >= self.count * CALLS_AHEAD:  # asked each time: an engine may grow
                        _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except BaseExceptionGroup as errors:
            failure = errors.exceptions[0]
        if failure is not None:
            raise failure
        return [task.result() for task in tasks]
