"""How many submits of a platform may be on their way: a wrong URL, an outage or another column costs a few tasks.

It asks nobody, not even a clock: the dispatcher tells what happened, and asks how many are allowed. It outlives its
run: how many doubts wait for a decision the ledger knows from its tasks, the rest is a `LastingCaution`. So a platform
that was stopped stays stopped, however often a run is repeated, until somebody has decided.

Never are more submits on their way than doubts may still come: should every one of them get no answer, or the process
be killed, there are `DOUBTS` of them over all runs, and no more.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

if TYPE_CHECKING:
    from orchestrator.records import LastingCaution

DOUBTS: Final = 3
"""So many submits in doubt may wait for a decision."""
STOPS_AFTER: Final = 3
"""So many refusals in a row, or results that came to nothing, stop a platform."""
CANARY_FROM_TASKS: Final = 11
NEARLY_ALL: Final = 0.9
"""The share of a first result's numbers that must have a verdict. A vendor drops a few numbers of any list, and its
results lack a percent; a column under another name, or a vendor that is unwell, leaves far more without one."""
HARDLY: Final = 0.1
"""With a smaller share than this any result came to nothing."""
USUAL_ANSWER_S: Final = 10.0
"""How long an answer to a submit is expected to take before any is known."""
ANSWER_MARGIN: Final = 1.5
"""How many times longer than the slowest so far one may take."""


class SubmitOutcome(StrEnum):
    """What became of one submit."""

    ACCEPTED = "accepted"
    PUT_OFF = "put off"
    REFUSED = "refused"
    DOUBTED = "in doubt"


class PlatformStop(StrEnum):
    """Why nothing more of a platform is sent until somebody has decided, and what there is to decide."""

    DOUBTS = f"{DOUBTS} submits are in doubt; see status --held, and decide with resolve"
    REFUSALS = f"the vendor refused {STOPS_AFTER} submits in a row; change the setting that its reason names, or retry"
    LOSSES = (
        f"{STOPS_AFTER} results in a row came to nothing; if their column has another name set result_columns (without "
        "a verdict, extra_columns), then retry; if they say one word of all their numbers, which an alarm tells, and "
        "it is right, set one_word = true, and if not, resolve them with --refetch once the vendor is well"
    )
    CANARY = (
        "the first result says hardly anything, so the rest was not sent; if its column has another name set "
        "result_columns (without a verdict, extra_columns), or retry; canary = false sends the rest all the same"
    )
    STALLED = "the first task is held, so the rest was not sent; see status --held, and decide with resolve"


class Caution:
    """One platform's caution in one run. `stopped` says why nothing more is submitted, None while it goes on.

    The first submit is awaited alone, until one is accepted; after a doubt they go one at a time. With a `canary`, the
    first result is read before the rest is sent. `waiting` is how many doubts of earlier runs wait for a decision,
    `suspects` how many results of this one may come to nothing.
    """

    def __init__(self, lasting: LastingCaution, *, canary: bool, waiting: int = 0) -> None:
        self.lasting = lasting
        self._saved = lasting
        self._canary = canary
        self._waiting = waiting
        self._accepted = self._doubted = self._sent = False
        self.suspects = 0
        self._slowest_before_s, self._slowest_s = lasting.slowest_s, 0.0
        self.stopped: PlatformStop | None = None
        self._judge()

    def allowed(self) -> int:
        """Return how many submits may be on their way now."""
        if self.stopped or self.awaits_canary or self.suspects + self.lasting.losses >= STOPS_AFTER:
            return 0
        return 1 if self._doubted or not self._accepted else DOUBTS - self._waiting

    @property
    def awaits_canary(self) -> bool:
        """Whether the rest waits for the first result."""
        return self._sent and self._unread and not self.stopped

    @property
    def answer_s(self) -> float:
        """How long an answer to a submit may take, by the slowest of this run and of the last one that had any."""
        return ANSWER_MARGIN * max(self._slowest_s, self._slowest_before_s) or USUAL_ANSWER_S

    def unsaved(self) -> LastingCaution | None:
        """Return what the ledger does not know yet, to be recorded now; None when it knows all."""
        if self.lasting == self._saved:
            return None
        self._saved = self.lasting
        return self.lasting

    def submitted_before(self) -> None:
        """Note that an earlier run left a task at the vendor: its result serves as the canary."""
        self._sent = True

    def answer_took(self, seconds: float) -> None:
        """Note how long the vendor took to answer a whole submit."""
        self._slowest_s = max(self._slowest_s, seconds)
        self.lasting = replace(self.lasting, slowest_s=self._slowest_s)

    def submit_ended(self, outcome: SubmitOutcome) -> None:
        """Note what became of a submit."""
        match outcome:
            case SubmitOutcome.ACCEPTED:
                self._accepted = self._sent = True
                self._doubted = False
                self.lasting = replace(self.lasting, refusals=0)
            case SubmitOutcome.PUT_OFF:
                pass
            case SubmitOutcome.REFUSED:
                self._doubted = False
                self.lasting = replace(self.lasting, refusals=self.lasting.refusals + 1)
            case SubmitOutcome.DOUBTED:
                self._doubted = True
                self._waiting += 1
                self.lasting = replace(self.lasting, refusals=0)
            case _:
                assert_never(outcome)
        self._judge()

    def result_read(self, answered: float, *, one_word: bool = False) -> None:
        """Note that a result was read, and for what share of its numbers it has a verdict.

        `one_word` for all of them, where that is no chance, says nothing either: it may be a vendor that is blocked
        itself. But it is read, and a person is told: alone it keeps nothing from being sent.
        """
        if answered < (NEARLY_ALL if self._unread else HARDLY):
            self.result_lost()
            return
        if one_word:
            self.lasting = replace(self.lasting, unread=self.lasting.unread and answered < NEARLY_ALL)
            self.result_lost()
            return
        losses = self.lasting.losses if self.stopped is PlatformStop.LOSSES else 0
        self.lasting = replace(self.lasting, losses=losses, unread=self.lasting.unread and answered < NEARLY_ALL)

    def result_lost(self) -> None:
        """Note that a task came to nothing."""
        self.lasting = replace(self.lasting, losses=self.lasting.losses + 1)
        self._judge()

    def result_held(self) -> None:
        """Note that a task made no progress for too long; the canary's keeps the rest from being sent."""
        if self._unread and not self.stopped:
            self.stopped = PlatformStop.STALLED

    @property
    def _unread(self) -> bool:
        return self._canary and self.lasting.unread

    def _judge(self) -> None:
        if self.stopped:
            return
        if self._waiting >= DOUBTS:
            self.stopped = PlatformStop.DOUBTS
        elif self.lasting.refusals >= STOPS_AFTER:
            self.stopped = PlatformStop.REFUSALS
        elif self.lasting.losses >= STOPS_AFTER:
            self.stopped = PlatformStop.LOSSES
        elif self._unread and self.lasting.losses:
            self.stopped = PlatformStop.CANARY
