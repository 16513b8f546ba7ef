"""Chunk files of further generations: rows that `retry` picks out of the list, and numbers that a longer list adds.

A retry's chunk has a rows file beside its chunk file: the positions of its numbers in the accepted list, counted from
0, ascending, as little-endian 64-bit integers.
"""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from orchestrator.errors import ChangedError, StorageError
from orchestrator.files import CSV_LINE_END, disk_errors, make_private_directory, replacing, sync_directory
from orchestrator.intake.arrays import read_array
from orchestrator.intake.chunkfile import read_chunk
from orchestrator.intake.chunks import chunk_bytes, chunk_path, chunk_sizes, columns_path
from orchestrator.intake.inputs import find_inputs
from orchestrator.intake.plan import ChunkLimits, ListPlan, PlannedChunk
from orchestrator.intake.reading import read_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.settings import JobSettings
    from orchestrator.workers import Workers

    Numbers = NDArray[np.int64]

ROW_TYPE = np.dtype("<i8")
SCRATCH = ".extending"
LISTS = ("rejected.csv", "duplicates.csv")


def rows_path(directory: Path, chunk: int) -> Path:
    """Return the rows file of a retry's chunk in the job in `directory`."""
    return chunk_path(directory, chunk).with_suffix(".rows")


def read_rows(path: Path) -> Numbers:
    """Return a rows file's positions; raises `StorageError`."""
    with disk_errors(path):
        rows = read_array(path, ROW_TYPE, path.stat().st_size // ROW_TYPE.itemsize)
    if np.any(np.diff(rows) <= 0):
        raise StorageError(f"{path}: not a rows file; restore it from a copy of the job's directory")
    return rows


def write_retry(
    directory: Path, numbers: Numbers, rows: Numbers, limits: ChunkLimits, first_chunk: int
) -> list[PlannedChunk]:
    """Write chunk and rows files of a retry: `numbers` stand at the list's `rows`, which ascend.

    Raises `UsageError` when there are too few for the limits, `StorageError`.
    """
    chunks = []
    start = 0
    for chunk, size in enumerate(chunk_sizes(len(numbers), limits), start=first_chunk):
        part = slice(start, start + size)
        with replacing(rows_path(directory, chunk)) as file:
            file.write(rows[part].astype(ROW_TYPE).tobytes())
        sha256 = _write_chunk(directory, chunk, numbers[part])
        chunks.append(PlannedChunk(chunk, int(rows[start]), size, sha256))
        start += size
    return chunks


def restore_retry(directory: Path, lost: PlannedChunk, base: Sequence[PlannedChunk]) -> None:
    """Write a retry's lost chunk file anew, out of its rows file and the chunks that cover the list (`base`).

    Raises `StorageError` when that can't give the file that was planned.
    """
    rows = read_rows(rows_path(directory, lost.chunk))
    numbers = [
        _numbers(directory, chunk.chunk)[rows[first:last] - chunk.first_row]
        for chunk in base
        if (first := np.searchsorted(rows, chunk.first_row))
        < (last := np.searchsorted(rows, chunk.first_row + chunk.rows))
    ]
    sha256 = _write_chunk(directory, lost.chunk, np.concatenate(numbers)) if numbers else ""
    if sha256 != lost.sha256:
        raise StorageError(
            f"{rows_path(directory, lost.chunk)}: not the rows that were planned; restore the job's directory from its "
            "last run"
        )


@dataclass(frozen=True, slots=True)
class Extension:
    """A longer list as it was read, and the chunks of the numbers that came with it."""

    read: ListPlan
    chunks: tuple[PlannedChunk, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """Which columns to keep, and the names of those that the job has kept so far."""

    keep: bool | tuple[str, ...] = False
    columns: tuple[str, ...] = ()


async def extend_list(
    job: JobSettings,
    limits: Callable[[int], ChunkLimits],
    workers: Workers,
    known: Sequence[PlannedChunk],
    first_chunk: int,
    kept: Kept,
    stdin: BinaryIO | None = None,
) -> Extension:
    """Read a longer list: known numbers keep their chunks, the others get chunk files of their own.

    Raises `ChangedError` when a known number is not in the list any more, or other columns would be kept, `UsageError`
    and `StorageError` as `read_list`. Until everything is written, nothing of the job's own files is changed.
    """
    inputs = tuple(found.path for found in find_inputs(job))  # now: what lies in the job's own directory is told by it
    scratch = job.directory / SCRATCH
    _remove(scratch)
    make_private_directory(scratch)
    try:
        uncut = partial(_uncut, job.chunk_size)
        read = await read_list(replace(job, inputs=inputs, directory=scratch), uncut, workers, stdin, keep=kept.keep)
        if read.columns != kept.columns:
            raise ChangedError(
                f"the list has the columns {', '.join(read.columns)} to keep, the job has {', '.join(kept.columns)}; "
                "give the tables the same columns, or begin a new job in another directory"
            )
        old = np.sort(np.concatenate([_numbers(job.directory, chunk.chunk) for chunk in known]))
        added = [(chunk, _new(scratch, chunk.chunk, old)) for chunk in read.chunks]
        count = sum(int(mask.sum()) for _, mask in added)
        if read.accepted - count != len(old):
            raise ChangedError(
                f"the list lacks {len(old) - (read.accepted - count):,} numbers that the job has already; --extend "
                "only adds: bring them back, or begin a new job in another directory"
            )
        chunks = _write_added(job, scratch, added, limits, first_chunk) if count else []
        for name in LISTS:
            _take_over(scratch / name, job.directory / name)
    finally:
        _remove(scratch)
    return Extension(read, tuple(chunks))


def _numbers(directory: Path, chunk: int) -> Numbers:
    return read_chunk(chunk_path(directory, chunk)).numbers


def _uncut(chunk_size: int, _total: int) -> ChunkLimits:
    return ChunkLimits(chunk_size, 1, chunk_size)


def _new(directory: Path, chunk: int, old: Numbers) -> NDArray[np.bool_]:
    numbers = _numbers(directory, chunk)
    return np.isin(numbers, old, assume_unique=True, invert=True)


def _write_added(
    job: JobSettings,
    scratch: Path,
    added: Sequence[tuple[PlannedChunk, NDArray[np.bool_]]],
    limits: Callable[[int], ChunkLimits],
    first_chunk: int,
) -> list[PlannedChunk]:
    numbers = np.concatenate([_numbers(scratch, chunk.chunk)[mask] for chunk, mask in added])
    records = _added_records(scratch, added)
    first_row = sum(int((~mask).sum()) for _, mask in added)
    chunks = []
    start = 0
    for chunk, size in enumerate(chunk_sizes(len(numbers), limits(len(numbers))), start=first_chunk):
        if columns_path(scratch, 1).exists():
            _write_columns(columns_path(job.directory, chunk), islice(records, size))
        sha256 = _write_chunk(job.directory, chunk, numbers[start : start + size])
        chunks.append(PlannedChunk(chunk, first_row + start, size, sha256))
        start += size
    return chunks


def _added_records(scratch: Path, added: Sequence[tuple[PlannedChunk, NDArray[np.bool_]]]) -> Iterator[list[str]]:
    """Yield the kept columns of the added numbers, in their order."""
    for chunk, mask in added:
        with columns_path(scratch, chunk.chunk).open(encoding="utf-8", newline="") as file:
            yield from (record for record, new in zip(csv.reader(file), mask.tolist(), strict=True) if new)


def _write_columns(path: Path, records: Iterable[list[str]]) -> None:
    with replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        csv.writer(text, lineterminator=CSV_LINE_END).writerows(records)
        text.detach()  # the file is synced and closed by its own block


def _write_chunk(directory: Path, chunk: int, numbers: Numbers) -> str:
    content = chunk_bytes(numbers.tolist())
    with replacing(chunk_path(directory, chunk)) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def _take_over(new: Path, path: Path) -> None:
    with disk_errors(path):
        new.replace(path)
        sync_directory(path.parent)


def _remove(folder: Path) -> None:
    with disk_errors(folder):
        if folder.exists():
            shutil.rmtree(folder)
