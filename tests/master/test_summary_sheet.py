"""The Summary sheet tells a reader what came out, in figures that add up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from openpyxl import Workbook
from openpyxl.chart import BarChart
from openpyxl.worksheet.worksheet import Worksheet

from orchestrator.jobdir.verdict_words import MEANINGS, OTHER_WORDS, OWN_WORDS, TOP_WORDS
from orchestrator.master import MasterChunk
from orchestrator.master.base_chunks import base_blocks
from orchestrator.master.master_layout import MasterLayout
from orchestrator.master.summary_sheet import fill
from orchestrator.master.tally import Tally

Chunk = Callable[..., MasterChunk]
NUMBERS = ["+41798284651", "+12025550123", "+41791234567"]


def summary(chunks: Sequence[MasterChunk], layout: MasterLayout) -> Worksheet:
    tally = Tally(layout.platforms)
    for chunk in chunks:
        for block in base_blocks(chunk, 0):
            tally.add(block)
    sheet: Worksheet = Workbook().create_sheet("Summary")
    fill(sheet, layout, tally)
    return sheet


def rows_below(sheet: Worksheet, title: str) -> list[list[object]]:
    """Return the rows between a heading and the next empty row, without trailing empty cells."""
    start = next(cell.row for (cell,) in sheet.iter_rows(max_col=1) if cell.value == title)
    rows: list[list[object]] = []
    for row in sheet.iter_rows(min_row=start + 1, values_only=True):
        if row[0] is None:
            break
        rows.append([cell for cell in row if cell is not None])
    return rows


def test_tables(chunk: Chunk) -> None:
    """Verdicts stand per platform and per calling code, with sums; shares are of the platform's numbers."""
    layout = MasterLayout(("instagram", "amazon"), 3, (3,))
    sheet = summary([chunk(NUMBERS, ["yes", "no", "ban"], ["yes", "yes", "unanswered"])], layout)
    header = ["yes", "no", "ban", "unanswered"]
    assert rows_below(sheet, "Verdicts per platform") == [
        ["Platform", *header, "Total"],
        ["instagram", 1, 1, 1, 0, 3],
        ["amazon", 2, 0, 0, 1, 3],
    ]
    assert rows_below(sheet, "Share, by platform")[1] == ["amazon", 2 / 3, 0, 0, 1 / 3]
    assert rows_below(sheet, "Verdicts per calling code, all platforms together") == [
        ["Calling code", *header, "Total"],
        ["+41 CH", 2, 0, 1, 1, 4],
        ["+1 US and others", 1, 1, 0, 0, 2],
    ]


def test_facts_and_notes(chunk: Chunk) -> None:
    """The banner stands on top, then what is missing; facts are text, or numbers where they are counts."""
    layout = MasterLayout(
        ("instagram",), 3, (3,), "=Sandbox", (("Job", "=1+1"), ("Numbers read", "0012"), ("Cost", "1.50"))
    )
    sheet = summary([chunk(NUMBERS, "pending")], layout)
    assert [sheet.cell(row, 1).value for row in (1, 2, 3)] == [
        "Summary",
        "=Sandbox",
        "Partial: 3 cells are still pending. Run again to go on.",
    ]
    facts = {sheet.cell(row, 1).value: sheet.cell(row, 2) for row in range(5, 9)}
    assert {label: cell.value for label, cell in facts.items()} == {
        "Job": "=1+1",
        "Numbers read": 12,
        "Cost": "1.50",
        "Numbers in the master": 3,
    }
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n"}


def test_top_calling_codes_and_the_rest(chunk: Chunk) -> None:
    """Ten calling codes have a row of their own, the others share one; a single other one stays itself."""
    codes = ["41", "1202", "44", "49", "33", "39", "34", "90", "86", "91", "55", "61", "65"]
    for count, last in ((11, "+55 BR"), (13, "3 other codes")):
        numbers = [f"+{code}{i:08d}" for place, code in enumerate(codes[:count]) for i in range(20 - place)]
        sheet = summary([chunk(numbers, "held")], MasterLayout(("p",), len(numbers), (len(numbers),)))
        rows = rows_below(sheet, "Verdicts per calling code, all platforms together")[1:]
        assert len(rows) == 11
        assert rows[-1][0] == last
        assert sum(int(str(row[-1])) for row in rows) == len(numbers)


