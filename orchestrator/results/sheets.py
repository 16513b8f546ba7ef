"""A workbook → its tables, by two readers that share no code: what one can't read, the other tries.

calamine is some fifteen times as fast; openpyxl goes by what the parts say of one another, so it finds a workbook whose
parts have other names. Neither sees the zip from outside: both read one that is made of the members as they were
checked.
"""

from __future__ import annotations

import io
import posixpath
import re
import warnings
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING, Final

import python_calamine as calamine

from orchestrator.errors import DamagedResultError
from orchestrator.results import gate
from orchestrator.results.batches import read_rows
from orchestrator.results.damage import damage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from openpyxl.cell import Cell, MergedCell

    from orchestrator.results.archive import Archive, Limits
    from orchestrator.results.batches import Table
    from orchestrator.results.columns import Wanted

    Sheet = Iterable[Sequence[object]]

_TARGET: Final = re.compile(rb"(?:Target|PartName)\s*=\s*[\"']([^\"']+)")
_STRICT: Final = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_ESCAPED: Final = re.compile(rb"_x(?!00[01]|[Dd][89A-Fa-f]|[Ff]{3})([0-9A-Fa-f]{4})_")
"""A character as OOXML escapes it, and as XML can have it: openpyxl reads them in one of three places only."""
_CONTENT_TYPES: Final = "[Content_Types].xml"


def read_workbook(archive: Archive, limits: Limits, wanted: Wanted) -> Table | None:
    """Return the two columns of every sheet that has them: long results roll over into further sheets.

    None when no sheet has both; raises `DamagedResultError` when neither reader can read the workbook.
    """
    gate.inspect(archive, limits)
    parts = {name: archive.read(name) for name in archive.names if not name.endswith("/")}
    readers, stumbles = (by_calamine, by_openpyxl), []
    for read in readers:
        try:
            with damage():
                table = _joined(read(parts, limits.rows), wanted)
        except DamagedResultError as error:
            stumbles.append(error)
        else:
            if table is not None:
                return table
    if len(stumbles) == len(readers):
        raise stumbles[0]
    return None


def _joined(sheets: Iterable[Sheet], wanted: Wanted) -> Table | None:
    tables = [table for sheet in sheets if (table := read_rows(sheet, wanted)) is not None]
    return [batch for table in tables for batch in table] if tables else None


def by_calamine(parts: Mapping[str, bytes], _rows: int) -> Iterator[Sheet]:
    """Yield the sheets, of which the first row and the first column are those with content."""
    with calamine.load_workbook(_packed(parts)) as book:
        for sheet in book.sheets_metadata:
            if sheet.typ == calamine.SheetTypeEnum.WorkSheet:
                yield book.get_sheet_by_name(sheet.name).iter_rows()


def by_openpyxl(parts: Mapping[str, bytes], rows: int) -> Iterator[Sheet]:
    """Yield the sheets; raises `DamagedResultError` for one with more than so many rows."""
    import openpyxl  # noqa: PLC0415 - a tenth of a second, and few files need it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions, which are nothing to us
        packed = _packed(_respelled(parts))
        with closing(openpyxl.load_workbook(packed, read_only=True, data_only=True, keep_links=False)) as book:
            for sheet in book.worksheets:
                sheet.reset_dimensions()
                yield _values(sheet.iter_rows(), rows)


def _values(sheet: Iterable[Iterable[Cell | MergedCell]], rows: int) -> Iterator[Sequence[object]]:
    from openpyxl.cell.cell import TYPE_ERROR  # noqa: PLC0415 - see above

    for place, row in enumerate(sheet):
        if place >= rows:  # the rows between are made up, and never end
            raise DamagedResultError("the workbook has cells far outside of its table")
        yield ["" if cell.value is None or cell.data_type == TYPE_ERROR else cell.value for cell in row]


def _packed(parts: Mapping[str, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    packed.seek(0)
    return packed


def _respelled(parts: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the parts as openpyxl wants them: named as others refer to them, in the transitional form.

    Names of parts are the same in any case (ECMA-376, part 2), and Excel writes either form.
    """
    names = {_CONTENT_TYPES.casefold(): _CONTENT_TYPES}
    for name, content in parts.items():
        folder, base = posixpath.split(name)
        if base.casefold() == _CONTENT_TYPES.casefold() or base.casefold().endswith(".rels"):
            for target in _TARGET.findall(content):
                found = posixpath.normpath(posixpath.join("/", posixpath.dirname(folder), target.decode()))[1:]
                there, last = posixpath.split(found)
                for part in (found, f"{there}/_rels/{last}.rels".removeprefix("/")):
                    names.setdefault(part.casefold(), part)
    return {
        names.get(name.casefold(), name): _ESCAPED.sub(
            rb"&#x\1;", _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", content)
        )
        for name, content in parts.items()
    }
