from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import MAX_LINE_BYTES, CellBlock
from orchestrator.intake.decoding import HEAD_BYTES, as_utf8
from orchestrator.intake.layout import Keep, TableOptions
from orchestrator.intake.reasons import Reason
from orchestrator.intake.table import TableBlock, is_table, read_csv, sniff, table_blocks


def blocks(
    data: str | bytes, column: str | None = None, block_bytes: int = 1 << 18, *, keep: Keep = False
) -> list[CellBlock]:
    raw = data if isinstance(data, bytes) else data.encode()
    found = read_csv(as_utf8(io.BytesIO(raw)), TableOptions("a.csv", column, keep=keep), block_bytes)
    return [block.parsed() if isinstance(block, TableBlock) else block for block in found]


def cells(data: str | bytes, column: str | None = None, block_bytes: int = 1 << 18) -> list[tuple[int, str]]:
    return [cell for block in blocks(data, column, block_bytes) for cell in block.cells()]


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [("phone", ","), ("a,b;c,d", ","), ("a;b", ";"), ("a\tb", "\t"), ('"a,b,c";d', ";"), ("a,b\tc", ","), ("a|b", "|")],
)
def test_sniffed_delimiter(header: str, delimiter: str) -> None:
    """The delimiter is what stands in the header most often, outside of quotes; a comma when in doubt."""
    assert sniff(header) == delimiter


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_and_lines(end: str, delimiter: str) -> None:
    """The column's cells come out stripped, with the physical line on which their record starts."""
    rows = ["", "Name,Phone", 'Anna,"+41"', "", ",,", f'"two{end}lines",  +42 ', 'Carl,"a ""b"""']
    text = end.join(rows).replace(",", delimiter)
    assert cells(text) == [(3, "+41"), (6, "+42"), (8, 'a "b"')]


def test_a_row_without_a_number_is_not_blank() -> None:
    """A row with something in it is a cell to reject; only a row without anything is a blank line."""
    assert cells("name,phone\nAnna\nBob,\n , \n") == [(2, ""), (3, "")]


def test_byte_order_mark_and_other_bytes() -> None:
    """A BOM is dropped; a line that is no UTF-8 is read in the Western code page."""
    assert cells(b"\xef\xbb\xbfphone,name\n+41,J\xfcrg\n+\xff,x\n") == [(2, "+41"), (3, "+\u00ff")]


def test_headerless_list() -> None:
    """A single column without a header begins with its first row; empty columns beside it don't count."""
    assert cells("+41798284651\n+41798284652\n") == [(1, "+41798284651"), (2, "+41798284652")]
    assert cells("+41798284651;\n+41798284652;\n") == [(1, "+41798284651"), (2, "+41798284652")]


@pytest.mark.parametrize("data", ["", "\n\n", "phone\n", ",\n"])
def test_nothing_in_it(data: str) -> None:
    """A table without rows gives no cells, and is no error by itself."""
    assert cells(data) == []


def test_no_column() -> None:
    """A header that does not tell is an error that names the file."""
    with pytest.raises(UsageError, match=r"a\.csv: no column may hold the numbers"):
        cells("a,b\n1,2\n")


@pytest.mark.parametrize("tail", ["", "\n"])
def test_unclosed_quote(tail: str) -> None:
    """A quote that is never closed would swallow the rest of the list: it is an error that names its line."""
    with pytest.raises(UsageError, match=r"a\.csv: line 3: a quote is opened there and never closed"):
        cells(f'name,phone\nx,+41\n"y,+42\nz,+43{tail}')


@pytest.mark.parametrize("block_bytes", [1 << 12, 1 << 18, 1_100_000])
def test_unclosed_quote_in_a_large_file(block_bytes: int) -> None:
    """A quote that is not closed for too long is found early, and its line named, however blocks are cut."""
    with pytest.raises(UsageError, match=r"a\.csv: line 2: a quote is opened there and never closed"):
        cells('phone\n"+41\n' + "+42\n" * 600_000, block_bytes=block_bytes)


def test_quotes_in_the_middle_of_a_field() -> None:
    """A quote means something at the beginning of a field only, or sloppy files would lose the rest of the list."""
    assert cells('name,phone\n5" pipe,+41\n "x,+42\n"a"b",+43\n') == [(2, "+41"), (3, "+42"), (4, "+43")]


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "\n\nSEP=;\n"])
def test_a_line_that_names_the_delimiter(first: str) -> None:
    """Excel's own first line says what the delimiter is, and is no header."""
    lines = first.count("\n")
    assert cells(first + "a,b,c,phone;d\n+41;x\n", "a,b,c,phone") == [(lines + 2, "+41")]


def test_a_line_that_names_the_tab() -> None:
    """The delimiter that it names may be white, and stands at the end of the line then."""
    assert cells("sep=\t\r\na,b\tphone\r\nx\t+41\r\n") == [(3, "+41")]


