"""The master as a workbook: the rows are formatted here as XML and streamed into the zip, the rest is openpyxl's.

openpyxl writes 36,000 rows a second, this a million and more, because a row is a join of prepared bytes. The optional
cell references are left out (a third of the bytes), and text is `t="str"` with its value in place: a string to every
reader, and never a formula, since there is no formula element.
"""

from __future__ import annotations

import zipfile
from functools import cache
from typing import IO, TYPE_CHECKING, Final, Self
from xml.sax.saxutils import escape

from openpyxl.utils import get_column_letter

from orchestrator.files import csv_safe
from orchestrator.master.book import HEADER_STYLE, TEXT_STYLE, Layout, build
from orchestrator.master.sinks import NUMBER, render
from orchestrator.master.tally import Tally
from orchestrator.master.text import legal

if TYPE_CHECKING:
    from orchestrator.master.chunks import ResolvedChunk

_LEVEL: Final = 1  # level 6 takes twice the time for two thirds of the size
_CONTENT_TYPES: Final = "[Content_Types].xml"
_ROW: Final = b'<row><c s="%d" t="str"><v>' % TEXT_STYLE
_ROW_END: Final = b"</row>"


class XlsxSink:
    """Writes `Master`, `Master 2`, … and `Summary`; the same input gives the same bytes.

    A context manager: leaving it closes what an exception left open.
    """

    def __init__(self, file: IO[bytes], layout: Layout) -> None:
        self.rows = 0
        self._layout = layout
        self._sheet = 0
        self._left = 0
        self._member: IO[bytes] | None = None
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)

    def __enter__(self) -> Self:
        # Tools that look at the first bytes only take a zip for a workbook when this part leads it. What it says
        # depends on the sheets alone, so it can be written before anything is counted.
        self._add(_CONTENT_TYPES, build(self._layout, Tally(self._layout.platforms))[_CONTENT_TYPES])
        if self._layout.sheet_rows:
            self._begin_sheet()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._member is not None:
                self._member.close()
        finally:
            self._zip.close()

    def write(self, block: ResolvedChunk) -> None:
        """Append the rows, rolling over into further sheets."""
        first = 0
        while self._member is not None and first < len(block.numbers):
            if not self._left:
                self._end_sheet()
                self._begin_sheet()
            part = block.cut(first, first + self._left)
            self._member.write(_rows(part))
            first += len(part.numbers)
            self._left -= len(part.numbers)
            self.rows += len(part.numbers)

    def finish(self, tally: Tally) -> None:
        """Close the last sheet and add every other part of the workbook."""
        self._end_sheet()
        written = set(self._zip.namelist())
        for name, content in build(self._layout, tally).items():
            if name not in written:
                self._add(name, content)
        self._zip.close()

    def _add(self, name: str, content: bytes) -> None:
        with self._zip.open(name, "w") as member:
            member.write(content)

    def _begin_sheet(self) -> None:
        self._left = self._layout.sheet_rows[self._sheet]
        self._sheet += 1
        self._member = self._zip.open(f"xl/worksheets/sheet{self._sheet}.xml", "w")
        self._member.write(_head(self._layout, selected=self._sheet == 1))

    def _end_sheet(self) -> None:
        if self._member is not None:
            self._member.write(_foot(len(self._layout.platforms) + 1, self._layout.sheet_rows[self._sheet - 1]))
            self._member.close()
            self._member = None


def _rows(block: ResolvedChunk) -> bytes:
    """Format rows: what ends one row and begins the next is part of the last platform's prepared cells."""
    tables = [[_cell(word) for word in column.words] for column in block.columns]
    tables[0] = [b"</v></c>" + cell for cell in tables[0]]
    tables[-1] = [cell + _ROW_END + _ROW for cell in tables[-1]]
    return _ROW + render(block, tables).removesuffix(_ROW)


@cache
def _cell(word: str, style: int | None = None) -> bytes:
    """Format one text cell; a text that would become a formula when edited gets the text format."""
    if style is None:
        style = TEXT_STYLE if csv_safe(word) != word else 0
    shown = escape(legal(word))
    mark = f' s="{style}"' if style else ""
    return f'<c{mark} t="str"><v>{shown}</v></c>'.encode()


def _head(layout: Layout, *, selected: bool) -> bytes:
    """Format everything before the rows, and the header row: bold, frozen."""
    columns = "".join(
        f'<col min="{place}" max="{place}" width="{width}" customWidth="1"/>'
        for place, width in enumerate(layout.widths, start=1)
    )
    selection = ' tabSelected="1"' if selected else ""
    header = b"".join(_cell(text, HEADER_STYLE) for text in (NUMBER, *layout.platforms))
    return (
        (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews>'
            f'<sheetView workbookViewId="0"{selection}>'
            '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
            '<selection pane="bottomLeft" activeCell="A2" sqref="A2"/></sheetView></sheetViews>'
            f'<sheetFormatPr defaultRowHeight="15"/><cols>{columns}</cols><sheetData><row>'
        ).encode()
        + header
        + _ROW_END
    )


def _foot(columns: int, rows: int) -> bytes:
    """Format everything after the rows: the filter, and that text which looks like a number is meant."""
    last = get_column_letter(columns)
    return (
        f'</sheetData><autoFilter ref="A1:{last}{rows + 1}"/><ignoredErrors>'
        f'<ignoredError sqref="A1:{last}{rows + 1}" numberStoredAsText="1"/></ignoredErrors></worksheet>'
    ).encode()
