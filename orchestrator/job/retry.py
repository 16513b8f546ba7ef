"""`retry`: numbers that failed or were not answered are planned again, as a further generation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import structlog

from orchestrator.errors import ExitCode, UsageError
from orchestrator.intake import ChunkLimits
from orchestrator.intake.cutting import chunk_sizes
from orchestrator.intake.generations import write_retry
from orchestrator.job.access import ledger_place, opened
from orchestrator.job.ledger_plan import NANO, planned_costs, total_cost
from orchestrator.job.platform_names import planned_platform, with_former_names
from orchestrator.job.repair import mend_directly
from orchestrator.job.sheet import master_chunks, overlays, planned_standing
from orchestrator.jobdir.layout import LOG, quarantine_folder
from orchestrator.master import resolved
from orchestrator.report.log import logging_to
from orchestrator.report.streams import as_argument
from orchestrator.tasks import TaskKey
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from orchestrator.job.ledger_plan import PlannedCost
    from orchestrator.job.world import World
    from orchestrator.ledger import Ledger
    from orchestrator.master import MasterChunk, Overlay
    from orchestrator.settings import Settings

log = structlog.get_logger()

AGAIN = frozenset({"failed", "unanswered"})
"""Cells that a retry asks for once more."""


LEFT_OUT = "left out"
"""Stands in a cell, here only, for what could be had for free instead."""


@dataclass(frozen=True, slots=True)
class RetryReport:
    """What `retry` planned: numbers per platform, what is to be sent now, and sentences about what was left out.

    Over the budget nothing is `planned`, and the rest says what it would be.
    """

    numbers: dict[str, int]
    platforms: tuple[PlannedCost, ...]
    cost_usd: float | None
    max_cost: float | None
    findings: tuple[str, ...]
    exit_code: ExitCode
    planned: bool


class _Lacking(NamedTuple):
    """Numbers of one platform to ask for again, their rows in the list, and the sizes of their chunks."""

    numbers: NDArray[np.int64]
    rows: NDArray[np.int64]
    limits: ChunkLimits

    @property
    def sizes(self) -> list[int]:
        return chunk_sizes(len(self.numbers), self.limits) if self.enough and len(self.numbers) else []

    @property
    def enough(self) -> bool:
        return len(self.numbers) >= self.limits.min_rows


async def retry_job(settings: Settings, world: World, *, every: bool = False) -> RetryReport:
    """Plan failed and unanswered numbers of every platform; nothing is sent. `UsageError` before the first run.

    What could be had for free instead is named, and planned with `every` only.
    """
    with (
        opened(settings, create=False) as ledger,
        logging_to(world.stderr, settings.job.directory / LOG, clock=world.clock, environ=world.environ),
    ):
        if not ledger.runs.begun:
            raise UsageError(f"{settings.job.directory}: nothing was sent yet, so there is nothing to retry")
        settings = with_former_names(ledger, settings)
        planned_standing(ledger, settings)
        async with Workers(1) as workers:
            await mend_directly(ledger, settings, workers, world)
        free = {name: _free(ledger, name) for name in settings.platforms if not every}
        left_out = frozenset(key for kinds in free.values() for keys in kinds for key in keys)
        lacking = _lacking(settings, left_out)
        costs = tuple(_cost(settings, cost, lacking[cost.platform].sizes) for cost in planned_costs(ledger, settings))
        findings = [
            *(finding for name, kinds in free.items() for finding in _told(settings, name, *kinds)),
            *(_too_few(name, its) for name, its in lacking.items() if len(its.numbers) and not its.enough),
        ]
        over = any(its.sizes for its in lacking.values()) and _over_budget(
            settings, costs, ledger.platforms.spent_nano() / NANO
        )
        if over:
            findings.append(over)
        else:
            for name, its in lacking.items():
                if its.sizes:
                    _plan(ledger, settings, name, its, left_out, world.clock())
    return RetryReport(
        numbers={name: len(its.numbers) for name, its in lacking.items()},
        platforms=costs,
        cost_usd=total_cost(costs),
        max_cost=None if settings.is_sandbox else settings.budget.max_cost,
        findings=tuple(findings),
        exit_code=ExitCode.OVER_BUDGET if over else ExitCode.SOME_FAILED if findings else ExitCode.DONE,
        planned=not over,
    )


def _free(ledger: Ledger, platform: str) -> tuple[list[TaskKey], list[TaskKey]]:
    """Return the failed tasks whose results lie in quarantine, and those whose results can be fetched again."""
    quarantined = ledger.quarantine.quarantined(platform)
    return quarantined, [key for key in ledger.quarantine.to_refetch(platform) if key not in quarantined]


def _told(settings: Settings, name: str, quarantined: list[TaskKey], to_refetch: list[TaskKey]) -> Iterator[str]:
    """Say what could be had for free, and how."""
    config = as_argument(settings.source)
    if to_refetch:
        yield (
            f"{name}: left out {_tasks(to_refetch)} with a task id at the vendor: orchestrator resolve --all --refetch "
            f"-c {config}, and the next run fetches the results again, free; retry --all plans to pay for them again"
        )
    if quarantined:
        yield (
            f"{name}: left out {_tasks(quarantined)} whose results are paid for and can't be read; they are kept in "
            f"{quarantine_folder(settings.job.directory)}, and a run of a newer version, or with the right "
            "result_columns, reads them, free; one that was repaired by hand is taken with orchestrator resolve TASK "
            f"--result FILE -c {config}; retry --all plans to pay for them again"
        )


def _tasks(keys: list[TaskKey]) -> str:
    return f"{keys[0]}" if len(keys) == 1 else f"{len(keys):,} failed tasks ({keys[0]}, …)"


def _too_few(name: str, lacking: _Lacking) -> str:
    least = lacking.limits.min_rows
    return f"{name}: {len(lacking.numbers):,} numbers lack a verdict, and it takes {least:,} at least"


def _cost(settings: Settings, planned: PlannedCost, sizes: list[int]) -> PlannedCost:
    """Add to what is planned already what the chunks of a retry would cost."""
    platform = settings.platforms[planned.platform]
    usd = planned.cost_usd
    return replace(
        planned,
        tasks=planned.tasks + len(sizes),
        rows=planned.rows + sum(sizes),
        cost_usd=None if usd is None else usd + sum(map(platform.cost_nano, sizes)) / NANO,
    )


def _over_budget(settings: Settings, costs: tuple[PlannedCost, ...], spent_usd: float) -> str:
    """Say why a run could not send what would be planned, "" when it can: a finished job must stay finished."""
    if settings.is_sandbox:
        return ""
    cost_usd, max_cost = total_cost(costs), settings.budget.max_cost
    if cost_usd is None:
        unpriced = ", ".join(cost.platform for cost in costs if cost.tasks and cost.cost_usd is None)
        return f"no price is known for {unpriced}, so nothing was planned; set its price_per_10000, and retry"
    if max_cost is None:
        return f"[budget] max_cost is not set, so nothing was planned; this costs {cost_usd:.4f} USD"
    if spent_usd + cost_usd <= max_cost + 1 / NANO:
        return ""
    return (
        f"{spent_usd:.4f} USD are spent, this costs {cost_usd:.4f} USD, and max_cost is {max_cost:g} USD: nothing was "
        "planned; if it is worth it, raise max_cost, and retry"
    )


def _lacking(settings: Settings, left_out: frozenset[TaskKey]) -> dict[str, _Lacking]:
    """Return, per platform, the numbers to ask for again and their rows in the list."""
    platforms = tuple(settings.platforms)
    numbers: dict[str, list[NDArray[np.int64]]] = {name: [] for name in platforms}
    rows: dict[str, list[NDArray[np.int64]]] = {name: [] for name in platforms}
    place = ledger_place(settings)

    def chunks() -> Iterator[MasterChunk]:
        for chunk in master_chunks(place, platforms):
            keys = (TaskKey(name, int(chunk.path.stem)) for name in platforms)
            cells = (LEFT_OUT if key in left_out else cell for key, cell in zip(keys, chunk.cells, strict=True))
            yield replace(chunk, cells=tuple(cells))

    def later() -> Iterator[Overlay]:
        for overlay in overlays(place, platforms):
            key = TaskKey(overlay.platform, int(overlay.rows.stem))
            yield replace(overlay, cells=LEFT_OUT) if key in left_out else overlay

    for part in resolved(platforms, chunks(), later):
        for name, words, codes in zip(platforms, part.words, part.codes, strict=True):
            wanted = np.array([word in AGAIN for word in words], dtype=bool)[codes]
            numbers[name].append(part.numbers[wanted])
            rows[name].append(np.flatnonzero(wanted) + part.first_row)
    return {
        name: _Lacking(
            _joined(numbers[name]),
            _joined(rows[name]),
            ChunkLimits(settings.job.chunk_size, platform.min_rows, platform.max_rows),
        )
        for name, platform in settings.platforms.items()
    }


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *parts])


def _plan(
    ledger: Ledger, settings: Settings, name: str, lacking: _Lacking, left_out: frozenset[TaskKey], at: float
) -> None:
    generation, first_chunk = ledger.plan.next_chunk()
    chunks = write_retry(settings.job.directory, lacking.numbers, lacking.rows, lacking.limits, first_chunk)
    records = [replace(chunk, generation=generation, only=name) for chunk in chunks]
    platform = planned_platform(settings, name)
    ledger.change(lambda changed: changed.plan_retry(platform, records, left_out=left_out, at=at))
    log.info("retry_planned", platform=name, numbers=len(lacking.numbers), chunks=len(chunks))
