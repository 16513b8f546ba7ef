"""The workbook is what a spreadsheet program would have written: text is text, and the header stays in sight."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import openpyxl
import pytest
import python_calamine
from openpyxl.workbook import Workbook

from orchestrator.jobdir.extra_files import CellKind
from orchestrator.master import MasterChunk, RejectSheet
from orchestrator.master.base_chunks import base_blocks
from orchestrator.master.book import build
from orchestrator.master.master_layout import BookLimits, MasterLayout, sheet_rows
from orchestrator.master.tally import Tally
from orchestrator.master.xlsx_sink import XlsxSink

Chunk = Callable[..., MasterChunk]
WORDS = ["yes", "s\u00ed", "<a & b>", "=1+1", "+41", "@x", "123", "\u0001bell", "\U0001f600"]
NUMBERS = [f"+4179828465{i}" for i in range(len(WORDS))]
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def write(chunk: MasterChunk, *platforms: str) -> bytes:
    file = io.BytesIO()
    tally = Tally(platforms)
    with XlsxSink(file, MasterLayout(platforms, chunk.rows, sheet_rows(chunk.rows, BookLimits()))) as sink:
        for block in base_blocks(chunk, 0):
            tally.add(block)
            sink.write(block, ())
        sink.finish(tally)
    return file.getvalue()


@pytest.fixture
def content(chunk: Chunk) -> bytes:
    """Give a workbook with awkward words."""
    return write(chunk(NUMBERS, WORDS, "held"), "instagram", "amazon & co")


@pytest.fixture
def book(content: bytes) -> Workbook:
    """Give the same as openpyxl reads it."""
    return openpyxl.load_workbook(io.BytesIO(content))


def test_cells_come_back(content: bytes, book: Workbook) -> None:
    """Two readers give the same cells, all of them text; what XML can't hold is replaced."""
    shown = [word.replace("\u0001", "\ufffd") for word in WORDS]
    expected = [["Number", "instagram", "amazon & co"], *([n, w, "held"] for n, w in zip(NUMBERS, shown, strict=True))]
    assert [list(row) for row in book["Master"].iter_rows(values_only=True)] == expected
    assert {cell.data_type for row in book["Master"].iter_rows() for cell in row} == {"s"}
    assert python_calamine.load_workbook(io.BytesIO(content)).get_sheet_by_name("Master").to_python() == expected


def test_formats(book: Workbook) -> None:
    """Numbers, and words that could become a formula, have the text format; the header is bold."""
    sheet = book["Master"]
    assert {sheet.cell(row, 1).number_format for row in range(2, len(WORDS) + 2)} == {"@"}
    assert [sheet.cell(row, 2).number_format for row in range(2, 8)] == ["General"] * 3 + ["@", "General", "@"]
    assert all(cell.font.b for cell in sheet[1])
    assert not sheet["A2"].font.b


def test_it_prints_well(book: Workbook) -> None:
    """Landscape, as wide as a page, the header on each of them, and the page's number below."""
    sheet = book["Master"]
    assert sheet.page_setup.orientation == "landscape"
    assert sheet.sheet_properties.pageSetUpPr is not None
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.page_setup.fitToHeight == 0
    assert sheet.print_title_rows == "$1:$1"
    assert sheet.oddFooter is not None
    assert "Page &P of &N" in str(sheet.oddFooter)


def test_rules_colour_the_verdicts(chunk: Chunk) -> None:
    """Yes, what went wrong and what is open differ by rules of the sheet; what stands beside a verdict has none."""
    made = chunk(NUMBERS[:2], ["yes", "ban"], ["no", "held"])
    layout = MasterLayout(("a", "b"), 2, (2,), extras=({"days": CellKind.WHOLE}, {}))
    block = next(iter(base_blocks(made, 0, (1, 0))))
    file = io.BytesIO()
    with XlsxSink(file, layout) as sink:
        sink.write(block, ())
        sink.finish(Tally(("a", "b")))
    sheet = openpyxl.load_workbook(file)["Master"]
    (formatting,) = sheet.conditional_formatting
    assert str(formatting.sqref) == "B2:B3 D2:D3"
    fills = {rule.formula[0].strip('"'): rule.dxf.fill.bgColor.rgb for rule in formatting.rules}
    assert len({fills["yes"], fills["ban"], fills["held"]}) == 3
    assert fills["failed"] == fills["ban"]
    assert "no" not in fills


