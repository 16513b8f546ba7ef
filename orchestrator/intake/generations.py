"""Chunk files of further generations: rows that `retry` picks out of the list, and numbers that a longer list adds."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from orchestrator.errors import ChangedError, StorageError
from orchestrator.files import disk_errors, make_private_directory, sha256_of
from orchestrator.intake.blocks import private_file
from orchestrator.intake.cutting import chunk_sizes, picked_sizes
from orchestrator.intake.known_numbers import KnownPlaces
from orchestrator.intake.list_reading import read_list, take_over
from orchestrator.intake.plan import ChunkLimits, ReadList
from orchestrator.intake.sources.find import find_inputs
from orchestrator.jobdir.arrays import pack_order, pack_places, save_blocks, unpack_places
from orchestrator.jobdir.chunk_files import read_chunk, write_chunk
from orchestrator.jobdir.column_files import read_columns, write_columns
from orchestrator.jobdir.layout import EXTENDING, chunk_folder, chunk_path, columns_path, rows_path
from orchestrator.jobdir.list_rows import rows_of_chunks
from orchestrator.jobdir.row_files import read_rows, rows_bytes, write_rows
from orchestrator.records import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.records import Listed
    from orchestrator.settings import JobSettings
    from orchestrator.workers import Workers

    Numbers = NDArray[np.int64]


def write_retry(directory: Path, numbers: Numbers, rows: Numbers, limits: ChunkLimits, first_chunk: int) -> list[Chunk]:
    """Write chunk and rows files of a retry: `numbers` stand at the list's `rows`, which ascend.

    The last ones get none where no chunk within the limits takes them. Raises `StorageError`.
    """
    chunks = []
    start = 0
    for chunk, size in enumerate(picked_sizes(len(numbers), limits), start=first_chunk):
        part = slice(start, start + size)
        write_rows(directory, chunk, rows[part])
        sha256 = write_chunk(directory, chunk, numbers[part])
        chunks.append(Chunk(chunk, int(rows[start]), size, sha256, places=pack_places(rows[part])))
        start += size
    return chunks


def restore_rows(directory: Path, planned: Chunk) -> None:
    """Write a retry's rows file anew where it is missing or altered; an earlier version kept nothing to do it from.

    Raises `StorageError`.
    """
    path = rows_path(directory, planned.chunk)
    if planned.places is None:
        return
    rows = unpack_places(planned.places)
    with disk_errors(path):
        if path.exists() and path.read_bytes() == rows_bytes(rows):
            return
    write_rows(directory, planned.chunk, rows)


def restore_retry(directory: Path, lost: Chunk, base: Sequence[Chunk]) -> None:
    """Write a retry's lost chunk file anew, out of its rows file and the chunks that cover the list (`base`).

    Raises `StorageError` when that can't give the file that was planned.
    """
    rows = read_rows(rows_path(directory, lost.chunk))
    list_rows = rows_of_chunks(base)
    numbers = np.zeros(len(rows), np.int64)
    for chunk in base:
        there = list_rows.of_chunk(chunk)
        first, last = np.searchsorted(rows, (there[0], there[-1] + 1))
        places = np.searchsorted(there, rows[first:last])
        hit = there[places] == rows[first:last]
        if hit.any():
            numbers[first:last][hit] = _numbers(directory, chunk)[places[hit]]
    sha256 = write_chunk(directory, lost.chunk, numbers) if numbers.all() else ""
    if sha256 != lost.sha256:
        raise StorageError(
            f"{rows_path(directory, lost.chunk)}: not the rows that were planned; restore the job's directory from its "
            "last run"
        )


@dataclass(frozen=True, slots=True)
class Extension:
    """A longer list, and the chunks of the numbers that came with it."""

    listed: Listed
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class ColumnsToKeep:
    """Which columns to keep, and the names of those that the job has kept so far."""

    keep: bool | tuple[str, ...] = False
    columns: tuple[str, ...] = ()


async def extend_list(
    job: JobSettings,
    limits: Callable[[int], ChunkLimits],
    workers: Workers,
    known: Sequence[Chunk],
    first_chunk: int,
    kept: ColumnsToKeep,
    stdin: BinaryIO | None = None,
) -> Extension:
    """Read a longer list: known numbers keep their chunks, the others get chunk files of their own.

    Raises `ChangedError` when a known number is not in the list any more, or other columns would be kept, `UsageError`
    and `StorageError` as `read_list`. Nothing that the ledger knows is changed: rejected.csv and duplicates.csv wait in
    the scratch folder until it has the longer list, and `take_lists` puts them in their places then.
    """
    found = await asyncio.to_thread(find_inputs, job)  # now: what lies in the job's own directory is told by it
    inputs = tuple(one.path for one in found)
    scratch = job.directory / EXTENDING
    _remove(scratch)
    make_private_directory(scratch)
    try:
        uncut = ChunkLimits(job.chunk_size, 1, job.chunk_size)
        with disk_errors(scratch), private_file(scratch / "known") as file:
            save_blocks(file, _known(job.directory, known), sum(chunk.rows for chunk in known))
        longer = replace(job, inputs=inputs, directory=scratch)
        read = await read_list(longer, lambda _: uncut, workers, stdin, keep=kept.keep, save_for=scratch / "known")
        if read.counts.columns != kept.columns:
            raise ChangedError(
                f"the list has the columns {', '.join(read.counts.columns)} to keep, the job has "
                f"{', '.join(kept.columns)}; give the tables the same columns, or begin a new job in another directory"
            )
        blocks = _known(job.directory, known), _blocks(scratch, read.chunks)
        places = KnownPlaces(*blocks, read.counts.accepted, scratch / "places")
        is_new = places.is_new
        chunks = _write_added(job, scratch, read, is_new, limits, first_chunk) if is_new.any() else []
        order = pack_order(places.order())
        _remove(scratch / "places")
        _remove(chunk_folder(scratch))
        with disk_errors(scratch):
            (scratch / "known").unlink()
    except BaseException:
        _remove(scratch)
        raise
    return Extension(replace(read.listed, order=order), tuple(chunks))


def take_lists(directory: Path, lists: Mapping[str, str]) -> list[str]:
    """Put what an extension left of `lists`, names and hashes, in its place; return those that are not right then.

    Raises `StorageError`.
    """
    scratch = directory / EXTENDING
    wrong = []
    for name, sha256 in lists.items():
        if _has(directory / name, sha256):
            continue
        if _has(scratch / name, sha256):
            take_over(scratch / name, directory / name)
        else:
            wrong.append(name)
    _remove(scratch)
    return wrong


def _has(path: Path, sha256: str) -> bool:
    with disk_errors(path):
        return path.is_file() and sha256_of(path) == sha256


def _numbers(directory: Path, chunk: Chunk) -> Numbers:
    """Return the numbers of a chunk file; raises `StorageError` when it is not the one that was planned."""
    path = chunk_path(directory, chunk.chunk)
    found = read_chunk(path)
    if found.sha256 != chunk.sha256:
        raise StorageError(
            f"{path}: altered since it was planned; remove it, and the next run writes it anew from the inputs"
        )
    return found.numbers


def _blocks(directory: Path, chunks: Iterable[Chunk]) -> Iterator[Numbers]:
    return (_numbers(directory, chunk) for chunk in chunks)


def _known(directory: Path, known: Sequence[Chunk]) -> Iterator[Numbers]:
    """Yield the numbers of the list so far, in its order."""
    return rows_of_chunks(known).in_list_order(_blocks(directory, known))


def _write_added(
    job: JobSettings,
    scratch: Path,
    read: ReadList,
    is_new: NDArray[np.bool_],
    limits: Callable[[int], ChunkLimits],
    first_chunk: int,
) -> list[Chunk]:
    added = int(is_new.sum())
    numbers = (_numbers(scratch, chunk)[_of(chunk, is_new)] for chunk in read.chunks)
    width = len(read.counts.columns)
    records = (  # the kept columns of the added numbers, in their order
        record
        for chunk in read.chunks
        for record, new in zip(
            read_columns(columns_path(scratch, chunk.chunk), width, chunk.rows, chunk.columns_sha256),
            _of(chunk, is_new).tolist(),
            strict=True,
        )
        if new
    )
    first_row = len(is_new) - added
    chunks = []
    ready = np.empty(0, np.int64)
    for chunk, size in enumerate(chunk_sizes(added, limits(added)), start=first_chunk):
        columns_sha256 = ""
        if width:
            columns_sha256 = write_columns(columns_path(job.directory, chunk), islice(records, size))
        parts = [ready]
        while sum(map(len, parts)) < size:
            parts.append(next(numbers))
        ready = np.concatenate(parts)
        sha256 = write_chunk(job.directory, chunk, ready[:size])
        chunks.append(Chunk(chunk, first_row, size, sha256, columns_sha256=columns_sha256))
        ready = ready[size:]
        first_row += size
    return chunks


def _of(chunk: Chunk, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask[chunk.first_row : chunk.first_row + chunk.rows]


def _remove(folder: Path) -> None:
    with disk_errors(folder):
        if folder.exists():
            shutil.rmtree(folder)
