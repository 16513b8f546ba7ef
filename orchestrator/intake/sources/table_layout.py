"""How one table is laid out: which column has the numbers, which ones are kept, and a first look at all of them.

The first rows decide: the same ones whatever the size of blocks.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.intake.blocks import Look
from orchestrator.intake.sources.number_column import NumberColumn, find_column, named

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_ROWS = 50
"""Rows below the header that the first look goes over."""

_NUMBER = re.compile(r"\(?\+?\(?[0-9][0-9\s().\-/\xa0]{5,}")
_DIGIT = re.compile(r"[0-9]")
_DIGITS = range(7, 16)

Keep = bool | tuple[str, ...]
"""Which columns are kept: none, all but that of the numbers, or those named so."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How to read one table; `source` names it in messages."""

    source: str
    column: str | None = None
    sheet: str | None = None
    keep: Keep = False


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Where things stand in the rows of a table: positions of columns, from 0; `names` are those of `kept`.

    `width` is how many cells the first row has.
    """

    column: NumberColumn
    kept: tuple[int, ...]
    names: tuple[str, ...]
    look: Look
    width: int = 0


def lay_out(rows: Sequence[Sequence[str]], options: TableOptions) -> TableLayout:
    """Return the layout of a table that begins with `rows`, none of them blank, the first with or without headers.

    Raises `UsageError` when the column of numbers can't be told.
    """
    first = _without_tail(rows[0])
    column = find_column(first, options.column, options.source)
    headers = () if column.headerless else _headers(first)
    kept = _kept(headers, column.index, options.keep)
    below = rows[: LOOK_ROWS + 1] if column.headerless else rows[1 : LOOK_ROWS + 1]
    likely = tuple(sum(looks_like_number(cell_at(row, i)) for row in below) for i in range(len(headers)))
    return TableLayout(
        column=column,
        kept=tuple(kept.values()),
        names=tuple(kept),
        look=Look(options.source, headers, column.index, likely),
        width=len(rows[0]),
    )


def cell_at(row: Sequence[str], index: int) -> str:
    """Return a cell of a row that may be short."""
    return row[index] if index < len(row) else ""


def looks_like_number(text: str) -> bool:
    """Whether a cell has the look of a phone number, with or without country code."""
    return _NUMBER.fullmatch(text.strip()) is not None and len(_DIGIT.findall(text)) in _DIGITS


def _headers(first: Sequence[str]) -> tuple[str, ...]:
    """Return a name for every column: its header, told apart from another one by a count."""
    seen: Counter[str] = Counter()
    names = []
    for place, cell in enumerate(first, 1):
        header = " ".join(cell.split()) or f"Column {place}"
        seen[header] += 1
        names.append(header if seen[header] == 1 else f"{header} {seen[header]}")
    return tuple(names)


def _kept(headers: tuple[str, ...], number: int, keep: Keep) -> dict[str, int]:
    """Return name and position of the kept columns."""
    if isinstance(keep, bool):
        return {name: place for place, name in enumerate(headers) if keep and place != number}
    found = {name: named(headers, name) for name in keep}
    return {name: places[0] for name, places in found.items() if places}


def _without_tail(row: Sequence[str]) -> Sequence[str]:
    """Return a row without the empty cells at its end, which spreadsheets like to add."""
    filled = [place for place, cell in enumerate(row) if cell.strip()]
    return row[: filled[-1] + 1]
