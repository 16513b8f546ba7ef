"""Reads the list: inputs → files of rows → first appearances → chunk files, rejected.csv, duplicates.csv.

Everything on the way lies in a private folder inside the job's directory, which is removed at the end, and at the
next start if a run was killed. Neither the number of workers nor the borders of blocks change any result.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from orchestrator.errors import ChangedError, UsageError
from orchestrator.files import DIRECTORY_MODE, disk_errors, make_private_directory, sha256_of, sync_directory
from orchestrator.intake import rejects
from orchestrator.intake.blocks import BLOCK_BYTES
from orchestrator.intake.chunks import chunk_folder, chunk_path, chunk_sizes, write_chunk
from orchestrator.intake.duplicates import Unique, drop_duplicates, starts
from orchestrator.intake.inputs import Input, find_inputs
from orchestrator.intake.normalise import REASONS, NumberRules, Reason, StoredRows
from orchestrator.intake.parts import Part, Source, draw_parts, store_part
from orchestrator.intake.plan import ChunkLimits, InputFile, ListPlan, PlannedChunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from orchestrator.settings import JobSettings
    from orchestrator.workers import Workers

WORK_FOLDER = ".intake"
"""Inside the job's directory, while a list is read."""

SHOWN_INPUTS = 5

Stretch = tuple[int, int, int]
"""A chunk to be written: its number, its first row, its rows."""


@dataclass(frozen=True, slots=True)
class _Scanned:
    """All inputs as files of rows, in list order, each with the input it came from."""

    fingerprints: tuple[InputFile, ...]
    rows: tuple[tuple[Input, StoredRows], ...]

    @property
    def read(self) -> int:
        return sum(stored.rows for _, stored in self.rows)

    @property
    def rejected(self) -> dict[Reason, int]:
        total = sum((stored.rejected for _, stored in self.rows), Counter[Reason]())
        return {reason: total[reason] for reason in REASONS if total[reason]}


