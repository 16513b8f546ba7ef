"""Rows put together at once are those of a loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.master.base_chunks import CodedColumn
from orchestrator.master.row_text import Piece, assemble, column_pieces, enclosed


@st.composite
def pieces(draw: st.DrawFn, rows: int) -> Piece:
    """Draw entries of any length, and a code a row."""
    entries = draw(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5))
    codes = draw(st.lists(st.integers(0, len(entries) - 1), min_size=rows, max_size=rows))
    return Piece(entries, np.array(codes, np.uint8))


@given(st.data(), st.lists(st.integers(100, 10**18 - 1), max_size=30), st.integers(0, 3))
def test_assembled_rows(data: st.DataObject, numbers: list[int], count: int) -> None:
    """Each row is its number's digits, then its entries, whatever their lengths; rows follow each other."""
    drawn = [data.draw(pieces(len(numbers))) for _ in range(count)]
    expected = b"".join(
        b"%d" % number + b"".join(piece.entries[piece.codes[row]] for piece in drawn)
        for row, number in enumerate(numbers)
    )
    assert assemble(np.array(numbers, np.int64), drawn).tobytes() == expected


def test_entries_longer_than_16_bits() -> None:
    """An entry may be longer than 65,535 bytes."""
    entries = [b"a" * 70_000, b"b", b"c" * 65_536]
    text = assemble(np.array([123, 1234, 12345]), [Piece(entries, np.arange(3))])
    assert text.tobytes() == b"123" + entries[0] + b"1234b" + b"12345" + entries[2]


@given(st.data(), st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 20))
def test_verdicts_are_combined(data: st.DataObject, sizes: list[int], rows: int) -> None:
    """However many words the platforms have, each row's text is that of its verdicts in order, in few pieces."""
    columns = []
    for platform, size in enumerate(sizes):
        words = tuple(f"{platform}:{word}" for word in range(size))
        codes = data.draw(st.lists(st.integers(0, size - 1), min_size=rows, max_size=rows))
        columns.append(CodedColumn(words, np.array(codes, np.uint8)))
    made = enclosed(column_pieces(columns, [lambda word: b"<%s>" % word.encode()] * len(columns)), b"[", b"]")
    assert len(made) <= len(columns)
    for row in range(rows):
        text = b"".join(piece.entries[piece.codes[row]] for piece in made)
        assert text == b"[" + b"".join(b"<%s>" % c.words[c.codes[row]].encode() for c in columns) + b"]"


def test_few_combinations_are_one_piece() -> None:
    """Platforms with a handful of words each take one copy a row; words that don't occur cost nothing."""
    columns = [CodedColumn(("unanswered", "yes", "no", "ban"), np.array([1, 2, 1], np.uint8))] * 5
    (piece,) = column_pieces(columns, [str.encode] * len(columns))
    assert piece.entries == [b"yes" * 5, b"no" * 5]
    assert piece.codes.tolist() == [0, 1, 0]
