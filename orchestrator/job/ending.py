"""How a run ends: the exit code and the reason, from what the lanes and the ledger say. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import ExitCode
from orchestrator.redact import mask_numbers
from orchestrator.report.streams import redacted
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.dispatch.lanes import Lane
    from orchestrator.ledger import Standing, Task

MASTER_CODES = frozenset(
    {ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.HELD, ExitCode.VENDOR_STOP, ExitCode.OVER_BUDGET}
)
"""Endings after which the master is written: nothing more will come by itself."""

UNREACHABLE_WAIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends, in a code and a sentence; `again_after_s` says when another run makes sense by itself.

    The sentence is kept in the ledger and the summary, so it is redacted here, whoever worded it.
    """

    code: ExitCode
    reason: str
    again_after_s: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", redacted(mask_numbers(self.reason)))


def ending(
    lanes: Sequence[Lane], standings: Mapping[str, Standing], *, stop_reason: str, first_failed: Task | None = None
) -> Ending:
    """Return 75 while work remains that a later run can do by itself, else the first of 4, 5, 3, 1, 0 that holds.

    `stop_reason` says why the run was told to stop, "" when it was not; `first_failed` is the task whose reason is
    told when some failed for good.
    """
    if any(_work_remains(lane, standings[lane.name]) for lane in lanes):
        unreachable = _unreachable(lanes)
        wait_s = UNREACHABLE_WAIT_S if unreachable else 0.0
        return Ending(ExitCode.AGAIN, unreachable or stop_reason or "work remains", wait_s)
    if denials := _denials(lane for lane in lanes if standings[lane.name].unfinished):
        return Ending(ExitCode.VENDOR_STOP, denials)
    if over := [lane.name for lane in lanes if lane.over_budget]:
        return Ending(ExitCode.OVER_BUDGET, f"max_cost does not cover what is left to send for {', '.join(over)}")
    held = sum(standings[lane.name].held for lane in lanes)
    stopped = [lane for lane in lanes if lane.caution.stopped and standings[lane.name].tasks(State.PLANNED)]
    if held or stopped:
        tasks = f"{held:,} task{'s' * (held != 1)} held for a decision" if held else ""
        return Ending(
            ExitCode.HELD, "; ".join(filter(None, (tasks, *(f"{s.name}: {s.caution.stopped}" for s in stopped))))
        )
    if failed := sum(standings[lane.name].tasks(State.FAILED) for lane in lanes):
        tasks = f"{failed:,} task{'s' * (failed != 1)} failed for good"
        return Ending(ExitCode.SOME_FAILED, f"{tasks}{_first(first_failed, failed)}")
    return Ending(ExitCode.DONE, "")


def _denials(lanes: Iterable[Lane]) -> str:
    denials = [
        f"vendor {lane.side.name} says stop: {lane.side.denied}"
        if lane.side.denied
        else f"the vendor denies {lane.name}: {lane.denied}"
        for lane in lanes
        if lane.side.denied or lane.denied
    ]
    return "; ".join(dict.fromkeys(denials))


def _first(task: Task | None, failed: int) -> str:
    return f"; {'the first, ' * (failed > 1)}{task.key}: {task.reason}" if task is not None else ""


def _work_remains(lane: Lane, standing: Standing) -> bool:
    to_send = standing.tasks(State.PLANNED) > 0 and not lane.blocked
    to_fetch = standing.tasks(State.RELEASED, State.SUBMITTED) > 0 and not lane.unpolled
    return to_send or to_fetch


def _unreachable(lanes: Sequence[Lane]) -> str:
    sides = {lane.side.name: lane.side.trouble for lane in lanes if lane.side.unreachable}
    return "; ".join(f"vendor {name} is out of reach: {trouble}" for name, trouble in sorted(sides.items()))
