"""A workbook → its tables, by two readers that share no code: what one can't read, the other tries.

calamine is some fifteen times as fast; openpyxl goes by what the parts say of one another, so it finds a workbook whose
parts have other names. Neither sees the zip from outside: both read one that is made of the members as they were
checked.
"""

from __future__ import annotations

import warnings
from contextlib import closing
from typing import TYPE_CHECKING

import python_calamine as calamine

from orchestrator.errors import DamagedResultError
from orchestrator.results import gate
from orchestrator.results.batches import read_rows
from orchestrator.results.damage import damage
from orchestrator.workbooks import opened, packed, respelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from openpyxl.cell import Cell, MergedCell

    from orchestrator.results.batches import Table
    from orchestrator.results.checked_zip import CheckedZip, ResultLimits
    from orchestrator.results.columns import Wanted

    Sheet = Iterable[Sequence[object]]


def read_workbook(archive: CheckedZip, limits: ResultLimits, wanted: Wanted) -> list[Table]:
    """Return the two columns of every sheet that has them: long results roll over into further sheets.

    Raises `DamagedResultError` when neither reader can read the workbook, or when no sheet has both columns and one was
    not to be shown to a reader.
    """
    parts, refusal = gate.inspect(archive, limits)
    readers, stumbles = (by_calamine, by_openpyxl), []
    for read in readers:
        try:
            with damage():
                found = [read_rows(sheet, wanted) for sheet in read(parts, limits.rows)]
        except DamagedResultError as error:
            stumbles.append(error)
            continue
        if tables := [table for table in found if table is not None]:
            return tables
    if refusal is not None:
        raise refusal
    if len(stumbles) == len(readers):
        raise stumbles[0]
    return []


def by_calamine(parts: Mapping[str, bytes], _rows: int) -> Iterator[Sheet]:
    """Yield the sheets, of which the first row and the first column are those with content."""
    with calamine.load_workbook(packed(parts)) as book:
        for sheet in book.sheets_metadata:
            if sheet.typ == calamine.SheetTypeEnum.WorkSheet:
                yield book.get_sheet_by_name(sheet.name).iter_rows()


def by_openpyxl(parts: Mapping[str, bytes], rows: int) -> Iterator[Sheet]:
    """Yield the sheets; raises `DamagedResultError` for one with more than so many rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions, which are nothing to us
        book_file = packed(respelled(parts))
        with closing(opened(book_file)) as book:
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # what it says of its own size is wrong at times, and costs rows
                yield _values(sheet.iter_rows(), rows)


def _values(sheet: Iterable[Iterable[Cell | MergedCell]], rows: int) -> Iterator[Sequence[object]]:
    from openpyxl.cell.cell import TYPE_ERROR  # noqa: PLC0415 - as in `opened`

    for place, row in enumerate(sheet):
        if place >= rows:  # the rows between are made up, and never end
            raise DamagedResultError("the workbook has cells far outside of its table")
        yield ["" if cell.value is None or cell.data_type == TYPE_ERROR else cell.value for cell in row]
