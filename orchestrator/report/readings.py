"""Where a job stands at one moment, read from the ledger, and what follows from two such readings. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from orchestrator.tasks import UNFINISHED, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.records import Standing

_PENDING = tuple(UNFINISHED)
_AT_THE_VENDOR = (State.RELEASED, State.SUBMITTED)


@dataclass(frozen=True, slots=True)
class MoneySoFar:
    """What a job has cost, with platforms that were removed, what it is to cost in all, and what it may; in USD.

    `planned_usd` is None while that is not known.
    """

    spent_usd: float
    planned_usd: float | None
    max_usd: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The platforms of a job, in the order of its configuration; without `money` where the vendor is free."""

    standings: Mapping[str, Standing]
    money: MoneySoFar | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Where one platform stands, or several together; counts are tasks, `rows_*` are numbers."""

    tasks: int = 0
    submitted: int = 0
    at_the_vendor: int = 0
    done: int = 0
    held: int = 0
    failed: int = 0
    rows_pending: int = 0
    rows_settled: int = 0

    @property
    def percent(self) -> int:
        """The share of the numbers that is settled, rounded down: 100 means that nothing is left."""
        return 100 * self.rows_settled // max(1, self.rows_settled + self.rows_pending)


def reading(standing: Standing) -> Reading:
    """Read a platform's standing; skipped tasks are no part of it."""
    tasks = standing.tasks() - standing.tasks(State.SKIPPED)
    rows_pending = sum(standing.rows_by_state.get(state, 0) for state in _PENDING)
    rows_skipped = standing.rows_by_state.get(State.SKIPPED, 0)
    return Reading(
        tasks=tasks,
        submitted=tasks - standing.tasks(State.PLANNED),
        at_the_vendor=standing.tasks(*_AT_THE_VENDOR),
        done=standing.tasks(State.DONE),
        held=standing.held,
        failed=standing.tasks(State.FAILED),
        rows_pending=rows_pending,
        rows_settled=sum(standing.rows_by_state.values()) - rows_pending - rows_skipped,
    )


def together(readings: Iterable[Reading]) -> Reading:
    """Add up the readings of several platforms."""
    readings = tuple(readings)
    return Reading(**{field.name: sum(getattr(one, field.name) for one in readings) for field in fields(Reading)})


@dataclass(frozen=True, slots=True)
class CourseSoFar:
    """How a platform has come along in this run, which is `run_s` old: from `first` to `now`."""

    first: Reading
    now: Reading
    run_s: float

    @property
    def numbers_per_min(self) -> float:
        """How many numbers were settled in a minute of this run."""
        return 60 * (self.now.rows_settled - self.first.rows_settled) / self.run_s if self.run_s else 0.0

    @property
    def left_s(self) -> float | None:
        """Estimate from this run's speed so far when the rest will be settled; None while nothing was."""
        if not self.now.rows_pending:
            return 0.0
        return 60 * self.now.rows_pending / speed if (speed := self.numbers_per_min) > 0 else None


def slowest_s(courses: Iterable[CourseSoFar]) -> float | None:
    """Return when the last of several platforms will be done; None while that can't be known."""
    left = [course.left_s for course in courses]
    known = [seconds for seconds in left if seconds is not None]
    return max(known, default=0.0) if len(known) == len(left) else None
