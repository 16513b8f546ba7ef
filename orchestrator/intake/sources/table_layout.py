"""How one table is laid out: which column has the numbers, which ones are kept, and a first look at all of them.

The first rows decide: the same ones whatever the size of blocks.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import Look
from orchestrator.intake.sources.codes_apart import codes_apart
from orchestrator.intake.sources.number_column import (
    NumberColumn,
    Wanted,
    every_column,
    find_columns,
    headers_of,
    is_header,
    is_headerless,
    named,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOOK_ROWS = 50
"""Rows below the header that the first look goes over."""
HEADER_ROWS = 20
"""Rows among which the header is looked for."""

_NUMBER = re.compile(r"\(?\+?\(?[0-9][0-9\s().\-/\xa0]{5,}")
_TELEPHONE = re.compile(r"[+0(]|[0-9]+[ \-(]")
"""How telephone numbers begin, and those of customers hardly do."""
_DATES = re.compile(
    r"(?<![0-9][-./])\b(?:[0-9]{4}([-./])[0-3]?[0-9]\1[0-3]?[0-9]|[0-3]?[0-9]([-./])[0-3]?[0-9]\2[0-9]{2,4}"
    r"|(?:19|20)[0-9]{2} ?[-/\u2013] ?(?:19|20)[0-9]{2})\b(?![-./][0-9])"
)
"""Dates, and two years: what titles have."""
_SEVEN_DIGITS = re.compile(r"[0-9](?:[\s().\-/\xa0]*[0-9]){6}")
MOST_KNOWN = 64
"""Characters of a text of which it is remembered what it holds."""
SEVERAL_DIGITS = 7
"""Fewer are none of a telephone number."""
_SEVERAL_DIGITS = re.compile(r"(?:\d\W*){7}")
_RUN = re.compile(r"\d(?:[^\w;,|\n]*\d){6,}")
_DIGIT = re.compile(r"[0-9]")
_DIGITS = range(7, 16)
_ALIKE = str.maketrans("45678", "88888")
"""What makes dates alike: these digits make no difference to what is one."""

Row = tuple[int, "Sequence[str]"]
"""A row's line, and its cells."""

Keep = bool | tuple[str, ...]
"""Which columns are kept: none, all but that of the numbers, or those named so."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How to read one table; `source` names it in messages. `every` takes all columns of numbers, and not one."""

    source: str
    column: Wanted = None
    sheet: str | None = None
    keep: Keep = False
    header_row: int | None = None
    every: bool = False


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Where things stand in the rows of a table: positions of columns, from 0; `names` are those of `kept`.

    `header` is which of the first rows is the header, and `width` how many cells it has. In the columns of `usual` most
    rows have a number, be it one of customers or of orders: by its first sign, see `kind_of`, how many digits it may
    have; some of these columns may have no header. `most` is how many cells most rows have: all may end with a
    delimiter, or only one that is torn.
    """

    column: NumberColumn
    kept: tuple[int, ...]
    names: tuple[str, ...]
    look: Look
    header: int = 0
    width: int = 0
    usual: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    most: int = 0


def lay_out(rows: Sequence[Row], options: TableOptions) -> TableLayout:
    """Return the layout of a table that begins with `rows`, none of them blank, with or without a header.

    Raises `UsageError` when the columns of numbers can't be told.
    """
    header, column = _find_header(rows, options)
    first = rows[header or 0][1]
    headers = () if column.headerless else headers_of(first)
    if isinstance(options.keep, bool):
        kept = {name: place for place, name in enumerate(headers) if options.keep and place not in column.indexes}
    else:
        kept = {name: places[0] for name in options.keep if (places := named(headers, name))}
    below = [row for _, row in rows[0 if column.headerless else header + 1 :][:LOOK_ROWS]]
    if options.column is None or options.every:
        _refuse_codes_apart(headers, below, column, options)
    likely = tuple(sum(looks_like_number(cell_at(row, i)) for row in below) for i in range(len(headers)))
    also = tuple(
        place for place in range(len(headers)) if place not in column.indexes and _is_of_telephones(below, place)
    )
    usual: dict[int, dict[str, int]] = defaultdict(dict)
    filled = Counter[int]()
    for row in below:
        for place, cell in enumerate(row):
            if holds_number(cell):
                sign, digits = kind_of(cell)
                filled[place] += 1
                usual[place][sign] = max(digits + 1, usual[place].get(sign, 0))
    return TableLayout(
        column=column,
        kept=tuple(kept.values()),
        names=tuple(kept),
        look=Look(options.source, headers, column.indexes, likely, header, also),
        header=header,
        width=len(first),
        most=Counter(map(len, below)).most_common(1)[0][0] if below else len(first),
        usual={place: kinds for place, kinds in usual.items() if 1 < filled[place] > len(below) // 2},
    )


def _refuse_codes_apart(
    headers: Sequence[str], rows: Sequence[Sequence[str]], column: NumberColumn, options: TableOptions
) -> None:
    for place in column.indexes if headers else ():
        if complaint := codes_apart(headers, rows, place):
            name = json.dumps(headers[place], ensure_ascii=False)
            as_it_stands = "" if options.every else f", or set column = {name} to read its numbers as they stand"
            raise UsageError(f"{options.source}: {complaint}{as_it_stands}")


def _is_of_telephones(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether most of what stands in a column looks like telephone numbers, and not like those of customers."""
    cells = [cell.strip() for row in rows if (cell := cell_at(row, place)).strip()]
    likely = [cell for cell in cells if looks_like_number(cell) and holds_number(cell) and _TELEPHONE.match(cell)]
    return 1 < len(likely) > len(cells) // 2


