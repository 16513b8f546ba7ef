"""Repeats that make traffic fall in an outage: delays with full jitter, and a retry allowance per vendor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.settings import BackoffSettings

ALLOWANCE = 10.0
ALLOWANCE_PER_SUCCESS = 0.5


def delay_s(attempt: int, backoff: BackoffSettings, draw: float) -> float:
    """Return the wait before repeat `attempt` (from 1): exponential with full jitter, `draw` from [0, 1)."""
    ceiling = min(backoff.max_delay_s, backoff.base_delay_s * 2.0 ** min(attempt - 1, 60))
    return draw * ceiling


class Health:
    """How one vendor is doing. Every failed call takes one from the allowance, every answered one gives half a one.

    With the allowance used up the vendor is probed: one call at a time, with growing pauses.
    """

    def __init__(self, backoff: BackoffSettings) -> None:
        self._backoff = backoff
        self._allowance = ALLOWANCE
        self._failures = 0
        self._failing_since = math.inf
        self.not_before = -math.inf

    @property
    def probing(self) -> bool:
        """Whether only one call at a time may be on its way."""
        return self._allowance < 1.0

    def succeeded(self) -> None:
        """Note that the vendor answered sensibly."""
        self._allowance = min(ALLOWANCE, self._allowance + ALLOWANCE_PER_SUCCESS)
        self._failures = 0
        self._failing_since = math.inf
        self.not_before = -math.inf

    def failed(self, now: float, draw: float) -> None:
        """Note that the vendor did not answer, or answered that it can't."""
        self._failures += 1
        self._failing_since = min(self._failing_since, now)
        self._allowance = max(0.0, self._allowance - 1.0)
        if self.probing:
            self.not_before = now + delay_s(self._failures, self._backoff, draw)

    def throttled(self, now: float) -> None:
        """Note that the vendor found us too fast, which takes nothing from the allowance."""
        self._failing_since = min(self._failing_since, now)

    def out_of_reach(self, now: float) -> bool:
        """Whether the vendor has not answered sensibly for so long that the run should end."""
        return now - self._failing_since >= self._backoff.give_up_after_s
