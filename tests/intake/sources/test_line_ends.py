from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.intake.sources.line_ends import split_lines


@given(st.text(alphabet="a1 \n\r\x0b\x1c\x85", max_size=40).map(str.encode))
@example(b"")
@example(b"\r")
@example(b"\r\r\n\n\r")
@example(b"a\r\nb\rc\nd")
def test_lines_are_those_of_splitlines(text: bytes) -> None:
    """Any mixture of line ends, and a last line with or without one."""
    starts, ends = split_lines(text)
    assert [text[a:b] for a, b in zip(starts, ends, strict=True)] == text.splitlines()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_positions(end: bytes) -> None:
    """A line's end is where its line end begins."""
    starts, ends = split_lines(end.join([b"12", b"", b"345", b""]))
    assert ends.tolist() == [2, 2 + len(end), 5 + 2 * len(end)]
    assert starts.tolist() == [0, 2 + len(end), 2 + 2 * len(end)]
