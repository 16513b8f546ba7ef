"""Where a job stands, read beside a run that may be going on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.job.access import opened_to_read
from orchestrator.job.budget import objection, outlook, planned_costs
from orchestrator.job.shared import others_spent
from orchestrator.job.vendors import is_made_up
from orchestrator.records import NANO
from orchestrator.report.balance_hints import balance_hints
from orchestrator.tasks import HELD, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.records import ListCounts, RunRecord, Standing, Task, Token
    from orchestrator.settings import Settings
    from orchestrator.tasks import TaskKey


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What `status` shows; `standings` in config order, `held` and `failed` tasks and `findings` with their reasons.

    `removed` is where platforms stand that the config has no longer.
    `decided` are the tasks of which a person decided since the last run. A purged job is `closed`.
    `planned_usd` is what the tasks that are still to be sent will cost, by platform, and `warning` what the money that
    is spent gives reason for. `needed_usd` is the max_cost that would do, where the one that is set does not.
    `others_usd` is what other jobs have spent of it.
    `balances` is what those of the vendors hint at, of tasks in doubt.
    `sandbox` says whether verdicts that are shown come from the embedded vendor.
    """

    job_id: str
    serial: int
    token: Token
    begun: bool
    last: RunRecord | None
    counts: ListCounts
    standings: tuple[Standing, ...]
    held: tuple[Task, ...]
    failed: tuple[Task, ...]
    findings: tuple[Task, ...]
    decided: tuple[Task, ...]
    removed: tuple[Standing, ...]
    closed: bool
    sandbox: bool
    planned_usd: Mapping[str, float | None]
    needed_usd: float | None
    others_usd: float
    warning: str
    balances: Mapping[TaskKey, str]


def job_status(settings: Settings) -> StatusReport:
    """Read the ledger; `UsageError` when there is none."""
    with opened_to_read(settings) as ledger:
        standings = ledger.platforms.standing()
        known = all(name in standings for name in settings.platforms)
        costs = planned_costs(ledger, settings) if known else ()
        others_nano = others_spent(ledger, settings)
        objected = objection(settings, costs, ledger.platforms.spent_nano(), others_nano)
        return StatusReport(
            job_id=ledger.runs.job_id,
            serial=ledger.runs.serial,
            token=ledger.runs.token,
            begun=ledger.runs.begun,
            last=ledger.runs.last(),
            counts=ledger.plan.counts(),
            standings=tuple(standings[name] for name in settings.platforms if name in standings),
            held=tuple(ledger.tasks.select(*HELD)),
            failed=tuple(ledger.tasks.select(State.FAILED)),
            findings=tuple(ledger.tasks.findings()),
            decided=tuple(ledger.tasks.decided(serial=ledger.runs.serial)),
            removed=tuple(ledger.platforms.removed(settings.platforms)),
            closed=ledger.runs.closed,
            planned_usd={cost.platform: cost.cost_usd for cost in costs},
            others_usd=others_nano / NANO,
            needed_usd=objected.needed_usd if objected else None,
            warning="" if settings.is_sandbox else outlook(standings.values(), costs),
            balances=balance_hints(ledger, settings.platforms),
            sandbox=is_made_up(ledger, settings),
        )
