"""What all tables share: from rows to blocks of cells.

A row's line is the physical line on which it starts. A row without anything in it is a blank line; a row with
something, but nothing in the column of numbers, is a row to reject.
"""

from __future__ import annotations

import datetime as dt
from itertools import chain, islice
from typing import TYPE_CHECKING

from orchestrator.cells import read_cell
from orchestrator.intake.blocks import CellBlock
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.table_layout import (
    LOOK_ROWS,
    SEVERAL_DIGITS,
    Row,
    TableLayout,
    TableOptions,
    cell_at,
    count_numbers,
    has_seven_digits,
    kind_of,
    lay_out,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROW_BYTES = 16
"""What a row counts towards the size of a block beside its text: its line number and the rest."""

WantedRow = tuple[int, str, "Sequence[str]", int]
"""A row's line, its cell in the column of numbers, those of kept columns, and how much of it is left unread."""


class FaultyCell(str):  # noqa: SLOT000 - it has a dictionary for its reason
    """A cell that is no number whatever its text looks like, and the reason why."""

    reason: str

    @classmethod
    def of(cls, text: str, reason: str) -> FaultyCell:
        cell = cls(text)
        cell.reason = reason
        return cell


def table_blocks(rows: Iterable[Row], options: TableOptions, block_bytes: int) -> Iterator[CellBlock]:
    """Take the column of numbers, and those that are kept, out of rows that are not blank.

    The first rows decide which columns these are; raises `UsageError` when that can't be decided.
    """
    rows = iter(rows)
    first_rows = list(islice(rows, LOOK_ROWS + 1))
    if not first_rows:
        return
    layout = lay_out(first_rows, options)
    below = chain(first_rows[0 if layout.column.headerless else layout.header + 1 :], rows)
    block: list[WantedRow] = []
    size, first = 0, True
    for row in wanted_cells(below, layout):
        block.append(row)
        size += len(row[1]) + sum(map(len, row[2])) + ROW_BYTES
        if size >= block_bytes:
            yield cell_block(block, layout, first=first)
            block, size, first = [], 0, False
    if block:
        yield cell_block(block, layout, first=first)


def text_of_value(value: object) -> str:
    """Return a cell's value as text, with a reason where it is no number whatever the text looks like."""
    match value:
        case None:
            return ""
        case str():
            return value
        case int() | float():
            text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
            fault = read_cell(value).fault
            return FaultyCell.of(text, Reason(fault.value)) if fault else text
        case dt.date() | dt.time() | dt.timedelta():
            return FaultyCell.of(str(value), Reason.DATE)
        case _:
            return str(value)


def wanted_cells(rows: Iterable[Row], layout: TableLayout) -> Iterator[WantedRow]:
    """Take out of rows what matters; the rest of a row may be large.

    A row has a cell for each column of numbers with something in it, and one where there is nothing in any.
    """
    places = layout.column.indexes
    for line, cells in rows:
        row, left = accounted(cells, layout)
        kept = [cell_at(row, place) for place in layout.kept]
        texts = [cell_at(row, place) for place in places]
        for text in [text for text in texts if text.strip()] or texts[:1]:
            yield line, text, kept, left
            left = 0


def accounted(row: Sequence[str], layout: TableLayout) -> tuple[Sequence[str], int]:
    """Return a row, and how much of it may be numbers and is left unread, which is to be said.

    That stands in other columns than those of numbers, save in those that mostly hold numbers, of customers or orders.
    Where there is none in its column, or in none of several, a delimiter without quotes may have moved the row: then it
    is rejected, in the place of a cell that has no digit, or of empty ones. Then a plus sign, or a zero or more digits
    than others have, tells that a number in any other column is none of a customer.
    """
    places = layout.column.indexes
    found = [
        (place, cell)
        for place, cell in enumerate(row)
        if len(cell) >= SEVERAL_DIGITS and place not in places and has_seven_digits(cell)
    ]
    if not found:
        return row, 0
    texts = [cell_at(row, place) for place in places]
    words = [
        place for place, text in zip(places, texts, strict=True) if text.strip() and not any(map(str.isdigit, text))
    ]
    if not words and any(map(str.strip, texts)):
        # What no header names may be of customers or not: that is for whoever reads the account to say.
        left = (cell for place, cell in found if place not in layout.usual or place >= layout.width)
        return row, sum(map(count_numbers, left))
    moved = []
    for place, cell in found:
        first, digits = kind_of(cell)
        if first == "+" or digits > layout.usual.get(place, {}).get(first, -1):
            moved.append(cell)
    if not moved:
        return row, 0
    cells = [*row, *[""] * (max(places) + 1 - len(row))]
    cells[(words or places)[0]] = FaultyCell.of(" | ".join(moved), Reason.ELSEWHERE)
    return cells, 0


def cell_block(rows: Sequence[WantedRow], layout: TableLayout, *, first: bool) -> CellBlock:
    """Return a block of these rows; the first one of a table tells how that looks."""
    texts = [text for _, text, _, _ in rows]
    return CellBlock(
        lines=[line for line, _, _, _ in rows],
        texts=texts,
        faults={place: text.reason for place, text in enumerate(texts) if isinstance(text, FaultyCell)},
        names=layout.names,
        kept=[kept for _, _, kept, _ in rows] if layout.kept else (),
        look=layout.look if first else None,
        left=sum(left for _, _, _, left in rows),
    )
