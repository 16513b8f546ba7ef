"""Where the fields of a csv file's records stand, as arrays: of a block each record of which is a line.

Most are read from there at once. Rows in which a look at bytes can't tell what a table's reader makes of them are left
to it: those of other width than the header, and those with what may be a number in another column than its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np

from orchestrator.intake.blocks import text_of
from orchestrator.intake.sources.line_ends import split_lines
from orchestrator.intake.sources.table_layout import MOST_KNOWN, SEVERAL_DIGITS, has_seven_digits

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from orchestrator.intake.sources.table_layout import TableLayout

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

QUOTE, _LETTER = b'"x'
_LINE_ENDS = np.isin(np.arange(256), list(b"\r\n"))
_OF_SCRIPTS = np.isin(np.arange(256), [0xD9, 0xDB, 0xDF, 0xE0, 0xE1, 0xEA, 0xEF, 0xF0])
"""The bytes with which digits of other scripts begin in UTF-8."""
_FILLED = re.compile(rb"[0-9A-Za-z]")
_SHAPE = bytes.maketrans(b"45678", b"88888")
"""What makes dates alike: these digits make no difference to what is one."""
_BLANK, _ZERO, _TEN, _ASCII = np.uint8(0x20), np.uint8(ord("0")), np.uint8(10), 0x80


@dataclass(frozen=True, slots=True)
class RecordFields:
    """Row i is `data[starts[i]:ends[i]]`, without its line end; it has `fields[i]` fields, 0 where all are empty.

    Its delimiters stand at `marks[first[i]:]`, behind the last of which stands the end of all; `digits` counts those in
    front of each byte.
    """

    data: bytes
    layout: TableLayout
    starts: Ints
    ends: Ints
    fields: Ints
    marks: Ints
    first: Ints
    signs: npt.NDArray[np.uint8]
    digits: npt.NDArray[np.int32]

    @classmethod
    def of(cls, data: bytes, delimiter: str, layout: TableLayout) -> Self | None:
        """Return the fields of records, None where some record may not be a line."""
        plain = without_quoted(data, delimiter) if delimiter.isascii() else None
        if plain is None:
            return None
        starts, ends = split_lines(plain)
        marks = np.flatnonzero(np.frombuffer(plain, np.uint8) == ord(delimiter))
        first = np.searchsorted(marks, starts)
        fields = np.searchsorted(marks, ends) - first + 1
        fields[ends - starts < fields] = 0
        signs = np.frombuffer(data, np.uint8)
        return cls(
            data,
            layout,
            starts,
            ends,
            fields,
            np.append(marks, len(data)),
            first,
            signs,
            _counted(signs - _ZERO < _TEN),
        )

    def bounds(self, place: int) -> tuple[Ints, Ints]:
        """Return where the cells of a column begin and end, without their quotes."""
        last = len(self.marks) - 1
        begins = self.starts if not place else self.marks[np.minimum(self.first + place - 1, last)] + 1
        stops = np.where(self.fields > place + 1, self.marks[np.minimum(self.first + place, last)], self.ends)
        is_short = self.fields <= place
        begins, stops = np.where(is_short, self.ends, begins), np.where(is_short, self.ends, stops)
        quoted = (begins < stops) & (self.signs[np.minimum(begins, len(self.signs) - 1)] == QUOTE)
        return begins + quoted, stops - quoted

    def texts(self, place: int) -> list[str | None]:
        """Return the cells of a column, None where its line is to be looked at to tell which letters there are."""
        begins, stops = self.bounds(place)
        signs = self.data.decode("latin-1")  # one a byte
        texts: list[str | None] = [
            signs[begin:stop] for begin, stop in zip(begins.tolist(), stops.tolist(), strict=True)
        ]
        if b'""' in self.data:
            texts = [text and text.replace('""', '"') for text in texts]
        if self.data.isascii():
            return texts
        try:
            self.data.decode()
        except UnicodeDecodeError:
            return [text if text is not None and text.isascii() else None for text in texts]
        return [text.encode("latin-1").decode() if text and not text.isascii() else text for text in texts]

    def is_filled(self, row: int) -> bool:
        """Whether there is surely something in a row."""
        return _FILLED.search(self.data, self.starts[row], self.ends[row]) is not None

    def are_of_other_width(self) -> Mask:
        """Tell which rows are shorter or longer than the header, and may be torn.

        What has but further marks behind the last column is no longer.
        """
        width, fields = self.layout.width, self.fields
        behind = self.ends - self.marks[np.minimum(self.first + width - 1, len(self.marks) - 1)]
        is_longer = (fields > max(width, self.layout.most)) | ((fields > width) & (behind > fields - width))
        return (fields > 0) & ((fields < width) | is_longer)

    def are_without(self) -> Mask:
        """Tell in which rows there may be no number in some column of them, where something stands there or in none."""
        bounds = [self.bounds(place) for place in self.layout.column.indexes]
        without = np.array([self.digits[stops] == self.digits[begins] for begins, stops in bounds])
        filled = np.array([begins < stops for begins, stops in bounds])
        are_without: Mask = (self.fields > 0) & (without.all(axis=0) | (without & filled).any(axis=0))
        return are_without

    def may_hold_others(self, looked_at: Mask) -> Mask:
        """Tell in which of these rows numbers may stand in other columns than their own, see `accounted`.

        None is missed.
        """
        are_without = self.are_without()
        likely = self.digits if self.data.isascii() else self.digits + _counted(_OF_SCRIPTS[self.signs])
        shapes = self.data.translate(_SHAPE)
        found = np.zeros(len(self.starts), np.bool_)
        for place in range(self.layout.width):
            if place in self.layout.column.indexes:
                continue
            begins, stops = self.bounds(place)
            counts = likely[stops] - likely[begins]
            several = looked_at & ~found & (counts >= SEVERAL_DIGITS)
            if place in self.layout.usual:
                begun = self.signs[np.minimum(begins, len(self.signs) - 1)]
                plain = self.digits[stops] - self.digits[begins]
                is_usual = (plain <= _limits(self.layout.usual[place])[begun]) & (plain == counts)
                several &= are_without & ~is_usual
            rows = np.flatnonzero(several)
            cells = zip(begins[rows].tolist(), stops[rows].tolist(), strict=True)
            found[rows] = [_has_seven_digits(shapes[begin:stop]) for begin, stop in cells]
        return found


def _counted(are_wanted: Mask) -> npt.NDArray[np.int32]:
    """Return how many signs in front of each are wanted, and how many of all."""
    counts = np.zeros(len(are_wanted) + 1, np.int32)  # a third of the time that 64 bits take
    np.cumsum(are_wanted.view(np.int8), out=counts[1:])
    return counts


def _limits(usual: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Return by a cell's first byte how many digits are usual; -1 for those that tell nothing."""
    limits = np.full(256, usual.get("", -1), np.int64)
    limits[ord("0")] = usual.get("0", -1)
    limits[[ord("+"), *range(_BLANK + 1), *range(_ASCII, 256)]] = -1
    return limits


