"""The Summary sheet: what came out, at a glance and in figures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties

from orchestrator.jobdir.verdict_words import MEANINGS, NOT_IN_JOB, VENDORS_WORD, folded, shown_words
from orchestrator.master.charts import Area, Place, add_stacked
from orchestrator.master.tally import calling_code_label
from orchestrator.master.xml_text import legal, literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

    from orchestrator.master.changes import DiffReport
    from orchestrator.master.master_layout import MasterLayout
    from orchestrator.master.tally import Tally

TOP_CALLING_CODES: Final = 10

_CHART_ROWS: Final = 17
_CHART_COLUMNS: Final = 6
_CHARTS_FROM_COLUMN: Final = (4, 10)
_STANDING_BARS: Final = 6
_STANDING_LABEL: Final = 12
"""More bars, or longer names below them, would leave the bars no room: they lie then."""
_LABEL_WIDTHS: Final = (24, 40)
_VALUE_WIDTH: Final = 14
_LAST_COLUMN: Final = 15

FONT: Final = "Calibri"
"""The font of the rows too; a font without a name falls back to a serif one in some readers."""

_TITLE = Font(FONT, size=18, bold=True, color="1F3A56")
_HEADING = Font(FONT, size=13, bold=True, color="1F3A56")
_BOLD = Font(FONT, size=11, bold=True)
_HEADER_FILL = PatternFill("solid", start_color="E8EEF4")
_BANNER_FILL = PatternFill("solid", start_color="FFE08A")
_RULE = Border(bottom=Side("thin", color="B8C4CF"))


class _CountTable(NamedTuple):
    """Rows of counts under a header of words; `rows` maps a label to its counts by word."""

    corner: str
    words: tuple[str, ...]
    rows: dict[str, dict[str, int]]


def fill(sheet: Worksheet, layout: MasterLayout, tally: Tally) -> None:
    """Write the sheet: banner and notes, facts beside the charts, then the figures and what the words mean."""
    _page(sheet, max(map(len, layout.platforms)))
    _put(sheet, 1, 1, "Summary").font = _TITLE
    notes = [layout.banner] if layout.banner else []
    if pending := tally.words.get("pending", 0):
        notes.append(f"Partial: {pending:,} cells are still pending. Run again to go on.")
    if not layout.sheet_rows:
        notes.append(
            f"{layout.rows:,} numbers do not fit a workbook: this one holds the summary only. "
            "The rows are in master.csv or master.parquet, whichever [output] formats names."
        )
    row = _banners(sheet, notes)
    facts = (*layout.facts, ("Numbers in the master", str(tally.rows or layout.rows)))
    for place, (label, value) in enumerate(facts, start=row + 1):
        _put(sheet, place, 1, label)
        cell = _put(sheet, place, 2, int(value) if value.isascii() and value.isdecimal() else value)
        cell.font, cell.alignment = _BOLD, Alignment(horizontal="right")
    tables_at = max(row + 1 + len(facts), row + 1 + _CHART_ROWS) + 1
    words = shown_words(tally.words)
    by_platform = _CountTable("Platform", words, {p: folded(c, words) for p, c in tally.counts.items()})
    by_code = _CountTable("Calling code", words, _top_codes(tally.by_calling_code, words))
    area, next_row = _counts(sheet, tables_at, "Verdicts per platform", by_platform)
    left, right = (Place(row + 1, column, _CHART_ROWS, _CHART_COLUMNS) for column in _CHARTS_FROM_COLUMN)
    lying = len(layout.platforms) > _STANDING_BARS or max(map(len, layout.platforms)) > _STANDING_LABEL
    add_stacked(area, left, "Verdicts per platform", ("Platform", "Numbers"), lying=lying)
    next_row = _shares(sheet, next_row, by_platform)
    area, next_row = _counts(sheet, next_row, "Verdicts per calling code, all platforms together", by_code)
    add_stacked(area, right, "Verdicts per calling code", ("Calling code", "Verdicts, all platforms"), lying=True)
    _put(sheet, next_row, 1, "What each word means").font = _HEADING
    for place, word in enumerate(words, start=next_row + 1):
        _put(sheet, place, 1, word).font = _BOLD
        _put(sheet, place, 2, MEANINGS.get(word, VENDORS_WORD))


def fill_changes(report: DiffReport, sheet: Worksheet, layout: MasterLayout, _tally: Tally) -> None:
    """Write the sheet of a comparison of two jobs: how many numbers differ, and from which verdict to which."""
    _page(sheet, max(map(len, layout.platforms)))
    _put(sheet, 1, 1, "Summary").font = _TITLE
    notes = [] if layout.sheet_rows else [f"{layout.rows:,} numbers do not fit a workbook: let diff write a csv file."]
    row = _banners(sheet, notes) + 1
    counts = [(label, getattr(report, label.lower())) for label in ("New", "Gone", "Changed", "Same")]
    for place, (label, value) in enumerate((*layout.facts, *counts), start=row):
        _put(sheet, place, 1, label)
        cell = _put(sheet, place, 2, value)
        cell.font, cell.alignment = _BOLD, Alignment(horizontal="left" if isinstance(value, str) else "right")
    row += len(layout.facts) + len(counts) + 1
    for platform, verdicts in report.verdicts.items():
        _header(sheet, row, (platform, "now", "numbers"))
        for place, ((was, now), numbers) in enumerate(verdicts.items(), start=row + 1):
            _put(sheet, place, 1, was or NOT_IN_JOB)
            _put(sheet, place, 2, now or NOT_IN_JOB).alignment = Alignment(horizontal="right")
            _put(sheet, place, 3, numbers)
        row += len(verdicts) + 2


def _page(sheet: Worksheet, longest_label: int) -> None:
    sheet.sheet_view.showGridLines = False
    sheet.sheet_properties.tabColor = "1F3A56"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    least, most = _LABEL_WIDTHS
    for column in range(1, _LAST_COLUMN + 1):
        width = min(most, max(least, longest_label + 2)) if column == 1 else _VALUE_WIDTH
        sheet.column_dimensions[get_column_letter(column)].width = width


def _banners(sheet: Worksheet, notes: Sequence[str]) -> int:
    """Write what a reader must know first; return the row below."""
    row = 2
    for note in notes:
        sheet.merge_cells(start_row=row, end_row=row, start_column=1, end_column=_LAST_COLUMN)
        cell = _put(sheet, row, 1, note)
        cell.font, cell.fill, cell.alignment = _BOLD, _BANNER_FILL, Alignment(vertical="center", indent=1)
        sheet.row_dimensions[row].height = 24
        row += 1
    return row


def _counts(sheet: Worksheet, row: int, title: str, table: _CountTable) -> tuple[Area, int]:
    """Write a table of counts with its sums; return where a chart finds it, and the next free row."""
    _put(sheet, row, 1, title).font = _HEADING
    header = row + 1
    _header(sheet, header, (table.corner, *table.words, "Total"))
    for place, (label, counts) in enumerate(table.rows.items(), start=header + 1):
        _put(sheet, place, 1, label)
        for column, count in enumerate((*(counts[word] for word in table.words), sum(counts.values())), start=2):
            _put(sheet, place, column, count)
        sheet.cell(place, len(table.words) + 2).font = _BOLD
    last = header + len(table.rows)
    return Area(sheet, header, last, len(table.words)), last + 2


def _shares(sheet: Worksheet, row: int, table: _CountTable) -> int:
    """Write the same table in per cent of each row."""
    _header(sheet, row, (f"Share, by {table.corner.lower()}", *table.words))
    for place, (label, counts) in enumerate(table.rows.items(), start=row + 1):
        _put(sheet, place, 1, label)
        total = sum(counts.values())
        for column, word in enumerate(table.words, start=2):
            _put(sheet, place, column, counts[word] / total if total else 0.0).number_format = "0.0%"
    return row + len(table.rows) + 2


def _header(sheet: Worksheet, row: int, texts: Sequence[str]) -> None:
    for column, text in enumerate(texts, start=1):
        cell = _put(sheet, row, column, text)
        cell.font, cell.fill, cell.border = _BOLD, _HEADER_FILL, _RULE
        cell.alignment = Alignment(horizontal="left" if column == 1 else "right")


def _put(sheet: Worksheet, row: int, column: int, value: str | float) -> Cell:
    """Set a cell; text stays text, whatever it begins with."""
    cell = cast("Cell", sheet.cell(row, column))  # never a hidden part of a merged range
    if isinstance(value, str):
        cell.value = literal(legal(value))
        cell.data_type = "s"
    else:
        cell.value = value
        cell.number_format = "#,##0"
    return cell


def _top_codes(by_code: Mapping[int, dict[str, int]], words: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the calling codes with most numbers, and all others as one row."""
    rows = [(calling_code_label(code), folded(counts, words)) for code, counts in by_code.items()]
    if len(rows) <= TOP_CALLING_CODES + 1:
        return dict(rows)  # a row for one other code would say less than its name
    rest = Counter(dict.fromkeys(words, 0))
    for _, counts in rows[TOP_CALLING_CODES:]:
        rest.update(counts)
    return dict(rows[:TOP_CALLING_CODES]) | {f"{len(rows) - TOP_CALLING_CODES} other codes": dict(rest)}
