"""The fast reader says what the library says, or nothing: for every writer, every shape, every odd cell."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
import python_calamine as calamine
import xlsxwriter  # type: ignore[import-untyped]  # has no stubs

from orchestrator.results.archive import Archive, Limits
from orchestrator.results.columns import Wanted
from orchestrator.results.frames import NotPlainError
from orchestrator.results.numbers import as_numbers
from orchestrator.results.plainbook import read_book
from orchestrator.sandbox.shapes import Dimension, NumberForm, RowOrder, Shape
from orchestrator.sandbox.workbook import write_workbook

Table = list[list[object]]
Pairs = list[tuple[int, str]]
LIMITS = Limits.for_rows(400)
HEADER: list[object] = ["Number", "instagram"]
SHEET = "xl/worksheets/sheet1.xml"


def by_fast_reader(content: bytes) -> Pairs:
    """Return the rows of all sheets, blank ones left out; raises `NotPlainError`."""
    archive = Archive(io.BytesIO(content), LIMITS)
    batches, _ = read_book(archive, LIMITS, Wanted("instagram"))
    rows = [row for batch in batches for row in zip(batch.numbers.tolist(), map(str, batch.verdicts), strict=True)]
    return sorted(row for row in rows if row != (0, ""))


def by_library(content: bytes) -> Pairs:
    """Return the rows of all sheets that have both columns, as calamine has them."""
    pairs: Pairs = []
    with calamine.load_workbook(io.BytesIO(content)) as book:
        for name in book.sheet_names:
            pairs += in_columns([list(row) for row in book.get_sheet_by_name(name).iter_rows()])
    return sorted(pairs)


def by_openpyxl(content: bytes) -> Pairs:
    """Return the rows of all sheets that have both columns, as openpyxl has them."""
    pairs: Pairs = []
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    for sheet in book.worksheets:
        sheet.reset_dimensions()
        rows = sheet.iter_rows(values_only=True)
        pairs += in_columns([["" if cell is None else cell for cell in row] for row in rows])
    return sorted(pairs)


def in_columns(rows: Table) -> Pairs:
    header = next((place for place, row in enumerate(rows) if any(cell != "" for cell in row)), None)
    places = None if header is None else Wanted("instagram").places(rows[header])
    if header is None or places is None:
        return []
    wide = [[*row, *[""] * 9] for row in rows[header + 1 :]]
    numbers = as_numbers([row[places[0]] for row in wide]).tolist()
    verdicts = [row[places[1]] for row in wide]
    words = [str(float(word)) if type(word) in {int, float} else str(word) for word in verdicts]  # type: ignore[arg-type]  # as just seen
    return [pair for pair in zip(numbers, words, strict=True) if pair != (0, "")]


def changed(content: bytes, old: bytes, new: bytes, part: str = SHEET, count: int = -1) -> bytes:
    """Return the workbook with bytes of one part exchanged."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in archive.namelist():
            text = archive.read(name)
            if name == part:
                assert old in text
                text = text.replace(old, new, count)
            copy.writestr(name, text)
    return packed.getvalue()


def with_openpyxl(rows: Table, **options: bool) -> bytes:
    book = openpyxl.Workbook(**options)
    sheet = book.create_sheet("S") if options else book["Sheet"]
    for row in rows:
        sheet.append(row)
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def with_xlsxwriter(rows: Table, **options: bool) -> bytes:
    packed = io.BytesIO()
    with xlsxwriter.Workbook(packed, options) as book:
        sheet = book.add_worksheet()
        bold = book.add_format({"bold": True})
        for place, row in enumerate(rows):
            for column, cell in enumerate(row):
                style = None if place else bold
                (sheet.write_string if isinstance(cell, str) else sheet.write)(place, column, cell, style)
    return packed.getvalue()


def with_sandbox(form: NumberForm, *, references: bool, shared: bool) -> Callable[[Table], bytes]:
    def make(rows: Table) -> bytes:
        shape = Shape(
            *("Number", "instagram", ("yes", "no"), form, RowOrder.AS_SENT, True, "registered.txt"),
            *(references, shared, Dimension.WRONG),
        )
        mark = "+" if form is NumberForm.PLUS else ""
        packed = io.BytesIO()
        numbers = [mark + str(row[0]).removeprefix("+") for row in rows[1:]]
        write_workbook(packed, shape, numbers, [str(row[1]) for row in rows[1:]])
        return packed.getvalue()

    return make


