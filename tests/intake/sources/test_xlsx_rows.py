from __future__ import annotations

import datetime as dt
import re
import zipfile
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import CellBlock, Declared
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.table_layout import TableOptions
from orchestrator.intake.sources.xlsx_rows import read_workbook
from orchestrator.workbooks import is_workbook, packed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.intake.conftest import Write, WriteWorkbook


def tables(found: Iterable[CellBlock | Declared]) -> list[CellBlock]:
    """Return the blocks alone."""
    return [block for block in found if isinstance(block, CellBlock)]


def cells(path: Path, block_bytes: int = 1 << 20, **options: Any) -> list[tuple[int, str]]:
    blocks = tables(read_workbook(str(path), TableOptions(path.name, **options), block_bytes))
    return [cell for block in blocks for cell in block.cells()]


def test_cells_and_rows(write_workbook: WriteWorkbook) -> None:
    """Cells of any type become text, with their row number; rows without anything are blank, others are not."""
    rows = [[], ["Name", "Phone"], ["a", " +41 "], [None, 41798284651], [None, None], ["b", 41.0], ["c"], ["d", 1.5],
            ["e", dt.date(2026, 1, 2)], ["f", True]]  # fmt: skip
    path = write_workbook("a.xlsx", Sheet=rows)
    assert cells(path) == [
        (3, "+41"), (4, "41798284651"), (6, "41"), (7, ""), (8, "1.5"), (9, "2026-01-02 00:00:00"), (10, "True"),
    ]  # fmt: skip
    assert cells(path, block_bytes=1) == cells(path)


def test_headerless_sheet(write_workbook: WriteWorkbook) -> None:
    """A single column that begins with a number has no header."""
    path = write_workbook("a.xlsx", Sheet=[["+41798284651"], ["+41798284652"]])
    assert cells(path) == [(1, "+41798284651"), (2, "+41798284652")]


def test_the_one_filled_sheet(write_workbook: WriteWorkbook) -> None:
    """Empty sheets don't count; without any filled sheet there are no cells."""
    path = write_workbook("a.xlsx", First=[], Second=[[None, None], ["phone"], ["+41"]], Third=[])
    assert cells(path) == [(3, "+41")]
    assert cells(write_workbook("b.xlsx", First=[], Second=[])) == []


def test_a_sheet_of_charts_has_no_cells(tmp_path: Path) -> None:
    """A chart sheet, here one without a chart, which breaks openpyxl, is no reason to refuse the list beside it."""
    book = openpyxl.Workbook()
    book.create_chartsheet("Chart", 0)
    for text in ("phone", "+41798284651"):
        book["Sheet"].append([text])
    book.save(path := tmp_path / "a.xlsx")
    assert cells(path) == cells(path, sheet="Sheet") == [(2, "+41798284651")]


def test_named_sheet(write_workbook: WriteWorkbook) -> None:
    """`sheet` names the sheet, exactly or but for case; without it, several filled ones are an error."""
    path = write_workbook("a.xlsx", One=[["phone"], ["+41"]], Two=[["phone"], ["+42"]], Empty=[])
    assert cells(path, sheet="Two") == cells(path, sheet="two") == [(2, "+42")]
    with pytest.raises(UsageError, match=r"a\.xlsx: several sheets are filled; .*`sheet`: 'One', 'Two'$"):
        cells(path)
    with pytest.raises(UsageError, match=r"no sheet is called 'Three'; .*`sheet`.*: 'One', 'Two', 'Empty'"):
        cells(path, sheet="Three")


def test_wrong_dimension(write_workbook: WriteWorkbook) -> None:
    """What a workbook says of its own size is not believed: every row comes out."""
    path = write_workbook("a.xlsx", Sheet=[["name", "phone"], *(["a", f"+4{i}"] for i in range(100))])
    assert len(cells(altered(path, rb'<dimension ref="[^"]*"', b'<dimension ref="A1:A5"'))) == 100


def test_cells_that_are_no_numbers_whatever_they_look_like(write_workbook: WriteWorkbook) -> None:
    """Dates, fractions, and formulas that nothing has computed are faults; what is stored with a formula counts."""
    rows = [["phone", "x"], [dt.date(2026, 1, 2), 1], [4179828.4651, 1], ['="+41"&B2'], [41798284651, 1]]
    path = write_workbook("a.xlsx", Sheet=rows)
    (block,) = tables(read_workbook(str(path), TableOptions("a.xlsx"), 1 << 20))
    assert list(block.cells()) == [
        (2, "2026-01-02 00:00:00"), (3, "4179828.4651"), (4, '="+41"&B2'), (5, "41798284651"),
    ]  # fmt: skip
    assert block.faults == {0: Reason.DATE, 1: Reason.NOT_A_NUMBER, 2: Reason.FORMULA}


