"""Reads xlsx workbooks, row by row. A row's line is its row number.

What a hostile workbook does to memory it shall do to a worker process, so this never runs in the parent.
"""

from __future__ import annotations

import warnings
import zlib
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from orchestrator.errors import UsageError
from orchestrator.intake.inputs import input_errors
from orchestrator.intake.table import Row, TableOptions, table_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openpyxl.workbook import Workbook
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

    from orchestrator.intake.blocks import CellBlock

_DAMAGED = (BadZipFile, InvalidFileException, ParseError, zlib.error, EOFError, KeyError, ValueError, TypeError,
            AttributeError, IndexError, NotImplementedError, RuntimeError)  # fmt: skip
"""What openpyxl lets through for a file that is no workbook, or a broken one."""


def read_workbook(path: str, options: TableOptions, block_bytes: int) -> Iterator[CellBlock]:
    """Yield the cells of the column of numbers; raises `UsageError`.

    Formulas count as the value that was stored with them.
    """
    with _damage(options.source), input_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns of styles and extensions, which are nothing to us
        with closing(openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)) as workbook:
            sheet = _sheet(workbook, options)
            if sheet is not None:
                yield from table_blocks(_rows(sheet), options, block_bytes)


@contextmanager
def _damage(source: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        kind = type(error).__name__
        raise UsageError(f"{source}: this can't be read as a workbook ({kind}); open it and save it anew") from error


def _sheet(workbook: Workbook, options: TableOptions) -> ReadOnlyWorksheet | None:
    """Return the sheet to read, None when nothing is in any."""
    sheets: Sequence[ReadOnlyWorksheet] = workbook.worksheets
    for sheet in sheets:
        sheet.reset_dimensions()  # what a file says of its own size may be wrong, and rows would be missing
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


def _rows(sheet: ReadOnlyWorksheet) -> Iterator[Row]:
    """Yield the rows that are not blank, with their row numbers."""
    for line, values in enumerate(sheet.iter_rows(values_only=True), 1):  # type: ignore[misc]  # the stub's self is wrong
        row = [_text(value) for value in values]
        if any(map(str.strip, row)):
            yield line, row


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)
