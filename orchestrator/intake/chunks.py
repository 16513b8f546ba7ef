"""Cuts the accepted list into chunks, and writes their files."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.errors import UsageError
from orchestrator.files import replace_together
from orchestrator.intake.duplicates.in_memory import NUMBER_TYPE
from orchestrator.jobdir.arrays import read_array
from orchestrator.jobdir.chunk_files import chunk_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from orchestrator.intake.plan import ChunkLimits

TRIED_COUNTS = 50


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
    sizes = _cut(total, limits)
    if _is_legal(sizes, limits):
        return sizes
    raise UsageError(
        f"chunk_size = {limits.chunk_size:,} cuts {total:,} numbers into chunks that the platforms don't all take: "
        f"each must have {limits.min_rows:,} to {limits.max_rows:,} (min_rows, max_rows); {_advice(total, limits)}"
    )


def write_chunks(accepted: Path, chunks: Sequence[tuple[int, int, Path]]) -> list[str]:
    """Write chunk files out of the file of accepted numbers, and return their hashes: a piece.

    `chunks` are first rows, counts of rows, and paths. The caller syncs the directory, once for all of them. Raises
    `StorageError`.
    """
    rows = [rows for _, rows, _ in chunks]
    lines = memoryview(chunk_bytes(_numbers(accepted, chunks)))
    line_ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) + 1
    ends = line_ends[np.cumsum(rows) - 1].tolist()
    contents = [lines[start:end] for start, end in pairwise((0, *ends))]
    paths = [path for _, _, path in chunks]
    replace_together(paths[0].parent, zip((path.name for path in paths), contents, strict=True))
    return [hashlib.sha256(content).hexdigest() for content in contents]


def _numbers(accepted: Path, chunks: Sequence[tuple[int, int, Path]]) -> npt.NDArray[np.int64]:
    """Read the numbers of some chunks; those that follow each other, as nearly all do, in one go."""
    if all(first + rows == after for (first, rows, _), (after, _, _) in pairwise(chunks)):
        spans = [(chunks[0][0], sum(rows for _, rows, _ in chunks))]
    else:
        spans = [(first, rows) for first, rows, _ in chunks]
    size = NUMBER_TYPE.itemsize
    return np.concatenate([read_array(accepted, NUMBER_TYPE, rows, first * size) for first, rows in spans])


def _cut(total: int, limits: ChunkLimits) -> list[int]:
    full, rest = divmod(total, limits.chunk_size)
    sizes = [limits.chunk_size] * full + [rest] * (rest > 0)
    if len(sizes) > 1 and sizes[-1] < limits.min_rows:
        both = sizes.pop() + sizes.pop()
        sizes += [both] if both <= limits.max_rows else [both - both // 2, both // 2]
    return sizes


def _is_legal(sizes: list[int], limits: ChunkLimits) -> bool:
    return limits.min_rows <= min(sizes) and max(sizes) <= limits.max_rows


def _advice(total: int, limits: ChunkLimits) -> str:
    for chunk_size in _candidates(total, limits):
        other = type(limits)(chunk_size, limits.min_rows, limits.max_rows)
        if _is_legal(_cut(total, other), other):
            return f"set chunk_size = {chunk_size}"
    return "no chunk_size was found that would do; put a platform with other limits into a job of its own"


def _candidates(total: int, limits: ChunkLimits) -> Iterator[int]:
    """Yield sizes that may do, large ones first: few chunks, and as even as they can be."""
    fewest = -(-total // limits.max_rows)
    for count in range(fewest, fewest + TRIED_COUNTS):
        yield from (size for size in (-(-total // count), total // count) if size > 0)
    yield limits.min_rows
