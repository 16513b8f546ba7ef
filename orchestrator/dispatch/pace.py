"""How fast requests leave: at least 1/rate apart, measured when they are handed to the socket.

Spacing, not a bucket: a bucket bounds the mean and lets a window of twice the rate through. A vendor that answers 429
is slowed down beyond its configured rate, and sped up again by success, never past it.
"""

from __future__ import annotations

import asyncio

SLOWEST_INTERVAL_S = 60.0
FIRST_SLOW_INTERVAL_S = 0.05
SPEED_UP = 0.9
TICK_S = 0.0001


class Pace:
    """The spacing of one vendor's, or one platform's, requests. Times are the event loop's."""

    def __init__(self, per_second: float, *, now: float) -> None:
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
        self._next_at = max(self._next_at, now + self.interval_s)

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

    Pass the narrower pace first: a request that waits for its platform must not hold up the vendor's others.
    """
    loop = asyncio.get_running_loop()
    held: list[Pace] = []
    try:
        for pace in paces:
            await pace.lock.acquire()
            held.append(pace)
            # In a loop, since a timer may fire a clock tick early, and a 429 may put it off while it is waited for.
            while (wait_s := pace.next_at - loop.time()) > 0.0:  # noqa: ASYNC110 - it is the clock that is waited for
                await asyncio.sleep(max(wait_s, TICK_S))
        for pace in paces:
            pace.sent(loop.time())
    finally:
        for pace in held:
            pace.lock.release()