def test_many_words_stay_readable(chunk: Chunk) -> None:
    """A vendor with endless words gets a few columns; the rest is one, and the sums stay."""
    words = [f"w{i:02d}" for i in range(30)] * 2 + ["yes", "=1+1"]
    numbers = [f"+4179{i:07d}" for i in range(len(words))]
    sheet = summary([chunk(numbers, words)], MasterLayout(("p",), len(words), (len(words),)))
    header, row = rows_below(sheet, "Verdicts per platform")
    assert len(header) == TOP_WORDS + 2
    assert header[-2:] == [OTHER_WORDS, "Total"]
    assert header[1] == "yes"
    assert row[-1] == len(words)


def test_every_word_is_explained(chunk: Chunk) -> None:
    """Each word that occurs has a meaning, ours above all; the vendor's own are called so."""
    sheet = summary([chunk(NUMBERS, ["yes", "zebra", "no"])], MasterLayout(("p",), 3, (3,)))
    meanings = {str(row[0]): str(row[1]) for row in rows_below(sheet, "What each word means")}
    assert list(meanings) == ["yes", "no", "zebra"]
    assert "vendor's own word" in meanings["zebra"]
    assert set(OWN_WORDS) < set(MEANINGS)


@pytest.mark.parametrize("words", [["yes", "no", "zebra"], None])
def test_charts(chunk: Chunk, words: list[str] | None) -> None:
    """Both charts are native, with titles, axes that are shown and labelled, and a series for each word."""
    layout = MasterLayout(("p",), 3, (3,))
    sheet = summary([chunk(NUMBERS, words)] if words else [], layout)
    charts = sheet._charts  # type: ignore[attr-defined]  # openpyxl has no public list of them
    assert len(charts) == 2
    for chart in charts:
        assert isinstance(chart, BarChart)
        assert chart.title is not None
        for axis in (chart.x_axis, chart.y_axis):
            assert axis.delete is False
            assert axis.title is not None
        assert len(chart.series) == len(words or [])


def test_too_long_for_a_workbook(chunk: Chunk) -> None:
    """A summary without rows says where they are."""
    sheet = summary([chunk(NUMBERS, "held")], MasterLayout(("p",), 3, ()))
    assert sheet.cell(2, 1).value == (
        "3 numbers do not fit a workbook: this one holds the summary only. "
        "The rows are in master.csv or master.parquet, whichever [output] formats names."
    )


@pytest.mark.parametrize(
    ("platforms", "kind", "width"),
    [
        (("instagram", "amazon"), "col", 24),
        (("instagram", "a_messenger_for_business"), "bar", 26),
        (("p" * 60,), "bar", 40),
        (tuple(f"p{i}" for i in range(7)), "bar", 24),
    ],
)
def test_names_have_room(platforms: tuple[str, ...], kind: str, width: int) -> None:
    """Long names, or many, turn the bars on their side; the first column is as wide as the names, within bounds."""
    sheet = summary([], MasterLayout(platforms, 0, (0,)))
    by_platform, by_code = sheet._charts  # type: ignore[attr-defined]  # openpyxl has no public list of them
    assert (by_platform.type, by_code.type) == (kind, "bar")
    assert sheet.column_dimensions["A"].width == width


def test_charts_do_not_touch() -> None:
    """There is a gap between the two charts."""
    left, right = (chart.anchor for chart in summary([], MasterLayout(("p",), 0, (0,)))._charts)  # type: ignore[attr-defined]
    assert left.to.col == right._from.col
    assert left.to.colOff < right._from.colOff
