"""Reads the list: inputs → files of rows → first appearances → chunk files, rejected.csv, duplicates.csv.

Kept columns go the same way, beside the numbers. Everything on the way lies in a private folder inside the job's
directory, which is removed at the end, and at the next start if a run was killed. Neither the number of workers nor the
borders of blocks change any result.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from orchestrator.errors import ChangedError, UsageError
from orchestrator.files import DIRECTORY_MODE, disk_errors, make_private_directory, sha256_of, sync_directory
from orchestrator.intake import rejects
from orchestrator.intake.accounts import accounts
from orchestrator.intake.advice import advice, observe
from orchestrator.intake.cutting import Stretch, chunk_sizes, cut_chunks, cut_columns, sync
from orchestrator.intake.duplicates.in_memory import AT_ONCE_ROWS, Unique, drop_duplicates, in_order, starts
from orchestrator.intake.exclude import read_exclude
from orchestrator.intake.kept_columns import united
from orchestrator.intake.numbers.reasons import EXCLUDED_BY, LINE_TYPE, NUMBERLIKE
from orchestrator.intake.plan import ChunkLimits, ReadList
from orchestrator.intake.scanning import Scanned, scan, source_of
from orchestrator.intake.sources.number_column import shown
from orchestrator.jobdir.arrays import distinct, pack_places, unpack_places
from orchestrator.jobdir.chunk_files import lost_chunks
from orchestrator.jobdir.layout import (
    DUPLICATES,
    READING,
    REJECTED,
    chunk_folder,
    chunk_names,
    chunk_path,
    columns_path,
    is_chunk_file,
    set_away,
)
from orchestrator.jobdir.list_rows import ALL_IN_ORDER, ListRows, draw, rows_of_chunks
from orchestrator.logger import log
from orchestrator.records import Chunk, ListCounts, Listed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from orchestrator.intake.parts import Source
    from orchestrator.intake.sources.table_layout import Keep
    from orchestrator.settings import JobSettings
    from orchestrator.workers import Workers

T = TypeVar("T")
U = TypeVar("U")

SHOWN_REASONS = 8


async def read_list(
    job: JobSettings,
    limits: Callable[[int], ChunkLimits],
    workers: Workers,
    stdin: BinaryIO | None = None,
    *,
    keep: Keep = False,
    block_bytes: int | None = None,
    save_for: Path | None = None,
) -> ReadList:
    """Read the list of a job and write its chunk files, rejected.csv and duplicates.csv; those of an earlier plan go.

    `limits` is asked with the count of accepted numbers, since a platform may do without a list that is too small.
    `keep` says which columns of tables are kept, in a file beside each chunk file (`columns_path`). Numbers in the file
    `save_for` stay, although a list of `exclude` has them.
    Raises `UsageError` for inputs that can't be read, a list without a number, one of which more than `max_rejected`
    was rejected, or one that the limits can't cut, and `StorageError`.
    """
    source = await source_of(job, stdin, keep, block_bytes)
    with _work_folder(job.directory) as folder:
        exclude, said = await read_exclude(job, workers, folder, save_for)
        for one in said:  # now, as `plan` alone shows what is handed on, and what is not excluded will be sent
            log.warning("excluded_less", reason=one)
        scanned = await scan(source, workers, folder, exclude)
        columns = _columns(source, scanned)
        unique = await _drop_duplicates(scanned, workers, folder, positions=bool(columns))
        # What is left out on purpose is no fault.
        wrong = sum(n for reason, n in scanned.rejected.items() if not reason.startswith((EXCLUDED_BY, LINE_TYPE)))
        if not unique.accepted or wrong > scanned.read * job.max_rejected:
            raise UsageError(_complaint(await _review(source, scanned, unique, workers, job.directory), source))
        stretches, list_rows = await asyncio.to_thread(_stretches, unique, limits)
        plan, chunks = await _together(
            _review(source, scanned, unique, workers, job.directory),
            cut_chunks(stretches, unique, workers, job.directory, list_rows),
        )
        if columns:
            hashes = await cut_columns(stretches, (scanned.files, unique, list_rows), columns, workers, job.directory)
            chunks = [replace(chunk, columns_sha256=hashes[chunk.chunk]) for chunk in chunks]
    if len(list_rows.trial):
        chunks[0] = replace(chunks[0], places=pack_places(list_rows.trial))
    await workers.run(_keep_only, len(chunks), bool(columns), job.directory)
    empty = tuple(account.name for account in plan.counts.inputs if not account.read)
    counts = replace(plan.counts, columns=columns)
    return replace(plan, listed=replace(plan.listed, counts=counts), chunks=tuple(chunks), empty=empty, said=said)


async def _together(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Return what two things give that don't wait for each other; the first error ends both, and comes out."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = group.create_task(first), group.create_task(second)
    except BaseExceptionGroup as errors:
        failure = errors.exceptions[0]
    else:
        return tasks[0].result(), tasks[1].result()
    raise failure


def _stretches(unique: Unique, limits: Callable[[int], ChunkLimits]) -> tuple[list[Stretch], ListRows]:
    """Cut the list into chunks; a trial is the first, and the others share what it leaves."""
    total, allowed = unique.accepted, limits(unique.accepted)
    size = allowed.trial_rows
    sizes = [size] * (size > 0) + chunk_sizes(total - size, allowed)
    list_rows = ListRows(draw(total, size, allowed.seed)) if size else ALL_IN_ORDER
    return list(zip(range(1, len(sizes) + 1), starts(sizes), sizes, strict=True)), list_rows


@dataclass(frozen=True, slots=True)
class Planned:
    """What a list once gave, and shall give again.

    `columns` are the names of kept columns; None means that others are wanted than then, and all their files are
    written anew. `order` says where in the list the rows of the chunks stand if these go another way, see
    `pack_places`. `lists` are the tables beside the chunks that are wanted, with their records.
    """

    chunks: Sequence[Chunk]
    columns: tuple[str, ...] | None = ()
    order: bytes | None = None
    lists: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a list gave once more: the names of kept columns, and the hashes of what was put back.

    `columns_sha256` goes by chunk; `lists` are the tables that were wanted and have as many records as before.
    """

    columns: tuple[str, ...] = ()
    columns_sha256: Mapping[int, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)


