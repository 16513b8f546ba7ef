from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.intake.table import TableOptions, read_csv, sniff


def cells(data: str | bytes, column: str | None = None, block_bytes: int = 1 << 20) -> list[tuple[int, str]]:
    raw = data if isinstance(data, bytes) else data.encode()
    blocks = read_csv(io.BytesIO(raw), TableOptions("a.csv", column), block_bytes)
    return [cell for block in blocks for cell in block.cells()]


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [("phone", ","), ("a,b;c,d", ","), ("a;b", ";"), ("a\tb", "\t"), ('"a,b,c";d', ";"), ("a,b\tc", ",")],
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
    """A BOM is dropped; bytes that are no UTF-8 harm only the cell that holds them."""
    assert cells(b"\xef\xbb\xbfphone,name\n+41,J\xfcrg\n+\xff,x\n") == [(2, "+41"), (3, "+\udcff")]


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


def test_unclosed_quote_in_a_large_file() -> None:
    """The parser's limit of a field does not come out as an error of the parser."""
    with pytest.raises(UsageError, match=r"a\.csv: line 2: field larger.*never closed"):
        cells('phone\n"+41\n' + "+42\n" * 50_000)


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