def header_place(rows: Sequence[Row], options: TableOptions) -> int | None:
    """Return which of `rows` is the header, None where none is, or where it can't be told which columns are meant."""
    try:
        return _find_header(rows, options)[0]
    except UsageError:
        return None


def _find_header(rows: Sequence[Row], options: TableOptions) -> tuple[int, NumberColumn]:
    """Return which row is the header, and which columns hold the numbers.

    People write titles above a table. A row of one cell is the header only where no wider one is.
    """
    looked = rows[:HEADER_ROWS]
    if (
        options.header_row is None
        and is_headerless(rows[0][1])
        and not any(is_header(row, options.column) for _, row in looked)
    ):
        return 0, NumberColumn((0,), headerless=True)
    if options.header_row is not None:
        looked = [row for row in rows if row[0] == options.header_row]
    found: list[tuple[int, NumberColumn]] = []
    widest = max((row for row in looked), key=lambda row: len(headers_of(row[1])), default=None)
    for line, row in looked:
        headers = headers_of(row)
        try:
            columns = (every_column if options.every else find_columns)(headers, options.column)
        except ValueError as error:
            raise UsageError(f"{options.source}: {error}. Row {line} has: {shown(headers)}") from None
        if columns is not None:
            found.append((rows.index((line, row)), NumberColumn(columns)))
            if len(headers) > 1:
                break
        if len(headers) > 1 and any(looks_like_number(cell) and holds_number(cell) for cell in row):
            break  # a row of data
    if found:
        place, column = found[-1] if len(headers_of(rows[found[-1][0]][1])) > 1 else found[0]
        # Titles are passed over, a number never is; where its own row is named, the user has seen what is above.
        over = (line for line, row in rows[:place] if options.header_row is None and any(map(holds_number, row)))
        if (above := next(over, None)) is not None:
            raise UsageError(
                f"{options.source}: row {above} holds a number, and stands above the header, which is row "
                f"{rows[place][0]}; put it below, or set `header_row = {rows[place][0]}` if it belongs to a title"
            )
        if options.header_row is None and any(map(holds_number, rows[place][1])):
            line = rows[place][0]
            raise UsageError(
                f"{options.source}: row {line} is read as the header, and holds a number itself; add a row of headers "
                f"above it, or set `header_row = {line}` if it belongs to a header"
            )
        return place, column
    if widest is None:
        raise UsageError(f"{options.source}: header_row = {options.header_row}: that row is blank, or not there")
    raise UsageError(
        f"{options.source}: {_complaint(looked, options)}. Row {widest[0]} has: {shown(headers_of(widest[1]))}"
    )


def _complaint(looked: Sequence[Row], options: TableOptions) -> str:
    """Say what no header was found for, and where it was looked for."""
    where = f"row {looked[0][0]}" if len(looked) == 1 else f"the first {len(looked)} rows"
    if options.every:
        return f"no column in {where} may hold the numbers to exclude; save it as text, with one number a line"
    if options.column is not None:
        names = (options.column,) if isinstance(options.column, str) else options.column
        missing = [name for name in names if not any(named(headers_of(row), name) for _, row in looked)] or list(names)
        return f"no column is called {missing[0]!r} in {where}; set `column` to one that is there"
    if any(map(looks_like_number, looked[0][1])):
        return (
            f"row {looked[0][0]} holds a number where headers should be; add a row of headers, and name one with "
            "`column`"
        )
    return f"no column in {where} may hold the numbers; name the one with `column`, and its row with `header_row`"


def cell_at(row: Sequence[str], index: int) -> str:
    """Return a cell of a row that may be short."""
    return row[index] if index < len(row) else ""


def looks_like_number(text: str) -> bool:
    """Whether a cell has the look of a phone number, with or without country code."""
    return _NUMBER.fullmatch(text.strip()) is not None and len(_DIGIT.findall(text)) in _DIGITS


def holds_number(text: str) -> bool:
    """Whether there may be a phone number in a cell, whatever else is in it: seven digits that are no date's."""
    return _SEVEN_DIGITS.search(without_dates(text)) is not None


def kind_of(text: str) -> tuple[str, int]:
    """Return what tells a customer's number from that of a telephone: a plus or zero in front, and how many digits."""
    first = text.lstrip()[:1]
    return first if first in "+0" else "", len(_DIGIT.findall(text))


def has_seven_digits(text: str) -> bool:
    """Whether seven digits of any script, none of them a date's, stand in a cell with no letter between them."""
    if len(text) < SEVERAL_DIGITS:
        return False
    # With most digits alike there are few texts, so nearly all are known already; long ones would fill the memory.
    has_several = _has_several if len(text) <= MOST_KNOWN else _has_several.__wrapped__
    return has_several(text.translate(_ALIKE))


@lru_cache(maxsize=1 << 12)
def _has_several(text: str) -> bool:
    return _SEVERAL_DIGITS.search(text) is not None and _SEVERAL_DIGITS.search(without_dates(text)) is not None


def count_numbers(text: str) -> int:
    """Count what may be numbers in a cell that has seven digits."""
    return max(len(_RUN.findall(without_dates(text))), 1)


def without_dates(text: str) -> str:
    """Return a text with a sign for each date in it, whose digits are those of no number."""
    return _DATES.sub("|", text)
