"""The master as a workbook: the rows are formatted here as XML and streamed into the zip, the rest is openpyxl's.

openpyxl writes some 30,000 rows a second, this millions, because a row is a few copies of prepared bytes. The optional
cell references are left out (a third of the bytes), and text is `t="str"` with its value in place: a string to every
reader, and never a formula, since there is no formula element.
"""

from __future__ import annotations

from functools import cache
from typing import IO, TYPE_CHECKING, Final, Self

import numpy as np

from orchestrator.files import csv_safe
from orchestrator.jobdir.extra_files import CellKind
from orchestrator.master.book import VERDICT_STYLES, build
from orchestrator.master.master_layout import FIGURE_STYLE, HEADER_STYLE, TEXT_STYLE, MasterLayout
from orchestrator.master.reject_sheets import OTHER_WIDTH, WIDTHS, RejectSheet
from orchestrator.master.row_text import Piece, assemble, column_pieces, enclosed
from orchestrator.master.tally import Tally
from orchestrator.master.xml_text import escaped
from orchestrator.master.zip_writer import ZipWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.master.base_chunks import ResolvedChunk

MAX_CELL_UNITS: Final = 32_767
"""The characters that a spreadsheet takes in a cell, in UTF-16; a file with longer ones is called broken."""

_ROW: Final = b'<row><c s="%d" t="str"><v>+' % TEXT_STYLE
_NUMBER_END: Final = b"</v></c>"
_ROW_END: Final = b"</row>"
_SHEET: Final = "xl/worksheets/sheet{}.xml"
_RECORDS_AT_ONCE: Final = 10_000
_CONTENT_TYPES: Final = "[Content_Types].xml"


class XlsxSink:
    """Writes `Master`, `Master 2`, … and `Summary`; the same input gives the same bytes.

    `parts` makes all of the workbook but the rows. A context manager: leaving it ends what an exception left open.
    """

    def __init__(
        self, file: IO[bytes], layout: MasterLayout, parts: Callable[[MasterLayout, Tally], dict[str, bytes]] = build
    ) -> None:
        self.rows = 0
        self._layout = layout
        self._parts = parts
        self._sheet = 0
        self._left = 0
        self._archive = ZipWriter(file)
        self._formats = [_FORMATS.get(kind, _kept_cell) for kind in layout.kinds]

    def __enter__(self) -> Self:
        self._archive.__enter__()
        # Tools that look at the first bytes only take a zip for a workbook when this part leads it. What it says
        # depends on the sheets alone, so it can be written before anything is counted.
        self._archive.add(_CONTENT_TYPES, self._parts(self._layout, Tally(self._layout.platforms))[_CONTENT_TYPES])
        if self._layout.sheet_rows:
            self._begin_sheet()
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.__exit__()

    def write(self, block: ResolvedChunk, kept: Sequence[Sequence[str]]) -> None:
        """Append the rows, rolling over into further sheets."""
        first = 0
        while self._sheet and first < len(block.numbers):
            if not self._left:
                self._end_sheet()
                self._begin_sheet()
            part = block.cut(first, first + self._left)
            pieces = column_pieces(part.in_order, self._formats)
            if kept:
                cells = kept[first : first + self._left]
                pieces.append(Piece([b"".join(map(_kept_cell, its)) for its in cells], np.arange(len(cells))))
            # What ends one row and begins the next is part of the last piece.
            text = assemble(part.numbers, enclosed(pieces, _NUMBER_END, _ROW_END + _ROW))
            self._archive.write(_ROW)
            self._archive.write(text.data[: -len(_ROW)])
            first += len(part.numbers)
            self._left -= len(part.numbers)
            self.rows += len(part.numbers)

    def finish(self, tally: Tally) -> None:
        """Close the last sheet and add every other part of the workbook."""
        self._end_sheet()
        written = {_CONTENT_TYPES, *(_SHEET.format(place) for place in range(1, self._sheet + 1))}
        for place, rejects in enumerate(self._layout.rejects, start=self._sheet + 2):  # the Summary is before them
            written.add(_SHEET.format(place))
            self._archive.begin(_SHEET.format(place))
            self._write_rejects(rejects)
            self._archive.end()
        for name, content in self._parts(self._layout, tally).items():
            if name not in written:
                self._archive.add(name, content)
        self._archive.finish()

    def _write_rejects(self, rejects: RejectSheet) -> None:
        header, *records = [*rejects.records()] or [["line"]]
        widths = [WIDTHS.get(name, OTHER_WIDTH) for name in header]
        self._archive.write(_head(header, widths, selected=False))
        numeric = [name in ("line", "first_line") for name in header]
        for first in range(0, len(records), _RECORDS_AT_ONCE):
            rows = (
                b"".join(
                    _number_cell(text) if is_line and text.isdecimal() else _kept_cell(text)
                    for is_line, text in zip(numeric, record, strict=False)
                )
                for record in records[first : first + _RECORDS_AT_ONCE]
            )
            self._archive.write(b"".join(b"<row>" + row + _ROW_END for row in rows))
        if rejects.rows > rejects.shown:
            note = f"and {rejects.rows - rejects.shown:,} more in {rejects.path.name}"
            self._archive.write(b"<row>" + _kept_cell(note) + _ROW_END)
        self._archive.write(_foot(rejects.filter_range(len(header))))

    def _begin_sheet(self) -> None:
        self._left = self._layout.sheet_rows[self._sheet]
        self._sheet += 1
        self._archive.begin(_SHEET.format(self._sheet))
        self._archive.write(_head(self._layout.header, self._layout.widths, selected=self._sheet == 1))

    def _end_sheet(self) -> None:
        if self._sheet:
            rows = self._layout.sheet_rows[self._sheet - 1]
            self._archive.write(
                _foot(self._layout.filter_range(rows), self._layout.verdict_range(rows) if rows else "")
            )
            self._archive.end()


