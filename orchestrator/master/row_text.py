"""Rows of text, put together many at a time: a number's digits, then pieces that are looked up by code.

A row is the same few pieces as thousands of others. Each piece is copied to where it belongs by one assignment for all
rows in which it has the same length: four times faster than joining them in Python, and no interpreter lock is needed
by whoever compresses the block before.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from orchestrator.jobdir.digits import ROW_WIDTH, count_digits, digit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from orchestrator.master.base_chunks import CodedColumn

_MOST_COMBINATIONS: Final = 4096
"""Verdicts of several platforms are one piece as long as there are few ways to combine them."""


class Piece(NamedTuple):
    """A part of every row: row i has `entries[codes[i]]`, which is never empty."""

    entries: Sequence[bytes]
    codes: NDArray[np.integer[Any]]


def assemble(numbers: NDArray[np.int64], pieces: Sequence[Piece]) -> NDArray[np.uint8]:
    """Return the bytes of all rows: the digits of each number, then its entry of each piece."""
    digits = count_digits(numbers)
    lengths = [_lengths(piece.entries)[piece.codes] for piece in pieces]
    ends = np.cumsum(sum(lengths, digits))
    text = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    for piece, length in zip(reversed(pieces), reversed(lengths), strict=True):
        ends = ends - length
        _place_entries(text, ends, piece, length)
    _place_digits(text, ends - digits, numbers, digits)
    return text


def _place_entries(text: NDArray[np.uint8], starts: NDArray[np.intp], piece: Piece, length: NDArray[np.intp]) -> None:
    tables = dict(_by_value(_lengths(piece.entries)))
    place_in_table = np.empty(len(piece.entries), np.intp)
    for size, rows in _by_value(length):
        codes = tables[size]
        place_in_table[codes] = np.arange(len(codes))
        table = np.frombuffer(b"".join(map(piece.entries.__getitem__, codes.tolist())), f"V{size}")
        _items(text, size)[starts[rows]] = table[place_in_table[piece.codes[rows]]]


def _place_digits(
    text: NDArray[np.uint8], starts: NDArray[np.intp], numbers: NDArray[np.int64], digits: NDArray[np.intp]
) -> None:
    written = digit_rows(numbers)
    for size, rows in _by_value(digits):
        _items(text, size)[starts[rows]] = np.ascontiguousarray(written[rows, ROW_WIDTH - size :]).view(f"V{size}")[
            :, 0
        ]


def _items(text: NDArray[np.uint8], size: int) -> NDArray[np.void]:
    """Return `text` as overlapping items: item i is the `size` bytes from i on."""
    return np.ndarray((len(text) - size + 1,), f"V{size}", text, strides=(1,))


def _lengths(entries: Sequence[bytes]) -> NDArray[np.intp]:
    return np.fromiter(map(len, entries), np.intp, len(entries))


def _by_value(values: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each value that occurs, and where, ascending."""
    narrow = values.astype(np.uint16) if values.max(initial=0) < 1 << 16 else values  # sixteen bits sort by counting
    order = np.argsort(narrow, kind="stable")
    ordered = values[order]
    edges = np.flatnonzero(np.diff(ordered)) + 1
    for place in np.split(order, edges) if len(order) else ():
        yield int(values[place[0]]), place


def column_pieces(columns: Sequence[CodedColumn], cells: Sequence[Callable[[str], bytes]]) -> list[Piece]:
    """Return the cells of all columns as few pieces: what occurs together is one entry. `cells` format them."""
    pieces: list[Piece] = []
    formats = iter(cells)
    for group in _groups(columns):
        shape = tuple(len(column.words) for column in group)
        combined = np.ravel_multi_index([column.codes for column in group], shape)
        present = np.flatnonzero(np.bincount(combined))
        dense = np.empty(present.max(initial=-1) + 1, np.intp)
        dense[present] = np.arange(len(present))
        words = [list(map(next(formats), column.words)) for column in group]
        parts = np.unravel_index(present, shape)
        texts = (map(table.__getitem__, codes.tolist()) for table, codes in zip(words, parts, strict=True))
        pieces.append(Piece([b"".join(row) for row in zip(*texts, strict=True)], dense[combined]))
    return pieces


def _groups(columns: Sequence[CodedColumn]) -> Iterator[list[CodedColumn]]:
    """Yield neighbours whose words can be combined in few ways, or single columns."""
    group: list[CodedColumn] = []
    for column in columns:
        if group and prod(len(one.words) for one in (*group, column)) > _MOST_COMBINATIONS:
            yield group
            group = []
        group.append(column)
    if group:
        yield group


def enclosed(pieces: Sequence[Piece], before: bytes, after: bytes) -> list[Piece]:
    """Return the pieces with the same text before the first and after the last of every row."""
    first = Piece([before + entry for entry in pieces[0].entries], pieces[0].codes)
    *others, last = (first, *pieces[1:])
    return [*others, Piece([entry + after for entry in last.entries], last.codes)]
