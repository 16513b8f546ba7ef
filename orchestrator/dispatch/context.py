"""What every call of one run shares, and how a call's end is told to its vendor's health and pace."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import structlog

from orchestrator.dispatch.backoff import delay_s
from orchestrator.dispatch.pace import leave

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.dispatch.lanes import Lane, Side
    from orchestrator.ledger import Ledger, LedgerWriter
    from orchestrator.settings import BackoffSettings, PollingSettings
    from orchestrator.workers import Workers

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Context:
    """One run's means. `clock` is the wall clock (epoch seconds); everything else is timed by the event loop.

    `max_cost_nano` is in 1e-9 USD, None for the embedded vendor. Once `stopping` is set nothing more is released.
    """

    job_name: str
    directory: Path
    ledger: LedgerWriter
    workers: Workers
    polling: PollingSettings
    backoff: BackoffSettings
    max_cost_nano: int | None
    clock: Callable[[], float]
    random: random.Random
    stopping: asyncio.Event

    @property
    def now(self) -> float:
        """The event loop's time."""
        return asyncio.get_running_loop().time()

    def delay_s(self, attempt: int) -> float:
        """Draw the wait before repeat `attempt`, from 1."""
        return delay_s(attempt, self.backoff, self.random.random())

    async def note(self, lane: Lane, change: Callable[[Ledger], T]) -> T:
        """Record a small change, and with it what is to outlive this run of the lane's caution."""
        memory = lane.caution.unsaved()

        def both(ledger: Ledger) -> T:
            if memory is not None:
                ledger.remember(lane.name, memory)
            return change(ledger)

        return await self.ledger.record(both)

    def well(self, side: Side) -> None:
        """Note that a vendor answered sensibly."""
        side.answered = True
        side.doubtful_at = math.inf
        self.there(side)

    def there(self, side: Side) -> None:
        """Note that somebody answered, be it the vendor or a gateway."""
        side.health.succeeded()
        side.pace.speed_up()

    def ill(self, side: Side, reason: str) -> None:
        """Note that a vendor did not answer, or could not."""
        side.health.failed(self.now, self.random.random())
        self._give_up_if_out_of_reach(side, reason)

    def throttled(self, side: Side, reason: str, retry_after_s: float | None) -> None:
        """Note that a vendor found us too fast: no failure, but no success either, and slower from now on."""
        side.pace.slow_down(self.now, retry_after_s)
        side.health.throttled(self.now)
        log.warning("slowed_down", vendor=side.name, interval_s=round(side.pace.interval_s, 3))
        self._give_up_if_out_of_reach(side, reason)

    def _give_up_if_out_of_reach(self, side: Side, reason: str) -> None:
        if side.health.out_of_reach(self.now) and not side.unreachable:
            side.unreachable = True
            side.trouble = reason
            log.error("vendor_out_of_reach", vendor=side.name, reason=reason)


class Turn:
    """One call's place among its lane's and its vendor's, taken in the moment in which the schedule decides on it.

    A context manager around the whole call, up to the recording of what came of it. `gone` is called when the place
    among those that wait to leave is free again, so that the next call can begin.
    """

    def __init__(self, lane: Lane, gone: Callable[[], None]) -> None:
        self._lane = lane
        self._tell = gone
        self._lane.side.calls += 1
        self._lane.leaving += 1
        self._waiting = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lane.side.calls -= 1
        self._gone()

    async def leave(self) -> None:
        """Return in the moment in which the request may be handed to the socket."""
        await leave(self._lane.pace, self._lane.side.pace)
        self._gone()

    def _gone(self) -> None:
        if self._waiting:
            self._waiting = False
            self._lane.leaving -= 1
            self._tell()
