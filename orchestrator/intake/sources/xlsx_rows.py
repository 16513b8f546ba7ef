"""Reads xlsx workbooks, row by row, in memory that does not grow with the rows. A row's line is its row number.

What a hostile workbook does to memory it shall do to a worker process, so this never runs in the parent.
"""

from __future__ import annotations

import re
import warnings
import zlib
from contextlib import closing, contextmanager
from lzma import LZMAError
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

from orchestrator.errors import UsageError
from orchestrator.files import BLOCK_BYTES
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.find import input_errors, is_damage
from orchestrator.intake.sources.table_rows import FaultyCell, Row, table_blocks, text_of_value
from orchestrator.workbooks import needs_respelling, opened, packed, respelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openpyxl.workbook import Workbook
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

    from orchestrator.intake.blocks import CellBlock
    from orchestrator.intake.sources.table_layout import TableOptions

MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
"""What a sheet can have."""

_DAMAGED = (BadZipFile, InvalidFileException, ParseError, zlib.error, LZMAError, EOFError, LookupError, ValueError,
            TypeError, AttributeError, NotImplementedError, RuntimeError)  # fmt: skip
"""What openpyxl lets through for a file that is no workbook, or a broken one."""


_VALUE = re.compile(rb"<(?:[\w.-]+:)?[vt](?: [^<>]*)?>[^<\s]")
_CARRY_BYTES = 128


def read_workbook(path: str, options: TableOptions, block_bytes: int) -> Iterator[CellBlock]:
    """Yield the cells of the column of numbers, and of kept ones; raises `UsageError`.

    Formulas count as the value that was stored with them.
    """
    with input_errors(path), _damage(options.source), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns of styles and extensions, which are nothing to us
        # As a file, since openpyxl goes by the ends of names.
        with Path(path).open("rb") as file, ZipFile(file) as archive:
            plain = file if not needs_respelling(archive) else packed(respelled(_parts(archive)))
            with closing(opened(plain)) as workbook:
                sheet = _sheet(workbook, options)
                if sheet is not None:
                    yield from table_blocks(_rows(sheet), options, block_bytes)
                elif any(_has_values(archive, name) for name in archive.namelist()):
                    raise UsageError(
                        f"{options.source}: no sheet of this workbook could be read; save it anew, or as .csv"
                    )


def _parts(archive: ZipFile) -> dict[str, bytes]:
    return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def _has_values(archive: ZipFile, name: str) -> bool:
    """Whether a part is a sheet in which any cell has a value: counted without the reader of cells."""
    with archive.open(name) as part:
        tail, is_sheet, found = b"", False, False
        while block := part.read(BLOCK_BYTES):
            text = tail + block
            is_sheet = is_sheet or b"sheetData" in text
            found = found or _VALUE.search(text) is not None
            tail = text[-_CARRY_BYTES:]
    return is_sheet and found


@contextmanager
def _damage(source: str) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and not is_damage(error):
            raise
        kind = type(error).__name__
        raise UsageError(f"{source}: this can't be read as a workbook ({kind}); open it and save it anew") from error


def _sheet(workbook: Workbook, options: TableOptions) -> ReadOnlyWorksheet | None:
    """Return the sheet to read, None when nothing is in any."""
    sheets: Sequence[ReadOnlyWorksheet] = workbook.worksheets
    if options.sheet is not None:
        return _named(sheets, options.sheet, options.source)
    filled = [sheet for sheet in sheets if next(_rows(sheet), None) is not None]
    if len(filled) > 1:
        raise UsageError(f"{options.source}: several sheets are filled; name one with `sheet`: {_titles(filled)}")
    return filled[0] if filled else None


def _named(sheets: Sequence[ReadOnlyWorksheet], wanted: str, source: str) -> ReadOnlyWorksheet:
    exact = [sheet for sheet in sheets if sheet.title == wanted]
    found = exact or [sheet for sheet in sheets if sheet.title.casefold() == wanted.casefold()]
    if not found:
        raise UsageError(
            f"{source}: no sheet is called {wanted!r}; set `sheet` to one that is there: {_titles(sheets)}"
        )
    return found[0]


def _titles(sheets: Sequence[ReadOnlyWorksheet]) -> str:
    return ", ".join(repr(sheet.title) for sheet in sheets)


class _Parser(WorkSheetParser):
    """openpyxl's own parser, which knows no difference between an empty cell and a formula without a value.

    It reads the sheet itself, too: the public way to rows believes what a sheet says of its own size.
    """

    def parse_cell(self, element: Any) -> dict[str, Any]:
        """Return what is in a cell."""
        cell: dict[str, Any] = super().parse_cell(element)
        if cell["value"] is None and (formula := element.find(FORMULA_TAG)) is not None:
            cell["value"] = FaultyCell.of(f"={formula.text or ''}", Reason.FORMULA)
        elif cell["data_type"] == "e" and element.get("t", "n") == "n":
            cell["value"] = float(element.findtext(VALUE_TAG))  # too large for the date that it is marked as
        return cell


def _rows(sheet: ReadOnlyWorksheet) -> Iterator[Row]:
    """Yield the rows that are not blank, with their row numbers."""
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
            row = _row(cells)
            if any(map(str.strip, row)):
                yield line, row


def _row(cells: Sequence[dict[str, Any]]) -> list[str]:
    row: list[str] = []
    for cell in cells:
        place = cell["column"]
        if cell["value"] is None or not 0 < place <= MAX_COLUMNS:
            continue
        row += [""] * (place - len(row))
        row[place - 1] = text_of_value(cell["value"])
    return row
