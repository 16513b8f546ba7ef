"""What `only_if` saves, by the verdicts that there are so far: those of the trial, or of all that has come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.job.trial import share
from orchestrator.records import NANO

if TYPE_CHECKING:
    from orchestrator.ledger import Ledger
    from orchestrator.report.summary import Share
    from orchestrator.settings import Settings


@dataclass(frozen=True, slots=True)
class Saving:
    """A platform with a condition: `at_most` so many numbers may still come to fit, which would cost `at_most_usd`.

    `share` is how many fit, with an interval, None before there are verdicts; `expected_usd` is what that makes, and
    `saved_usd` how much less than all. `cheaper_below`: asking this platform first, and the other one only for numbers
    with the same verdict here, is cheaper if a smaller share of all numbers has it; None where a price is not known.
    """

    only_if: str
    at_most: int
    at_most_usd: float | None
    share: Share | None
    expected_usd: float | None
    saved_usd: float | None
    cheaper_below: float | None

    def content(self) -> dict[str, Any]:
        """Return it as `plan --json` has it."""
        return {name: getattr(self, name) for name in self.__slots__}


def savings(ledger: Ledger, settings: Settings) -> dict[str, Saving]:
    """Return what the conditions of a planned job save, by platform."""
    standings, due, conditions = ledger.platforms.standing(), ledger.plan.due(), ledger.plan.conditions()
    accepted, found = ledger.plan.counts().accepted, {}
    for name, condition in conditions.items():
        if name not in settings.platforms or condition.other not in settings.platforms:
            continue
        platform = settings.platforms[name]
        asked = sum(rows * tasks for rows, tasks in ledger.tasks.sizes(name).items())
        # Until all is asked there nobody knows of the rest.
        open_numbers = max(0, accepted - standings[name].reused.known - asked) if name in due else 0
        verdicts = standings[condition.other].verdicts
        known = share(verdicts.get(condition.word, 0), sum(verdicts.values())) if any(verdicts.values()) else None
        priced = platform.price_per_10000 is not None
        at_most = platform.cost_nano(open_numbers) / NANO if priced else None
        expected = (
            None if known is None or not priced else platform.cost_nano(round(open_numbers * known["share"])) / NANO
        )
        found[name] = Saving(
            only_if=str(condition),
            at_most=open_numbers,
            at_most_usd=at_most,
            share=known,
            expected_usd=expected,
            saved_usd=None if expected is None or at_most is None else round(at_most - expected, 9),
            cheaper_below=None
            if known is None
            else cheaper_below(
                settings.platforms[condition.other].price_per_10000, platform.price_per_10000, known["share"]
            ),
        )
    return found


def cheaper_below(first: float | None, then: float | None, fits: float) -> float | None:
    """Return below which share of fitting numbers on the second platform the other order is cheaper.

    With the prices `first` and `then` and the share that `fits` on the first platform, a number costs
    first + fits * then in this order, and then + share * first in the other one. None without prices.
    """
    if not first or then is None:
        return None
    return round(min(1.0, max(0.0, (first + fits * then - then) / first)), 6)