async def excluded_numbers(job: JobSettings, workers: Workers) -> npt.NDArray[np.int64]:
    """Return the numbers of the lists of `exclude`, sorted; raises `UsageError` as `read_list` does, `StorageError`."""
    with _work_folder(job.directory) as folder:
        lists, _ = await read_exclude(job, workers, folder)
        with disk_errors(folder):
            files = [np.load(one.path, allow_pickle=False) for one in lists]
    return distinct(np.empty(0, np.int64), *files)


async def rebuild(
    job: JobSettings,
    workers: Workers,
    planned: Planned,
    stdin: BinaryIO | None = None,
    *,
    keep: Keep = False,
    block_bytes: int | None = None,
) -> Rebuilt:
    """Put back the chunk files that are missing or damaged, with their kept columns, out of the list, read anew.

    Chunks are cut where they were planned, so limits may have changed since. Raises `ChangedError`, and puts nothing
    back, when the list no longer gives what was planned; `UsageError` for inputs that can't be read; `StorageError`.
    """
    lost = await asyncio.to_thread(_lost, planned.chunks, planned.columns, job.directory)
    if not lost and not planned.lists:
        return Rebuilt(planned.columns or ())
    source = await source_of(job, stdin, keep, block_bytes)
    with _work_folder(job.directory) as folder:
        exclude, _ = await read_exclude(job, workers, folder)
        scanned = await scan(source, workers, folder, exclude, again=True)  # what it was then, is for then
        found = _columns(source, scanned)
        unique = await _drop_duplicates(scanned, workers, folder, positions=bool(found))
        plan = await _review(source, scanned, unique, workers, folder)
        ordered = await asyncio.to_thread(_in_planned_order, unique, planned.order, folder)
        stretches = [(chunk.chunk, chunk.first_row, chunk.rows) for chunk in lost]
        list_rows = rows_of_chunks(planned.chunks)
        fits = await _fits(lost, stretches, ordered, workers, folder, list_rows)
        if not fits or planned.columns not in (None, found):
            raise ChangedError(
                f"{source.named}: this is not the list that the job began with, or another release reads it "
                f"differently, and {len(lost)} lost chunk files can't be built from it; bring the list, and those of "
                "`exclude`, back as they were, run it with the release that planned it, or begin a new job in another "
                "directory"
            )
        hashes: dict[int, str] = {}
        if found:
            hashes = await cut_columns(stretches, (scanned.files, ordered, list_rows), found, workers, folder)
        if lost:
            make_private_directory(chunk_folder(job.directory))
            with disk_errors(job.directory):
                for path in chunk_folder(folder).iterdir():
                    path.replace(chunk_folder(job.directory) / path.name)
            sync(job.directory)
        records = {REJECTED: plan.counts.rejected, DUPLICATES: plan.counts.duplicates}
        fitting = [name for name, count in planned.lists.items() if records[name] == count]
        for name in fitting:
            take_over(folder / name, job.directory / name)
    return Rebuilt(found, hashes, {name: plan.listed.lists[name] for name in fitting})


