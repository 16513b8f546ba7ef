"""Blocks of plain lines give what the csv module gives; the first other block is where the fast reader stops."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.results.columns import Wanted
from orchestrator.results.numbers import as_numbers
from orchestrator.results.plaincsv import BLOCK_BYTES, MAX_LINE_BYTES, Layout, read_lines
from orchestrator.results.tables import _csv

PLAIN = Layout(2, b",", 0, 1)


def read(content: bytes, layout: Layout = PLAIN) -> tuple[list[tuple[int, object]], bytes]:
    """Return the rows that were read, and what was left."""
    file = io.BytesIO(content)
    batches = list(read_lines(file, layout))
    rows = [row for batch in batches for row in zip(batch.numbers.tolist(), batch.verdicts, strict=True)]
    return rows, file.read()


def test_plain_lines() -> None:
    """Numbers and texts, with either line end, with or without one at the end."""
    rows = [(41791234567, "yes"), (41791234568, "s\u00ed")]
    for end in ("\n", "\r\n"):
        text = f"+41791234567,yes{end}41791234568,s\u00ed".encode()
        assert read(text) == read(text + end.encode()) == (rows, b"")
    assert read(b"") == ([], b"")


def test_other_layouts() -> None:
    """Columns may be more, in another order, and separated otherwise."""
    assert read(b"x;no;41791234567\ny;yes;\n", Layout(3, b";", 2, 1)) == ([(41791234567, "no"), (0, "yes")], b"")


def test_odd_cells_in_plain_lines() -> None:
    """Cells that are no plain numbers are what the general reader makes of them."""
    cells = ["+41 79 123 45 67", "", "total", "41791234567.0", "0041791234567", " 41791234567 "]
    rows, _ = read("".join(f"{cell},x\n" for cell in cells).encode())
    assert [number for number, _ in rows] == as_numbers(cells).tolist()


@pytest.mark.parametrize(
    "line",
    [
        b'"+41791234567",yes\n',
        b"+41791234567\n",
        b"+41791234567,yes,\n",
        b"\n",
        b"+41791234567,y\res\n",
        b"+41791234567,\xff\n",
        b"+41791234567," + b"x" * (MAX_LINE_BYTES + 1) + b"\n",
    ],
)
def test_stops_before_what_is_not_plain(line: bytes) -> None:
    """A block with any such line is left whole, with all that follows; blocks before it are read."""
    before = b"+41791234567,yes\n" * (BLOCK_BYTES // 17 + 1)
    rows, left = read(before + b"+41791234567,yes\n" + line)
    assert len(rows) * 17 + len(left) == len(before) + 17 + len(line)
    assert left.endswith(line)
    assert read(line + before)[0] == []


def test_a_line_without_end_in_a_large_file() -> None:
    """A block is never cut inside of a line, however long that is."""
    content = b"+41791234567," + b"x" * (2 * BLOCK_BYTES)
    assert read(content) == ([], content)


cell = st.sampled_from(
    ["+41791234567", "41791234568", "yes", "no", "", " ", "x y", '"', '""', '"a,b"', "a'b", "\u00fc"]
)
end = st.sampled_from(["\n", "\r\n", "\n", "\r", "\n\n"])
lines = st.lists(st.tuples(st.lists(cell, min_size=1, max_size=3), end), max_size=6)


@given(lines, st.sampled_from([",", ";", "\t"]))
def test_same_as_the_csv_module(rows: list[tuple[list[str], str]], delimiter: str) -> None:
    """For any text below a plain header, both readers together give what the csv module alone gives."""
    header = f"Number{delimiter}instagram\r\n"
    text = header + "".join(delimiter.join(row) + mark for row, mark in rows)
    expected = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True))[1:]
    wide = [[*row, "", ""] for row in expected]
    batches = list(_csv(io.BytesIO(b"\xef\xbb\xbf" + text.encode()), Wanted("instagram")))
    numbers = [number for batch in batches for number in batch.numbers.tolist()]
    words = [str(word) for batch in batches for word in batch.verdicts]
    found = [(number, word.strip()) for number, word in zip(numbers, words, strict=True)]
    plain = zip(as_numbers([row[0] for row in wide]).tolist(), [row[1].strip() for row in wide], strict=True)
    assert [row for row in found if row != (0, "")] == [row for row in plain if row != (0, "")]
