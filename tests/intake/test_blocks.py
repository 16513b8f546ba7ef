from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.intake.blocks import (
    CellBlock,
    LineBlock,
    Rows,
    Texts,
    bytes_of,
    is_utf8,
    read_columns,
    read_numbers,
    read_rows,
    text_of,
    write_rows,
)

if TYPE_CHECKING:
    from pathlib import Path


def rows(numbers: list[int], raws: list[str]) -> Rows:
    lines = np.arange(1, len(numbers) + 1)
    codes = np.zeros(len(numbers), np.uint16)
    return Rows(np.array(numbers, np.int64), lines, codes, [raw.encode() for raw in raws])


def test_cells_of_a_table_keep_empty_ones() -> None:
    """In a block of lines an empty one is blank; in a block of cells it belongs to a row that is not."""
    assert list(LineBlock(7, b"a\n \n b ").cells()) == [(7, "a"), (9, "b")]
    assert list(CellBlock([7, 9], ["", " b "]).cells()) == [(7, ""), (9, "b")]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"+41", "+41"),
        ("J\u00fcrg".encode(), "J\u00fcrg"),
        (b"J\xfcrg", "J\u00fcrg"),
        (b"\x80\x81\xff", "\u20ac\x81\u00ff"),
        (b"\xed\xa0\x80", "\u00ed\xa0\u20ac"),
    ],
)
def test_code_pages(data: bytes, text: str) -> None:
    """A line is UTF-8, or else Windows-1252, with Latin-1 for what that leaves out: it always is some text."""
    assert text_of(data) == text


def test_only_decoding_is_mended() -> None:
    """What can't be encoded stays an error."""
    with pytest.raises(UnicodeEncodeError):
        "\u20ac".encode("ascii", "orchestrator.latin")


@pytest.mark.parametrize("text", ["+41", "J\u00fcrg", "\u20ac\x81\u00ff"])
@pytest.mark.parametrize("wanted", [True, False])
def test_text_in_the_encoding_of_a_file(text: str, *, wanted: bool) -> None:
    """What is written is read as the same text, and tells the encoding that it is in."""
    data = bytes_of(text, is_utf8=wanted)
    assert text_of(data) == text
    assert is_utf8(b"+41\r\n" + data + b"\n") is (None if text.isascii() else wanted)


def test_letters_that_an_encoding_lacks() -> None:
    """They become question marks; the others of the text stay."""
    assert bytes_of("Z\u00fcrich, \u6771\u4eac", is_utf8=False) == b"Z\xfcrich, ??"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_the_first_line_that_tells_an_encoding_decides(end: bytes) -> None:
    """A bad byte further on makes no other file of it."""
    wide, narrow = "J\u00fcrg".encode(), "J\u00fcrg".encode("cp1252")
    assert is_utf8(end.join([b"a", wide, narrow])) is True
    assert is_utf8(end.join([b"a", narrow, wide])) is False


def test_text_that_repeats_the_number_is_not_kept() -> None:
    """A row without raw text was read from the number as it is."""
    found = rows([41, 42], ["", "0042"])
    assert [found.raw(0), found.raw(1)] == ["+41", "0042"]


@given(st.lists(st.tuples(st.integers(0, 10**15), st.text(st.characters(codec="utf-8"), max_size=5)), max_size=20))
def test_a_file_of_rows_keeps_them(tmp_path_factory: pytest.TempPathFactory, content: list[tuple[int, str]]) -> None:
    """What is read from a file of rows is what was written, text of any length and script included."""
    path = tmp_path_factory.getbasetemp() / "rows"
    expected = rows([number for number, _ in content], [raw for _, raw in content])
    write_rows(path, expected)
    found = read_rows(path)
    assert found.numbers.tolist() == read_columns(path)[0].tolist() == expected.numbers.tolist()
    assert found.lines.tolist() == expected.lines.tolist()
    assert list(found.raws) == list(expected.raws)


@pytest.mark.parametrize("lines", [[], [5], [5, 6, 7], [5, 7, 8], [0, 0]])
@pytest.mark.parametrize("code", [0, 3])
def test_what_follows_from_a_plain_list_takes_no_room(tmp_path: Path, lines: list[int], code: int) -> None:
    """Lines that count up, codes of plain numbers and empty texts are not written, and come back all the same."""
    count = len(lines)
    expected = Rows(np.arange(count), np.array(lines, np.int64), np.full(count, code, np.uint16), Texts(count))
    write_rows(tmp_path / "rows", expected)
    found = read_rows(tmp_path / "rows")
    assert found.lines.tolist() == read_columns(tmp_path / "rows")[1].tolist() == lines
    assert found.codes.tolist() == [code] * count
    assert [found.codes.dtype, found.lines.dtype] == [np.uint16, np.int64]
    assert list(found.raws) == [b""] * count
    assert read_numbers(tmp_path / "rows").tolist() == list(range(count))


def test_texts_are_a_sequence() -> None:
    """They can be asked for by place, from either end, and as a slice; beyond the end there are none."""
    texts = Texts(3, b"abbc", np.array([0, 1, 3, 4]))
    assert (texts[0], texts[1], texts[-1], texts[1:], len(texts)) == (b"a", b"bb", b"c", [b"bb", b"c"], 3)
    assert (Texts(2)[-2], Texts(2).are_empty, texts.are_empty) == (b"", True, False)
    for place in (3, -4):
        with pytest.raises(IndexError):
            texts[place]


def test_a_failing_disk(tmp_path: Path) -> None:
    """A file of rows that can't be written or read is an error of the disk."""
    path = tmp_path / "none" / "rows"
    with pytest.raises(StorageError, match="rows"):
        write_rows(path, rows([41], [""]))
    with pytest.raises(StorageError, match="rows"):
        read_rows(path)
    with pytest.raises(StorageError, match="rows"):
        read_columns(path)
    with pytest.raises(StorageError, match="rows"):
        read_numbers(path)
