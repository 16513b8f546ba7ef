"""How a run ends: the exit code and the reason, from what the platforms and the ledger say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import ExitCode
from orchestrator.redact import mask_numbers
from orchestrator.report.printed import plural
from orchestrator.report.streams import redacted
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.dispatch.platform_run import PlatformRun
    from orchestrator.job.budget import Objection
    from orchestrator.records import Standing, Task

MASTER_CODES = frozenset(
    {ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.HELD, ExitCode.VENDOR_STOP, ExitCode.OVER_BUDGET}
)
"""Endings after which the master is written: nothing more will come by itself."""

UNREACHABLE_WAIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends, in a code and a sentence; `again_after_s` says when another run makes sense by itself.

    `needed_usd` is the max_cost that would do after exit code 5. The sentence is kept in the ledger and the summary, so
    it is redacted here, whoever worded it.
    """

    code: ExitCode
    reason: str
    again_after_s: float | None = None
    needed_usd: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", redacted(mask_numbers(self.reason)))


def ending(
    platforms: Sequence[PlatformRun],
    standings: Mapping[str, Standing],
    *,
    stop_reason: str,
    first_failed: Task | None = None,
    objected: Objection | None = None,
    trial: bool = False,
) -> Ending:
    """Return 75 while work remains that a later run can do by itself, else the first of 4, 5, 3, 1, 0 that holds.

    The reason names all that is open, that of the code first: who reads "stopped by the deadline" alone does not look
    for what is held. `stop_reason` says why the run was told to stop, "" when it was not; `first_failed` is the task
    whose reason is told when some failed for good; `objected` says what is missing where platforms are over budget.
    What a run that was for the `trial` alone has not sent is no work that remains.
    """
    open_ends: dict[ExitCode, list[str]] = {
        ExitCode.AGAIN: [],
        ExitCode.VENDOR_STOP: [],
        ExitCode.OVER_BUDGET: [],
        ExitCode.HELD: [],
        ExitCode.SOME_FAILED: [],
    }
    troubles = {platform.vendor.name: platform.vendor.trouble for platform in platforms if platform.vendor.unreachable}
    unreachable = "; ".join(f"vendor {name} is out of reach: {trouble}" for name, trouble in sorted(troubles.items()))
    for platform in platforms:
        standing = standings[platform.name]
        to_send = standing.tasks(State.PLANNED) > 0 and not platform.why_not_sent and not (trial and platform.drained)
        to_fetch = standing.tasks(State.RELEASED, State.SUBMITTED) > 0 and not platform.why_not_polled
        if to_send or to_fetch:
            open_ends[ExitCode.AGAIN] = [unreachable or stop_reason or "work remains"]
    open_ends[ExitCode.VENDOR_STOP] = [
        f"vendor {platform.vendor.name} says stop: {platform.vendor.denial}"
        if platform.vendor.denial
        else f"the vendor denies {platform.name}: {platform.denial}"
        for platform in platforms
        if standings[platform.name].unfinished and (platform.vendor.denial or platform.denial)
    ]
    if over := [platform.name for platform in platforms if platform.over_budget]:
        missing = f": {objected.text}" if objected else ""
        open_ends[ExitCode.OVER_BUDGET] = [f"over budget for {', '.join(over)}{missing}"]
    # Of the platforms that there are: nobody is asked about one that has left, whose cells no master has.
    here = [standings[platform.name] for platform in platforms]
    open_ends[ExitCode.HELD], open_ends[ExitCode.SOME_FAILED] = what_waits(here, first_failed)
    open_ends[ExitCode.HELD] += [
        f"{platform.name}: {platform.caution.stopped}"
        for platform in platforms
        if platform.caution.stopped and standings[platform.name].tasks(State.PLANNED)
    ]
    code = next((code for code, reasons in open_ends.items() if reasons), ExitCode.DONE)
    wait_s = UNREACHABLE_WAIT_S if unreachable else 0.0
    return Ending(
        code,
        "; ".join(dict.fromkeys(reason for reasons in open_ends.values() for reason in reasons)),
        again_after_s=wait_s if code is ExitCode.AGAIN else None,
        needed_usd=objected.needed_usd if objected and code is ExitCode.OVER_BUDGET else None,
    )


def what_waits(standings: Iterable[Standing], first_failed: Task | None) -> tuple[list[str], list[str]]:
    """Say what is held, and what failed for good, whatever else ends the run."""
    standings = tuple(standings)
    held = sum(standing.held for standing in standings)
    failed = sum(standing.tasks(State.FAILED) for standing in standings)
    why = []
    if failed:
        why = [f"{plural(failed, 'task')} failed for good"]
        if first_failed is not None:
            why += [f"{'the first, ' * (failed > 1)}{first_failed.key}: {first_failed.reason}"]
    return [f"{plural(held, 'task')} held for a decision"] if held else [], why
