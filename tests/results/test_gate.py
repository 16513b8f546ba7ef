"""What asks for more than a result of this size can need is refused before a parser sees it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest

from orchestrator.errors import DamagedResultError
from orchestrator.results import ResultReport
from orchestrator.results.checked_zip import CheckedZip, ResultLimits
from orchestrator.results.gate import COLUMNS, inspect, inspect_part
from orchestrator.results.sheets import by_calamine, by_openpyxl

Make = Callable[..., bytes]
Rows = list[list[object]]


LIMITS = ResultLimits.for_rows(400)


def gate(content: bytes) -> None:
    _, refusal = inspect(CheckedZip(io.BytesIO(content), LIMITS), LIMITS)
    if refusal is not None:
        raise refusal


def test_plain_files_pass(xlsx: Make, zipped: Make, csv_text: Make, rows: Rows) -> None:
    """What vendors send passes."""
    gate(xlsx(rows))
    gate(zipped({"all.csv": csv_text(rows), "t/": b""}))


FAR = [
    '<row r="1"><c r="XFD1048576"><v>1</v></c></row>',
    '<row r="1048576"><c><v>1</v></c></row>',
    '<row r="2600"><c r="AB2600"><v>1</v></c></row>',
    "<row><c r='XFD60'/></row>",
    '<row><c\tr = "xfd60"/></row>',
    '<row><c s="1"  r="XFD60" t="s"><v>0</v></c></row>',
    '<row><c t=">" r="XFD60"/></row>',
    '<row><c r="&#88;FD60"/></row>',
    '<row><c r="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1"/></row>',
    '<x:row><x:c r="XFD60"/></x:row>',
    '<row><c r="A60"></row><row><c r="XFD1"',
    '<row><c r="A100000"/></row>',
    '<row><c r="A2601"/></row>',
    '<row><c r="A002601"/></row>',
    "<row r='999999999999999999999999'/>",
    f"<row>{'<c><v>1</v></c>' * 700}</row>" * 100,
    f"<x:row>{'<x:c/>' * 700}</x:row>" * 100,
    f'<row r="2600"/><row>{"<c/>" * (COLUMNS + 1)}</row>',
]


@pytest.mark.parametrize("row", FAR)
def test_cells_far_out_of_range(
    sheet_xlsx: Callable[[str], bytes], check: Callable[..., ResultReport], row: str
) -> None:
    """A cell far outside of the table, for which the parser would ask for 550 GB, is refused, however it is written."""
    with pytest.raises(DamagedResultError, match="far outside"):
        check(sheet_xlsx(f"<sheetData><row r='1'><c r='A1'><v>1</v></c></row>{row}</sheetData>"))


@pytest.mark.parametrize("row", [FAR[0], '<row r="1048576"><c r="A1048576"><v>1</v></c></row>'])
@pytest.mark.parametrize("place", [1, 2])
def test_another_sheet_is_read(
    check: Callable[..., ResultReport], zipped: Make, xlsx: Make, rows: Rows, row: str, place: int
) -> None:
    """A sheet that is refused is an empty one to both readers, and costs the other sheets nothing."""
    sheets = [rows, [["Info"], ["made up"]]]
    content = xlsx(*(sheets if place == 2 else sheets[::-1]))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = f"xl/worksheets/sheet{place}.xml"
    far = zipped(parts | {name: parts[name].replace(b"</sheetData>", f"{row}</sheetData>".encode())})
    assert check(far).counts == {"yes": 134, "no": 266}
    seen, refusal = inspect(CheckedZip(io.BytesIO(far), LIMITS), LIMITS)
    assert refusal is not None
    for read in (by_calamine, by_openpyxl):
        assert [len(list(sheet)) for sheet in read(seen, LIMITS.rows)] == [401 * (place == 2), 401 * (place == 1)]


def test_what_is_no_sheet_is_not_made_one() -> None:
    """Texts that speak of sheets can't be left out without a word."""
    strings = "<!DOCTYPE x><sst><si><t>&lt;sheetData> sheetData</t></si></sst>".encode("utf-16")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/sharedStrings.xml", strings)
    with pytest.raises(DamagedResultError, match="DOCTYPE"):
        inspect(CheckedZip(packed, LIMITS), LIMITS)


