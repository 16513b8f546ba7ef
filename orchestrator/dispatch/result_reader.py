"""Result files on their way through the worker processes.

Small files gather for a moment and go together, up to some rows; a large file goes at once, by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from orchestrator.errors import PieceDiedError
from orchestrator.results import check_limits, take_results
from orchestrator.results.together import FILES_TOGETHER, ROWS_TOGETHER, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.results import ResultCheck, ResultReport
    from orchestrator.workers import Workers

GATHER_S: Final = 0.05
"""How long a small file waits for others: nothing beside the vendor's own time."""


class ResultReader:
    """Hands result files to the workers."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._waiting: deque[tuple[ResultCheck, int, asyncio.Future[ResultReport]]] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, check: ResultCheck, rows: int) -> ResultReport:
        """Check one file of `rows` rows and keep it under the name of its kind.

        Raises `DamagedResultError`, `StorageError`, and `PieceDiedError` when the file breaks its worker.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[ResultReport] = loop.create_future()
        self._waiting.append((check, rows, future))
        if len(self._waiting) >= FILES_TOGETHER or sum(rows for _, rows, _ in self._waiting) >= ROWS_TOGETHER:
            self._call()
        elif self._timer is None:
            self._timer = loop.call_later(GATHER_S, self._gathered)
        return await future

    async def close(self) -> None:
        """Cut off what is with the workers; whoever still waits is cancelled."""
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            self._waiting.popleft()[2].cancel()
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def _gathered(self) -> None:
        self._timer = None
        self._call()

    def _call(self) -> None:
        while self._waiting and len(self._calls) < self._workers.count:
            batch = together(self._waiting, rows=itemgetter(1))
            task = asyncio.create_task(self._run(batch))
            self._calls.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if self._timer is None:  # else they still gather
            self._call()

    async def _run(self, batch: list[tuple[ResultCheck, int, asyncio.Future[ResultReport]]]) -> None:
        checks = tuple(check for check, _, _ in batch)
        limits = check_limits(sum(rows for _, rows, _ in batch))
        try:
            outcomes = await self._workers.run(take_results, checks, limits=limits)
        except PieceDiedError as error:
            if len(batch) == 1:
                _settle(batch[0][2], error)
                return
            for one in batch:  # each by itself: the file that breaks its worker costs that file only
                await self._run([one])
            return
        except asyncio.CancelledError as error:
            _settle_all(batch, error)
            raise
        except Exception as error:  # noqa: BLE001 - whoever waits for a file raises it; nobody waits for this call
            _settle_all(batch, error)
            return
        for (_, _, future), outcome in zip(batch, outcomes, strict=True):
            _settle(future, outcome)


def _settle_all(batch: Sequence[tuple[ResultCheck, int, asyncio.Future[ResultReport]]], error: BaseException) -> None:
    for _, _, future in batch:
        _settle(future, error)


def _settle(future: asyncio.Future[ResultReport], outcome: ResultReport | BaseException) -> None:
    if future.done():  # whoever asked was cut off
        return
    if isinstance(outcome, asyncio.CancelledError):
        future.cancel()
    elif isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