async def _fits(
    lost: Sequence[Chunk],
    stretches: Sequence[Stretch],
    unique: Unique,
    workers: Workers,
    folder: Path,
    list_rows: ListRows,
) -> bool:
    """Cut lost chunks out of the list; return whether they are those that were planned."""
    ends = [first_row + rows for _, first_row, rows in stretches] + [int(row) + 1 for row in list_rows.trial[-1:]]
    if max(ends, default=0) > unique.accepted:
        return False
    cut = await cut_chunks(stretches, unique, workers, folder, list_rows)
    return [chunk.sha256 for chunk in cut] == [chunk.sha256 for chunk in lost]


def _in_planned_order(unique: Unique, order: bytes | None, folder: Path) -> Unique:
    return unique if order is None else in_order(unique, unpack_places(order), folder)


def take_over(new: Path, path: Path) -> None:
    """Put a finished, synced file in the place of another one; raises `StorageError`."""
    with disk_errors(path):
        new.replace(path)
        sync_directory(path.parent)


async def _drop_duplicates(scanned: Scanned, workers: Workers, folder: Path, *, positions: bool) -> Unique:
    if scanned.read > AT_ONCE_ROWS:
        from orchestrator.intake.duplicates.in_buckets import drop_in_buckets  # noqa: PLC0415 - small lists need none of it

        return await drop_in_buckets(scanned.files, folder, workers, positions=positions)
    piece = partial(drop_duplicates, positions=positions)
    return await workers.run(piece, [stored.path for stored in scanned.files], folder)


async def _review(source: Source, scanned: Scanned, unique: Unique, workers: Workers, directory: Path) -> ReadList:
    """Write what was not accepted, look at it, and return the plan so far: all but chunks."""
    rejected = scanned.rejected
    parts = [rejects.SourceRows(stored.path, stored.rows, found.source) for found, stored in scanned.rows]
    numberlike = sum(count for reason, count in rejected.items() if reason in NUMBERLIKE)
    written = await workers.run(
        rejects.write_rejects, parts, numberlike, unique.duplicates_file, directory, scanned.rules.reasons
    )
    counts = ListCounts(
        read=scanned.read,
        accepted=unique.accepted,
        duplicates=unique.duplicates,
        rejected=sum(rejected.values()),
        from_text=unique.from_text,
        rejected_by_reason={str(reason): count for reason, count in rejected.items()},
        inputs=accounts(source.inputs, scanned, written.repeated, guessed=source.job.column is None),
    )
    observed = await workers.run(observe, written.sample, scanned.looks, unique.accepted_file)
    observed = replace(observed, fields=written.fields / max(written.not_numbers, 1))
    return ReadList(Listed(tuple(one.file for one in scanned.drawn), counts, written.hashes), observed=observed)


