"""How fast requests leave: at least 1/rate apart, measured when they are handed to the socket.

Spacing, not a bucket: a bucket bounds the mean and lets a window of twice the rate through. A vendor that answers 429
is slowed down beyond its configured rate, and sped up again by success, never past it.

A vendor that other jobs call with the same key is called by turns, which the ledger's database gives out.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.ledger import Turn

SLOWEST_INTERVAL_S = 60.0
FIRST_SLOW_INTERVAL_S = 0.05
SPEED_UP = 0.9
TICK_S = 0.0001
TURN_S = 1.0
"""How long a turn is at most: so long others wait for theirs."""
SLACK_S = 0.02
"""By how much a turn may be met late, at first: more where the way to the database is longer, or one was missed."""
MOST_SLACK_S = 2.0


class AskTurn(Protocol):
    """Asks the database for a turn; see `Connection.turn`."""

    async def __call__(self, *, places: int, spacing_s: float, slack_s: float) -> Turn: ...


class Turns:
    """The turns of one run at a vendor that other jobs call too. Times are the event loop's.

    When a turn begins and ends is known by the database's clock alone; here it lies between question and answer. So a
    turn begins as if the question had just been answered, and ends as if it had just been asked.
    """

    def __init__(self, ask: AskTurn) -> None:
        self._ask = ask
        self.begins_at = -math.inf
        self._last_at = -math.inf
        self._places, self._left = 1, 0
        self._slack_s = SLACK_S
        self.spacing_s = 0.0

    def is_over(self, now: float) -> bool:
        return not self._left or now > self._last_at

    def used(self) -> None:
        self._left -= 1

    async def take(self, spacing_s: float, *, is_busy: bool) -> None:
        """Wait for the word on when the next turn is.

        One who `is_busy`, with more to send than may leave, gets twice as long a turn each time: others gain nothing
        by a short one, while a long one that is hardly used would keep them waiting.
        """
        loop = asyncio.get_running_loop()
        missed = self._left == self._places
        most = max(1, int(TURN_S / max(spacing_s, self.spacing_s)))
        self._places = min(2 * self._places, most) if is_busy else 1
        asked_at = loop.time()
        turn = await self._ask(places=self._places, spacing_s=spacing_s, slack_s=self._slack_s)
        answered_at = loop.time()
        self.spacing_s, self._left = turn.spacing_s, self._places
        self.begins_at = answered_at + turn.begins_s
        self._last_at = asked_at + turn.ends_s - turn.spacing_s
        usual_s = max(SLACK_S, 2 * (answered_at - asked_at))
        self._slack_s = min(max(usual_s, 2 * self._slack_s if missed else 0.0), MOST_SLACK_S)


class Pace:
    """The spacing of one vendor's, or one platform's, requests. Times are the event loop's."""

    def __init__(self, per_second: float, *, now: float, turns: Turns | None = None) -> None:
        self.turns = turns
        self._base_interval_s = 1.0 / per_second
        self.interval_s = self._base_interval_s
        self._next_at = now + self._base_interval_s
        self._slowed_at = now
        self.lock = asyncio.Lock()

    @property
    def next_at(self) -> float:
        """When the next request may leave."""
        return self._next_at

    def sent(self, now: float) -> None:
        """Note that a request was handed to the socket."""
        apart_s = self.interval_s
        if self.turns is not None:
            self.turns.used()
            apart_s = max(apart_s, self.turns.spacing_s)
        self._next_at = max(self._next_at, now + apart_s)

    async def wait(self) -> None:
        """Return in the moment in which a request may leave; whoever waits has the lock."""
        loop = asyncio.get_running_loop()
        is_busy = self.next_at > loop.time() and self.interval_s <= self._base_interval_s
        while True:
            # In a loop, since a timer may fire a clock tick early, and a 429 may put it off while it is waited for.
            begins_at = -math.inf if self.turns is None else self.turns.begins_at
            if (wait_s := max(self.next_at, begins_at) - loop.time()) > 0.0:
                await asyncio.sleep(max(wait_s, TICK_S))
            elif self.turns is not None and self.turns.is_over(loop.time()):
                await self.turns.take(self._base_interval_s, is_busy=is_busy)
            else:
                return

    def slow_down(self, now: float, retry_after_s: float | None) -> None:
        """Leave after `retry_after_s` at the earliest, and from then on half as often.

        Requests that were on their way together are throttled together: they halve the rate once.
        """
        if now >= self._slowed_at:
            slower_s = min(max(self.interval_s * 2, FIRST_SLOW_INTERVAL_S), SLOWEST_INTERVAL_S)
            self.interval_s = max(slower_s, self._base_interval_s)
        wait_s = max(retry_after_s or 0.0, self.interval_s)
        self._slowed_at = now + wait_s
        self._next_at = max(self._next_at, now + wait_s)

    def speed_up(self) -> None:
        """Come a step nearer to the configured rate."""
        faster_s = self.interval_s * SPEED_UP
        if faster_s < FIRST_SLOW_INTERVAL_S * SPEED_UP:
            faster_s = 0.0
        self.interval_s = max(self._base_interval_s, faster_s)


async def wait_to_leave(*paces: Pace) -> None:
    """Return in the moment in which a request may be handed to the socket, and note it in all `paces`.

    Pass the narrower pace first: a request that waits for its platform must not hold up the vendor's others. And the
    vendor's last: its turn may be over by the time that another pace takes.
    """
    loop = asyncio.get_running_loop()
    held: list[Pace] = []
    try:
        for pace in paces:
            await pace.lock.acquire()
            held.append(pace)
            await pace.wait()
        for pace in paces:
            pace.sent(loop.time())
    finally:
        for pace in held:
            pace.lock.release()
