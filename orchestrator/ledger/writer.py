"""Group commit: changes that arrive while a commit is on its way to the disk share the next one.

What waits for the disk happens on one thread of our own: the default executor is shared with name look-ups and file
reads, and one slow of those must not hold back a commit. A change of a few rows is made on the loop itself, and on the
thread only its sync, or its way to a database: statement by statement the two would wait for one another.
Changes are committed in the order in which they were asked for, so a change may rely on every earlier one.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.ledger.connection import ApplyAgainError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.ledger.connection import Turn
    from orchestrator.ledger.ledger import Ledger

T = TypeVar("T")


AT_ONCE: Final = 128
"""Changes in one commit: as many as the event loop can bear, a few milliseconds."""


class _Asked(NamedTuple):
    change: Callable[[Ledger], Any]
    future: asyncio.Future[Any]
    small: bool


class LedgerWriter:
    """The ledger on the event loop. After one failed commit nothing is written any more."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: list[_Asked] = []
        self._flusher: asyncio.Task[None] | None = None
        self._broken: StorageError | None = None
        self._closed = False

    async def do(self, change: Callable[[Ledger], T]) -> T:
        """Run `change`, however long it takes, in a transaction, and return its result once that is durable.

        An exception of `change` undoes this change alone and comes out here; a failed commit is a `StorageError` for
        everybody. A caller that is cancelled leaves its change in the queue: it will be committed all the same.
        """
        return await self._ask(change, small=False)

    async def do_small(self, change: Callable[[Ledger], T]) -> T:
        """Do the same with a small change, of a few rows: a transition of one task. It is made on the loop itself."""
        return await self._ask(change, small=True)

    async def _ask(self, change: Callable[[Ledger], T], *, small: bool) -> T:
        if self._broken:
            raise _again(self._broken) from self._broken
        if self._closed:
            raise RuntimeError("the ledger's writer is closed")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(change, future, small))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return cast("T", await future)

    @property
    def holds(self) -> bool:
        """Whether nobody else can have taken the job over by now: a process may have been asleep since its commit."""
        return self._ledger.connection.holds

    async def turn(self, vendor: str, holder: str, *, places: int, spacing_s: float, slack_s: float) -> Turn:
        """Ask when a vendor may be called that other jobs call too, see `Connection.turn`."""
        if self._broken:
            raise _again(self._broken) from self._broken
        turn = partial(self._ledger.connection.turn, places=places, spacing_s=spacing_s, slack_s=slack_s)
        return await asyncio.get_running_loop().run_in_executor(self._thread, turn, vendor, holder)

    async def close(self) -> None:
        """Wait for what was asked for, then stop the thread. The ledger itself stays open.

        When cancelled it waits only for the commit that is on its way: nothing uses the ledger after this call.
        """
        self._closed = True
        try:
            if self._flusher is not None:
                await asyncio.shield(self._flusher)
        finally:
            self._thread.shutdown(cancel_futures=True)

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                outcomes = await self._commit(batch)
            except BaseException as error:
                self._break([asked.future for asked in batch], error)
                if not isinstance(error, StorageError):  # this task was cancelled, or the program is wrong
                    raise
                return
            for asked, outcome in zip(batch, outcomes, strict=True):
                _settle(asked.future, outcome)

    async def _commit(self, batch: list[_Asked]) -> list[Any]:
        loop = asyncio.get_running_loop()
        changes = [asked.change for asked in batch]
        if not all(asked.small for asked in batch):
            # In the context of who asked, so that what a change logs goes to the job's own log.
            return await loop.run_in_executor(self._thread, copy_context().run, self._ledger.commit, changes)
        outcomes = self._ledger.apply(changes)
        if not self._ledger.unsealed:
            self._ledger.seal()
            return outcomes
        try:
            await loop.run_in_executor(self._thread, self._ledger.seal)
        except ApplyAgainError:
            return await loop.run_in_executor(self._thread, copy_context().run, self._ledger.commit, changes)
        return outcomes

    def _break(self, futures: list[asyncio.Future[Any]], error: BaseException) -> None:
        """Let nobody wait for what will not come."""
        self._broken = (
            error
            if isinstance(error, StorageError)
            else StorageError(f"the ledger's writer died of {type(error).__name__}")
        )
        futures += [asked.future for asked in self._waiting]
        self._waiting = []
        for future in futures:
            _settle(future, _again(self._broken))


def _again(error: StorageError) -> StorageError:
    """Return an error to be raised once more: whoever lost the job to another one has to say so."""
    return LeaseLostError(str(error)) if isinstance(error, LeaseLostError) else StorageError(str(error))


def _settle(future: asyncio.Future[Any], outcome: object) -> None:
    if future.done():  # its caller was cancelled
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