@cache
def _verdict_cell(word: str) -> bytes:
    return _kept_cell(word)


def _number_cell(text: str) -> bytes:
    return f'<c s="{FIGURE_STYLE}"><v>{text}</v></c>'.encode() if text else b"<c/>"


def _kept_cell(text: str, style: int | None = None) -> bytes:
    """Format one text cell; a text that would become a formula when edited gets the text format."""
    if not text:
        return b"<c/>"
    if style is None:
        style = TEXT_STYLE if csv_safe(text) != text else 0
    mark = f' s="{style}"' if style else ""
    if len(text) * 2 > MAX_CELL_UNITS:
        text = text.encode("utf-16-le", "replace")[: MAX_CELL_UNITS * 2].decode("utf-16-le", "ignore")
    return f'<c{mark} t="str"><v>{escaped(text)}</v></c>'.encode()


_FORMATS: Final[dict[CellKind | None, Callable[[str], bytes]]] = {
    None: _verdict_cell,
    CellKind.WHOLE: _number_cell,
    CellKind.DECIMAL: _number_cell,
}
"""How the cells of a column are written that are no text."""


def _head(texts: Sequence[str], widths: Sequence[int], *, selected: bool) -> bytes:
    """Format everything before the rows, and the header row: bold, frozen."""
    columns = "".join(
        f'<col min="{place}" max="{place}" width="{width}" customWidth="1"/>'
        for place, width in enumerate(widths, start=1)
    )
    selection = ' tabSelected="1"' if selected else ""
    header = b"".join(_kept_cell(text, HEADER_STYLE) for text in texts)
    return (
        (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
            '<sheetPr><pageSetUpPr fitToPage="1"/></sheetPr><sheetViews>'
            f'<sheetView workbookViewId="0"{selection}>'
            '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
            '<selection pane="bottomLeft" activeCell="A2" sqref="A2"/></sheetView></sheetViews>'
            f'<sheetFormatPr defaultRowHeight="15"/><cols>{columns}</cols><sheetData><row>'
        ).encode()
        + header
        + _ROW_END
    )


def _foot(cells: str, verdicts: str = "") -> bytes:
    """Format everything after the rows: the filter, the colours of verdicts, how it prints.

    Last that text which looks like a number is meant.
    """
    rules = "".join(
        f'<cfRule type="cellIs" dxfId="{style}" priority="{priority}" operator="equal">'
        f"<formula>&quot;{word}&quot;</formula></cfRule>"
        for priority, (style, word) in enumerate(_RULES, start=1)
    )
    colours = f'<conditionalFormatting sqref="{verdicts}">{rules}</conditionalFormatting>' if verdicts else ""
    return (
        f'</sheetData><autoFilter ref="{cells}"/>{colours}'
        '<pageMargins left="0.5" right="0.5" top="0.6" bottom="0.7" header="0.3" footer="0.3"/>'
        '<pageSetup paperSize="9" orientation="landscape" fitToHeight="0"/>'
        "<headerFooter><oddFooter>&amp;L&amp;A&amp;RPage &amp;P of &amp;N</oddFooter></headerFooter>"
        f'<ignoredErrors><ignoredError sqref="{cells}" numberStoredAsText="1"/></ignoredErrors></worksheet>'
    ).encode()


_RULES: Final = [(place, word) for place, style in enumerate(VERDICT_STYLES.values()) for word in style.words]
