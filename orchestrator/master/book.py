"""Every part of the workbook except the rows: styles, names, the Summary sheet with its charts. openpyxl writes it."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Final

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill

from orchestrator.master.summary_sheet import FONT, fill

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

    from orchestrator.master.master_layout import MasterLayout
    from orchestrator.master.tally import Tally

_CORE: Final = "docProps/core.xml"
_CORE_XML: Final = (
    b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    b'<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator>numbercheck-orchestrator</dc:creator>'
    b"</cp:coreProperties>"
)
"""Without dates, which openpyxl takes from the clock: the same verdicts give the same bytes."""


def build(layout: MasterLayout, tally: Tally) -> dict[str, bytes]:
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


def _master(sheet: Worksheet, layout: MasterLayout, rows: int) -> None:
    """Register the two styles, `HEADER_STYLE` and `TEXT_STYLE`, first: their places follow from that.

    The filter's range stands in the workbook part as well.
    """
    header = sheet.cell(1, 1)
    header.font = Font(FONT, size=11, bold=True)
    header.fill = PatternFill("solid", start_color="E8EEF4")
    header.alignment = Alignment(vertical="center")
    sheet.cell(1, 2).number_format = "@"
    sheet.auto_filter.ref = layout.filter_range(rows)
