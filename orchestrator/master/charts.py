"""Native charts of the Summary sheet, readable in Excel and LibreOffice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from openpyxl.chart import BarChart, Reference
from openpyxl.chart.axis import ChartLines
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText, Text
from openpyxl.chart.title import Title
from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, TwoCellAnchor
from openpyxl.drawing.text import CharacterProperties, Paragraph, ParagraphProperties, RegularTextRun

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_COLOURS: Final = {
    "yes": "2E8B57",
    "no": "8497A9",
    "ban": "A6522B",
    "unknown": "C9B458",
    "n/a": "D8CC8F",
    "unanswered": "D5DADF",
    "failed": "C0392B",
    "held": "E67E22",
    "skipped": "B9C6D2",
    "pending": "F7DC6F",
}
"""The same word has the same colour in both charts, and from one run to the next."""
_FURTHER: Final = ("5B8DB8", "8E6BB0", "4DA6A0", "C98BA0", "7A7A52", "A0785A")
_TITLE_SIZE: Final = 1200  # in hundredths of a point
_AXIS_TITLE_SIZE: Final = 900
_GAP: Final = 240_000  # in English Metric Units, 36,000 a millimetre


class Area(NamedTuple):
    """Where a table of counts stands: header row, last row, and how many words have a column, from column 2 on."""

    sheet: Worksheet
    header: int
    last: int
    words: int


class Place(NamedTuple):
    """The cells that a chart covers: its first row and column (from 1), and how many of each."""

    row: int
    column: int
    rows: int
    columns: int


def add_stacked(area: Area, place: Place, title: str, axes: tuple[str, str], *, lying: bool = False) -> None:
    """Draw one bar a row of the table, stacked of its words; `axes` name the rows and the counts.

    Lying bars leave room for long labels; the table's first row is on top then.
    """
    chart = BarChart()
    chart.type, chart.grouping, chart.overlap, chart.gapWidth = "bar" if lying else "col", "stacked", 100, 50
    chart.title = _title(title, _TITLE_SIZE)
    chart.x_axis.title, chart.y_axis.title = (_title(text, _AXIS_TITLE_SIZE) for text in axes)
    for axis in (chart.x_axis, chart.y_axis):
        axis.delete = False  # openpyxl's default hides the axes in newer readers
    if lying:
        chart.x_axis.scaling.orientation = "maxMin"
        chart.y_axis.crosses = "max"  # at the bottom again, now that the other axis is turned round
    chart.y_axis.number_format = "#,##0"
    faint = GraphicalProperties()
    faint.line.solidFill = "E3E8ED"
    chart.y_axis.majorGridlines = ChartLines(spPr=faint)
    chart.legend.position = "r"
    if area.words and area.last > area.header:
        counts = Reference(area.sheet, min_col=2, max_col=area.words + 1, min_row=area.header, max_row=area.last)
        chart.add_data(counts, titles_from_data=True)
        chart.set_categories(Reference(area.sheet, min_col=1, min_row=area.header + 1, max_row=area.last))
        for number, series in enumerate(chart.series):
            word = str(area.sheet.cell(area.header, number + 2).value)
            series.graphicalProperties.solidFill = _COLOURS.get(word, _FURTHER[number % len(_FURTHER)])
            series.graphicalProperties.line.noFill = True
    # Pinned to cells, with a gap to its left: a size in centimetres drifts with the reader's fonts.
    first = AnchorMarker(col=place.column - 1, colOff=_GAP, row=place.row - 1)
    last = AnchorMarker(col=place.column - 1 + place.columns, row=place.row - 1 + place.rows)
    anchor = TwoCellAnchor(editAs="oneCell", _from=first, to=last)
    chart.anchor = anchor  # type: ignore[assignment]  # openpyxl takes an anchor or a cell name
    area.sheet.add_chart(chart)


def _title(text: str, size: int) -> Title:
    """Return a title beside the plot, not over it."""
    look = CharacterProperties(sz=size, b=True)
    run = RegularTextRun(rPr=look, t=text)
    paragraph = Paragraph(pPr=ParagraphProperties(defRPr=look), r=[run])
    return Title(tx=Text(rich=RichText(p=[paragraph])), overlay=False)