def _columns(source: Source, scanned: Scanned) -> tuple[str, ...]:
    """Return the names of kept columns; raises `UsageError` for a name that no table has."""
    found = united(stored.columns for _, stored in scanned.rows)
    if isinstance(source.keep, bool):
        return found
    missing = [name for name in source.keep if name not in found]
    if missing:
        headers = united(look.headers for look in scanned.looks)
        raise UsageError(
            f"{source.named}: keep_columns names {shown(missing)}, which no table has; the columns are: "
            f"{shown(headers) or 'none, as there is no table'}"
        )
    return tuple(dict.fromkeys(source.keep))


def _keep_only(
    count: int,
    columns: bool,  # noqa: FBT001 - a piece's arguments have no names
    directory: Path,
) -> None:
    """Remove files of ours that an earlier plan, or a killed run, left beside those of `count` chunks: a piece."""
    planned = frozenset(name for chunk in range(1, count + 1) for name in chunk_names(chunk, columns=columns))
    folder = chunk_folder(directory)
    with disk_errors(directory):
        for name in filter(is_chunk_file, frozenset(os.listdir(folder)) - planned):  # noqa: PTH208 - a path each is slow
            (folder / name).unlink()
    sync(directory)


def _lost(expected: Sequence[Chunk], columns: tuple[str, ...] | None, directory: Path) -> list[Chunk]:
    if columns is None:
        return list(expected)
    lost = set(lost_chunks(directory, (planned.chunk for planned in expected), columns=bool(columns)))
    with disk_errors(directory):
        for planned in expected:
            hashes = {chunk_path(directory, planned.chunk): planned.sha256}
            if columns and planned.columns_sha256:
                hashes[columns_path(directory, planned.chunk)] = planned.columns_sha256
            if planned.chunk not in lost and any(sha256_of(path) != sha256 for path, sha256 in hashes.items()):
                lost.add(planned.chunk)
    return [planned for planned in expected if planned.chunk in lost]


@contextmanager
def _work_folder(directory: Path) -> Iterator[Path]:
    folder = directory / READING
    make_private_directory(directory)
    _remove(folder)
    with disk_errors(folder):
        folder.mkdir(mode=DIRECTORY_MODE)
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the folder. Its name goes first: a worker that nobody waits for any more can then open nothing in it."""
    old = set_away(folder)
    with disk_errors(folder):
        if old.exists():
            shutil.rmtree(old)
        if folder.exists():
            folder.rename(old)
            shutil.rmtree(old)  # what stays would stay for good: a begun job does not come by here again


def _complaint(plan: ReadList, source: Source) -> str:
    """Return why the list is refused, with advice: too much was rejected, or nothing is left."""
    limit = source.job.max_rejected
    counts = plan.counts
    by_reason = Counter(counts.rejected_by_reason).most_common()
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in by_reason[:SHOWN_REASONS])
    reasons += ", ..." * (len(by_reason) > SHOWN_REASONS)
    if counts.accepted:
        verdict = (
            f"{counts.rejected:,} of {counts.read:,} lines were rejected, more than max_rejected = {limit:g} lets pass"
        )
    else:
        verdict = "no number was accepted"
    help_ = "".join(f"; {sentence}" for sentence in advice(plan, source.job))
    last = "; or set max_rejected higher" if counts.accepted else ""
    return f"{source.named}: {verdict} ({reasons}); see {source.job.directory / REJECTED}{help_}{last}"
