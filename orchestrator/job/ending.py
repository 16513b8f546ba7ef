"""How a run ends: the exit code and the reason, from what the platforms and the ledger say. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import ExitCode
from orchestrator.redact import mask_numbers
from orchestrator.report.streams import redacted
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.dispatch.platform_run import PlatformRun
    from orchestrator.records import Standing, Task

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
    platforms: Sequence[PlatformRun],
    standings: Mapping[str, Standing],
    *,
    stop_reason: str,
    first_failed: Task | None = None,
) -> Ending:
    """Return 75 while work remains that a later run can do by itself, else the first of 4, 5, 3, 1, 0 that holds.

    `stop_reason` says why the run was told to stop, "" when it was not; `first_failed` is the task whose reason is
    told when some failed for good.
    """
    if any(_work_remains(platform, standings[platform.name]) for platform in platforms):
        unreachable = _unreachable(platforms)
        wait_s = UNREACHABLE_WAIT_S if unreachable else 0.0
        return Ending(ExitCode.AGAIN, unreachable or stop_reason or "work remains", wait_s)
    if denials := _denials(platform for platform in platforms if standings[platform.name].unfinished):
        return Ending(ExitCode.VENDOR_STOP, denials)
    if over := [platform.name for platform in platforms if platform.over_budget]:
        return Ending(ExitCode.OVER_BUDGET, f"max_cost does not cover what is left to send for {', '.join(over)}")
    held = sum(standings[platform.name].held for platform in platforms)
    stopped = [
        platform for platform in platforms if platform.caution.stopped and standings[platform.name].tasks(State.PLANNED)
    ]
    if held or stopped:
        tasks = f"{held:,} task{'s' * (held != 1)} held for a decision" if held else ""
        return Ending(
            ExitCode.HELD, "; ".join(filter(None, (tasks, *(f"{s.name}: {s.caution.stopped}" for s in stopped))))
        )
    if failed := sum(standings[platform.name].tasks(State.FAILED) for platform in platforms):
        tasks = f"{failed:,} task{'s' * (failed != 1)} failed for good"
        return Ending(ExitCode.SOME_FAILED, f"{tasks}{_first(first_failed, failed)}")
    return Ending(ExitCode.DONE, "")


def _denials(platforms: Iterable[PlatformRun]) -> str:
    denials = [
        f"vendor {platform.vendor.name} says stop: {platform.vendor.denied}"
        if platform.vendor.denied
        else f"the vendor denies {platform.name}: {platform.denied}"
        for platform in platforms
        if platform.vendor.denied or platform.denied
    ]
    return "; ".join(dict.fromkeys(denials))


def _first(task: Task | None, failed: int) -> str:
    return f"; {'the first, ' * (failed > 1)}{task.key}: {task.reason}" if task is not None else ""


def _work_remains(platform: PlatformRun, standing: Standing) -> bool:
    to_send = standing.tasks(State.PLANNED) > 0 and not platform.blocked
    to_fetch = standing.tasks(State.RELEASED, State.SUBMITTED) > 0 and not platform.unpolled
    return to_send or to_fetch


def _unreachable(platforms: Sequence[PlatformRun]) -> str:
    vendors = {platform.vendor.name: platform.vendor.trouble for platform in platforms if platform.vendor.unreachable}
    return "; ".join(f"vendor {name} is out of reach: {trouble}" for name, trouble in sorted(vendors.items()))
