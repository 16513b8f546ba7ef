"""What asks for more than a result of this size can need is refused before a parser sees it."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Callable

import pytest

from orchestrator.errors import DamagedResultError
from orchestrator.results import ResultReport
from orchestrator.results.archive import MAX_MEMBERS, Archive, Limits
from orchestrator.results.gate import inspect

Make = Callable[..., bytes]
Rows = list[list[object]]


def gate(content: bytes, limits: Limits | None = None) -> None:
    limits = limits or Limits.for_rows(400)
    archive = Archive(io.BytesIO(content), limits)
    archive.verify()
    if archive.is_workbook:
        inspect(archive, limits)


def test_plain_files_pass(xlsx: Make, zipped: Make, csv_text: Make, rows: Rows) -> None:
    """What vendors send passes."""
    gate(xlsx(rows))
    gate(zipped({"all.csv": csv_text(rows), "t/": b""}))


def test_limits_follow_the_chunk() -> None:
    """A larger chunk may have a larger result."""
    assert Limits.for_rows(10_000_000).inflated_bytes > Limits.for_rows(20_000).inflated_bytes > 16 << 20


def test_too_many_members(zipped: Make) -> None:
    """A zip of a thousand members passes, of one more does not."""
    gate(zipped({str(i): b"" for i in range(MAX_MEMBERS)}))
    with pytest.raises(DamagedResultError, match="1,001 members"):
        gate(zipped({str(i): b"" for i in range(MAX_MEMBERS + 1)}))


def test_two_members_of_one_name(csv_text: Make, rows: Rows) -> None:
    """Readers disagree on which of two members of one name counts, so neither does."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("all.csv", csv_text(rows))
        archive.writestr("all.csv", csv_text(rows[:9]))
    with pytest.raises(DamagedResultError, match="two members of one name"):
        gate(packed.getvalue())


def test_declared_size(zipped: Make) -> None:
    """A zip that declares more than the cap is refused without being inflated."""
    with pytest.raises(DamagedResultError, match="declares more than"):
        gate(zipped({"all.csv": bytes(1001)}), Limits(1000))


def test_real_size(zipped: Make) -> None:
    """A member that inflates to more than it declares is refused, although its beginning has the right CRC."""
    content, real = zipped({"all.csv": bytes(50_000)}), 50_000
    for declared in (10, 49_999):
        lying = content.replace(struct.pack("<L", real), struct.pack("<L", declared))
        assert lying != content
        with pytest.raises(DamagedResultError, match="not the length"):
            gate(lying, Limits(1 << 20))


def test_bomb_stops_at_the_cap(zipped: Make) -> None:
    """A member that lies about its size is not inflated beyond the cap."""
    content = zipped({"all.csv": bytes(5_000_000)})
    lying = content.replace(struct.pack("<L", 5_000_000), struct.pack("<L", 10))
    with pytest.raises((DamagedResultError, zipfile.BadZipFile)):
        gate(lying, Limits(1000))


def test_encrypted(zipped: Make) -> None:
    """An encrypted member is refused by name."""
    content = bytearray(zipped({"all.csv": b"x"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DamagedResultError, match="encrypted"):
        gate(bytes(content))


def test_odd_compression(zipped: Make) -> None:
    """Only the two methods that every zip program writes are inflated."""
    with pytest.raises(DamagedResultError, match="method 12"):
        gate(zipped({"all.csv": b"x"}, zipfile.ZIP_BZIP2))


def test_workbook_by_content(xlsx: Make, zipped: Make, rows: Rows) -> None:
    """A workbook is a zip with a workbook part, whatever its name."""
    for content, expected in ((xlsx(rows), True), (zipped({"result.xlsx": xlsx(rows)}), False)):
        assert Archive(io.BytesIO(content), Limits.for_rows(400)).is_workbook is expected


FAR = [
    '<row r="1"><c r="XFD1048576"><v>1</v></c></row>',
    '<row r="1048576"><c><v>1</v></c></row>',
    '<row r="1"><c r="AB1"><v>1</v></c></row>',
    "<row><c r='XFD1'/></row>",
    '<row><c\tr = "xfd1"/></row>',
    '<row><c r="A100000"/></row>',
]


@pytest.mark.parametrize("row", FAR)
def test_cells_far_out_of_range(
    sheet_xlsx: Callable[[str], bytes], check: Callable[..., ResultReport], row: str
) -> None:
    """A cell far outside of the table, for which the parser would ask for 550 GB, is refused, however it is written."""
    with pytest.raises(DamagedResultError, match="far outside"):
        check(sheet_xlsx(f"<sheetData><row r='1'><c r='A1'><v>1</v></c></row>{row}</sheetData>"))


def test_far_cell_across_blocks(sheet_xlsx: Callable[[str], bytes]) -> None:
    """A reference that straddles two blocks of reading is seen."""
    for shift in range(0, 24, 3):
        filler = f"<!--{'x' * ((1 << 20) - 130 - shift)}-->"
        with pytest.raises(DamagedResultError, match="far outside"):
            gate(sheet_xlsx(f'{filler}<sheetData><row><c r="XFD1048576"/></row></sheetData>'))


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
