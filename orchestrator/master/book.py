"""Every part of the workbook except the rows: styles, names, the Summary sheet with its charts. openpyxl writes it."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from orchestrator.master.summary import FONT, fill

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

    from orchestrator.master.tally import Tally

HEADER_STYLE: Final = 1
TEXT_STYLE: Final = 2
"""Indices into the workbook's cell formats: `build` sets these first, so they are the first behind the default."""

ROWS_PER_SHEET: Final = 1_000_000
MAX_ROWS: Final = 10_000_000

_CORE: Final = "docProps/core.xml"
_CORE_XML: Final = (
    b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    b'<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator>numbercheck-orchestrator</dc:creator>'
    b"</cp:coreProperties>"
)
"""Without dates, which openpyxl takes from the clock: the same verdicts give the same bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A sheet takes `sheet_rows` numbers, a workbook `rows`; a longer list leaves it with the summary only."""

    sheet_rows: int = ROWS_PER_SHEET
    rows: int = MAX_ROWS


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known before the first row: the columns, the rows of each Master sheet, what the Summary says on top.

    `sheet_rows` is empty when the list is too long for a workbook; `rows` is the whole list then too.
    """

    platforms: tuple[str, ...]
    rows: int
    sheet_rows: tuple[int, ...]
    banner: str = ""
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def widths(self) -> tuple[int, ...]:
        """Return column widths in characters: a number has 16 at most, a filter button takes 4."""
        return (18, *(min(40, max(14, len(platform) + 5)) for platform in self.platforms))


def sheet_rows(total: int, limits: Limits) -> tuple[int, ...]:
    """Return the rows of each Master sheet; an empty list has one sheet with a header, a too long one has none."""
    if total > limits.rows:
        return ()
    full, rest = divmod(total, limits.sheet_rows)
    return (limits.sheet_rows,) * full + ((rest,) if rest or not full else ())


def build(layout: Layout, tally: Tally) -> dict[str, bytes]:
    """Return the workbook's parts by name; the Master sheets have a header only, to be replaced by the rows."""
    book = Workbook()
    book.remove(book["Sheet"])
    for place, rows in enumerate(layout.sheet_rows, start=1):
        _master(book.create_sheet("Master" if place == 1 else f"Master {place}"), layout, rows)
    fill(book.create_sheet("Summary"), layout, tally)
    packed = io.BytesIO()
    book.save(packed)
    with zipfile.ZipFile(packed) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return parts | {_CORE: _CORE_XML}


def _master(sheet: Worksheet, layout: Layout, rows: int) -> None:
    """Register the two styles and the filter's range, which stands in the workbook part as well."""
    header = sheet.cell(1, 1)
    header.font = Font(FONT, size=11, bold=True)
    header.fill = PatternFill("solid", start_color="E8EEF4")
    header.alignment = Alignment(vertical="center")
    sheet.cell(1, 2).number_format = "@"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(layout.platforms) + 1)}{rows + 1}"
