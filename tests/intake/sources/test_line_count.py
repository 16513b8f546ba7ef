"""The count of lines that shares nothing with what reads them."""

from __future__ import annotations

import codecs
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.intake.sources.line_count import CountedText, LineCount

SIGNS = ["0", "7", "a", "\n", "\r", "\r\n", " ", "\t", "\u00a0", "\u00e9", "\u0660", "\u2028", ";", '"', "\u4e2d", "+"]


def lines_of(text: str) -> list[str]:
    lines = re.split(r"\r\n|\r|\n", text)
    return lines if lines[-1] else lines[:-1]


@given(
    text=st.lists(st.sampled_from(SIGNS), max_size=40).map("".join),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    step=st.integers(1, 50),
)
def test_lines_in_any_encoding_and_pieces(text: str, encoding: str, step: int) -> None:
    """The lines, and the filled ones of them, are those of the text, in whatever pieces its bytes come."""
    count = LineCount()
    data = text.encode(encoding)
    for begin in range(0, len(data), step):
        count.add(data[begin : begin + step])
    count.end()
    marked = encoding != "utf-8" and not text.endswith(("\r", "\n")) and not lines_of(text)
    assert count.lines == len(lines_of(text)) + marked
    assert count.filled == sum(bool(re.search("[0-9A-Za-z\u00c0-\u07ff]", line)) for line in lines_of(text))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_without_a_mark(encoding: str) -> None:
    """Zeros tell text of two bytes a sign."""
    count = LineCount()
    count.add("+41798284651\r\n+41798284652\r\n".encode(encoding))
    count.end()
    assert (count.lines, count.filled) == (2, 2)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b";x\n", b"\n \n"])
def test_more_than_is_looked_at_together(end: bytes) -> None:
    """Neither the head, nor the slices that are counted together, play a part."""
    data = codecs.BOM_UTF8 + b"".join(b"+4179%07d%b" % (number, end) for number in range(20_000))
    stream = CountedText(io.BytesIO(data))
    assert stream.read(100) == data[:100]
    count = stream.counted()
    assert (count.lines, count.filled) == (20_000 * end.count(b"\n") if b"\n" in end else 20_000, 20_000)