def test_rejects_and_duplicates_are_sheets(tmp_path: Path) -> None:
    """Behind the Summary stand the records of the csv files, texts as they were, lines as numbers, up to a limit."""
    rejected = tmp_path / "rejected.csv"
    rejected.write_text("line,raw,reason,source\r\n3,'=1+1,not a number,a.csv\r\n12,\"x, y\",'it is,a.csv\r\n")
    layout = MasterLayout(("a",), 0, (0,), rejects=(RejectSheet("Rejected", rejected, 2),))
    file = io.BytesIO()
    with XlsxSink(file, layout) as sink:
        sink.finish(Tally(("a",)))
    book = openpyxl.load_workbook(file)
    assert book["Rejected"]["A2"].alignment.indent == 1  # or it would run into the text on its right
    assert book.sheetnames == ["Master", "Summary", "Rejected"]
    sheet = book["Rejected"]
    assert list(sheet.iter_rows(values_only=True)) == [
        ("line", "raw", "reason", "source"),
        (3, "=1+1", "not a number", "a.csv"),
        (12, "x, y", "'it is", "a.csv"),
    ]
    assert sheet["B2"].data_type == "s"
    assert (sheet.auto_filter.ref, sheet.freeze_panes, sheet.print_title_rows) == ("A1:D3", "A2", "$1:$1")


def test_a_long_list_of_rejects_says_what_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet holds so many records, and the last line names the file with all."""
    monkeypatch.setattr("orchestrator.master.reject_sheets.MOST_ROWS", 2)
    rejected = tmp_path / "rejected.csv"
    rejected.write_text("line,raw\n1,a\n2,b\n3,c\n4,d\n")
    file = io.BytesIO()
    with XlsxSink(file, MasterLayout(("a",), 0, (), rejects=(RejectSheet("Rejected", rejected, 4),))) as sink:
        sink.finish(Tally(("a",)))
    rows = list(openpyxl.load_workbook(file)["Rejected"].iter_rows(values_only=True))
    assert rows == [("line", "raw"), (1, "a"), (2, "b"), ("and 2 more in rejected.csv", None)]


def test_header_stays_and_filters(content: bytes, book: Workbook) -> None:
    """The header is frozen and filtered over all rows, and columns are wide enough to read."""
    sheet = book["Master"]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == f"A1:C{len(WORDS) + 1}"
    assert sheet.column_dimensions["A"].width > 16
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert b"_xlnm._FilterDatabase" in archive.read("xl/workbook.xml")


def test_no_mark_on_numbers_stored_as_text(content: bytes) -> None:
    """The sheet says that numbers stored as text are meant."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = ET.fromstring(archive.read("xl/worksheets/sheet1.xml"))  # noqa: S314 - written by ourselves
    ignored = sheet.find(f"{MAIN}ignoredErrors/{MAIN}ignoredError")
    assert ignored is not None
    assert ignored.attrib == {"sqref": f"A1:C{len(WORDS) + 1}", "numberStoredAsText": "1"}
    order = [element.tag.removeprefix(MAIN) for element in sheet]
    before = ["sheetPr", "sheetViews", "sheetFormatPr", "cols", "sheetData", "autoFilter", "conditionalFormatting"]
    assert order == [*before, "pageMargins", "pageSetup", "headerFooter", "ignoredErrors"]


def test_no_clock_in_the_file(content: bytes) -> None:
    """Neither members nor properties carry a time, so equal verdicts give equal bytes."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"dcterms" not in archive.read("docProps/core.xml")


def test_parts_are_whole_and_in_order(content: bytes) -> None:
    """The content types lead, so that tools know a workbook by its first bytes; every part is there once."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        types = archive.read("[Content_Types].xml").decode()
    assert names[:2] == ["[Content_Types].xml", "xl/worksheets/sheet1.xml"]
    assert len(names) == len(set(names))
    for name in names:
        assert name.endswith((".rels", "[Content_Types].xml")) or f'"/{name}"' in types


def test_an_exception_leaves_nothing_open(chunk: Chunk, tmp_path: Path) -> None:
    """Leaving early ends the compressor quietly, before its file is closed."""
    made = chunk(NUMBERS, "held")

    def stop_early() -> None:
        with (tmp_path / "x").open("wb") as file, XlsxSink(file, MasterLayout(("p",), made.rows, (made.rows,))) as sink:
            sink.write(next(iter(base_blocks(made, 0))), ())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_early()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("deflate")]


def test_content_types_do_not_depend_on_counts(chunk: Chunk) -> None:
    """The part that is written before anything is counted is the one that belongs to the whole."""
    tally = Tally(["p"])
    for block in base_blocks(chunk(NUMBERS, WORDS), 0):
        tally.add(block)
    layout = MasterLayout(("p",), len(NUMBERS), (len(NUMBERS),))
    name = "[Content_Types].xml"
    assert build(layout, tally)[name] == build(layout, Tally(["p"]))[name]
