"""`plan`: read the list for real, write the chunk files, send nothing; look at key, balance, disk, clock and budget."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.dispatch.pace import wait_to_leave
from orchestrator.errors import CallError, CertificateError, DeniedError, ExitCode, NoSuchHostError, UsageError
from orchestrator.intake import LEFT_OUT
from orchestrator.job import expected_time
from orchestrator.job.access import opened
from orchestrator.job.balances import check_the_address
from orchestrator.job.budget import PlannedCost, objection, planned_costs, shortfall, total_cost
from orchestrator.job.engine import workers_of
from orchestrator.job.ledger_plan import bring_in_step
from orchestrator.job.quote import check_place, write_quote
from orchestrator.job.rehearsal import rehearse
from orchestrator.job.saving import savings
from orchestrator.job.shared import fingerprints, others_spent, vendor_pace
from orchestrator.job.vendors import read_keys, vendor_clients
from orchestrator.jobdir.layout import LOG
from orchestrator.ledger import LedgerWriter
from orchestrator.records import NANO
from orchestrator.report.log import logging_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.job.saving import Saving
    from orchestrator.job.world import World
    from orchestrator.ledger import Ledger
    from orchestrator.records import ListCounts
    from orchestrator.settings import Settings
    from orchestrator.vendor_api.client import VendorClient

CLOCK_TOLERANCE_S = 300.0
BYTES_A_CELL = 64
"""Disk that a number takes on a platform: its share of result file, verdicts and master, generously."""


@dataclass(frozen=True, slots=True)
class PlanReport:
    """What `plan` found. `findings` are sentences about key, balance, disk, clock and budget.

    `advice` are sentences about rejected lines and the settings that would help; a begun job gets none. `left_out`
    counts the numbers that `exclude` and `line_types` leave out, and `saved_usd` is what they would cost at most, None
    where that is not known. `balances` are in USD, by vendor, where one tells its own, and `expected_s` is how long the
    platforms will take; `savings` are those of `only_if`. `quote` is where the quote was written, "" if it was not
    wanted. In the `sandbox` nothing costs anything.
    """

    counts: ListCounts
    chunks: int
    platforms: tuple[PlannedCost, ...]
    cost_usd: float | None
    max_cost: float | None
    findings: tuple[str, ...]
    exit_code: ExitCode
    advice: tuple[str, ...] = ()
    left_out: int = 0
    saved_usd: float | None = None
    balances: Mapping[str, float] = field(default_factory=dict)
    expected_s: Mapping[str, float] = field(default_factory=dict)
    savings: Mapping[str, Saving] = field(default_factory=dict)
    quote: str = ""
    trial_rows: int = 0
    sandbox: bool = False
    others_usd: float = 0.0

    @property
    def nothing_left(self) -> bool:
        """Whether a run would send nothing."""
        return not any(cost.tasks for cost in self.platforms) and not any(its.at_most for its in self.savings.values())


async def plan_job(settings: Settings, world: World, *, out: Path | None = None) -> PlanReport:
    """Plan the job and say what it would cost; `OrchestratorError` when it can't be planned.

    `out` is where a quote is written.
    """
    if out is not None:
        check_place(out)
    with (
        opened(settings) as ledger,
        logging_to(
            world.stderr,
            settings.job.directory / LOG,
            clock=world.clock,
            environ=world.environ,
            libraries=world.owns_process,
        ),
    ):
        async with workers_of(settings) as workers:
            writer = LedgerWriter(ledger)
            try:
                helps = await bring_in_step(writer, settings, workers, world.stdin, now=world.clock())
                costs = await writer.do(partial(planned_costs, settings=settings))
                chunks = await writer.do(lambda it: sum(1 for _ in it.plan.chunks()))
                if any(cost.tasks for cost in costs) and not settings.is_sandbox:
                    await rehearse(workers, settings.job.directory)
            finally:
                await writer.close()
        counts = ledger.plan.counts()
        expected_s = {cost.platform: expected_time.expected_s(ledger, settings, cost) for cost in costs if cost.tasks}
        trial_rows = 0 if ledger.runs.begun else ledger.plan.trial_rows()
        saved = savings(ledger, settings)
        if out is not None:
            write_quote(ledger, settings, out)
        balances: dict[str, float] = {}
        findings: list[tuple[ExitCode, str]] = []
        others_nano = others_spent(ledger, settings)
        if not settings.is_sandbox:
            try:
                keys = read_keys(settings, world.environ)
            except UsageError as error:  # whoever has no key yet wants to see the cost all the same
                findings.append((ExitCode.USAGE, str(error)))
            else:
                marks = fingerprints(ledger, settings, keys)
                others_nano = others_spent(ledger, settings, marks)
                async with vendor_clients(settings, keys, world) as clients:
                    balances, found = await _look_at_vendors(clients, marks, ledger, settings, world, costs)
                findings += found
        if objected := objection(settings, costs, ledger.platforms.spent_nano(), others_nano):
            findings.append((objected.finding_code, objected.text))
        free_bytes = shutil.disk_usage(settings.job.directory).free
        needed_bytes = counts.accepted * len(settings.platforms) * BYTES_A_CELL
        if free_bytes < needed_bytes:
            text = f"{free_bytes / 1e9:.1f} GB are free, the job may need {needed_bytes / 1e9:.1f} GB"
            findings.append((ExitCode.SOME_FAILED, f"{settings.job.directory}: {text}"))
    left_out = sum(lines for reason, lines in counts.rejected_by_reason.items() if reason.startswith(LEFT_OUT))
    prices = [platform.price_per_10000 for platform in settings.platforms.values()]
    codes = {code for code, _ in findings}
    worst_first = (ExitCode.USAGE, ExitCode.VENDOR_STOP, ExitCode.OVER_BUDGET, ExitCode.SOME_FAILED)
    return PlanReport(
        counts=counts,
        chunks=chunks,
        platforms=costs,
        cost_usd=total_cost(costs),
        max_cost=settings.budget.max_cost,
        findings=tuple(text for _, text in findings),
        exit_code=next((code for code in worst_first if code in codes), ExitCode.DONE),
        advice=helps,
        balances=balances,
        expected_s=expected_s,
        savings=saved,
        quote="" if out is None else str(out),
        trial_rows=trial_rows,
        sandbox=settings.is_sandbox,
        others_usd=others_nano / NANO,
        left_out=left_out,
        saved_usd=None if None in prices else sum(p.cost_nano(left_out) for p in settings.platforms.values()) / NANO,
    )


async def _look_at_vendors(
    clients: Mapping[str, VendorClient],
    marks: Mapping[str, str],
    ledger: Ledger,
    settings: Settings,
    world: World,
    costs: Sequence[PlannedCost],
) -> tuple[dict[str, float], list[tuple[ExitCode, str]]]:
    """Return the balances of the vendors that tell one, and what is to be said of these and of the clock."""
    balances, findings = {}, []
    for name, client in clients.items():
        now = asyncio.get_running_loop().time()
        pace = vendor_pace(settings.vendors[name], marks[name], ledger, now=now)
        try:
            balance = await client.balance(leave=partial(wait_to_leave, pace))
        except DeniedError as error:
            findings.append((ExitCode.VENDOR_STOP, f"vendor {name}: {error}"))
            continue
        except CallError as error:
            surely = isinstance(error, NoSuchHostError | CertificateError) and not ledger.runs.begun
            text = check_the_address(name, error, settings) if surely else str(error)
            findings.append((ExitCode.SOME_FAILED, f"vendor {name} could not be asked for its balance: {text}"))
            continue
        if balance is not None:
            balances[name] = balance
        own = [cost for cost in costs if settings.platforms[cost.platform].vendor == name]
        if lacking := shortfall(balance, own):
            findings.append((ExitCode.VENDOR_STOP, f"vendor {name}: {lacking}"))
        if client.last_date is not None:
            skew_s = abs(world.clock() - client.last_date.timestamp())
            if skew_s > CLOCK_TOLERANCE_S:
                text = f"this machine's clock and that of vendor {name} differ by {skew_s:.0f} s; set the clock"
                findings.append((ExitCode.SOME_FAILED, text))
    return balances, findings
