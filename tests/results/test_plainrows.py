"""A row is taken apart to the last byte, and its pattern matches exactly its likes."""

from __future__ import annotations

import pytest

from orchestrator.results.frames import NotPlainError
from orchestrator.results.plainrows import Row, row_pattern, rows


def one(xml: bytes) -> Row:
    (row,) = rows(xml)
    return row


def cells(xml: bytes) -> list[tuple[int, str, bytes]]:
    return [(cell.column, cell.kind, cell.value) for cell in one(xml).cells]


def test_cells_with_places() -> None:
    """Cells stand where their references say; empty ones have no kind."""
    xml = b'<row r="7" spans="1:3"><c r="A7" s="1" t="s"><v>3</v></c><c r="C7" s="2"/><c r="D7"><v>-1.5</v></c></row>'
    assert one(xml).number == 7
    assert cells(xml) == [(0, "s", b"3"), (2, "", b""), (3, "n", b"-1.5")]


def test_cells_without_places() -> None:
    """Cells without references follow each other."""
    xml = b'<row><c t="inlineStr"><is><t xml:space="preserve"> a</t></is></c><c t="str"><v>b</v></c></row>'
    assert one(xml).number is None
    assert cells(xml) == [(0, "inlineStr", b" a"), (1, "str", b"b")]


def test_rows_without_cells() -> None:
    """A row may be empty, in both forms."""
    assert [row.number for row in rows(b'<row r="1"/><row r="2" ht="1"></row>')] == [1, 2]
    assert list(rows(b"")) == []


@pytest.mark.parametrize(
    "xml",
    [
        b"x<row/>",
        b"<row/>x",
        b"<row>x</row>",
        b"<row><row/></row>",
        b"<row><c><v>1</v></c>x</row>",
        b"<row><c><v>1</v><v>2</v></c></row>",
        b'<row r="01"/>',
        b'<row r="12345678"/>',
        b'<row r="1" r="1"/>',
        b"<row r='1'/>",
        b'<row r="1"><c r="A2"/></row>',
        b'<row><c r="A1"/></row>',
        b'<row r="1"><c r="B1"/><c r="A1"/></row>',
        b'<row r="1"><c r="A1"/><c/></row>',
        b'<row r="1"><c r="AA1"/></row>',
        b"<row>" + b"<c/>" * 27 + b"</row>",
        b'<row><c t="s"><v>x</v></c></row>',
        b'<row><c t="s"><v></v></c></row>',
        b'<row><c t="b"><v>1</v></c></row>',
        b'<row><c t="str"/></row>',
        b'<row><c t="inlineStr"><v>1</v></c></row>',
        b'<row><c t="str"><is><t>1</t></is></c></row>',
        b'<row><c s="a"/></row>',
        b'<row><c ph="1"/></row>',
        b"<row><c><v>1e5</v></c></row>",
        b"<row><c><v>1234567890123456</v></c></row>",
    ],
)
def test_not_plain(xml: bytes) -> None:
    """Anything else is not for us."""
    with pytest.raises(NotPlainError):
        list(rows(xml))


@pytest.mark.parametrize(
    ("sample", "like", "values"),
    [
        (
            b'<row r="2"><c r="A2" t="s"><v>1</v></c><c r="B2" s="1" t="inlineStr"><is><t>no</t></is></c></row>',
            b'<row r="13"><c r="A13" t="s"><v>99</v></c><c r="B13" s="3" t="inlineStr"><is><t>yes</t></is></c></row>',
            [b"13", b"99", b"yes"],
        ),
        (
            b'<row ht="1.5"><c><v>1</v></c><c t="str"><v>x</v></c><c s="1" /></row>',
            b'<row ht="1.5"><c><v>2</v></c><c t="str"><v></v></c><c s="1"/></row>',
            [b"2", b""],
        ),
    ],
)
def test_pattern(sample: bytes, like: bytes, values: list[bytes]) -> None:
    """The pattern matches rows with other numbers, values and styles, and gives what is asked for."""
    pattern = row_pattern(one(sample), (0, 1))
    found = pattern.fullmatch(like)
    assert found is not None
    assert list(found.groups()) == values


@pytest.mark.parametrize(
    "other",
    [
        b'<row r="3"><c r="A2" t="s"><v>1</v></c></row>',
        b'<row r="3"><c r="B3" t="s"><v>1</v></c></row>',
        b'<row r="3"><c r="A3"><v>1</v></c></row>',
        b'<row r="3"><c r="A3" t="s"><v>x</v></c></row>',
        b'<row r="3"><c r="A3" t="s"><v></v></c></row>',
        b'<row r="3"><c r="A3" t="s"><v>1</v></c><c r="B3"/></row>',
        b'<row r="3" ht="1"><c r="A3" t="s"><v>1</v></c></row>',
        b'<row r="33"><c r="A3" t="s"><v>1</v></c></row>',
    ],
)
def test_pattern_matches_nothing_else(other: bytes) -> None:
    """A row that differs in anything else is no match."""
    assert row_pattern(one(b'<row r="2"><c r="A2" t="s"><v>1</v></c></row>'), (0,)).fullmatch(other) is None
