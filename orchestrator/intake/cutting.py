"""Cuts the accepted list into chunks, and writes their files, and those of kept columns, on all workers."""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_right
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.errors import UsageError
from orchestrator.files import disk_errors, make_private_directory, replace_together, sync_directory
from orchestrator.intake.duplicates.in_memory import NUMBER_TYPE, Unique, starts
from orchestrator.intake.kept_columns import KeptPart, values_of, write_chunk_columns
from orchestrator.jobdir.chunk_files import chunk_bytes
from orchestrator.jobdir.layout import chunk_folder, chunk_path, columns_path
from orchestrator.jobdir.list_rows import ALL_IN_ORDER, ListRows
from orchestrator.pieces import PieceFiles, on_files
from orchestrator.records import Chunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence
    from pathlib import Path

    from orchestrator.intake.plan import ChunkLimits
    from orchestrator.intake.stored_rows import StoredRows
    from orchestrator.workers import Workers

TRIED_COUNTS = 50
ROWS_AT_ONCE = 200_000
CHUNKS_AT_ONCE = 64
"""What one piece writes of the chunk files."""

Stretch = tuple[int, int, int]
"""A chunk to be written: its number, its first row, its rows."""


def chunk_sizes(total: int, limits: ChunkLimits) -> list[int]:
    """Cut `total` rows into chunks, in list order.

    All are full, save that a last one below `min_rows` joins its neighbour, or, where that exceeds `max_rows`, the two
    are halved. Raises `UsageError` when that gives a chunk outside the limits.
    """
    if total < limits.min_rows:
        raise UsageError(
            f"the list has {total:,} numbers, and a platform takes no fewer than {limits.min_rows:,} (its min_rows); "
            'set when_too_small = "skip" for it, or add numbers'
        )
    if can_be_cut(total, limits):
        return _sizes(total, limits)
    raise UsageError(
        f"chunk_size = {limits.chunk_size:,} cuts {total:,} numbers into chunks that the platforms don't all take: "
        f"each must have {limits.min_rows:,} to {limits.max_rows:,} (min_rows, max_rows); {_advice(total, limits)}"
    )


def can_be_cut(total: int, limits: ChunkLimits) -> bool:
    """Return whether `chunk_sizes` has an answer."""
    sizes = _sizes(total, limits) if total >= limits.min_rows else []
    return bool(sizes) and limits.min_rows <= min(sizes) and max(sizes) <= limits.max_rows