async def read_list(
    job: JobSettings,
    limits: Callable[[int], ChunkLimits],
    workers: Workers,
    stdin: BinaryIO | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> ListPlan:
    """Read the list of a job and write its chunk files, rejected.csv and duplicates.csv; those of an earlier plan go.

    `limits` is asked with the count of accepted numbers, since a platform may do without a list that is too small.
    Raises `UsageError` for inputs that can't be read, a list without a number, or one that the limits can't cut, and
    `StorageError`.
    """
    source = Source(job, find_inputs(job), stdin, block_bytes)
    with _work_folder(job.directory) as folder:
        scanned = await _scan(source, workers, folder)
        unique = await _drop_duplicates(scanned, workers, folder)
        parts = [rejects.Part(stored.path, stored.rows, found.source) for found, stored in scanned.rows]
        await workers.run(rejects.write_rejects, parts, unique.duplicates_file, job.directory)
        if not unique.accepted:
            raise UsageError(_nothing_accepted(source, scanned))
        sizes = chunk_sizes(unique.accepted, limits(unique.accepted))
        stretches = list(zip(range(1, len(sizes) + 1), starts(sizes), sizes, strict=True))
        chunks = await _write_chunks(stretches, unique, workers, job.directory)
    _keep_only(chunks, job.directory)
    return ListPlan(
        inputs=scanned.fingerprints,
        read=scanned.read,
        accepted=unique.accepted,
        duplicates=unique.duplicates,
        rejected=sum(scanned.rejected.values()),
        rejected_by_reason={str(reason): count for reason, count in scanned.rejected.items()},
        from_text=unique.from_text,
        chunks=tuple(chunks),
    )


async def rebuild(
    job: JobSettings,
    workers: Workers,
    expected: Sequence[PlannedChunk],
    stdin: BinaryIO | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> None:
    """Put back the chunk files that are missing or damaged, out of the list, which is read anew.

    Chunks are cut where they were planned, so limits may have changed since. Raises `ChangedError`, and puts nothing
    back, when the list no longer gives what was planned; `UsageError` for inputs that can't be read; `StorageError`.
    """
    lost = await asyncio.to_thread(_lost, expected, job.directory)
    if not lost:
        return
    source = Source(job, find_inputs(job), stdin, block_bytes)
    with _work_folder(job.directory) as folder:
        unique = await _drop_duplicates(await _scan(source, workers, folder), workers, folder)
        stretches = [(planned.chunk, planned.first_row, planned.rows) for planned in lost]
        if await _write_chunks(stretches, unique, workers, folder) != lost:
            raise ChangedError(
                f"{_named(source)}: this is not the list that the job began with, or it is read differently, and "
                f"{len(lost)} lost chunk files can't be built from it; bring the list back as it was, or begin a new "
                "job in another directory"
            )
        _put_back(lost, folder, job.directory)


async def _scan(source: Source, workers: Workers, folder: Path) -> _Scanned:
    """Turn all inputs into files of rows."""
    fingerprints: list[InputFile] = []
    owners: list[Input] = []
    rules = NumberRules.of(source.job)
    stopped = threading.Event()

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        async with aclosing(_in_thread(draw_parts(source, fingerprints, stopped), stopped)) as drawn:
            async for found, part in drawn:
                owners.append(found)
                yield part, rules, folder / f"{len(owners):09d}"

    results = await workers.map(store_part, calls())
    rows = tuple((found, stored) for found, result in zip(owners, results, strict=True) for stored in result)
    scanned = _Scanned(tuple(fingerprints), rows)
    if not scanned.read:
        raise UsageError(f"{_named(source)}: the list is empty")
    return scanned


async def _in_thread(
    parts: Iterator[tuple[Input, Part]], stopped: threading.Event
) -> AsyncGenerator[tuple[Input, Part], None]:
    """Draw from a blocking iterator in a thread of its own; `stopped` is set when nobody wants more."""
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="intake")
    try:
        while (drawn := await loop.run_in_executor(thread, next, parts, None)) is not None:
            yield drawn
    finally:
        stopped.set()
        thread.shutdown(wait=False)


async def _drop_duplicates(scanned: _Scanned, workers: Workers, folder: Path) -> Unique:
    return await workers.run(drop_duplicates, [stored.path for _, stored in scanned.rows], folder)


async def _write_chunks(
    stretches: Iterable[Stretch], unique: Unique, workers: Workers, directory: Path
) -> list[PlannedChunk]:
    """Write chunk files below `directory`, whole and synced."""
    make_private_directory(chunk_folder(directory))
    stretches = list(stretches)

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        for chunk, first_row, rows in stretches:
            yield unique.accepted_file, first_row, rows, chunk_path(directory, chunk)

    hashes = await workers.map(write_chunk, calls())
    _sync(directory)
    return [PlannedChunk(*stretch, sha256) for stretch, sha256 in zip(stretches, hashes, strict=True)]


def _keep_only(chunks: Iterable[PlannedChunk], directory: Path) -> None:
    """Remove what an earlier plan, or a run that was killed, left among the chunk files."""
    planned = {chunk_path(directory, chunk.chunk) for chunk in chunks}
    with disk_errors(directory):
        for path in chunk_folder(directory).iterdir():
            if path not in planned:
                path.unlink()
    _sync(directory)


def _lost(expected: Iterable[PlannedChunk], directory: Path) -> list[PlannedChunk]:
    return [planned for planned in expected if not _is_whole(chunk_path(directory, planned.chunk), planned.sha256)]


def _is_whole(path: Path, sha256: str) -> bool:
    with disk_errors(path):
        return path.exists() and sha256_of(path) == sha256


def _put_back(lost: Iterable[PlannedChunk], folder: Path, directory: Path) -> None:
    make_private_directory(chunk_folder(directory))
    with disk_errors(directory):
        for planned in lost:
            chunk_path(folder, planned.chunk).replace(chunk_path(directory, planned.chunk))
    _sync(directory)


def _sync(directory: Path) -> None:
    with disk_errors(directory):
        sync_directory(chunk_folder(directory))
        sync_directory(directory)


@contextmanager
def _work_folder(directory: Path) -> Iterator[Path]:
    folder = directory / WORK_FOLDER
    make_private_directory(directory)
    with disk_errors(folder):
        _remove(folder)
        folder.mkdir(mode=DIRECTORY_MODE)
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the folder. Its name goes first: a worker that nobody waits for any more can then open nothing in it."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def _nothing_accepted(source: Source, scanned: _Scanned) -> str:
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in scanned.rejected.items())
    message = f"{_named(source)}: no number was accepted ({reasons}); see {source.job.directory / rejects.REJECTED}"
    if Reason.NO_COUNTRY_CODE in scanned.rejected:
        message += '; set `default_region`, for example "CH", for numbers without a country code'
    if Reason.EXCLUDED in scanned.rejected:
        message += "; `exclude_calling_codes` turns some away"
    return message


def _named(source: Source) -> str:
    names = [found.source for found in source.inputs]
    return ", ".join(names[:SHOWN_INPUTS]) + (f" and {len(names) - SHOWN_INPUTS} more" * (len(names) > SHOWN_INPUTS))