@pytest.mark.parametrize("block_bytes", [1000, 1 << 18, 1_100_000])
def test_long_records(block_bytes: int) -> None:
    """A record above the limit is a fault, shown cut, and what follows is read; one at the limit is not."""
    limit = "x," + "7" * (MAX_LINE_BYTES - 2)
    text = f"name,phone\n{limit}\n{limit}7\r\ny,+41\n"
    found = blocks(text, block_bytes=block_bytes)
    rows = [(line, len(raw)) for block in found for line, raw in block.cells()]
    assert rows == [(2, MAX_LINE_BYTES - 2), (3, 1000), (4, 3)]
    assert [dict(block.faults) for block in found if block.faults] == [{0: Reason.LINE_TOO_LONG}]


@pytest.mark.parametrize("block_bytes", [1 << 12, 1 << 18, 1_100_000])
def test_a_long_record_with_quotes(block_bytes: int) -> None:
    """A record that is too long is one also where its fields are quoted."""
    text = 'name,phone\n"x","' + "7" * 900_000 + '","' + "8" * 900_000 + '"\ny,+41\n'
    assert [(line, len(raw)) for line, raw in cells(text, block_bytes=block_bytes)][-1] == (3, 3)


def test_a_header_that_is_no_header() -> None:
    """A first row longer than what is looked at is an error, and not a table without end."""
    with pytest.raises(UsageError, match="the first row is longer than"):
        cells("phone," + "x" * HEAD_BYTES + "\n+41,y\n")


def test_tables_by_content() -> None:
    """Text is a table if its first line is a header: several names, one of which says that numbers are below it."""
    assert is_table(b"\n\nName;Phone\n1;+41\n", None)
    assert is_table(b"a\tb\n", "b")
    assert not is_table(b"a;b\n", None)
    assert not is_table(b"phone\n+41\n", None)
    assert not is_table(b"", None)
    assert not is_table(b"+41 79, +41 78\n", None)


def test_kept_columns() -> None:
    """Kept cells come with every row, in blocks of any size; the first block tells what the table looks like."""
    text = 'name,phone,city\nAnna,+41,"Bern, BE"\nBob,+42\n,+43,x\n'
    for block_bytes in (1, 25, 1 << 18):
        found = blocks(text, block_bytes=block_bytes, keep=True)
        assert {block.names for block in found} == {("name", "city")}
        assert [kept for block in found for kept in block.kept] == [["Anna", "Bern, BE"], ["Bob", ""], ["", "x"]]
        assert [block.look is not None for block in found] == [True] + [False] * (len(found) - 1)


def test_blocks_of_cells_are_bounded() -> None:
    """A block of another table's rows holds about as much text as was asked for, kept cells included."""
    rows = [(1, ["phone", "note"]), *((i, ["+41", "x" * 40]) for i in range(2, 100))]
    found = list(table_blocks(rows, TableOptions("a", keep=True), 200))
    assert max(len(block.lines) for block in found) == 4
    assert [line for block in found for line, _ in block.cells()] == list(range(2, 100))


def reference(text: str) -> list[tuple[int, list[str]]] | None:
    """Parse by Python's csv module as a whole; return None for a quote that is never closed."""
    lines = text.encode().splitlines(keepends=True)
    reader = csv.reader([*(line.decode() for line in lines), "\0end"])
    rows, line = [], 1
    for row in reader:
        if any(map(str.strip, row)):
            rows.append((line, row))
        line = reader.line_num + 1
    return rows[:-1] if rows[-1][1] == ["\0end"] else None


@given(st.text(alphabet='ab,"\n\r ', max_size=40), st.integers(1, 60))
def test_records_are_those_of_the_csv_module(tail: str, block_bytes: int) -> None:
    """Whatever quotes stand where, and however blocks are cut, rows are those of one parser over the whole file."""
    text = f"x,phone\n{tail}\n"
    if (rows := reference(text)) is None:
        with pytest.raises(UsageError, match="never closed"):
            blocks(text, block_bytes=block_bytes)
        return
    found = [
        (line, [kept[0], cell])
        for block in blocks(text, block_bytes=block_bytes, keep=True)
        for (line, cell), kept in zip(block.cells(), block.kept, strict=True)
    ]
    expected = [(line, [(*row, "", "")[0], (*row, "", "")[1].strip()]) for line, row in rows[1:]]
    assert found == expected


@given(st.lists(st.text(alphabet='ab,"\n\r ', max_size=6), max_size=12), st.integers(1, 60))
def test_borders_of_blocks_change_nothing(values: list[str], block_bytes: int) -> None:
    """Whatever the size of blocks, every cell comes out once, in order, with its line."""
    text = "x,phone\n"
    expected = []
    for value in values:
        expected.append((len(text.splitlines()) + 1 if "\r" not in text else 0, value.strip()))
        text += 'x,"' + value.replace('"', '""') + '"\n'
    found = cells(text, block_bytes=block_bytes)
    assert [cell for _, cell in found] == [cell for _, cell in expected]
    assert "\r" in text or found == expected
