"""`retry`: numbers that failed or were not answered are planned again, as a further generation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from orchestrator.errors import ExitCode, UsageError
from orchestrator.intake import ChunkLimits
from orchestrator.intake.cutting import picked_sizes
from orchestrator.intake.generations import write_retry
from orchestrator.intake.list_reading import excluded_numbers
from orchestrator.intake.numbers.turned_away import stand_in
from orchestrator.job.access import ledger_place, opened
from orchestrator.job.budget import objection, planned_costs, total_cost
from orchestrator.job.pages import renew_page
from orchestrator.job.platform_names import planned_platform, with_former_names
from orchestrator.job.repair import repair_directly
from orchestrator.job.scratch import job_files
from orchestrator.job.shared import others_spent
from orchestrator.job.sheet import master_chunks, overlays, planned_standing
from orchestrator.jobdir.layout import LOG, chunk_path, quarantine_folder, rows_path
from orchestrator.logger import log
from orchestrator.master import resolved
from orchestrator.records import NANO
from orchestrator.report.log import logging_to
from orchestrator.report.streams import as_argument
from orchestrator.tasks import TaskKey
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from orchestrator.job.budget import PlannedCost
    from orchestrator.job.world import World
    from orchestrator.ledger import Ledger
    from orchestrator.master import MasterChunk, Overlay
    from orchestrator.settings import Settings

Found = TypeVar("Found")

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
    others_usd: float = 0.0


class _Lacking(NamedTuple):
    """Numbers of one platform to ask for again, their rows in the list, and how they may be cut.

    `left_out` are the tasks that have further ones, to be had for free.
    """

    numbers: NDArray[np.int64]
    rows: NDArray[np.int64]
    limits: ChunkLimits
    left_out: frozenset[TaskKey]

    @property
    def sizes(self) -> list[int]:
        """Return the sizes of their chunks; none where there is nothing to ask for, or too little."""
        return picked_sizes(len(self.numbers), self.limits)

    @property
    def too_few(self) -> int:
        """How many are left over, which no further chunk takes."""
        return len(self.numbers) - sum(self.sizes)


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
            await repair_directly(ledger, settings, workers, world)
            excluded = await excluded_numbers(settings.job, workers) if settings.job.exclude else np.empty(0, np.int64)
        quarantined, to_refetch = (
            {name: () if every else keys_of(name) for name in settings.platforms}
            for keys_of in (ledger.quarantine.quarantined, ledger.quarantine.to_refetch)
        )
        left_out = frozenset(key for keys in (quarantined, to_refetch) for its in keys.values() for key in its)
        lacking = _lacking(settings, left_out, excluded)
        findings = [
            sentence
            for name, its in lacking.items()
            for sentence in _for_free(
                settings,
                name,
                [key for key in quarantined[name] if key in its.left_out],
                [key for key in to_refetch[name] if key in its.left_out and key not in quarantined[name]],
            )
        ]
        findings += [
            f"{name}: {its.too_few:,} {'more ' * bool(its.sizes)}numbers lack a verdict, and it takes "
            f"{its.limits.min_rows:,} at least; put them into the list of another job, or, if the vendor takes so few, "
            f"set [platforms.{name}] min_rows to {its.too_few}, and retry"
            for name, its in lacking.items()
            if its.too_few
        ]
        wanted = {name: its for name, its in lacking.items() if its.sizes}
        sizes = {name: its.sizes for name, its in lacking.items()}
        costs = planned_costs(ledger, settings, further=sizes)
        # A job that is finished must stay so: what no run would send is not even planned.
        others_nano = others_spent(ledger, settings)
        objected = objection(settings, costs, ledger.platforms.spent_nano(), others_nano) if wanted else None
        if objected:
            findings.append(f"nothing was planned: {objected.text}, and retry")
        else:
            for name, its in wanted.items():
                generation, first_chunk = ledger.plan.next_chunk()
                chunks = write_retry(settings.job.directory, its.numbers, its.rows, its.limits, first_chunk)
                records = [replace(chunk, generation=generation, only=name) for chunk in chunks]
                platform = planned_platform(settings, name)
                paths = (path(settings.job.directory, it.chunk) for it in chunks for path in (chunk_path, rows_path))
                stored = await job_files(settings).put(*paths)

                def plan(changed: Ledger) -> None:
                    changed.objects.note(stored)  # noqa: B023 - called at once
                    changed.plan_retry(platform, records, left_out=left_out, at=world.clock())  # noqa: B023 - as above

                ledger.change(plan)
                log.info("retry_planned", platform=name, numbers=sum(its.sizes), chunks=len(chunks))
            await renew_page(settings, world)
    return RetryReport(
        numbers={name: len(its.numbers) for name, its in lacking.items()},
        platforms=costs,
        cost_usd=total_cost(costs),
        max_cost=None if settings.is_sandbox else settings.budget.max_cost,
        findings=tuple(findings),
        exit_code=objected.finding_code if objected else ExitCode.SOME_FAILED if findings else ExitCode.DONE,
        planned=objected is None,
        others_usd=others_nano / NANO,
    )


def _for_free(
    settings: Settings, name: str, quarantined: Sequence[TaskKey], to_refetch: Sequence[TaskKey]
) -> Iterator[str]:
    """Say which tasks' results could be had without another payment, and how."""

    def tasks(keys: Sequence[TaskKey]) -> str:
        return f"{keys[0]}" if len(keys) == 1 else f"{len(keys):,} tasks ({keys[0]}, …)"

    config = as_argument(settings.source)
    if to_refetch:
        yield (
            f"{name}: left out {tasks(to_refetch)} with a task id at the vendor: orchestrator resolve --all --refetch "
            f"-c {config}, and the next run fetches the results again, free; retry --all plans to pay for them again"
        )
    if quarantined:
        yield (
            f"{name}: left out {tasks(quarantined)} whose results are paid for and can't be read; they are kept in "
            f"{quarantine_folder(settings.job.directory)}, and a run of a newer version, or with the right "
            "result_columns (without a verdict, extra_columns), reads them, free; one that was repaired by hand is "
            f"taken with orchestrator resolve TASK --result FILE -c {config}; retry --all plans to pay for them again"
        )


