"""`plan`: read the list for real, write the chunk files, send nothing; look at key, balance, disk, clock and budget."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.dispatch.pace import Pace, leave
from orchestrator.errors import CallError, CertificateError, DeniedError, ExitCode, NoSuchHostError
from orchestrator.job.access import opened
from orchestrator.job.budget import objection
from orchestrator.job.greeting import check_the_address
from orchestrator.job.ledger_plan import PlannedCost, PlanReport, planned_costs, settle_plan, total_cost
from orchestrator.job.rehearsal import rehearse
from orchestrator.job.vendors import read_keys, vendor_clients
from orchestrator.jobdir.layout import LOG
from orchestrator.ledger import LedgerWriter
from orchestrator.report.log import logging_to
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.job.world import World
    from orchestrator.settings import Settings
    from orchestrator.vendor_api.client import VendorClient

CLOCK_TOLERANCE_S = 300.0
BYTES_A_CELL = 64
"""Disk that a number takes on a platform: its share of result file, verdicts and master, generously."""


async def plan_job(settings: Settings, world: World) -> PlanReport:
    """Plan the job and say what it would cost; `OrchestratorError` when it can't be planned."""
    with (
        opened(settings) as ledger,
        logging_to(world.stderr, settings.job.directory / LOG, clock=world.clock, environ=world.environ),
    ):
        async with Workers(settings.workers.count) as workers:
            writer = LedgerWriter(ledger)
            try:
                helps = await settle_plan(writer, settings, workers, world.stdin)
                costs = await writer.do(partial(planned_costs, settings=settings))
                chunks = await writer.do(lambda it: sum(1 for _ in it.plan.chunks()))
                if any(cost.tasks for cost in costs) and not settings.is_sandbox:
                    await rehearse(workers, settings.job.directory)
            finally:
                await writer.close()
        cost_usd = total_cost(costs)
        counts = ledger.plan.counts()
        findings: list[tuple[ExitCode, str]] = []
        if not settings.is_sandbox:
            keys = read_keys(settings, world.environ)
            findings += await _look_at_vendors(settings, keys, world, costs, begun=ledger.runs.begun)
        if objected := objection(settings, costs, ledger.platforms.spent_nano()):
            code = ExitCode.SOME_FAILED if objected.code is ExitCode.USAGE else objected.code
            findings.append((code, objected.text))
        findings += _look_at_disk(settings.job.directory, counts.accepted * len(settings.platforms) * BYTES_A_CELL)
    return PlanReport(
        counts=counts,
        chunks=chunks,
        platforms=costs,
        cost_usd=cost_usd,
        max_cost=settings.budget.max_cost,
        findings=tuple(text for _, text in findings),
        exit_code=_exit_code([code for code, _ in findings]),
        advice=helps,
    )


def _exit_code(codes: list[ExitCode]) -> ExitCode:
    for code in (ExitCode.VENDOR_STOP, ExitCode.OVER_BUDGET, ExitCode.SOME_FAILED):
        if code in codes:
            return code
    return ExitCode.DONE


async def _look_at_vendors(
    settings: Settings, keys: dict[str, str], world: World, costs: Sequence[PlannedCost], *, begun: bool
) -> list[tuple[ExitCode, str]]:
    findings = []
    async with vendor_clients(settings, keys, world) as clients:
        for name, client in clients.items():
            own = tuple(cost for cost in costs if settings.platforms[cost.platform].vendor == name)
            findings += await _look_at_vendor(name, client, settings, world, total_cost(own), begun=begun)
    return findings


async def _look_at_vendor(
    name: str, client: VendorClient, settings: Settings, world: World, cost_usd: float | None, *, begun: bool
) -> list[tuple[ExitCode, str]]:
    pace = Pace(settings.vendors[name].requests_per_second, now=asyncio.get_running_loop().time())
    findings = []
    try:
        balance = await client.balance(leave=lambda: leave(pace))
    except DeniedError as error:
        return [(ExitCode.VENDOR_STOP, f"vendor {name}: {error}")]
    except (NoSuchHostError, CertificateError) as error:
        text = str(error) if begun else check_the_address(name, error, settings)
        return [(ExitCode.SOME_FAILED, f"vendor {name} could not be asked for its balance: {text}")]
    except CallError as error:
        return [(ExitCode.SOME_FAILED, f"vendor {name} could not be asked for its balance: {error}")]
    if balance is not None and cost_usd is not None and balance < cost_usd:
        text = f"vendor {name}: the balance is {balance:.2f} USD, the plan costs {cost_usd:.4f} USD; top it up"
        findings.append((ExitCode.VENDOR_STOP, text))
    if client.last_date is not None:
        skew_s = abs(world.clock() - client.last_date.timestamp())
        if skew_s > CLOCK_TOLERANCE_S:
            text = f"this machine's clock and that of vendor {name} differ by {skew_s:.0f} s; set the clock"
            findings.append((ExitCode.SOME_FAILED, text))
    return findings


def _look_at_disk(directory: Path, needed_bytes: int) -> list[tuple[ExitCode, str]]:
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes >= needed_bytes:
        return []
    text = f"{directory}: {free_bytes / 1e9:.1f} GB are free, the job may need {needed_bytes / 1e9:.1f} GB"
    return [(ExitCode.SOME_FAILED, text)]