def test_far_cell_across_blocks() -> None:
    """A tag that straddles two blocks of looking is seen, once."""
    for shift in range(0, 40, 3):
        filler = f"<sheetData>{'x' * ((1 << 20) - 40 + shift)}"
        far = f'{filler}<row r="1"><c r="XFD60"/></row></sheetData>'.encode()
        with pytest.raises(DamagedResultError, match="far outside"):
            inspect_part(far, LIMITS)
        inspect_part(far.replace(b"XFD", b"Z"), LIMITS)


def test_texts_are_nothing() -> None:
    """Whatever stands in a cell's text is no tag and no reference: words that begin like them, quotes, colons."""
    texts = [
        "w",
        "row",
        "c r=",
        ' r="XFD1048576"',
        "x:c r='ZZ99999'",
        "'",
        ">",
        '&lt;c r="XFD99"/>',
        "http://a.b/c/row",
    ]
    cells = "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in texts)
    inspect_part(f"<sheetData>{f'<row>{cells}</row>' * 200}</sheetData>".encode(), LIMITS)


def test_references_elsewhere_are_nothing(sheet_xlsx: Callable[[str], bytes], xlsx: Make, rows: Rows) -> None:
    """References that look alike in parts without cells (a theme's colours) are no finding."""
    packed = io.BytesIO(xlsx(rows))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("xl/theme/theme2.xml", '<a:scrgbClr r="50000" g="1"/>' * 3)
    gate(packed.getvalue())


def test_doctype(sheet_xlsx: Callable[[str], bytes]) -> None:
    """A workbook never needs a DOCTYPE."""
    with pytest.raises(DamagedResultError, match="DOCTYPE"):
        gate(sheet_xlsx('<!DOCTYPE x [<!ENTITY a "b">]><sheetData/>'))


def test_a_doctype_in_any_part(xlsx: Make, rows: Rows) -> None:
    """Parts that the fast reader does not need are looked through too, in both widths of text."""
    for doctype in (b"<!DOCTYPE x>", "<!DOCTYPE x>".encode("utf-16-le"), "<!DOCTYPE x>".encode("utf-16-be")):
        packed = io.BytesIO(xlsx(rows))
        with zipfile.ZipFile(packed, "a") as archive:
            archive.writestr("docProps/other.xml", doctype)
        with pytest.raises(DamagedResultError, match="DOCTYPE"):
            gate(packed.getvalue())


def test_wide_text(check: Callable[..., ResultReport], zipped: Make, xlsx: Make, rows: Rows) -> None:
    """A sheet in an encoding that hides its tags can't be looked through, so it is refused."""
    with zipfile.ZipFile(io.BytesIO(xlsx(rows))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    for encoding in ("utf-16-le", "utf-16-be", "utf-16"):
        wide = zipped(parts | {sheet: parts[sheet].decode().encode(encoding)})
        with pytest.raises(DamagedResultError, match="not in UTF-8"):
            check(wide)


def test_as_many_rows_as_expected() -> None:
    """The last row that a chunk of this size can need is no finding; the next one is."""
    for row, far in ((LIMITS.rows, False), (LIMITS.rows + 1, True)):
        part = b'<sheetData><row r="%d"><c r="B%d"/></row></sheetData>' % (row, row)
        if far:
            with pytest.raises(DamagedResultError, match="far outside"):
                inspect_part(part, LIMITS)
        else:
            inspect_part(part, LIMITS)


def test_a_wide_sheet_of_few_rows() -> None:
    """What counts is the room that a reader sets aside: few rows may be wide."""
    for rows, fits in ((10, True), (2600, False)):
        part = b"<sheetData>%s</sheetData>" % (b"<row>%s</row>" % (b"<c/>" * (COLUMNS + 1)) * rows)
        if fits:
            inspect_part(part, LIMITS)
        else:
            with pytest.raises(DamagedResultError, match="far outside"):
                inspect_part(part, LIMITS)
    inspect_part(b"<sheetData>%s</sheetData>" % (b"<row>%s</row>" % (b"<c/>" * COLUMNS) * 2600), LIMITS)


@pytest.mark.parametrize("encoding", ["cp037", "UTF-16", "utf-7"])
def test_other_encodings(encoding: str) -> None:
    """A sheet that declares an encoding in which tags look otherwise is refused."""
    head = f"<?xml version='1.0' encoding='{encoding}'?>"
    with pytest.raises(DamagedResultError, match="not in UTF-8"):
        inspect_part(f"{head}<sheetData/>".encode(), LIMITS)
    inspect_part(f"{head.replace(encoding, 'utf-8')}<sheetData/>".encode(), LIMITS)
