"""From settings to the plan in the ledger: made anew until the first release, compared and kept from then on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

from orchestrator.errors import ChangedError, UsageError
from orchestrator.intake import ChunkLimits, advice, can_be_cut, read_list
from orchestrator.intake.generations import ColumnsToKeep, extend_list
from orchestrator.intake.list_reading import excluded_numbers
from orchestrator.intake.numbers.turned_away import stand_in
from orchestrator.intake.sources.find import STANDARD_INPUT
from orchestrator.job.access import another_job
from orchestrator.job.lost_files import (
    altered_files,
    base_chunks,
    changed_inputs,
    files_of,
    keeping,
    kept_columns,
    restore,
)
from orchestrator.job.platform_names import known_call, planned_platform
from orchestrator.job.reuse import selections
from orchestrator.job.scratch import job_files
from orchestrator.jobdir.chunk_files import lost_chunks, read_chunk
from orchestrator.jobdir.layout import CHUNK_FILES, chunk_path
from orchestrator.logger import log
from orchestrator.master.master_layout import check_length, check_width
from orchestrator.records import Plan
from orchestrator.report.printed import setting
from orchestrator.settings import OutputFormat, WhenTooSmall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.ledger import Ledger, LedgerWriter
    from orchestrator.records import Chunk
    from orchestrator.settings import PlatformSettings, Settings
    from orchestrator.workers import Workers


USUAL_TRIAL_ROWS = 1_000
TRIAL_FROM_CHUNKS = 10


async def bring_in_step(
    writer: LedgerWriter,
    settings: Settings,
    workers: Workers,
    stdin: BinaryIO | None,
    *,
    now: float,
    extend: bool = False,
) -> tuple[str, ...]:
    """Bring the ledger's plan and the chunk files in step with the settings; return advice about rejected lines.

    `extend` takes a longer list into a begun job; verdicts that are reused are as old as they are `now`. Raises
    `UsageError` for a list or settings that can't be, `ChangedError` for ones that a begun job may not have.
    """
    if OutputFormat.PARQUET in settings.output.formats:
        # Its library is missing or not: `UsageError` now, and not when all is paid.
        await asyncio.to_thread(import_module, "orchestrator.master.parquet_sink")
    if not await writer.do(lambda ledger: ledger.runs.begun):
        return await _plan_anew(writer, settings, workers, stdin, now=now)
    await writer.do(partial(_check_fixed, settings=settings))
    if extend:
        await _extend(writer, settings, workers, stdin, now=now)
    else:
        inputs_present = await _check_inputs(writer, settings)
        await restore(writer, settings, workers, inputs_present=inputs_present, stdin=stdin)

    if settings.job.exclude:  # numbers that it has by now were planned before, and are sent
        await job_files(settings).bring_below(writer, CHUNK_FILES)
        excluded = await excluded_numbers(settings.job, workers)
        paths = [chunk_path(settings.job.directory, chunk.chunk) for chunk in await writer.do(base_chunks)]
        numbers = await asyncio.to_thread(
            lambda: sum(int(stand_in(read_chunk(path).numbers, excluded).sum()) for path in paths if path.exists())
        )
        if numbers:
            way_out = "they were planned before; a new job would leave them out"
            log.warning("numbers_excluded_by_now", numbers=numbers, help=way_out)

    said = await _complete(writer, settings, workers, now=now)
    await writer.do(partial(_check_width, settings=settings))
    return said


async def _complete(writer: LedgerWriter, settings: Settings, workers: Workers, *, now: float) -> tuple[str, ...]:
    """Plan what a platform that joined, or came back, has no task for yet."""

    def lacking(ledger: Ledger) -> dict[str, list[Chunk]]:
        known = ledger.platforms.fixed()
        for name in settings.platforms:
            if name not in known:
                _check_sizes(ledger, name, settings.platforms[name])
                log.info("platform_added", platform=name)
        without = {name: set(ledger.plan.without_task(name)) for name in settings.platforms}
        base = base_chunks(ledger) if any(without.values()) else []
        return {name: [chunk for chunk in base if chunk.chunk in its] for name, its in without.items()}

    def plan(ledger: Ledger) -> None:
        for one in selected.platforms:
            ledger.plan.select(one)
        for name in settings.platforms:
            ledger.plan.add_platform(planned_platform(settings, name))

    wanted = await writer.do(lacking)
    next_chunk = await writer.do(lambda ledger: ledger.plan.next_chunk())
    seed = settings.job.name
    async with selections(settings, wanted, workers, now=now, seed=seed, next_chunk=next_chunk) as selected:
        await writer.do(plan)
    return selected.said


async def _plan_anew(
    writer: LedgerWriter, settings: Settings, workers: Workers, stdin: BinaryIO | None, *, now: float
) -> tuple[str, ...]:
    log.info("reading", inputs=len(settings.job.inputs))
    keep = settings.output.keep_columns
    # The same list is drawn from in the same way, so that a quote holds, and a job whose directory was lost has the
    # chunks again of which the vendor has taken some.
    seed = settings.job.name
    read = await read_list(settings.job, partial(limits, settings, seed=seed), workers, stdin, keep=keep)
    wanted = dict.fromkeys(settings.platforms, read.chunks)
    next_chunk = (2, len(read.chunks) + 1)
    async with selections(settings, wanted, workers, now=now, seed=seed, next_chunk=next_chunk) as selected:
        plan = Plan(
            name=settings.job.name,
            reading=_reading(settings) | keeping(settings),
            listed=read.listed,
            chunks=read.chunks,
            platforms=tuple(planned_platform(settings, name) for name in settings.platforms),
            selections=selected.platforms,
        )
        await writer.do(lambda ledger: ledger.plan.replace(plan))
    await writer.do(partial(_check_width, settings=settings))
    check_length(read.counts.accepted, settings.output.formats)  # only here: a job that has begun must go on
    log.info(
        "planned",
        read=read.counts.read,
        accepted=read.counts.accepted,
        duplicates=read.counts.duplicates,
        rejected=read.counts.rejected,
        chunks=len(read.chunks),
    )
    _warn_of_trial(settings, read.chunks)
    for name in read.empty:
        log.warning("input_without_rows", input=name, help="it is empty")
    return (
        *(f"{name}: it is empty, so nothing was read from it" for name in read.empty),
        *read.said,
        *selected.said,
        *advice(read, settings.job),
    )


def _check_width(ledger: Ledger, settings: Settings) -> None:
    check_width(settings.platforms, kept_columns(ledger.plan.counts(), settings), settings.output.formats)


async def _extend(
    writer: LedgerWriter, settings: Settings, workers: Workers, stdin: BinaryIO | None, *, now: float
) -> None:
    """Take a longer list in: its new numbers form a further generation. Files follow the ledger, and not before it."""
    directory = settings.job.directory
    await job_files(settings).bring_below(writer, CHUNK_FILES)
    generation, first_chunk = await writer.do(lambda ledger: ledger.plan.next_chunk())
    chunks = await writer.do(base_chunks)
    listed = await writer.do(lambda ledger: ledger.plan.listed())
    columns = listed.counts.columns
    # All of them now, whatever is wrong: what the one asks for would else be in the way of the other.
    lost = await asyncio.to_thread(lost_chunks, directory, [c.chunk for c in chunks], columns=bool(columns))
    wrong = [chunk_path(directory, chunk) for chunk in lost]
    wrong = wrong or await altered_files(workers, files_of(directory, chunks, columns))
    if wrong:
        raise UsageError(
            f"{wrong[0]}: it, or its kept columns, are missing or altered; before the list can be extended, bring it "
            "back as it was, or remove it and run once without --extend, with the list as it was"
        )
    keep = (await writer.do(lambda ledger: ledger.plan.reading())).get("keep_columns")
    kept = ColumnsToKeep(tuple(map(str, keep)) if isinstance(keep, list) else bool(keep), columns)
    extension = await extend_list(settings.job, partial(limits, settings), workers, chunks, first_chunk, kept, stdin)
    added = [replace(chunk, generation=generation) for chunk in extension.chunks]
    platforms = [planned_platform(settings, name) for name in settings.platforms]
    # What a platform lacked before is planned behind this, as ever; the added numbers are planned here.
    wanted = dict.fromkeys(settings.platforms, added)
    following = (generation + 1, first_chunk + len(added))
    async with selections(settings, wanted, workers, now=now, seed="", next_chunk=following) as selected:
        await writer.do(
            lambda ledger: ledger.plan.extend(
                listed=extension.listed, chunks=added, platforms=platforms, selections=selected.platforms
            )
        )
    log.info("extended", accepted=extension.listed.counts.accepted, added=sum(chunk.rows for chunk in extension.chunks))
    present = all(record.path != STANDARD_INPUT for record in extension.listed.inputs)
    await restore(writer, settings, workers, inputs_present=present)


def limits(settings: Settings, total: int, *, seed: str = "") -> ChunkLimits:
    """Return how a list of `total` accepted numbers may be cut; `UsageError` when it is too small for a platform.

    A platform that is skipped for a list this small does not count. A trial is drawn by `seed`.
    """
    for name, platform in settings.platforms.items():
        if total < platform.min_rows and platform.when_too_small is WhenTooSmall.STOP:
            without = f', leave out [platforms.{name}], or set its when_too_small = "skip"'
            raise UsageError(
                f"the list has {total:,} accepted numbers, {name} takes {platform.min_rows:,} at least; add numbers"
                f"{without if any(total >= other.min_rows for other in settings.platforms.values()) else ''}"
            )
    counted = [p for p in settings.platforms.values() if total >= p.min_rows]
    if not counted:
        raise UsageError(f"the list has {total:,} accepted numbers, too few for every platform; add numbers")
    chunk_size, trial_rows = settings.job.chunk_size, settings.job.trial_rows
    rest = ChunkLimits(chunk_size, max(p.min_rows for p in counted), min(p.max_rows for p in counted))
    if trial_rows is None:
        trial_rows = USUAL_TRIAL_ROWS if total > TRIAL_FROM_CHUNKS * chunk_size else 0
    size = min(max(trial_rows, rest.min_rows), chunk_size, rest.max_rows)
    # None where the list is too short for one and a rest.
    has_trial = bool(trial_rows) and total > size and can_be_cut(total - size, rest)
    return replace(rest, trial_rows=size if has_trial else 0, seed=seed)


def _warn_of_trial(settings: Settings, chunks: Sequence[Chunk]) -> None:
    """Say where the trial has other rows than the configuration has for it: it is sent, and paid for."""
    wanted = settings.job.trial_rows
    rows = chunks[0].rows if chunks and chunks[0].places is not None else 0
    if not wanted or rows == wanted:
        return
    if not rows:
        why = "the list is too short for a trial and a rest that each platform takes"
    elif rows > wanted:
        why = f"{' and '.join(name for name, its in settings.platforms.items() if its.min_rows == rows)} takes no fewer"
    else:
        why = "no chunk may be larger"
    log.warning("trial_of_another_size", trial_rows=wanted, sent=rows, reason=why)


def _reading(settings: Settings) -> dict[str, object]:
    job = settings.job
    return {
        "column": list(job.column) if isinstance(job.column, tuple) else job.column,
        "header_row": job.header_row,
        "sheet": job.sheet,
        "default_region": job.default_region,
        "exclude_calling_codes": sorted(job.exclude_calling_codes),
        "line_types": sorted(job.line_types) or None,  # an earlier version had none, and noted nothing
        "chunk_size": job.chunk_size,
        "trial_rows": job.trial_rows,
    }


def _check_fixed(ledger: Ledger, settings: Settings) -> None:
    """Compare what may not change once a job has begun, with chunks that are all there.

    A platform of whose tasks none can be at the vendor may ask something else: it is planned anew. So a path that was
    wrong, for which the vendor refused everything, can be put right.
    """

    def compare(section: str, then: Mapping[str, object], now: Mapping[str, object]) -> None:
        changes = [
            f"{key} was {setting(then.get(key))} and is {setting(now[key])}" for key in now if then.get(key) != now[key]
        ]
        if changes:
            raise ChangedError(
                f"{settings.source}: [{section}] {'; '.join(changes)}: this job has begun and goes on with what it "
                "began with; put the old value back, or start a new job with another "
                f"{another_job(settings)} than {settings.job.directory}"
            )

    ledger.plan.check_chunks()
    compare("job", ledger.plan.reading(), _reading(settings))
    conditions = ledger.plan.conditions()
    for name, known in ledger.platforms.fixed().items():
        if name in settings.platforms:
            now = planned_platform(settings, name).fixed
            was, condition = conditions.get(name), settings.platforms[name].condition
            before = None if was is None else (was.other, was.word)
            if known_call(known) == known_call(now) and before == condition:
                continue
            if ledger.platforms.has_history(name):
                compare(f"platforms.{name}", known, now)
                then = "" if was is None else str(was)
                compare(f"platforms.{name}", {"only_if": then}, {"only_if": settings.platforms[name].only_if})
            ledger.platforms.forget(name)


async def _check_inputs(writer: LedgerWriter, settings: Settings) -> bool:
    """Compare the list with the one that was planned; return whether all of it is there to be read again."""
    planned = await writer.do(lambda ledger: ledger.plan.inputs())
    try:
        changed = await asyncio.to_thread(changed_inputs, planned, settings)
    except UsageError as error:
        log.warning("inputs_missing", reason=str(error))
        return False
    if changed:
        raise ChangedError(
            f"the list has changed ({', '.join(sorted(changed))}): this job goes on with the list it began with; bring "
            "that back, take a longer one in with run --extend, or start a new job with another "
            f"{another_job(settings)} than {settings.job.directory}"
        )
    return all(record.path != STANDARD_INPUT for record in planned)


def _check_sizes(ledger: Ledger, name: str, platform: PlatformSettings) -> None:
    """Check that a platform that joins a begun job takes its chunks."""
    sizes = [chunk.rows for chunk in base_chunks(ledger)]
    smallest, largest = min(sizes, default=0), max(sizes, default=0)
    if smallest < platform.min_rows and platform.when_too_small is WhenTooSmall.STOP:
        raise UsageError(
            f"[platforms.{name}] takes {platform.min_rows:,} rows at least, and this job has a chunk of {smallest:,}; "
            'set its when_too_small = "skip" to leave such chunks out, or start a new job'
        )
    if largest > platform.max_rows:
        raise UsageError(
            f"[platforms.{name}] takes {platform.max_rows:,} rows at most, and this job has a chunk of {largest:,}; "
            "start a new job for it, with a smaller chunk_size"
        )