WRITERS: dict[str, Callable[[Table], bytes]] = {
    "openpyxl": with_openpyxl,
    "openpyxl, write only": lambda rows: with_openpyxl(rows, write_only=True),
    "xlsxwriter": with_xlsxwriter,
    "xlsxwriter, constant memory": lambda rows: with_xlsxwriter(rows, constant_memory=True),
} | {
    f"sandbox, {form}, {references=}, {shared=}": with_sandbox(form, references=references, shared=shared)
    for form in NumberForm
    for references in (True, False)
    for shared in (True, False)
}


@pytest.fixture(params=WRITERS)
def written(request: pytest.FixtureRequest, rows: Table) -> bytes:
    """Give the plain result as each writer writes it."""
    return WRITERS[request.param](rows)


def test_every_writer(written: bytes, rows: Table) -> None:
    """What the common writers write is for the fast reader, and it says what both libraries say."""
    said = by_fast_reader(written)
    assert len(said) == len(rows) - 1
    assert said == by_library(written) == by_openpyxl(written)


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], bytes]:
    """Give a conversion of csv to xlsx by LibreOffice, where it is installed."""
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("needs LibreOffice")
    folder = tmp_path_factory.mktemp("office")

    def convert(content: bytes) -> bytes:
        (folder / "r.csv").write_bytes(content)
        command = [program, f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", "xlsx"]
        command += ["--outdir", str(folder), str(folder / "r.csv")]
        subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603 - our own file
        return Path(folder / "r.xlsx").read_bytes()

    return convert


def test_libreoffice(office: Callable[[bytes], bytes], rows: Table) -> None:
    """What LibreOffice writes (numeric cells, styles on every cell) is for the fast reader too."""
    content = office("".join(f"{row[0]},{row[1]}\n" for row in rows).encode())
    assert by_fast_reader(content) == by_library(content) == by_openpyxl(content)


def test_several_sheets(rows: Table, xlsx: Callable[..., bytes]) -> None:
    """Every sheet is read, each below its own header."""
    content = xlsx(rows[:200], [rows[0], *rows[200:]])
    assert by_fast_reader(content) == by_library(content)
    assert len(by_fast_reader(content)) == 400


ODD_ROWS: Table = [
    ["+41791234567", None],
    [None, "yes"],
    [None, None],
    ["", ""],
    ["+41791234567", "yes", "more", 3],
    [41791234567, 1],
    [41791234567.5, 0.5],
    ["  +41 79 123 45 67 ", "  Yes "],
    ["total", "s\u00ed"],
    ["\u00fc" * 3, "\u4f60\u597d"],
    [-5, -1.25],
    ["0", "0"],
    ["+41791234567", "x" * 300],
]


@pytest.mark.parametrize("where", [1, 200, 401])
@pytest.mark.parametrize("writer", [with_openpyxl, with_xlsxwriter])
def test_odd_rows_among_plain_ones(rows: Table, where: int, writer: Callable[[Table], bytes]) -> None:
    """Rows that look different are understood where they stand, and a gap of rows as well."""
    content = writer([*rows[:where], *ODD_ROWS, [], [], *rows[where:]])
    assert by_fast_reader(content) == by_library(content) == by_openpyxl(content)


def test_only_odd_rows() -> None:
    """Rows that all differ are understood one by one."""
    content = with_openpyxl([HEADER, *ODD_ROWS])
    assert by_fast_reader(content) == by_library(content)


ODD = {
    "an escape": (b"<t>no</t>", b"<t>n&amp;o</t>"),
    "a character reference": (b"<t>no</t>", b"<t>&#110;o</t>"),
    "an escape of Excel's": (b"<t>no</t>", b"<t>_x006e_o</t>"),
    "a comment": (b"<t>no</t>", b"<t>no<!-- x --></t>"),
    "CDATA": (b"<t>no</t>", b"<t><![CDATA[no]]></t>"),
    "rich text": (b"<is><t>no</t></is>", b"<is><r><t>n</t></r><r><t>o</t></r></is>"),
    "a formula": (b't="inlineStr"><is><t>no</t></is>', b't="str"><f>A1</f><v>no</v>'),
    "a truth": (b't="inlineStr"><is><t>no</t></is>', b't="b"><v>0</v>'),
    "an error": (b't="inlineStr"><is><t>no</t></is>', b't="e"><v>#N/A</v>'),
    "a shared string that is not there": (b't="inlineStr"><is><t>no</t></is>', b't="s"><v>99</v>'),
    "a number with an exponent": (b't="inlineStr"><is><t>no</t></is>', b't="n"><v>1E3</v>'),
    "a text called a number": (b't="inlineStr"><is><t>no</t></is>', b't="n"><v>no</v>'),
    "a cell without content": (b't="inlineStr"><is><t>no</t></is></c>', b't="s"/>'),
    "a type that does not fit": (b't="inlineStr"><is><t>no</t></is>', b't="inlineStr"><v>no</v>'),
    "space in a tag": (b"<t>no</t>", b"<t >no</t>"),
    "space between tags": (b"</row><row", b"</row>\n<row"),
    "single quotes": (b'<row r="3">', b"<row r='3'>"),
    "a doubled attribute": (b'<row r="3">', b'<row r="3" r="3">'),
    "a row that comes twice": (b'<row r="3">', b'<row r="2">'),
    "a row out of order": (b'<row r="3">', b'<row r="300">'),
    "a row of number 0": (b'<row r="3">', b'<row r="0">'),
    "a row without its number": (b'<row r="3">', b"<row>"),
    "a cell of another row": (b'r="B3"', b'r="B4"'),
    "a cell of another column": (b'r="B3"', b'r="A3"'),
    "a cell beyond Z": (b'r="B3"', b'r="AA3"'),
    "a cell in lower case": (b'r="B3"', b'r="b3"'),
    "a cell without its place": (b' r="B3"', b""),
    "another attribute of a cell": (b' r="B3"', b' r="B3" vm="1"'),
    "an odd style": (b' r="B3"', b' r="B3" s="x"'),
    "a row in a row": (b"</row><row", b"<row></row></row><row"),
    "two tables of rows": (b"</sheetData>", b"</sheetData><sheetData></sheetData>"),
    "rows elsewhere": (b"</sheetData>", b"</sheetData><row><c/></row>"),
    "no end": (b"</worksheet>", b""),
    "another root": (b"worksheet", b"chartsheet"),
    "a DOCTYPE": (b"<worksheet", b"<!DOCTYPE x><worksheet"),
    "an instruction": (b"<worksheet", b"<?x?><worksheet"),
    "another encoding": (b"<worksheet", b'<?xml version="1.0" encoding="latin-1"?><worksheet'),
    "no text": (b"<t>no</t>", b"<t>\xff</t>"),
    "an odd dimension": (b"<sheetData>", b'<dimension ref="B2:A1"/><sheetData>'),
    "an empty dimension": (b"<sheetData>", b'<dimension ref=""/><sheetData>'),
    "a table with an attribute": (b"<sheetData>", b'<sheetData x="1">'),
    "a header without the column": (b"instagram", b"something"),
    "a header that is no text": (b"<t>instagram</t>", b"<t></t>"),
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_for_the_fast_reader(odd: str, rows: Table, xlsx: Callable[..., bytes]) -> None:
    """Whatever is not plain to the last byte is left to the library."""
    with pytest.raises(NotPlainError):
        by_fast_reader(changed(xlsx(rows), *ODD[odd], count=-1 if odd == "another root" else 1))


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("_rels/.rels", b"xl/workbook.xml", b"xl/workbook2.xml"),
        ("_rels/.rels", b"Relationships", b"Others"),
        ("xl/_rels/workbook.xml.rels", b"Relationships", b"Others"),
        ("xl/_rels/workbook.xml.rels", b"/worksheet", b"/chartsheet"),
        ("xl/_rels/workbook.xml.rels", b"/xl/worksheets/", b"../worksheets/"),
        ("xl/_rels/workbook.xml.rels", b"/xl/worksheets/sheet1", b"/xl/worksheets/sheet9"),
        ("xl/workbook.xml", b"<sheets>", b'<sheets><sheet name="T" sheetId="9" r:id="rId1"/>'),
        ("xl/workbook.xml", b'state="visible"', b'state="odd"'),
        ("xl/workbook.xml", b"r:id=", b"r:other="),
        ("xl/workbook.xml", b"<sheets>", b"<sheets><x><sheet/></x>"),
        ("xl/styles.xml", b"styleSheet", b"other"),
        ("xl/styles.xml", b"<fonts", b"<!-- --><fonts"),
    ],
)
def test_odd_books(part: str, old: bytes, new: bytes, rows: Table, xlsx: Callable[..., bytes]) -> None:
    """A book whose small parts have more than one reading is left to the library."""
    with pytest.raises(NotPlainError):
        by_fast_reader(changed(xlsx(rows), old, new, part))


