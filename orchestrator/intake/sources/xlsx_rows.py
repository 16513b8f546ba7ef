"""Reads xlsx workbooks, row by row, in memory that does not grow with the rows. A row's line is its row number.

What a hostile workbook does to memory it shall do to a worker process, so this never runs in the parent.
"""

from __future__ import annotations

import datetime as dt
import warnings
import zlib
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

from openpyxl.utils.datetime import to_excel
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import Declared
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.find import damage_errors, input_errors
from orchestrator.intake.sources.table_rows import FaultyCell, table_blocks, text_of_value
from orchestrator.records import InputAccount, Unread
from orchestrator.workbooks import declared_sheets, filled_rows, needs_respelling, opened, packed, respelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractContextManager

    from openpyxl.workbook import Workbook
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

    from orchestrator.intake.blocks import CellBlock
    from orchestrator.intake.sources.table_layout import Row, TableOptions
    from orchestrator.workbooks import DeclaredSheet

MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
"""What a sheet can have."""

_DAMAGED = (BadZipFile, InvalidFileException, ParseError, zlib.error, LZMAError, EOFError, LookupError, ValueError,
            TypeError, AttributeError, NotImplementedError, RuntimeError)  # fmt: skip
"""What openpyxl lets through for a file that is no workbook, or a broken one."""

_NO_SHEET = "no sheet of this workbook could be read; save it anew, or as .csv"


def read_workbook(path: str, options: TableOptions, block_bytes: int) -> Iterator[CellBlock | Declared]:
    """Yield the cells of the column of numbers, and of kept ones, and what the workbook declares of its sheets.

    Formulas count as the value that was stored with them. Raises `UsageError` for what can't be read, also when fewer
    sheets or rows came out of it than its own parts declare.
    """
    with input_errors(path), _damage(options.source), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns of styles and extensions, which are nothing to us
        # As a file, since openpyxl goes by the ends of names.
        with Path(path).open("rb") as file, ZipFile(file) as archive:
            plain = file if not needs_respelling(archive) else packed(respelled(_parts(archive)))
            with closing(opened(plain)) as workbook:
                declared = declared_sheets(archive)
                filled = {one.title: filled_rows(archive, one.part) if one.part else 0 for one in declared}
                _check_sheets(workbook, declared, filled, archive, options.source)
                sheet = _sheet(workbook, options, hidden={one.title for one in declared if one.is_hidden})
                if sheet is None and any(filled.values()):
                    raise UsageError(f"{options.source}: {_NO_SHEET}")
                counted = Counter[str]()
                if sheet is not None:
                    yield from table_blocks(_rows(sheet, counted), options, block_bytes)
                    if counted["filled"] < filled.get(sheet.title, 0):
                        raise UsageError(
                            f"{options.source}: the sheet {sheet.title!r} declares {filled[sheet.title]:,} rows with "
                            f"something in them, and {counted['filled']:,} could be read; save it anew, or as .csv"
                        )
                yield _declared(declared, filled, sheet.title if sheet else None)


class PlainCell(NamedTuple):
    """A cell without what is around it: its column, from 1, the number of its style, its type in XML, and its value.

    Texts of the type `str` are as the file has them, `_x0041_` for an A; of shared ones, `s`, this is resolved.
    """

    column: int
    style: int
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class SheetInPlace:
    """The sheet of a workbook to be read: its part in `archive`, and its rows that are not blank, with their lines.

    `plain_rows` reads them once more, those with but formats among them.
    """

    archive: ZipFile
    part: str
    rows: Iterator[Row]
    plain_rows: Callable[[], Iterator[tuple[int, list[PlainCell]]]]


@contextmanager
def sheet_in_place(path: str, options: TableOptions) -> Iterator[SheetInPlace]:
    """Have the same sheet as `read_workbook` reads; raises `UsageError`, also while its rows are drawn."""
    with input_errors(path), _damage(options.source), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Path(path).open("rb") as file, ZipFile(file) as archive:
            plain = file if not needs_respelling(archive) else packed(respelled(_parts(archive)))
            hidden = {one.title for one in declared_sheets(archive) if one.is_hidden}
            with closing(opened(plain)) as workbook, ZipFile(plain) as parts:
                sheet = _sheet(workbook, options, hidden)
                if sheet is None:
                    raise UsageError(f"{options.source}: {_NO_SHEET}")
                part: Any = sheet
                name = part._worksheet_path.removeprefix("/")  # noqa: SLF001 - as above
                yield SheetInPlace(parts, name, _rows(sheet), partial(_plain_rows, sheet))


def _parts(archive: ZipFile) -> dict[str, bytes]:
    return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def _check_sheets(
    workbook: Workbook, declared: Sequence[DeclaredSheet], filled: Mapping[str, int], archive: ZipFile, source: str
) -> None:
    """Raise `UsageError` when a sheet with something in it is not among those that the reader of cells has."""
    if len(workbook.worksheets) >= sum(bool(one.part) for one in declared) > 0:
        return
    titles = {sheet.title for sheet in workbook.worksheets}
    if missing := [title for title, rows in filled.items() if rows and title not in titles]:
        raise UsageError(f"{source}: its sheet {missing[0]!r} could not be read; save it anew, or as .csv")
    parts = [name for name in archive.namelist() if "sheets/" in name.casefold() and not name.endswith("/")]
    if not workbook.worksheets and any(filled_rows(archive, part) for part in parts):
        raise UsageError(f"{source}: {_NO_SHEET}")


