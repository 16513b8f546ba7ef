"""The accepted list, cut into chunk files and those of kept columns, on all workers."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.files import disk_errors, make_private_directory, sync_directory
from orchestrator.intake.chunks import write_chunks
from orchestrator.intake.duplicates.in_memory import NUMBER_TYPE, Unique, starts
from orchestrator.intake.kept_columns import KeptPart, write_chunk_columns
from orchestrator.jobdir.layout import chunk_folder, chunk_path, columns_path
from orchestrator.records import Chunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
    from pathlib import Path

    from orchestrator.intake.numbers.decide import StoredRows
    from orchestrator.workers import Workers

ROWS_AT_ONCE = 200_000
CHUNKS_AT_ONCE = 64
"""What one piece writes of the chunk files."""

Stretch = tuple[int, int, int]
"""A chunk to be written: its number, its first row, its rows."""


async def cut_chunks(stretches: Iterable[Stretch], unique: Unique, workers: Workers, directory: Path) -> list[Chunk]:
    """Write chunk files below `directory`, whole and synced."""
    make_private_directory(chunk_folder(directory))
    stretches = list(stretches)

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        for some in _at_once(stretches):
            yield unique.accepted_file, [(first, rows, chunk_path(directory, chunk)) for chunk, first, rows in some]

    hashes = await workers.map(write_chunks, calls())
    sync(directory)
    return await asyncio.to_thread(_planned, stretches, hashes)  # a job may have a million


def _planned(stretches: Sequence[Stretch], hashes: Iterable[Iterable[str]]) -> list[Chunk]:
    every = chain.from_iterable(hashes)
    return [Chunk(*stretch, sha256) for stretch, sha256 in zip(stretches, every, strict=True)]


def _at_once(stretches: Iterable[Stretch]) -> Iterator[list[Stretch]]:
    """Put together what one piece writes: each is a trip to a worker."""
    some: list[Stretch] = []
    for stretch in stretches:
        some.append(stretch)
        if sum(rows for _, _, rows in some) >= ROWS_AT_ONCE or len(some) == CHUNKS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


async def cut_columns(
    stretches: Iterable[Stretch],
    rows: tuple[Sequence[StoredRows], Unique],
    columns: tuple[str, ...],
    workers: Workers,
    directory: Path,
) -> dict[int, str]:
    """Write files of kept columns below `directory`, whole and synced; return their hashes by chunk."""
    stretches = list(stretches)
    files, unique = rows
    begins = starts([stored.rows for stored in files])
    parts = [
        KeptPart(stored.path, begin, stored.rows, stored.columns) for begin, stored in zip(begins, files, strict=True)
    ]

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        for chunk, first_row, count in stretches:
            first, last = _ends(unique.positions_file, first_row, count)
            touched = parts[bisect_right(begins, first) - 1 : bisect_right(begins, last)]
            yield unique.positions_file, first_row, count, touched, columns, columns_path(directory, chunk)

    hashes = await workers.map(write_chunk_columns, calls())
    sync(directory)
    return {chunk: sha256 for (chunk, _, _), sha256 in zip(stretches, hashes, strict=True)}


def _ends(positions: Path, first_row: int, rows: int) -> tuple[int, int]:
    """Return the lowest and the highest position of some accepted rows."""
    with disk_errors(positions):
        all_rows = np.memmap(positions, NUMBER_TYPE, mode="r")
    some = all_rows[first_row : first_row + rows]
    return int(some.min()), int(some.max())


def sync(directory: Path) -> None:
    """Make the names of the chunk files in `directory` durable; raises `StorageError`."""
    with disk_errors(directory):
        sync_directory(chunk_folder(directory))
        sync_directory(directory)
