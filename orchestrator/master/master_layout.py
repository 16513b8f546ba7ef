"""What a master looks like before its first row: columns, sheets, limits. Needs no spreadsheet library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError
from orchestrator.jobdir.extra_files import CellKind
from orchestrator.jobdir.verdict_words import CHECKED_AT
from orchestrator.settings import CsvStyle, OutputFormat

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping, Sequence

    from orchestrator.master.reject_sheets import RejectSheet

NUMBER: Final = "Number"
"""The first column's header; the platforms follow, each before its extra columns, then what is kept from the inputs."""
FROM_LIST: Final = "list"

HEADER_STYLE: Final = 1
TEXT_STYLE: Final = 2
FIGURE_STYLE: Final = 3
"""Indices into the workbook's cell formats: its builder sets these first, so they are the first behind the default."""

ROWS_PER_SHEET: Final = 1_000_000
MAX_ROWS: Final = 10_000_000
MAX_COLUMNS: Final = 16_384
"""Of a sheet, to any spreadsheet program; a file with more is called broken."""

_LETTERS: Final = 26


@dataclass(frozen=True, slots=True)
class BookLimits:
    """A sheet takes `sheet_rows` numbers, a workbook `rows`; a longer list leaves it with the summary only."""

    sheet_rows: int = ROWS_PER_SHEET
    rows: int = MAX_ROWS


@dataclass(frozen=True, slots=True)
class MasterLayout:
    """What is known before the first row: the columns, the rows of each Master sheet, what the Summary says on top.

    `sheet_rows` is empty when the list is too long for a workbook; `rows` is the whole list then too. `columns` are
    the names of the columns kept from the inputs, `extras` for each platform the names and kinds of its extra columns.
    `rejects` are the sheets of what is not in the master.
    """

    platforms: tuple[str, ...]
    rows: int
    sheet_rows: tuple[int, ...]
    banner: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    extras: tuple[Mapping[str, CellKind], ...] = ()
    csv: CsvStyle = CsvStyle.PLAIN
    rejects: tuple[RejectSheet, ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """Return the texts of the first row."""
        return header(self.platforms, self.columns, [tuple(its) for its in self.extras])

    @property
    def kinds(self) -> tuple[CellKind | None, ...]:
        """Return what the columns between the numbers and the kept ones hold; None for verdicts."""
        further = self.extras or ({},) * len(self.platforms)
        return tuple(kind for its in further for kind in (None, *its.values()))

    def verdict_range(self, rows: int) -> str:
        """Return the cells with verdicts of a sheet of `rows` rows, such as `B2:B11 D2:D11`."""
        columns = (column_letters(place) for place, kind in enumerate(self.kinds, start=2) if kind is None)
        return " ".join(f"{column}2:{column}{rows + 1}" for column in columns)

    @property
    def widths(self) -> tuple[int, ...]:
        """Return column widths in characters: a number has 18 at most, a filter button takes 4."""
        return (18, *(min(40, max(14, len(text) + 5)) for text in self.header[1:]))

    def filter_range(self, rows: int) -> str:
        """Return the cells of a sheet of `rows` rows with its header, such as `A1:C11`."""
        return f"A1:{column_letters(len(self.header))}{rows + 1}"


def with_checked(extras: Sequence[Mapping[str, CellKind]], platforms: int) -> tuple[Mapping[str, CellKind], ...]:
    """Return the extra columns of so many platforms with one more for each, which says when its verdict was checked."""
    return tuple({**its, CHECKED_AT: CellKind.TEXT} for its in extras or [{}] * platforms)


def header(platforms: Sequence[str], columns: Sequence[str], extras: Sequence[Sequence[str]] = ()) -> tuple[str, ...]:
    """Return the names of all columns, no two the same in any case: a kept one gives way, as `Number (list)`.

    `extras` are the names of each platform's extra columns, which become `instagram.activedays`.
    """
    further = extras or ((),) * len(platforms)
    names = [NUMBER]
    for platform, its in zip(platforms, further, strict=True):
        names += [platform, *(f"{platform}.{' '.join(name.split())}" for name in its)]
    taken = {name.casefold() for name in names}
    for column in columns:
        name = column
        turn = 1
        while not name or name.casefold() in taken:
            name = f"{column} ({FROM_LIST}{f' {turn}' if turn > 1 else ''})".lstrip()
            turn += 1
        taken.add(name.casefold())
        names.append(name)
    return tuple(names)


def check_width(
    platforms: Iterable[str],
    columns: Sequence[str],
    formats: Container[OutputFormat],
    extras: Sequence[Sequence[str]] = (),
) -> None:
    """Raise `UsageError` when a workbook is wanted that can't have so many columns."""
    count = len(header(tuple(platforms), columns, extras))
    if count > MAX_COLUMNS and OutputFormat.XLSX in formats:
        raise UsageError(
            f'the master would have {count:,} columns, and a sheet takes {MAX_COLUMNS:,}; leave "xlsx" out of [output] '
            "formats, or name fewer columns in keep_columns"
        )


def check_length(rows: int, formats: Collection[OutputFormat]) -> None:
    """Raise `UsageError` when the rows would stand nowhere: of a longer list a workbook holds the summary only."""
    if rows > MAX_ROWS and {*formats} == {OutputFormat.XLSX}:
        raise UsageError(
            f"the master would have {rows:,} numbers, and a workbook takes {MAX_ROWS:,}: of a longer list it holds the "
            'summary only, and no other file would have the verdicts; set [output] formats = ["xlsx", "csv"]'
        )


def column_letters(column: int) -> str:
    """Return the letters of a column that counts from 1: A, Z, AA."""
    letters = ""
    while column:
        column, letter = divmod(column - 1, _LETTERS)
        letters = chr(ord("A") + letter) + letters
    return letters


def sheet_rows(total: int, limits: BookLimits) -> tuple[int, ...]:
    """Return the rows of each Master sheet; an empty list has one sheet with a header, a too long one has none."""
    if total > limits.rows:
        return ()
    full, rest = divmod(total, limits.sheet_rows)
    return (limits.sheet_rows,) * full + ((rest,) if rest or not full else ())
