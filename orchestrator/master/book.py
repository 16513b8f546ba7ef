"""Every part of the workbook except the rows: styles, names, the Summary sheet with its charts. openpyxl writes it."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Final, NamedTuple

from openpyxl import Workbook
from openpyxl.formatting.rule import Rule
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.styles.differential import DifferentialStyle

from orchestrator.master.summary_sheet import FONT, fill

if TYPE_CHECKING:
    from collections.abc import Callable

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


class VerdictStyle(NamedTuple):
    """The colours of a cell, and the verdicts that have them."""

    ink: str
    fill: str
    words: tuple[str, ...]


VERDICT_STYLES: Final = {
    "good": VerdictStyle("1E5C38", "D8EFDF", ("yes",)),
    "bad": VerdictStyle("8A2A1C", "F7D9D3", ("ban", "failed")),
    "open": VerdictStyle("7A5A00", "FFF0C2", ("unknown", "n/a", "unanswered", "held", "pending", "skipped")),
}
"""Rules of the sheet colour the verdicts, so that they do when a person sorts, filters or corrects them. A plain no has
no colour: it is what most cells say."""


def build(
    layout: MasterLayout,
    tally: Tally,
    title: str = "Master",
    fill_summary: Callable[[Worksheet, MasterLayout, Tally], None] = fill,
) -> dict[str, bytes]:
    """Return the workbook's parts by name; the sheets of rows have a header only, to be replaced by the rows."""
    book = Workbook()
    book.remove(book["Sheet"])
    for place, rows in enumerate(layout.sheet_rows, start=1):
        _master(book.create_sheet(title if place == 1 else f"{title} {place}"), layout, rows)
    fill_summary(book.create_sheet("Summary"), layout, tally)
    for rejects in layout.rejects:
        sheet = book.create_sheet(rejects.title)
        header = next(iter(rejects.records()), ())
        sheet.auto_filter.ref = rejects.filter_range(len(header) or 1)
        sheet.print_title_rows = "1:1"
    packed = io.BytesIO()
    book.save(packed)
    with zipfile.ZipFile(packed) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return parts | {_CORE: _CORE_XML}


def _master(sheet: Worksheet, layout: MasterLayout, rows: int) -> None:
    """Register the styles `HEADER_STYLE`, `TEXT_STYLE` and `FIGURE_STYLE` first, and those of verdicts in their order.

    The places of all of them follow from that. What is said here of the sheet itself is replaced with the rows, save
    for the filter's range and the rows that are printed on each page, which stand in the workbook part.
    """
    header = sheet.cell(1, 1)
    header.font = Font(FONT, size=11, bold=True)
    header.fill = PatternFill("solid", start_color="E8EEF4")
    header.alignment = Alignment(vertical="center")
    sheet.cell(1, 2).number_format = "@"
    # Figures stand on the right, and would run into the text of the next column, which begins on the left.
    sheet.cell(1, 3).alignment = Alignment(horizontal="right", indent=1)
    sheet.auto_filter.ref = layout.filter_range(rows)
    sheet.print_title_rows = "1:1"
    for style in VERDICT_STYLES.values():
        look = DifferentialStyle(font=Font(color=style.ink), fill=PatternFill(bgColor=style.fill))
        sheet.conditional_formatting.add("B2", Rule(type="cellIs", dxf=look, operator="equal", formula=['""']))
