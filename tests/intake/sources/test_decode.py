from __future__ import annotations

import codecs
import io

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.intake.sources.decode import HEAD_BYTES, Peeked, as_utf8

TEXT = "T\u00e9l\u00e9phone\n+41798284651\n\u6570\u5b57\n" + "+41798284652\n" * 10


def decoded(data: bytes) -> bytes:
    return as_utf8(io.BytesIO(data)).buffered().read()


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
    ],
)
def test_encodings(mark: bytes, encoding: str) -> None:
    """Every encoding comes out as UTF-8 without its mark; UTF-16 also where there is no mark."""
    assert decoded(mark + TEXT.encode(encoding)) == TEXT.encode()


@pytest.mark.parametrize(
    "data", [b"", b"+", b"\0\0\0\0" * 10, b"a\0b\0", b"+41\0\0\0798284651\n" * 4, b"\xfc\n", b"\xef\xbb"]
)
def test_other_bytes_pass(data: bytes) -> None:
    """What is no text in another encoding stays as it is, NUL bytes included."""
    assert decoded(data) == data


def test_half_a_character() -> None:
    """UTF-16 that is cut off in the middle of a character ends in one that says so."""
    assert decoded("\ufeff+41".encode("utf-16-le")[:-1]) == "+4\ufffd".encode()


@given(st.text(max_size=300), st.integers(1, 50))
def test_reading_in_small_pieces(text: str, size: int) -> None:
    """However it is read, the text is the same."""
    assume(not text.startswith("\0"))  # behind its mark that would be the mark of UTF-32
    stream = as_utf8(io.BytesIO(codecs.BOM_UTF16_LE + text.encode("utf-16-le")))
    assert b"".join(iter(lambda: stream.read(size), b"")) == text.encode()


def test_a_character_at_the_border_of_pieces() -> None:
    """A character whose bytes are read in two pieces comes out whole."""
    text = "x" + "\U0001f4de" * 200_000
    assert decoded(codecs.BOM_UTF16_BE + text.encode("utf-16-be")) == text.encode()


def test_peeked() -> None:
    """The head is known before anything is read, and is read again."""
    data = bytes(range(256)) * 1024
    peeked = Peeked(io.BytesIO(data))
    assert peeked.head == data[:HEAD_BYTES]
    assert peeked.buffered().read() == data
