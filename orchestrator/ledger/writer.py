"""Group commit: changes that arrive while a commit is on its way to the disk share the next one.

All use of the connection happens on one thread of our own: the default executor is shared with name look-ups and
file reads, and one slow of those must not hold back a commit. Changes are committed in the order in which they were
asked for, so a change may rely on every earlier one.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, cast

from orchestrator.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.ledger.store import Ledger

T = TypeVar("T")


class LedgerWriter:
    """The ledger on the event loop. After one failed commit nothing is written any more."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: list[tuple[Callable[[Ledger], Any], asyncio.Future[Any]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._broken: StorageError | None = None
        self._closed = False

    async def do(self, change: Callable[[Ledger], T]) -> T:
        """Run `change` in a transaction and return its result once that is durable.

        An exception of `change` undoes this change alone and comes out here; a failed commit is a `StorageError` for
        everybody. A caller that is cancelled leaves its change in the queue: it will be committed all the same.
        """
        if self._broken:
            raise StorageError(str(self._broken)) from self._broken
        if self._closed:
            raise RuntimeError("the ledger's writer is closed")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return cast("T", await future)

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
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            changes = [change for change, _ in batch]
            try:
                outcomes = await loop.run_in_executor(self._thread, self._ledger.commit, changes)
            except BaseException as error:
                self._break([future for _, future in batch], error)
                if not isinstance(error, StorageError):  # this task was cancelled, or the program is wrong
                    raise
                return
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                _settle(future, outcome)

    def _break(self, futures: list[asyncio.Future[Any]], error: BaseException) -> None:
        """Let nobody wait for what will not come."""
        self._broken = (
            error
            if isinstance(error, StorageError)
            else StorageError(f"the ledger's writer died of {type(error).__name__}")
        )
        futures += [future for _, future in self._waiting]
        self._waiting = []
        for future in futures:
            _settle(future, StorageError(str(self._broken)))


def _settle(future: asyncio.Future[Any], outcome: object) -> None:
    if future.done():  # its caller was cancelled
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
