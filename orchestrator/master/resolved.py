"""Base chunks and the overlays of later generations → the cells as the master shows them, streamed.

A later generation asks a platform again about some rows, from anywhere in the list. Its chunks are in the order of
their rows, so one pass over the list meets them in order: each (platform, generation) is a lane of which one file is
in memory, less what was consumed. The verdict of the highest generation wins; without any, its word of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from orchestrator.errors import StorageError
from orchestrator.jobdir.chunk_files import ALTERED_CHUNK, read_chunk
from orchestrator.jobdir.layout import chunk_path_beside
from orchestrator.jobdir.row_files import read_rows
from orchestrator.jobdir.verdict_files import OWN_WORDS
from orchestrator.master.base_chunks import MAX_BYTE_WORDS, ResolvedChunk, VerdictColumn, base_blocks, read_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.master.base_chunks import MasterChunk


@dataclass(frozen=True, slots=True)
class Overlay:
    """A chunk of a later generation: one platform's new cells for some rows of the list.

    `rows` is its row file, beside which its chunk file lies. `cells` is a verdict file or one word for all rows.
    """

    platform: str
    generation: int
    rows: Path
    cells: Path | str


Chunks = Callable[[], Iterable["MasterChunk"]]
Overlays = Callable[[], Iterable[Overlay]]
"""Called once for each platform and generation, and once more: must give the same, ordered by platform, generation
and row."""


def no_overlays() -> Iterable[Overlay]:
    """Return nothing: the job has one generation."""
    return ()


def resolved(
    platforms: Sequence[str], chunks: Iterable[MasterChunk], overlays: Overlays = no_overlays
) -> Iterator[ResolvedChunk]:
    """Yield the list in order, a base chunk in one or more blocks of some 80,000 rows, every cell resolved.

    Overlays of platforms that are not asked for are passed over. Memory is that of a chunk, and one overlay chunk for
    each platform and generation. Raises `StorageError` when a file is missing, altered, or its rows or numbers are not
    those of the list.
    """
    lanes = _lanes(platforms, overlays)
    row = 0
    for chunk in chunks:
        for block in base_blocks(chunk, row):
            row += len(block.numbers)
            yield _overlaid(block, lanes)
    for lane in (lane for by_generation in lanes for lane in by_generation):
        lane.must_be_over()


def _lanes(platforms: Sequence[str], overlays: Overlays) -> list[list[_Lane]]:
    """Return per platform its generations in order; finding them costs one pass over the overlays."""
    keys = sorted({(overlay.platform, overlay.generation) for overlay in overlays()})
    return [[_Lane(_of(overlays(), *key)) for key in keys if key[0] == platform] for platform in platforms]


def _of(overlays: Iterable[Overlay], platform: str, generation: int) -> Iterator[Overlay]:
    return (o for o in overlays if o.platform == platform and o.generation == generation)


class _Cells(NamedTuple):
    """Rows of the list with their numbers, where these are known, and their new cells."""

    rows: NDArray[np.int64]
    numbers: NDArray[np.int64] | None
    column: VerdictColumn

    def cut(self, first: int, last: int) -> _Cells:
        numbers = None if self.numbers is None else self.numbers[first:last]
        return _Cells(self.rows[first:last], numbers, self.column.cut(first, last))


class _Lane:
    """One platform's one generation; `take` moves forward only."""

    def __init__(self, overlays: Iterable[Overlay]) -> None:
        self._overlays = iter(overlays)
        self._overlay: Overlay | None = None
        self._cells = _Cells(np.empty(0, np.int64), None, VerdictColumn(("",), np.empty(0, np.uint8)))
        self._row = 0
        self._next_file()

    def take(self, end: int) -> Iterator[tuple[Overlay, _Cells]]:
        """Yield the cells of rows before `end` that were not taken yet, file by file."""
        while self._overlay is not None:
            count = int(np.searchsorted(self._cells.rows, end))
            if count:
                yield self._overlay, self._cells.cut(0, count)
            if count < len(self._cells.rows):
                self._cells = self._cells.cut(count, len(self._cells.rows))
                return
            self._next_file()

    def must_be_over(self) -> None:
        """Raise `StorageError` when cells are left although the list has ended."""
        if self._overlay is not None:
            raise StorageError(f"{self._overlay.rows}: names rows behind the end of the list; {_RETRY}")

    def _next_file(self) -> None:
        self._overlay = next(self._overlays, None)
        if self._overlay is None:
            return
        self._cells = _read(self._overlay)
        rows = self._cells.rows
        if len(rows) and rows[0] < self._row:
            raise StorageError(f"{self._overlay.rows}: its rows are out of order; {_RETRY}")
        self._row = int(rows[-1]) + 1 if len(rows) else self._row


def _read(overlay: Overlay) -> _Cells:
    """Read one overlay. Verdicts must belong to the chunk file beside the rows; its numbers are compared later."""
    rows = read_rows(overlay.rows)
    column, sha256 = read_cells(overlay.cells, len(rows))
    if isinstance(overlay.cells, str):
        return _Cells(rows, None, column)
    path = chunk_path_beside(overlay.rows)
    chunk = read_chunk(path)
    if len(chunk.numbers) != len(rows) or sha256 not in ("", chunk.sha256):
        raise StorageError(f"{path}: not the chunk its verdicts belong to; {ALTERED_CHUNK}")
    return _Cells(rows, chunk.numbers, column)


def _overlaid(block: ResolvedChunk, lanes: list[list[_Lane]]) -> ResolvedChunk:
    columns = tuple(
        _patched(block, column, by_generation) if by_generation else column
        for column, by_generation in zip(block.columns, lanes, strict=True)
    )
    return ResolvedChunk(block.first_row, block.numbers, columns)


def _patched(block: ResolvedChunk, column: VerdictColumn, lanes: list[_Lane]) -> VerdictColumn:
    """Lay the generations over a column, in order, so that the highest has the last word.

    A verdict gives way to verdicts only: one that was fetched again after a retry was planned is paid for, and a retry
    that came to nothing says nothing against it.
    """
    words = {word: code for code, word in enumerate(column.words)}
    codes = column.codes.astype(np.uint16)
    end = block.first_row + len(block.numbers)
    for overlay, cells in (taken for lane in lanes for taken in lane.take(end)):
        rows = cells.rows - block.first_row
        if cells.numbers is not None and (block.numbers[rows] != cells.numbers).any():
            raise StorageError(f"{overlay.rows}: names rows of other numbers; {_RETRY}")
        recoded = np.array([words.setdefault(word, len(words)) for word in cells.column.words], np.uint16)
        new, there = recoded[cells.column.codes], codes[rows]
        ours = np.array([word in OWN_WORDS for word in words], dtype=bool)
        codes[rows] = np.where(ours[new] & ~ours[there], there, new)
    return VerdictColumn(tuple(words), codes.astype(np.uint8) if len(words) <= MAX_BYTE_WORDS else codes)


_RETRY = "the job's chunks folder was altered; bring it back from a copy"