def test_a_number_that_is_formatted_as_a_date(tmp_path: Path) -> None:
    """A phone number is no day that a spreadsheet knows: it comes out as the number that is stored."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["phone"])
    sheet.append([41798284651])
    sheet["A2"].number_format = "yyyy-mm-dd"
    book.save(tmp_path / "a.xlsx")
    assert cells(tmp_path / "a.xlsx") == [(2, "41798284651")]


def test_kept_columns(write_workbook: WriteWorkbook) -> None:
    """Other columns are kept as text, short rows filled up, values of formulas and dates as they are written."""
    rows = [["name", "phone", "since", None, "name"], ["Anna", "+41", dt.date(2026, 1, 2)], [None, "+42", None, 1, 2.0]]
    path = write_workbook("a.xlsx", Sheet=rows)
    (block,) = tables(read_workbook(str(path), TableOptions("a.xlsx", keep=True), 1 << 20))
    assert block.names == ("name", "since", "Column 4", "name#2")
    assert block.kept == [["Anna", "2026-01-02 00:00:00", "", ""], ["", "", "1", "2"]]


def altered(path: Path, pattern: bytes, replacement: bytes, part: str = "sheet1.xml") -> Path:
    """Write a copy of a workbook of which a part is changed, the first sheet as a rule."""
    copy = path.with_name("altered.xlsx")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(part):
                content, found = re.subn(pattern, replacement, content)
                assert found == 1
            new.writestr(name, content)
    return copy


def test_cells_far_away(write_workbook: WriteWorkbook) -> None:
    """A cell in the last corner of a sheet costs nothing; a row or column that no sheet has is damage, or not there."""
    path = write_workbook("a.xlsx", Sheet=[["phone"], ["+41"], ["+42"]])
    far = altered(path, rb"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>')
    assert cells(far) == [(2, "+41"), (3, "+42"), (1_048_576, "")]
    beyond = altered(path, rb"</sheetData>", b'<row r="4"><c r="XFE4"><v>1</v></c></row></sheetData>')
    assert cells(beyond) == [(2, "+41"), (3, "+42")]
    with pytest.raises(UsageError, match="can't be read as a workbook"):
        cells(altered(path, rb"</sheetData>", b'<row r="99999999999999999999"><c><v>1</v></c></row></sheetData>'))


@pytest.mark.parametrize("content", [b"", b"+41798284651\n", b"PK\x03\x04 and more"])
def test_no_workbook(write: Write, content: bytes) -> None:
    """A file that is no workbook is an error that names it."""
    with pytest.raises(UsageError, match=r"a\.xlsx: this can't be read as a workbook"):
        cells(write("a.xlsx", content))


def test_half_a_workbook(write_workbook: WriteWorkbook) -> None:
    """A workbook whose sheet is cut off is an error, also when it is found in the middle of it."""
    path = write_workbook("a.xlsx", Sheet=[["phone"], *([f"+4{i}"] for i in range(100))])
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_name("b.xlsx"), "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[: len(content) // 2] if name.endswith("sheet1.xml") else content)
    with pytest.raises(UsageError, match=r"b\.xlsx: this can't be read as a workbook \(ParseError\)"):
        cells(path.with_name("b.xlsx"))


def test_a_workbook_that_is_packed_with_broken_lzma(write_workbook: WriteWorkbook) -> None:
    """Spreadsheets pack in one way, but zips know more."""
    path = write_workbook("a.xlsx", Sheet=[["phone"], ["+41"]])
    copy = path.with_name("b.xlsx")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w", zipfile.ZIP_LZMA) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert cells(copy) == [(2, "+41")]
    copy.write_bytes(copy.read_bytes().replace(b"\x05\x00\x5d", b"\x05\x00\xff"))  # its properties
    with pytest.raises(UsageError, match=r"b\.xlsx: this can't be read as a workbook \(LZMAError\)"):
        cells(copy)


def test_an_encoding_that_nobody_knows(write_workbook: WriteWorkbook) -> None:
    """A sheet may say that it is written in anything."""
    path = write_workbook("a.xlsx", Sheet=[["phone"], ["+41"]])
    odd = altered(path, rb"\A", b"<?xml version='1.0' encoding='zz'?>")
    with pytest.raises(UsageError, match=r"altered\.xlsx: this can't be read as a workbook \(LookupError\)"):
        cells(odd)


def test_missing_workbook(tmp_path: Path) -> None:
    """A workbook that vanished is an error of the input, not of the workbook."""
    with pytest.raises(UsageError, match=r"a\.xlsx: No such file"):
        cells(tmp_path / "a.xlsx")


STRICT = {
    b"http://schemas.openxmlformats.org/spreadsheetml/2006/": b"http://purl.oclc.org/ooxml/spreadsheetml/",
    b"http://schemas.openxmlformats.org/officeDocument/2006/": b"http://purl.oclc.org/ooxml/officeDocument/",
}


def rewritten(path: Path, names: dict[str, str], contents: dict[bytes, bytes]) -> Path:
    """Write the workbook anew with other names of parts, and other texts in them."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            for old, new in contents.items():
                content = content.replace(old, new)  # noqa: PLW2901 - one after the other
            archive.writestr(names.get(name, name), content)
    return path