def test_odd_strings(rows: Table) -> None:
    """Shared strings are plain, each and all of them, or the book is left to the library."""
    content, part = with_xlsxwriter(rows), "xl/sharedStrings.xml"
    for old, new in (
        (b"<t>no</t>", b"<r><t>no</t></r>"),
        (b"<si><t>no</t></si>", b"<si/>"),
        (b"<si><t>no</t></si>", b""),
        (b"<t>no</t>", b"<t>n&lt;o</t>"),
        (b"<t>no</t>", b"<t>n</t></si><si><t>o"),
        (b"</sst>", b"<x></x></sst>"),
        (b"sst", b"other"),
        (b"<t>no</t>", b"<t>\xff</t>"),
    ):
        with pytest.raises(NotPlainError):
            by_fast_reader(changed(content, old, new, part))


def test_strings_of_two_kinds(rows: Table) -> None:
    """Strings whose spaces count are strings too."""
    content = with_xlsxwriter([*rows[:-1], [rows[-1][0], " yes "]])
    assert by_fast_reader(content) == by_library(content)
    assert " yes " in {word for _, word in by_fast_reader(content)}


@pytest.mark.parametrize(
    ("code", "plain"), [("General", True), ("0", True), ("#,##0.00", True), ("yyyy-mm-dd", False), ("[h]:mm", False)]
)
def test_numbers_that_may_be_dates(rows: Table, code: str, plain: bool) -> None:  # noqa: FBT001 - a parameter
    """In a book that has a date format, numeric cells are left to the library, which tells dates by it."""
    book = openpyxl.Workbook()
    for row in rows:
        book["Sheet"].append([row[0] if row is rows[0] else int(str(row[0])), row[1]])
    book["Sheet"]["A3"].number_format = code
    packed = io.BytesIO()
    book.save(packed)
    if plain:
        assert by_fast_reader(packed.getvalue()) == by_library(packed.getvalue())
    else:
        with pytest.raises(NotPlainError):
            by_fast_reader(packed.getvalue())


def test_more_rows_than_expected(rows: Table, xlsx: Callable[..., bytes]) -> None:
    """A sheet with far more rows than the chunk needs is the gate's to judge."""
    numbered = xlsx([*rows, *rows[1:] * 7])
    unnumbered = WRITERS["sandbox, plus, references=False, shared=False"]([*rows, *rows[1:] * 7])
    for content in (numbered, unnumbered):
        with pytest.raises(NotPlainError):
            by_fast_reader(content)


def test_a_large_sheet_in_blocks(rows: Table) -> None:
    """Blocks are cut between rows, whatever shape they have; a sheet that starts oddly gets a better pattern."""
    bare: list[object] = ["+41791234567", None]
    many = [rows[0], *[bare] * 30, *rows[1:] * 50]
    content = with_openpyxl(many)
    archive = Archive(io.BytesIO(content), Limits.for_rows(20_000))
    batches, understood = read_book(archive, Limits.for_rows(20_000), Wanted("instagram"))
    assert sum(len(batch.numbers) for batch in batches) == len(many) - 1
    assert understood == {SHEET}
