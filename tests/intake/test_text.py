from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.intake.text import read_text


def cells(data: bytes, block_bytes: int = 1 << 20) -> list[tuple[int, str]]:
    return [cell for block in read_text(io.BytesIO(data), block_bytes) for cell in block.cells()]


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
        (b"\xef\xbb", [(1, "\udcef\udcbb")]),
        (b"\xff1\nb", [(1, "\udcff1"), (2, "b")]),
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
    assert max(len(block.data) for block in blocks) <= 143