def _lacking(settings: Settings, left_out: frozenset[TaskKey], excluded: NDArray[np.int64]) -> dict[str, _Lacking]:
    """Return, per platform, the numbers to ask for again and their rows in the list, without those of `exclude`.

    What could be had for free, of the tasks `left_out`, is not among them.

    They are read where the master reads its cells, so that what it shows as failed or unanswered is what is asked for.
    """
    platforms = tuple(settings.platforms)
    numbers: dict[str, list[NDArray[np.int64]]] = {name: [np.empty(0, np.int64)] for name in platforms}
    rows: dict[str, list[NDArray[np.int64]]] = {name: [np.empty(0, np.int64)] for name in platforms}
    place = ledger_place(settings)

    # A word for each task, so that it is known which of them have numbers that nothing else has an answer for.
    out = {f"{LEFT_OUT} {key}": key for key in left_out}

    def cell(key: TaskKey, found: Found) -> Found | str:
        return f"{LEFT_OUT} {key}" if key in left_out else found

    def chunks() -> Iterator[MasterChunk]:
        for chunk in master_chunks(place, platforms):
            keys = (TaskKey(name, int(chunk.path.stem)) for name in platforms)
            yield replace(chunk, cells=tuple(map(cell, keys, chunk.cells)))

    def later() -> Iterator[Overlay]:
        for overlay in overlays(place, platforms):
            yield replace(overlay, cells=cell(TaskKey(overlay.platform, int(overlay.rows.stem)), overlay.cells))

    without: dict[str, set[TaskKey]] = {name: set() for name in platforms}
    for part in resolved(platforms, chunks(), later):
        for name, words, codes in zip(platforms, part.words, part.codes, strict=True):
            if not out.keys().isdisjoint(words):
                without[name] |= {out[words[code]] for code in np.unique(codes).tolist() if words[code] in out}
            wanted = np.array([word in AGAIN for word in words], dtype=bool)[codes]
            numbers[name].append(part.numbers[wanted])
            rows[name].append(np.flatnonzero(wanted) + part.first_row)
    lacking = {}
    for name, platform in settings.platforms.items():
        its, places = np.concatenate(numbers[name]), np.concatenate(rows[name])
        # A list of `exclude` may have grown since the numbers were planned.
        keep = ~stand_in(its, excluded)
        if not keep.all():
            log.warning(
                "numbers_excluded_by_now", platform=name, numbers=int((~keep).sum()), help="they are not retried"
            )
        limits = ChunkLimits(settings.job.chunk_size, platform.min_rows, platform.max_rows)
        lacking[name] = _Lacking(its[keep], places[keep], limits, frozenset(without[name]))
    return lacking
