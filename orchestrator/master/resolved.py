"""Base chunks and the overlays of later generations → the cells as the master shows them, streamed.

A later generation asks a platform again about some rows, from anywhere in the list. Its chunks are in the order of
their rows, so one pass over the list meets them in order: each (platform, generation) is a lane of which one file is
in memory, less what was consumed. The verdict of the highest generation wins; without any, its word of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from orchestrator.errors import StorageError
from orchestrator.jobdir.chunk_files import ALTERED_CHUNK, read_chunk
from orchestrator.jobdir.layout import chunk_path_beside
from orchestrator.jobdir.row_files import read_rows
from orchestrator.jobdir.verdict_words import OWN_WORDS, SKIPPED
from orchestrator.master.base_chunks import (
    CodedColumn,
    ResolvedChunk,
    Trial,
    base_blocks,
    checked_at,
    code_type,
    read_cells,
    read_further,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from orchestrator.master.base_chunks import ExtraFile, MasterChunk


@dataclass(frozen=True, slots=True)
class Overlay:
    """A chunk of a later generation: one platform's new cells for some rows of the list.

    `rows` is its row file, beside which its chunk file lies. `cells` is a verdict file or one word for all rows,
    `extras` the extra file, if there is one, and `checked` when its verdicts were checked, None where nobody wants it.
    """

    platform: str
    generation: int
    rows: Path
    cells: Path | str | bytes
    extras: ExtraFile | None = None
    checked: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A platform that is asked only for numbers with the verdict `word` on the platform `other`.

    `is_due` is whether further numbers may have come to fit since they were picked.
    """

    platform: str
    other: str
    word: str
    is_due: bool


Chunks = Callable[[], Iterable["MasterChunk"]]
Overlays = Callable[[], Iterable[Overlay]]
"""Called once for each platform and generation, and once more: must give the same, ordered by platform, generation
and row."""


def no_overlays() -> Iterable[Overlay]:
    """Return nothing: the job has one generation."""
    return ()


def resolved(
    platforms: Sequence[str],
    chunks: Iterable[MasterChunk],
    overlays: Overlays = no_overlays,
    extras: Sequence[int] = (),
    waiting: Sequence[Waiting] = (),
) -> Iterator[ResolvedChunk]:
    """Yield the list in order, a base chunk in one or more blocks of some 80,000 rows, every cell resolved.

    `extras` is how many further columns each platform has, none of them when it is left out; where chunks and overlays
    say when they were `checked`, one more column has that. Who is `waiting` stands behind whom it waits for. Overlays
    of platforms that are not asked for are passed over. Memory is that of a chunk, and one overlay chunk for each
    platform and generation. Raises `StorageError` when a file is missing, altered, or its rows or numbers are not those
    of the list.
    """
    counts = extras or (0,) * len(platforms)
    # Per platform its generations in order; finding them costs one pass over the overlays.
    keys = sorted({(overlay.platform, overlay.generation) for overlay in overlays()})
    lanes = [
        [_Lane(overlays(), key, count) for key in keys if key[0] == platform]
        for platform, count in zip(platforms, counts, strict=True)
    ]
    for block in _in_list_order(chunks, extras):
        further = block.extras or ((),) * len(platforms)
        patched = [_patched(block, *columns) for columns in zip(block.columns, further, lanes, strict=True)]
        columns = [column for column, *_ in patched]
        for its in waiting:
            # Cells that may still be asked for are as open as those that they wait for.
            place, said = platforms.index(its.platform), columns[platforms.index(its.other)]
            outcomes = {"pending": "pending", "held": "held", **({its.word: "pending"} if its.is_due else {})}
            asked = _Patched(columns[place])
            outcome = asked.recoded(CodedColumn(tuple(outcomes.get(word, SKIPPED) for word in said.words), said.codes))
            is_open = np.array([word == SKIPPED for word in asked.words])[asked.codes]
            asked.codes[is_open] = outcome[is_open]
            columns[place] = asked.column()
        yield ResolvedChunk(block.first_row, block.numbers, tuple(columns), tuple(tuple(its) for _, *its in patched))
    for lane in (lane for by_generation in lanes for lane in by_generation):
        lane.must_be_over()


def _in_list_order(chunks: Iterable[MasterChunk], extras: Sequence[int]) -> Iterator[ResolvedChunk]:
    """Yield the blocks of the chunks as the list has them: those of a trial, which comes first, among the others."""
    row, trial, trial_rows = 0, None, 0
    for chunk in chunks:
        if chunk.places is not None:
            trial, trial_rows = Trial(base_blocks(chunk, row, extras), chunk.places), chunk.rows
            row += chunk.rows
            continue
        for block in base_blocks(chunk, row, extras):
            row += len(block.numbers)
            yield block if trial is None else trial.mixed(block)
    if trial is not None and len((rest := trial.rest(row - trial_rows)).numbers):
        yield rest


