"""Cells are added to a sheet's own XML, whatever its tags are called and wherever its blocks end."""

from __future__ import annotations

import io

import pytest

from orchestrator.jobdir.extra_files import CellKind
from orchestrator.master import enriched_sheet
from orchestrator.master.enriched_sheet import AddedColumns, add_columns, with_indent

SHEET = (
    '<?xml version="1.0"?><P:worksheet xmlns:P="x"><P:dimension ref="A1:B5"/><P:sheetData>'
    '<P:row r="1" spans="1:2"><P:c r="A1" s="7" t="str"><P:v>spans="1" &lt;/row></P:v></P:c></P:row>'
    '<P:row r="2" spans="1:2" s="a>b"><P:c r="A2"/><P:c r="B2"/><P:c r="C2" s="3"/><P:c r="XFD2" s="3"/></P:row>'
    '<P:row r="3"/><P:row><P:c><P:v>1</P:v></P:c></P:row></P:sheetData><P:mergeCells/></P:worksheet>'
)
EXPECTED = (
    '<?xml version="1.0"?><P:worksheet xmlns:P="x"><P:dimension ref="A1:D5"/>'
    '<P:cols><P:col min="3" max="3" width="18" customWidth="1"/>'
    '<P:col min="4" max="4" width="29" customWidth="1"/></P:cols><P:sheetData>'
    '<P:row r="1"><P:c r="A1" s="7" t="str"><P:v>spans="1" &lt;/row></P:v></P:c>'
    '<P:c r="C1" s="7" t="str"><P:v>a&amp;b</P:v></P:c>'
    '<P:c r="D1" s="7" t="str"><P:v>mobile.whatsapp.activedays</P:v></P:c></P:row>'
    '<P:row r="2" s="a>b"><P:c r="A2"/><P:c r="B2"/>'
    '<P:c r="C2" t="str"><P:v>_x005F_x0041_</P:v></P:c><P:c r="D2"><P:v>7</P:v></P:c></P:row>'
    '<P:row r="3"/><P:row><P:c><P:v>1</P:v></P:c><P:c r="D4" t="str"><P:v>7; 8</P:v></P:c></P:row>'
    "</P:sheetData><P:mergeCells/></P:worksheet>"
)
ROWS = [(2, ("_x0041_", "7")), (4, ("", "7; 8"))]


@pytest.mark.parametrize("prefix", ["", "x:"])
@pytest.mark.parametrize("block_bytes", [1, 2, 7, 100, 10_000])
def test_every_tag_and_block(monkeypatch: pytest.MonkeyPatch, prefix: str, block_bytes: int) -> None:
    """Nothing but the added cells, the size, the widths, and the spans of rows is other than before."""
    monkeypatch.setattr(enriched_sheet, "_BLOCK_BYTES", block_bytes)
    content, expected = (
        text.replace(":P=", ":x=" if prefix else "=").replace("P:", prefix) for text in (SHEET, EXPECTED)
    )
    if not prefix:
        content, expected = (text.replace("xmlns:=", "xmlns=") for text in (content, expected))
    written = io.BytesIO()
    columns = AddedColumns(2, 1, ["a&b", "mobile.whatsapp.activedays"], [CellKind.TEXT, CellKind.WHOLE], [0, 0])

    add_columns(io.BytesIO(content.encode()), written.write, columns, ROWS)

    assert written.getvalue().decode() == expected


@pytest.mark.parametrize(
    "content",
    [
        '<?xml version="1.0" encoding="latin-1"?><worksheet/>',
        '<!DOCTYPE a [<!ENTITY b "c">]><worksheet/>',
        "<worksheet><sheetData>",
        "<worksheet><sheetData/></worksheet>",
    ],
)
def test_what_can_not_be_added_to(content: str) -> None:
    """Another encoding, a document type, XML that ends too early, and a sheet that lacks rows that were read."""
    with pytest.raises(ValueError, match="sheet"):
        add_columns(
            io.BytesIO(content.encode()), lambda _: None, AddedColumns(2, 1, ["a"], [CellKind.TEXT], [0]), [(2, ("b",))]
        )


@pytest.mark.parametrize("prefix", ["", "x:"])
@pytest.mark.parametrize("block_bytes", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("merged", "kept"),
    [
        (["A1:B1", "A2:H2", "B5:B7"], ["A1:B1", "A2:H2", "B5:B7"]),
        (["A5:F5", "B6:D7"], ["A5:C5", "B6:C7"]),
        (["C5:F5", "C6:F8", "D5:F5", "E9:E12"], ["C6:C8"]),
        (["D5:E5"], []),
        (["A1:D4", "B3:D3"], ["A1:C4", "B3:C3"]),
        (["F5:G5", "E6:F6", "AA5:AB5", "C7"], ["F5:G5", "AA5:AB5", "C7"]),
    ],
)
def test_merged_cells_hide_no_added_ones(
    monkeypatch: pytest.MonkeyPatch, prefix: str, block_bytes: int, merged: list[str], kept: list[str]
) -> None:
    """Beside three columns, from the header on, they end where cells are added: a range of one cell is none."""
    monkeypatch.setattr(enriched_sheet, "_BLOCK_BYTES", block_bytes)

    def sheet(ranges: list[str]) -> str:
        each = "".join(f'<P:mergeCell ref="{one}"/>' for one in ranges)
        return f'</P:sheetData><P:mergeCells count="{len(ranges)}">{each}</P:mergeCells><P:more/></P:worksheet>'

    begin = '<P:worksheet xmlns:x="x"><P:cols/><P:sheetData>'
    written = io.BytesIO()
    columns = AddedColumns(3, 3, ["a", "b"], [CellKind.TEXT, CellKind.TEXT], [0, 0])

    add_columns(io.BytesIO((begin + sheet(merged)).replace("P:", prefix).encode()), written.write, columns, [])

    expected = sheet(kept) if kept else "</P:sheetData><P:more/></P:worksheet>"
    assert written.getvalue().decode().endswith(expected.replace("P:", prefix))


@pytest.mark.parametrize("prefix", [b"", b"x:"])
def test_texts_begin_a_bit_to_the_right(prefix: bytes) -> None:
    """A further cell format is put behind those that are there, whose numbers stay; without any there is none."""
    styles = b"<p:styleSheet><p:cellXfs count='2'><p:xf a='1'/><p:xf><p:alignment/></p:xf></p:cellXfs></p:styleSheet>"
    changed, style = with_indent(styles.replace(b"p:", prefix))
    assert style == 2
    assert changed.count(b"xf ") == 2
    assert b'cellXfs count="3">' in changed
    assert b'indent="1"/></%bxf></%bcellXfs>' % (prefix, prefix) in changed
    assert with_indent(b"<styleSheet/>") == (b"<styleSheet/>", 0)