def picked_sizes(total: int, limits: ChunkLimits) -> list[int]:
    """Cut as many as possible of `total` rows that were picked from a list, so that nobody could choose how many.

    Where full chunks don't do, all are about even. Fewer than `min_rows` are left over, if no cut takes them all: with
    limits that are near to each other some totals are too many for some chunks, and too few for one more.
    """
    if can_be_cut(total, limits):
        return _sizes(total, limits)
    most = total // limits.min_rows
    if not most:
        return []
    total = min(total, most * limits.max_rows)
    chunks = max(min(-(-total // limits.chunk_size), most), -(-total // limits.max_rows))
    each, more = divmod(total, chunks)
    return [each + 1] * more + [each] * (chunks - more)


def filled_up(total: int, limits: ChunkLimits) -> int:
    """Return how many rows there have to be, so that `picked_sizes` leaves none of `total` over."""
    return max(total, -(-total // limits.max_rows) * limits.min_rows)


def _sizes(total: int, limits: ChunkLimits) -> list[int]:
    full, rest = divmod(total, limits.chunk_size)
    sizes = [limits.chunk_size] * full + [rest] * (rest > 0)
    if len(sizes) > 1 and sizes[-1] < limits.min_rows:
        both = sizes.pop() + sizes.pop()
        sizes += [both] if both <= limits.max_rows else [both - both // 2, both // 2]
    return sizes


def _advice(total: int, limits: ChunkLimits) -> str:
    fewest = -(-total // limits.max_rows)
    # Large ones first: few chunks, and as even as they can be.
    even = (size for count in range(fewest, fewest + TRIED_COUNTS) for size in (-(-total // count), total // count))
    for chunk_size in (*filter(None, even), limits.min_rows):
        if can_be_cut(total, type(limits)(chunk_size, limits.min_rows, limits.max_rows)):
            return f"set chunk_size = {chunk_size}"
    return "no chunk_size was found that would do; put a platform with other limits into a job of its own"


async def cut_chunks(
    stretches: Iterable[Stretch], unique: Unique, workers: Workers, directory: Path, list_rows: ListRows
) -> list[Chunk]:
    """Write chunk files below `directory`, whole and synced."""
    make_private_directory(chunk_folder(directory))
    stretches = list(stretches)

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        some: list[tuple[int, int, Path]] = []  # what one piece writes: each is a trip to a worker
        for number, (chunk, first, rows) in enumerate(stretches, 1):
            some.append((first, rows, chunk_path(directory, chunk)))
            is_full = len(some) == CHUNKS_AT_ONCE or sum(count for _, count, _ in some) >= ROWS_AT_ONCE
            if is_full or number == len(stretches):
                yield unique.accepted_file, some, list_rows
                some = []

    def planned(hashes: Iterable[Iterable[str]]) -> list[Chunk]:
        every = chain.from_iterable(hashes)
        return [Chunk(*stretch, sha256) for stretch, sha256 in zip(stretches, every, strict=True)]

    hashes = await workers.map(write_chunks, calls())
    sync(directory)
    return await asyncio.to_thread(planned, hashes)  # a job may have a million


@on_files(lambda accepted, chunks, *_: PieceFiles((accepted,), tuple(path for _, _, path in chunks)))
def write_chunks(
    accepted: Path, chunks: Sequence[tuple[int, int, Path]], list_rows: ListRows = ALL_IN_ORDER
) -> list[str]:
    """Write chunk files out of the file of accepted numbers, and return their hashes: a piece.

    `chunks` are first rows, counts of rows, and paths; `list_rows` says where in the file they are. The caller syncs
    the directory, once for all of them. Raises `StorageError`.
    """
    rows = [rows for _, rows, _ in chunks]
    # Chunks that follow each other, as nearly all do, are read in one go; a trial stands elsewhere.
    spans = [(first, count) for first, count, _ in chunks]
    follow = all(first + count == after for (first, count), (after, _) in pairwise(spans))
    if follow and spans[0][0] >= len(list_rows.trial):
        spans = [(spans[0][0], sum(rows))]
    numbers = np.concatenate([values_of(accepted, *span, list_rows) for span in spans])
    lines = memoryview(chunk_bytes(numbers))
    line_ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) + 1
    ends = line_ends[np.cumsum(rows) - 1].tolist()
    contents = [lines[start:end] for start, end in pairwise((0, *ends))]
    paths = [path for _, _, path in chunks]
    replace_together(paths[0].parent, zip((path.name for path in paths), contents, strict=True))
    return [hashlib.sha256(content).hexdigest() for content in contents]


async def cut_columns(
    stretches: Iterable[Stretch],
    rows: tuple[Sequence[StoredRows], Unique, ListRows],
    columns: tuple[str, ...],
    workers: Workers,
    directory: Path,
) -> dict[int, str]:
    """Write files of kept columns below `directory`, whole and synced; return their hashes by chunk."""
    stretches = list(stretches)
    files, unique, list_rows = rows
    begins = starts([stored.rows for stored in files])
    parts = [
        KeptPart(stored.path, begin, stored.rows, stored.columns) for begin, stored in zip(begins, files, strict=True)
    ]

    with disk_errors(unique.positions_file):
        positions = np.memmap(unique.positions_file, NUMBER_TYPE, mode="r")

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        for chunk, first_row, count in stretches:
            some = positions[list_rows.of(first_row, count)]
            first, last = int(some.min()), int(some.max())
            touched = parts[bisect_right(begins, first) - 1 : bisect_right(begins, last)]
            path = columns_path(directory, chunk)
            yield unique.positions_file, first_row, count, touched, columns, path, list_rows

    hashes = await workers.map(write_chunk_columns, calls())
    sync(directory)
    return {chunk: sha256 for (chunk, _, _), sha256 in zip(stretches, hashes, strict=True)}


def sync(directory: Path) -> None:
    """Make the names of the chunk files in `directory` durable; raises `StorageError`."""
    with disk_errors(directory):
        sync_directory(chunk_folder(directory))
        sync_directory(directory)