class _Cells(NamedTuple):
    """Rows of the list with their numbers, where these are known, and their new cells, verdicts first."""

    rows: NDArray[np.int64]
    numbers: NDArray[np.int64] | None
    columns: tuple[CodedColumn, ...]

    def cut(self, first: int, last: int) -> _Cells:
        numbers = None if self.numbers is None else self.numbers[first:last]
        return _Cells(self.rows[first:last], numbers, tuple(column.cut(first, last) for column in self.columns))


class _Lane:
    """One platform's one generation, out of all `overlays`; `take` moves forward only."""

    def __init__(self, overlays: Iterable[Overlay], key: tuple[str, int], extras: int) -> None:
        self._overlays = (overlay for overlay in overlays if (overlay.platform, overlay.generation) == key)
        self._extras = extras
        self._overlay: Overlay | None = None
        self._cells = _Cells(np.empty(0, np.int64), None, ())
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
        self._overlay = overlay = next(self._overlays, None)
        if overlay is None:
            return
        rows, numbers = read_rows(overlay.rows), None
        column, sha256 = read_cells(overlay.cells, len(rows))
        columns: tuple[CodedColumn, ...] = (column, *read_further(overlay.extras, self._extras, len(rows)))
        if overlay.checked is not None:
            columns = (*columns, checked_at(overlay.cells, overlay.checked, column))
        if isinstance(overlay.cells, Path):
            path = chunk_path_beside(overlay.rows)
            chunk = read_chunk(path)
            if len(chunk.numbers) != len(rows) or sha256 not in ("", chunk.sha256):
                raise StorageError(f"{path}: not the chunk its verdicts belong to; {ALTERED_CHUNK}")
            numbers = chunk.numbers  # those of the rows are compared with them later
        if len(rows) and rows[0] < self._row:
            raise StorageError(f"{overlay.rows}: its rows are out of order; {_RETRY}")
        self._cells = _Cells(rows, numbers, columns)
        self._row = int(rows[-1]) + 1 if len(rows) else self._row


def _patched(
    block: ResolvedChunk, verdicts: CodedColumn, extras: Sequence[CodedColumn], lanes: list[_Lane]
) -> list[CodedColumn]:
    """Lay the generations over a platform's columns, in order, so that the highest has the last word.

    A verdict gives way to verdicts only: one that was fetched again after a retry was planned is paid for, and a retry
    that came to nothing says nothing against it. What stands beside a verdict goes with it; without one on either side,
    what a later generation has beside it counts, if that is anything.
    """
    if not lanes:
        return [verdicts, *extras]
    columns = [_Patched(column) for column in (verdicts, *extras)]
    end = block.first_row + len(block.numbers)
    for overlay, cells in (taken for lane in lanes for taken in lane.take(end)):
        rows = cells.rows - block.first_row
        if cells.numbers is not None and (block.numbers[rows] != cells.numbers).any():
            raise StorageError(f"{overlay.rows}: names rows of other numbers; {_RETRY}")
        new, there = columns[0].recoded(cells.columns[0]), columns[0].codes[rows]
        ours = np.array([word in OWN_WORDS for word in columns[0].words], dtype=bool)
        filled = np.zeros(len(rows), dtype=bool)
        for further in cells.columns[1:]:
            filled |= np.array([bool(word) for word in further.words])[further.codes]
        verdict_wins = ~ours[new] | ours[there]
        # A result may say something beside an empty verdict: to a row that says nothing at all it does not give way.
        further_wins = ~ours[new] | (ours[there] & filled)
        wins = [verdict_wins, *[further_wins] * len(extras)]
        for column, new_cells, won in zip(columns, cells.columns, wins, strict=True):
            column.codes[rows] = np.where(won, column.recoded(new_cells), column.codes[rows])
    return [column.column() for column in columns]


class _Patched:
    """A column on its way to further words."""

    def __init__(self, column: CodedColumn) -> None:
        self.words = {word: code for code, word in enumerate(column.words)}
        self.codes = column.codes.astype(np.uint32)

    def recoded(self, column: CodedColumn) -> NDArray[np.uint32]:
        """Return the codes of another column in the words of this one, which learns those that it lacks."""
        codes = np.array([self.words.setdefault(word, len(self.words)) for word in column.words], np.uint32)
        recoded: NDArray[np.uint32] = codes[column.codes]
        return recoded

    def column(self) -> CodedColumn:
        """Return what it has become."""
        return CodedColumn(tuple(self.words), self.codes.astype(code_type(len(self.words))))


_RETRY = "the job's chunks folder was altered; bring it back from a copy"
