from __future__ import annotations

import io
import re
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.intake.blocks import MAX_LINE_BYTES, CellBlock, LineBlock
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.decode import as_utf8
from orchestrator.intake.sources.plain_text import count_lines, read_text

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def cells(data: bytes, block_bytes: int = 1 << 20) -> list[tuple[int, str]]:
    return [cell for block in read_text(as_utf8(io.BytesIO(data)).buffered(), block_bytes) for cell in block.cells()]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a\nb\n", [(1, "a"), (2, "b")]),
        (b"a\r\nb\r\n", [(1, "a"), (2, "b")]),
        (b"a\rb", [(1, "a"), (2, "b")]),
        (b"a\n\r\n \t\nb", [(1, "a"), (4, "b")]),
        (b"\t a \t\n", [(1, "a")]),
        (b"\xef\xbb\xbfa\n", [(1, "a")]),
        (b"\xef\xbb", [(1, "\u00ef\u00bb")]),
        (b"\xff1\nb", [(1, "\u00ff1"), (2, "b")]),
        ("a\u2028b\x0bc\n".encode(), [(1, "a\u2028b\x0bc")]),
    ],
)
def test_lines(data: bytes, expected: list[tuple[int, str]]) -> None:
    """LF, CRLF and CR end lines and nothing else does; blank lines count for the numbers only; a BOM is dropped."""
    assert cells(data) == expected


@given(st.text(alphabet="ab \t\r\n\ufeff\u00e9", max_size=40), st.integers(1, 12))
def test_borders_of_blocks_change_nothing(text: str, block_bytes: int) -> None:
    """Whatever the size of blocks, the lines and their numbers are those of the whole text."""
    lines = re.split("\r\n|\r|\n", text.removeprefix("\ufeff"))
    expected = [(i, line.strip()) for i, line in enumerate(lines, 1) if line.strip()]
    assert cells(text.encode(), block_bytes) == expected


def test_blocks_are_bounded() -> None:
    """A block holds about as much as was asked for, so memory does not grow with the text."""
    blocks = list(read_text(io.BytesIO(b"+41798284651\n" * 1000), 130))
    assert max(len(block.data) for block in blocks if isinstance(block, LineBlock)) <= 143
    assert all(isinstance(block, LineBlock) for block in blocks)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("block_bytes", [1000, 1 << 18, 1_100_000])
def test_long_lines(end: bytes, block_bytes: int) -> None:
    """A line above the limit is a fault, shown cut, and counts as one line; one at the limit is read."""
    long = b"\xc3\xbc" * (MAX_LINE_BYTES // 2 + 1)
    lines = [b"+41", b"7" * MAX_LINE_BYTES, long, b"", b"+42", b"8" * 3 * MAX_LINE_BYTES]
    blocks = list(read_text(io.BytesIO(end.join(lines)), block_bytes))
    rows = [(line, len(raw)) for block in blocks for line, raw in block.cells()]
    assert rows == [(1, 3), (2, MAX_LINE_BYTES), (3, 500), (5, 3), (6, 1000)]
    assert [dict(block.faults) for block in blocks if isinstance(block, CellBlock)] == [{0: Reason.LINE_TOO_LONG}] * 2


class Endless(io.RawIOBase):
    """A stream of one line that does not end for a while."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        count = min(len(view), self.left)
        view[:count] = b"7" * count
        self.left -= count
        return count


def test_memory_of_a_line_without_end() -> None:
    """A line of any length takes no more memory than the limit and a block or two."""
    tracemalloc.start()
    (block,) = read_text(io.BufferedReader(Endless(40 << 20)), 1 << 18)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(block, CellBlock)
    assert peak_bytes < 5 * MAX_LINE_BYTES


def test_counted_lines() -> None:
    """Lines end with LF, CRLF or CR."""
    assert count_lines(b"a\nb\r\nc\rd") == 3


def test_the_beginning_of_a_line_in_a_code_page() -> None:
    """What is shown of a long line that is no UTF-8 is read in the Western code page."""
    (block,) = read_text(io.BytesIO(b"\xfc" * (MAX_LINE_BYTES + 1)), 1 << 18)
    assert [text for _, text in block.cells()] == ["\u00fc" * 1000]
