"""`retry`: numbers that failed or were not answered are planned again, as a further generation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import structlog

from orchestrator.errors import ExitCode, UsageError
from orchestrator.intake import ChunkLimits
from orchestrator.intake.generations import write_retry
from orchestrator.job.naming import planned_platform
from orchestrator.job.opening import opened
from orchestrator.job.planning import NANO, planned_chunk_record, planned_costs, total_cost
from orchestrator.job.sheet import master_chunks, overlays, planned_standing
from orchestrator.master import resolved
from orchestrator.report.log import logging_to

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from orchestrator.job.planning import PlannedCost
    from orchestrator.job.world import World
    from orchestrator.ledger import Ledger
    from orchestrator.settings import Settings

log = structlog.get_logger()

AGAIN = frozenset({"failed", "unanswered"})
"""Cells that a retry asks for once more."""


@dataclass(frozen=True, slots=True)
class RetryReport:
    """What `retry` planned: numbers per platform, what is to be sent now, and sentences about what was left out."""

    numbers: dict[str, int]
    platforms: tuple[PlannedCost, ...]
    cost_usd: float | None
    max_cost: float | None
    findings: tuple[str, ...]
    exit_code: ExitCode


async def retry(settings: Settings, world: World) -> RetryReport:
    """Plan failed and unanswered numbers of every platform; nothing is sent. `UsageError` before the first run."""
    with (
        opened(settings, create=False) as ledger,
        logging_to(world.stderr, settings.job.directory / "run.jsonl", clock=world.clock, environ=world.environ),
    ):
        if not ledger.begun:
            raise UsageError(f"{settings.job.directory}: nothing was sent yet, so there is nothing to retry")
        planned_standing(ledger, settings)
        lacking = _lacking(settings)
        findings = [_plan(ledger, settings, name, *lacking[name], world.clock()) for name in settings.platforms]
        costs = planned_costs(ledger, settings)
        spent_usd = ledger.spent_nano() / NANO
    cost_usd = total_cost(costs)
    max_cost = None if settings.is_sandbox else settings.budget.max_cost
    over = cost_usd is not None and max_cost is not None and spent_usd + cost_usd > max_cost + 1 / NANO
    if over:
        findings.append(
            f"{spent_usd:.4f} USD are spent, this costs {cost_usd:.4f} USD, and max_cost is {max_cost:g} USD"
        )
    told = tuple(filter(None, findings))
    code = ExitCode.OVER_BUDGET if over else ExitCode.SOME_FAILED if told else ExitCode.DONE
    numbers = {name: len(rows) for name, (_, rows) in lacking.items()}
    return RetryReport(numbers, costs, cost_usd, max_cost, told, code)


def _lacking(settings: Settings) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return, per platform, the numbers to ask for again and their rows in the list."""
    platforms = tuple(settings.platforms)
    numbers: dict[str, list[NDArray[np.int64]]] = {name: [] for name in platforms}
    rows: dict[str, list[NDArray[np.int64]]] = {name: [] for name in platforms}
    directory = settings.job.directory
    for part in resolved(platforms, master_chunks(directory, platforms), partial(overlays, directory, platforms)):
        for name, words, codes in zip(platforms, part.words, part.codes, strict=True):
            wanted = np.array([word in AGAIN for word in words], dtype=bool)[codes]
            numbers[name].append(part.numbers[wanted])
            rows[name].append(np.flatnonzero(wanted) + part.first_row)
    return {name: (_joined(numbers[name]), _joined(rows[name])) for name in platforms}


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *parts])


def _plan(
    ledger: Ledger,
    settings: Settings,
    name: str,
    numbers: NDArray[np.int64],
    rows: NDArray[np.int64],
    at: float,
) -> str:
    """Plan one platform's numbers; return why not, "" when they are planned or there are none."""
    platform = settings.platforms[name]
    if not len(numbers):
        return ""
    if len(numbers) < platform.min_rows:
        return f"{name}: {len(numbers):,} numbers lack a verdict, and it takes {platform.min_rows:,} at least"
    generation, first_chunk = ledger.next_chunk()
    limits = ChunkLimits(settings.job.chunk_size, platform.min_rows, platform.max_rows)
    chunks = write_retry(settings.job.directory, numbers, rows, limits, first_chunk)
    records = [replace(planned_chunk_record(chunk), generation=generation, only=name) for chunk in chunks]
    ledger.change(lambda changed: changed.plan_retry(planned_platform(settings, name), records, at=at))
    log.info("retry_planned", platform=name, numbers=len(numbers), chunks=len(chunks))
    return ""