def _declared(sheets: Sequence[DeclaredSheet], filled: Mapping[str, int], read: str | None) -> Declared:
    others = []
    for one in sheets:
        if one.title != read:
            why = "this one is hidden, and " * one.is_hidden + "another was read: [job] sheet says which"
            unread = (Unread(f"sheet {one.title!r}", filled[one.title], why),) if filled[one.title] else ()
            others.append(InputAccount(one.title, is_hidden=one.is_hidden, unread=unread))
    is_hidden = any(one.is_hidden for one in sheets if one.title == read)
    return Declared(read or "", is_hidden, has_content=any(filled.values()), others=tuple(others))


def _damage(source: str) -> AbstractContextManager[None]:
    says = f"{source}: this can't be read as a workbook"
    return damage_errors(_DAMAGED, says, "; open it and save it anew")


def _sheet(workbook: Workbook, options: TableOptions, hidden: AbstractSet[str]) -> ReadOnlyWorksheet | None:
    """Return the sheet to read, None when nothing is in any."""
    sheets: Sequence[ReadOnlyWorksheet] = workbook.worksheets
    if (wanted := options.sheet) is not None:
        exact = [sheet for sheet in sheets if sheet.title == wanted]
        named = exact or [sheet for sheet in sheets if sheet.title.casefold() == wanted.casefold()]
        if not named:
            raise UsageError(
                f"{options.source}: no sheet is called {wanted!r}; set `sheet` to one that is there: "
                f"{_titles(sheets, hidden)}"
            )
        return named[0]
    filled = [sheet for sheet in sheets if next(_rows(sheet), None) is not None]
    if len(filled) > 1:
        raise UsageError(
            f"{options.source}: several sheets are filled; name one with `sheet`: {_titles(filled, hidden)}"
        )
    return filled[0] if filled else None


def _titles(sheets: Sequence[ReadOnlyWorksheet], hidden: AbstractSet[str]) -> str:
    return ", ".join(repr(sheet.title) + " (hidden)" * (sheet.title in hidden) for sheet in sheets)


class _Parser(WorkSheetParser):
    """openpyxl's own parser, which knows no difference between an empty cell and a formula without a value.

    It reads the sheet itself, too: the public way to rows believes what a sheet says of its own size.
    """

    def parse_cell(self, element: Any) -> dict[str, Any]:
        cell: dict[str, Any] = super().parse_cell(element)
        if cell["value"] is None and (formula := element.find(FORMULA_TAG)) is not None:
            cell["value"] = FaultyCell.of(f"={formula.text or ''}", Reason.FORMULA)
        elif cell["data_type"] == "e" and element.get("t", "n") == "n":
            cell["value"] = float(element.findtext(VALUE_TAG))  # too large for the date that it is marked as
        cell["is_shared"] = element.get("t") == "s"
        return cell


def _rows(sheet: ReadOnlyWorksheet, counted: Counter[str] | None = None) -> Iterator[Row]:
    """Yield the rows that are not blank, with their row numbers; count those that have any value, blank ones too."""
    for line, cells in _parsed(sheet):
        row: list[str] = []
        for cell in cells:
            place = cell["column"]
            if cell["value"] is not None and 0 < place <= MAX_COLUMNS:
                row += [""] * (place - len(row))
                row[place - 1] = text_of_value(cell["value"])
        if counted is not None:
            counted["filled"] += bool(cells) and any(cell["value"] is not None for cell in cells)
        if any(map(str.strip, row)):
            yield line, row


def _plain_rows(sheet: ReadOnlyWorksheet) -> Iterator[tuple[int, list[PlainCell]]]:
    book: Any = sheet.parent
    for line, cells in _parsed(sheet):
        filled = (cell for cell in cells if cell["value"] is not None and 0 < cell["column"] <= MAX_COLUMNS)
        yield line, [_plain_cell(cell, book.epoch) for cell in filled]


def _plain_cell(cell: Mapping[str, Any], epoch: dt.datetime) -> PlainCell:
    value = cell["value"]
    match value:
        case bool():
            kind, text = "b", str(int(value))
        case int() | float():
            kind, text = "n", repr(value)
        case dt.datetime() | dt.date() | dt.time() | dt.timedelta():
            serial: Any = to_excel(value, epoch)  # type: ignore[no-untyped-call]  # openpyxl has no types there
            kind, text = "n", repr(serial)
        case _:
            of_text = "s" if cell["is_shared"] else "str"
            kind, text = "e" if cell["data_type"] == "e" else of_text, str(value)
    return PlainCell(cell["column"], cell["style_id"], kind, text)


def _parsed(sheet: ReadOnlyWorksheet) -> Iterator[tuple[int, Sequence[dict[str, Any]]]]:
    """Yield the rows of a sheet, with their row numbers and their cells as the parser has them."""
    book: Any = sheet.parent
    parts: Any = sheet
    with parts._get_source() as source:  # noqa: SLF001 - see `_Parser`
        parser = _Parser(
            source,
            parts._shared_strings,  # noqa: SLF001
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,  # noqa: SLF001
            timedelta_formats=book._timedelta_formats,  # noqa: SLF001
        )
        for line, cells in parser.parse():
            if not 0 < line <= MAX_ROWS:
                raise ValueError("a sheet has no such row")
            yield line, cells
