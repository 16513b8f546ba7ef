"""What stands beside the rows of a table that comes back: numbers, verdicts, and a note where there is none.

For each column of numbers that is one cell for the number, one for each of the job's columns, and one for the note. Of
several numbers in a cell the values stand in the same order, joined by `; `.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from orchestrator.files import disk_errors, open_private
from orchestrator.jobdir.verdict_words import NOT_IN_JOB
from orchestrator.master.base_chunks import CodedColumn
from orchestrator.master.write import PENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.master.number_index import NumberIndex

    Ints = NDArray[np.int64]
    Codes = NDArray[np.integer[Any]]

NUMBER, NOTE = "number", "note"
DUPLICATE: Final = "duplicate of row "
BETWEEN: Final = "; "
_ROWS: Final = np.dtype(np.uint32)
"""Rows of a table; none has four thousand million."""


class NumberCells(NamedTuple):
    """The numbers of one column in some rows: `rows[i]`, ascending, has `numbers[i]`, or 0 and the reason why not.

    A row that is missing has nothing to be said about; one that is there several times has several numbers. `reasons`
    are codes of `words`, of which the first is empty.
    """

    rows: Ints
    numbers: Ints
    reasons: NDArray[np.integer[Any]]
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class AddedCells:
    """The cells that are added for one column of numbers, to as many rows as `numbers` has, where 0 is none.

    `several` has the texts of rows with several numbers. `columns` are the columns of the job, and the note; behind
    that stands the row in `earlier`, where it is not 0.
    """

    numbers: Ints
    several: dict[int, str]
    columns: tuple[CodedColumn, ...]
    earlier: Ints


def joined(values: Iterable[str]) -> str:
    """Return the values of a cell in one text, empty where all are."""
    text = BETWEEN.join(values)
    return text if text.strip(BETWEEN) else ""


def _not_turned_away(numbers: Ints) -> Codes:
    return np.zeros(len(numbers), np.uint16)


def added_header(column: str, index: NumberIndex) -> tuple[str, ...]:
    """Return the names of what is added for the column of numbers that is called so."""
    return tuple(f"{column}.{name}" for name in (NUMBER, *index.columns, NOTE))


def columns_of(added: Sequence[AddedCells]) -> list[list[str]]:
    """Return the texts of the added cells, column by column."""
    columns: list[list[str]] = []
    for cells in added:
        numbers = [f"+{number}" if number else "" for number in cells.numbers.tolist()]
        for row, text in cells.several.items():
            numbers[row] = text
        columns.append(numbers)
        columns += [list(map(column.words.__getitem__, column.codes.tolist())) for column in cells.columns]
        columns[-1] = [f"{note}{row or ''}" for note, row in zip(columns[-1], cells.earlier.tolist(), strict=True)]
    return columns


class CellAdder:
    """Looks up the numbers of one table, block by block in its order.

    `memory` is a file for the row in which each number of the job was first met. `numbers` counts those that were
    looked up, `known` those of them that the job has. `turned_away` gives for numbers that the job has not the
    codes of the reasons why, 0 where there is none.
    """

    def __init__(
        self, index: NumberIndex, memory: Path, turned_away: Callable[[Ints], Codes] = _not_turned_away
    ) -> None:
        self._turned_away = turned_away
        self.numbers = self.known = 0
        self._numbers, *self._codes = index.arrays()
        self._words = [(*words, "") for words in index.words]
        # A sparse file, mapped: of a hundred million numbers a table may name ten.
        with disk_errors(memory), open(memory, "wb", opener=open_private) as file:
            file.truncate(max(index.rows, 1) * _ROWS.itemsize)
            self._first_rows = np.memmap(memory, _ROWS, mode="r+")

    def add(self, shown_rows: Ints, columns: Sequence[NumberCells]) -> list[AddedCells]:
        """Return what is added for each column of numbers; `shown_rows` are the rows as people count them."""
        numbers = np.concatenate([cells.numbers for cells in columns])
        places = self._places(numbers)
        self.numbers += int(np.count_nonzero(numbers))
        self.known += int(np.count_nonzero(places >= 0))
        rows = np.concatenate([cells.rows for cells in columns])
        earlier = self._earlier(places, shown_rows[rows], np.argsort(rows, kind="stable"))
        ends = np.cumsum([len(cells.numbers) for cells in columns])
        slices = [slice(end - len(cells.numbers), end) for cells, end in zip(columns, ends.tolist(), strict=True)]
        return [
            self._added(len(shown_rows), cells, places[part], earlier[part])
            for cells, part in zip(columns, slices, strict=True)
        ]

    def _places(self, numbers: Ints) -> Ints:
        """Return where numbers stand in the index, -1 for those that don't."""
        if not len(self._numbers):
            return np.full(len(numbers), -1)
        # In ascending order the search stays in the cache: three times as fast, the sorting included.
        order = np.argsort(numbers)
        places = np.empty(len(numbers), np.int64)
        places[order] = np.searchsorted(self._numbers, numbers[order])
        places[places == len(self._numbers)] = 0
        return np.where(self._numbers[places] == numbers, places, -1)

    def _earlier(self, places: Ints, shown_rows: Ints, order: Ints) -> Ints:
        """Return the row in which the same number was met before, 0 for none; `order` is that of the table."""
        order = order[places[order] >= 0]
        new = order[self._first_rows[places[order]] == 0]
        # Of values that go to the same place the last one stays: written backwards, that is the first appearance. Which
        # it is shows by its turn, which stands there in between; this takes no sorting.
        turns = np.arange(1, len(new) + 1, dtype=_ROWS)
        self._first_rows[places[new[::-1]]] = turns[::-1]
        firsts = new[self._first_rows[places[new]] == turns]
        self._first_rows[places[firsts]] = shown_rows[firsts]
        earlier = np.zeros(len(places), np.int64)
        earlier[order] = self._first_rows[places[order]]
        earlier[firsts] = 0
        return earlier

    def _added(self, rows: int, cells: NumberCells, places: Ints, earlier: Ints) -> AddedCells:
        there = places >= 0
        columns = []
        for codes, words in zip(self._codes, self._words, strict=True):
            column = np.full(len(places), len(words) - 1, np.uint32)
            column[there] = codes[places[there]]
            columns.append(CodedColumn(words, column))
        columns.append(self._notes(cells, there, earlier, columns))
        counts = np.bincount(cells.rows, minlength=rows)
        alone = counts[cells.rows] == 1
        numbers = np.zeros(rows, np.int64)
        numbers[cells.rows[alone]] = cells.numbers[alone]
        several = []  # the rows with several numbers, and where these stand
        for row in np.flatnonzero(counts > 1).tolist():
            first = int(np.searchsorted(cells.rows, row))
            several.append((row, slice(first, first + int(counts[row]))))
        first_rows = np.zeros(rows, np.int64)
        first_rows[cells.rows[alone]] = earlier[alone]
        *_, note = columns
        behind = [str(row or "") for row in earlier.tolist()] if several else []
        by_row = [_by_row(column, rows, cells.rows, alone, several, behind * (column is note)) for column in columns]
        texts = {row: joined(f"+{n}" if n else "" for n in cells.numbers[part].tolist()) for row, part in several}
        return AddedCells(numbers, texts, tuple(by_row), first_rows)

    def _notes(
        self, cells: NumberCells, there: NDArray[np.bool_], earlier: Ints, columns: Sequence[CodedColumn]
    ) -> CodedColumn:
        """Return why there is no verdict, or whose it is."""
        words = [*cells.words, NOT_IN_JOB, PENDING]
        not_in_job, pending = len(cells.words), len(cells.words) + 1
        codes = np.where(cells.numbers == 0, cells.reasons, np.where(there, 0, not_in_job)).astype(np.uint32)
        missing = np.flatnonzero(codes == not_in_job)
        why = self._turned_away(cells.numbers[missing])
        codes[missing[why > 0]] = why[why > 0]
        for column in columns:
            if PENDING in column.words:
                codes[column.codes == column.words.index(PENDING)] = pending
        codes[earlier > 0] = len(words)
        return CodedColumn((*words, DUPLICATE), codes)


def _by_row(
    column: CodedColumn,
    rows: int,
    of_rows: Ints,
    alone: NDArray[np.bool_],
    several: Sequence[tuple[int, slice]],
    behind: Sequence[str],
) -> CodedColumn:
    """Return a column with a cell a row out of one with a cell a number; `behind` is what stands behind each word."""
    words = [*column.words, ""]
    codes = np.full(rows, len(column.words), np.uint32)
    codes[of_rows[alone]] = column.codes[alone]
    for row, part in several:
        texts = [column.words[code] for code in column.codes[part].tolist()]
        codes[row] = len(words)
        words.append(joined(map("".join, zip(texts, behind[part], strict=True)) if behind else texts))
    return CodedColumn(tuple(words), codes)
