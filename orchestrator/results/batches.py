"""What every reader of tables gives: the two columns, some rows at a time."""

from __future__ import annotations

from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from orchestrator.jobdir.verdict_words import ANSWERED
from orchestrator.results.numbers import as_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from orchestrator.results.columns import Header, Wanted

BATCH_ROWS: Final = 1 << 16
HEADER_WITHIN_ROWS: Final = 20
"""Rows that are not blank."""
_SAMPLE, _SHORTEST = 1000, 10**6
_FEWEST_NUMBERS: Final = 0.5
"""The share of cells that are numbers, in a column that is not named as one of numbers; and of those that were sent, in
one that is, which makes it needless to look at any other."""


class Cells(NamedTuple):
    """A column's cells as the parser gave them, each different one once: row i has `cells[which[i]]`."""

    cells: Sequence[object]
    which: NDArray[np.intp]


class Batch(NamedTuple):
    """Rows, in any order: int64 as `as_numbers` gives them, verdict cells, and those of further columns.

    There are few different verdicts: row i has `cells[which[i]]`.
    """

    numbers: NDArray[np.int64]
    cells: Sequence[object]
    which: NDArray[np.intp]
    extras: tuple[Cells, ...] = ()

    @property
    def verdicts(self) -> list[object]:
        """The verdict cell of every row."""
        return [self.cells[place] for place in self.which.tolist()]


Table = list[Batch]
"""All rows of a table; without any, it has a header only."""


def batch(numbers: Sequence[object], verdicts: Sequence[object], *extras: Sequence[object]) -> Batch:
    """Return a batch of cells; all columns have the same length."""
    return Batch(as_numbers(numbers), *_distinct(verdicts), tuple(map(_distinct, extras)))


def _distinct(column: Sequence[object]) -> Cells:
    cells = list(dict.fromkeys(column))
    places = {cell: place for place, cell in enumerate(cells)}
    return Cells(cells, np.fromiter(map(places.__getitem__, column), np.intp, len(column)))


def read_rows(rows: Iterable[Sequence[object]], wanted: Wanted) -> Table | None:
    """Find the header, then read the two columns below it; None when there is no such header."""
    rows = iter(rows)
    head = list(islice((row for row in rows if any(map(_is_filled, row))), HEADER_WITHIN_ROWS))
    header = wanted.find(head)
    if header is None:
        return None
    below = chain(head[header.row + 1 :], rows)
    number: int | None = None
    verdict: int | None = None
    extras: list[int | None] = []
    table = []
    while some := list(islice(below, BATCH_ROWS)):
        if number is None:
            number = _number_column(some, header, wanted.chunk)
            if number is None:
                return None
            verdict = _verdict_column(some, header)
            extras = [max(places, key=partial(_filled, some), default=None) for places in header.extras]
        further = [[""] * len(some) if place is None else _column(some, place) for place in extras]
        if verdict is None:
            # Then it is one whether a column that is wanted says something: any other may count the rows, or hold a
            # message that is no answer.
            beside = zip(*further, strict=True)
            verdicts: list[object] = [ANSWERED if any(map(_says_something, cells)) else "" for cells in beside]
        else:
            verdicts = _column(some, verdict)
        table.append(batch(_column(some, number), verdicts, *further))
    return table if header.numbers or table else None


def _number_column(rows: list[Sequence[object]], header: Header, chunk: NDArray[np.int64]) -> int | None:
    """Return the column with most of the numbers that were sent: ids and times look like numbers, too.

    Of several, one that is called so, then the one with most that may be telephone numbers, then the leftmost. None
    when nothing says that it is one.
    """
    standings = {place: _standing(rows, place, chunk) for place in header.numbers}
    own = max((own for own, _ in standings.values()), default=0)
    if not standings or (len(chunk) and own < _FEWEST_NUMBERS * len(rows[:_SAMPLE])):
        standings |= {place: _standing(rows, place, chunk) for place in header.others}
    place = max(standings, key=lambda place: (standings[place][0], place in header.numbers, standings[place][1]))
    return place if header.numbers or standings[place][1] >= _FEWEST_NUMBERS else None


def _standing(rows: list[Sequence[object]], place: int, chunk: NDArray[np.int64]) -> tuple[int, float]:
    """Return how many numbers of the chunk the first cells of a column are, and which share may be any, by length."""
    numbers = as_numbers(_column(rows[:_SAMPLE], place))
    is_own = np.searchsorted(chunk, numbers, "right") > np.searchsorted(chunk, numbers)
    return len(np.unique(numbers[is_own])), float(np.mean(numbers > _SHORTEST))


def _verdict_column(rows: list[Sequence[object]], header: Header) -> int | None:
    """Return the column of the best name that says anything, else that of the best name; None when none is wanted."""
    if len(header.verdicts) < 2:  # noqa: PLR2004 - most tables: none has to be looked at
        return next(iter(header.verdicts), None)
    speaking = (place for place in header.verdicts if any(map(_says_something, _column(rows, place))))
    return next(speaking, header.verdicts[0])


def _is_filled(cell: object) -> bool:
    return cell not in ("", None)


def _filled(rows: list[Sequence[object]], place: int) -> int:
    """Return how many of the first cells of a column say something."""
    return sum(map(_is_filled, _column(rows[:_SAMPLE], place)))


def _says_something(cell: object) -> bool:
    return _is_filled(cell) and not str(cell).isspace()


def _column(rows: list[Sequence[object]], place: int) -> list[object]:
    try:
        return [row[place] for row in rows]
    except IndexError:  # csv rows may be cut short
        return [row[place] if place < len(row) else "" for row in rows]
