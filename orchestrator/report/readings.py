"""Where one platform stands at one moment, read from the ledger, and what follows from two such readings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.report.printed import count
from orchestrator.tasks import UNFINISHED, State

if TYPE_CHECKING:
    from orchestrator.records import Standing

_PENDING = tuple(UNFINISHED)
_AT_THE_VENDOR = (State.RELEASED, State.SUBMITTED)


@dataclass(frozen=True, slots=True)
class Reading:
    """Where one platform stands at one moment; counts are tasks, `rows_*` are numbers."""

    at: float
    tasks: int
    submitted: int
    at_the_vendor: int
    done: int
    held: int
    failed: int
    rows_pending: int
    rows_settled: int


def reading(standing: Standing, at: float) -> Reading:
    """Read a platform's standing at loop time `at`, in seconds; skipped tasks are no part of it."""
    tasks = standing.tasks() - standing.tasks(State.SKIPPED)
    rows_pending = sum(standing.rows_by_state.get(state, 0) for state in _PENDING)
    rows_skipped = standing.rows_by_state.get(State.SKIPPED, 0)
    return Reading(
        at=at,
        tasks=tasks,
        submitted=tasks - standing.tasks(State.PLANNED),
        at_the_vendor=standing.tasks(*_AT_THE_VENDOR),
        done=standing.tasks(State.DONE),
        held=standing.held,
        failed=standing.tasks(State.FAILED),
        rows_pending=rows_pending,
        rows_settled=sum(standing.rows_by_state.values()) - rows_pending - rows_skipped,
    )


def time_left_s(first: Reading, now: Reading) -> float | None:
    """Estimate from this run's speed so far when the rest will be settled; None while nothing was."""
    settled = now.rows_settled - first.rows_settled
    if not now.rows_pending:
        return 0.0
    return (now.at - first.at) * now.rows_pending / settled if settled > 0 else None


def tasks_text(now: Reading) -> str:
    """Say a reading in words, for a person."""
    parts = [f"{count(now.done)}/{count(now.tasks)} done", f"{count(now.at_the_vendor)} at the vendor"]
    parts += [f"{count(number)} {word}" for number, word in ((now.held, "held"), (now.failed, "failed")) if number]
    return ", ".join(parts)