@pytest.mark.parametrize(
    ("names", "contents"),
    [
        ({}, STRICT),
        ({"xl/worksheets/sheet2.xml": "xl/worksheets/Sheet2.XML"}, {}),
        ({"xl/sharedStrings.xml": "XL/SharedStrings.xml", "[Content_Types].xml": "[content_types].xml"}, {}),
        (
            {"xl/workbook.xml": "xl/workbook22.xml", "xl/_rels/workbook.xml.rels": "xl/_rels/workbook22.xml.rels"},
            {b"xl/workbook.xml": b"xl/workbook22.xml"},
        ),
    ],
    ids=["strict", "a sheet's name in other case", "other names in other case", "workbook22"],
)
def test_workbooks_as_excel_reads_them(
    write_workbook: WriteWorkbook, names: dict[str, str], contents: dict[bytes, bytes]
) -> None:
    """A strict workbook, and parts under other names or in other case, are read as any other."""
    path = write_workbook("a.xlsx", Empty=[], Two=[["phone"], ["+41"]])
    assert cells(rewritten(path, names, contents)) == [(2, "+41")]


@pytest.mark.parametrize(
    ("folder", "contents"),
    [("xl\\", {}), ("our/", {b"xl/": b"our/"}), ("", {b"/xl/": b"/"})],
    ids=["\\", "our", "none"],
)
def test_workbooks_in_other_folders(write_workbook: WriteWorkbook, folder: str, contents: dict[bytes, bytes]) -> None:
    """Some programs write backslashes between folders, and none has to call one of them so."""
    path = write_workbook("a.xlsx", Empty=[], Two=[["phone"], ["+41"]])
    with zipfile.ZipFile(path) as archive:
        names = {name: name.replace("xl/", folder) for name in archive.namelist()}
    if "\\" in folder:
        names = {name: new.replace("/", "\\") for name, new in names.items()}
    assert cells(rewritten(path, names, contents)) == [(2, "+41")]
    with zipfile.ZipFile(path) as archive:
        assert is_workbook(archive)


@pytest.mark.parametrize(
    ("part", "pattern", "replacement"),
    [
        ("styles.xml", rb'<color theme="1" ?/>', b'<color rgb="FF"/>'),
        ("styles.xml", rb"<fills.*</fills>", b"<fills><fill/></fills>"),
        ("styles.xml", rb"<cellStyles.*</cellStyles>", b'<cellStyles><cellStyle name="x" xfId="7"/></cellStyles>'),
        ("core.xml", rb"(<dcterms:created [^>]*>)[^<]*", rb"\1yesterday"),
    ],
    ids=["colour", "fill", "style", "author"],
)
def test_looks_and_authors_may_be_as_they_like(tmp_path: Path, part: str, pattern: bytes, replacement: bytes) -> None:
    """What a list does not need is no reason to refuse it; dates are still known by their formats."""
    book = openpyxl.Workbook()
    for row in (["Phone", "x"], ["+41798284651", 1], [dt.date(2026, 1, 2), 2], [dt.timedelta(hours=30), 3]):
        book.active.append(row)  # type: ignore[union-attr]
    path = tmp_path / "a.xlsx"
    book.save(path)
    path = altered(path, pattern, replacement, part)
    assert cells(path, column="Phone") == [(2, "+41798284651"), (3, "2026-01-02 00:00:00"), (4, "1 day, 6:00:00")]


def test_shared_strings_that_are_declared_and_missing(write_workbook: WriteWorkbook) -> None:
    """Some programs declare them in every workbook, and write texts into the cells."""
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    declared = b'<Override PartName="/xl/sharedStrings.xml" ContentType="%b"/></Types>' % kind
    path = write_workbook("a.xlsx", Sheet=[["Phone"], [41798284651]])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert not any("sharedStrings" in name for name in parts)  # openpyxl has them in the cells, too
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(b"</Types>", declared)
    path.write_bytes(packed(parts).getvalue())
    assert cells(path) == [(2, "41798284651")]


def test_a_workbook_of_which_no_sheet_is_found(write_workbook: WriteWorkbook) -> None:
    """What is there is counted without the reader: a sheet with values can't pass for an empty one."""
    path = write_workbook("a.xlsx", Sheet=[["phone"], ["+41"]])
    with pytest.raises(
        UsageError, match=r"a\.xlsx: no sheet of this workbook could be read; save it anew, or as \.csv"
    ):
        cells(rewritten(path, {}, {b"<row": b"<raw", b"</row": b"</raw"}))
