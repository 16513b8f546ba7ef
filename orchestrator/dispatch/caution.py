"""How many submits of a platform may be on their way: a wrong URL or an outage costs a few tasks, not all.

Pure: the dispatcher tells what happened, and asks how many are allowed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

CONCURRENT_SUBMITS = 8
IN_A_ROW = 3
CANARY_FROM_TASKS = 11


class Outcome(StrEnum):
    """What became of one submit."""

    ACCEPTED = "accepted"
    PUT_OFF = "put off"
    REFUSED = "refused"
    DOUBTED = "in doubt"


class Caution:
    """One platform's caution in one run. `stopped` says why nothing more is submitted, "" while it goes on.

    The first submit is awaited alone, until one is accepted. After a doubt they go one at a time. The third doubt, or
    the third refusal, in a row stops the platform. With a canary, the first result is read before the rest is sent.
    """

    def __init__(self, *, canary: bool) -> None:
        self._accepted = False
        self._canary_unread = canary
        self._doubts = 0
        self._refusals = 0
        self.stopped = ""

    def allowed(self) -> int:
        """Return how many submits may be on their way now."""
        if self.stopped:
            return 0
        if self._accepted and self._canary_unread:
            return 0
        if not self._accepted or self._doubts:
            return 1
        return CONCURRENT_SUBMITS

    @property
    def awaits_canary(self) -> bool:
        """Whether the rest waits for the first result."""
        return self._accepted and self._canary_unread and not self.stopped

    def submitted_before(self) -> None:
        """Note that an earlier run left a task at the vendor: its result serves as the canary."""
        self._accepted = self._accepted or self._canary_unread

    def answered(self, outcome: Outcome) -> None:
        """Note what became of a submit."""
        match outcome:
            case Outcome.ACCEPTED:
                self._accepted = True
                self._doubts = self._refusals = 0
            case Outcome.PUT_OFF:
                pass
            case Outcome.REFUSED:
                self._refusals += 1
                self._doubts = 0
            case Outcome.DOUBTED:
                self._doubts += 1
                self._refusals = 0
            case _:
                assert_never(outcome)
        if self._doubts >= IN_A_ROW:
            self.stopped = f"{IN_A_ROW} submits in a row are in doubt"
        if self._refusals >= IN_A_ROW:
            self.stopped = f"the vendor refused {IN_A_ROW} submits in a row"

    def result_read(self) -> None:
        """Note that a result was read: the canary has done its service."""
        self._canary_unread = False

    def result_lost(self) -> None:
        """Note that a task came to nothing; the canary's ends the platform."""
        if self._canary_unread and not self.stopped:
            self.stopped = "the first result could not be read, so the rest was not sent"