def _has_seven_digits(shape: bytes) -> bool:
    return (_known_shape if len(shape) <= MOST_KNOWN else _known_shape.__wrapped__)(shape)


@lru_cache(maxsize=1 << 12)
def _known_shape(shape: bytes) -> bool:
    return has_seven_digits(text_of(shape))


def without_quoted(data: bytes | bytearray, delimiter: str) -> bytes | None:
    """Return records with letters for what stands in quotes, so that all delimiters and line ends left are meant.

    None where a quote does not begin and end a field as it should, or a line ends within two.
    """
    if b'"' not in data:
        return bytes(data)
    signs = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(signs == QUOTE)
    if len(quotes) % 2:
        return None
    opening, closing = quotes[::2], quotes[1::2]
    borders = np.zeros(256, np.bool_)
    borders[[ord(delimiter), *b'\r\n"']] = True  # the quote is half of a doubled one
    before, behind = signs[np.maximum(opening - 1, 0)], signs[np.minimum(closing + 1, len(signs) - 1)]
    if not (borders[before] | (opening == 0)).all() or not (borders[behind] | (closing == len(signs) - 1)).all():
        return None
    inside = np.zeros(len(signs), np.int8)
    inside[opening], inside[closing] = 1, -1
    within = np.cumsum(inside, dtype=np.int8) > 0
    if _LINE_ENDS[signs[within]].any():
        return None
    plain = signs.copy()
    plain[within] = _LETTER
    return plain.tobytes()
