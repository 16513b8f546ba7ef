"""Lines of E.164 numbers → integers, and back, many at a time.

A number is an `int64` on the way through: eight bytes whatever its length, ready for comparing and counting. Eight
digits are parsed with three multiplications on one 64-bit word, the classic trick of adding neighbours in parallel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DIGITS: Final = 18
"""What an `int64` holds for sure; the longest valid numbers, Germany's, have 17."""
MIN_DIGITS: Final = 3
"""The digits that name a country, at most."""

_PLUS: Final = ord("+")
_ZERO: Final = ord("0")
_LINE_END: Final = ord("\n")
_WIDTH: Final = 24  # three words of eight digits
_LENGTHS: Final = np.arange(_WIDTH + 1)
_KEEP: Final = (np.arange(_WIDTH) >= _WIDTH - _LENGTHS[:, None]).astype(np.uint8).view("<u8") * np.uint64(0x0F)
"""For each count of digits, the mask that leaves their values and clears what stands before them."""
_POWERS: Final = 10 ** np.arange(1, MAX_DIGITS + 1, dtype=np.int64)


def parse_lines(data: bytes) -> NDArray[np.int64]:
    r"""Return the numbers of lines such as `+41798284651\n`; raises `ValueError` for anything else.

    Each line is a plus sign, then 3 to 18 digits of which the first is not 0, then a line feed.
    """
    text = np.frombuffer(bytes(_WIDTH) + data, np.uint8)
    ends = np.flatnonzero(text == _LINE_END)
    starts = np.concatenate(([_WIDTH], ends[:-1] + 1)) if len(ends) else ends
    digits = ends - starts - 1
    if not _whole(data, text, starts, digits):
        raise ValueError("not lines of numbers")
    words = -(-int(digits.max(initial=1)) // 8)
    windows = sliding_window_view(text, 8 * words)[ends - 8 * words].view("<u8") & _KEEP[digits, -words:]
    numbers = _eight_digits(windows[:, 0])
    for word in range(1, words):
        numbers = numbers * np.uint64(10**8) + _eight_digits(windows[:, word])
    return numbers.astype(np.int64)


def _whole(data: bytes, text: NDArray[np.uint8], starts: NDArray[np.intp], digits: NDArray[np.intp]) -> bool:
    """Check the form of every line at once; the line ends are taken for granted but for the last."""
    if not len(starts):
        return not data
    return (
        data.endswith(b"\n")
        and not data.translate(None, b"+0123456789\n")
        and data.count(b"+") == len(starts)
        and bool((text[starts] == _PLUS).all())
        and int(digits.min()) >= MIN_DIGITS
        and int(digits.max()) <= MAX_DIGITS
        and bool((text[starts + 1] != _ZERO).all())
    )


def _eight_digits(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the values of eight digits each, the first in the lowest byte."""
    pairs = (words * np.uint64(2561) >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    fours = (pairs * np.uint64(6553601) >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    return fours * np.uint64(42949672960001) >> np.uint64(32)


def count_digits(numbers: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return how many decimal digits each number has."""
    return np.searchsorted(_POWERS, numbers, side="right") + 1


def leading_digits(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first three digits of each number, which decide its calling code."""
    scale = np.concatenate((np.ones(4, np.int64), _POWERS))
    return numbers // scale[count_digits(numbers)]


def digit_rows(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the decimal digits of each number as ASCII, one row a number, to the right of `ROW_WIDTH` bytes.

    What stands to the left of a number's digits is zeros or, further left, nothing in particular.
    """
    rows = np.empty((len(numbers), ROW_WIDTH // 4), np.uint32)
    above, low = np.divmod(numbers, _EIGHT)
    top, middle = np.divmod(above, _EIGHT)
    for place, eight in ((1, middle), (3, low)):
        left, right = np.divmod(eight.astype(np.uint32), np.uint32(10_000))
        rows[:, place] = _FOUR_DIGITS[left]
        rows[:, place + 1] = _FOUR_DIGITS[right]
    rows[:, 0] = _FOUR_DIGITS[top]
    return rows.view(np.uint8)


ROW_WIDTH: Final = 20
_EIGHT: Final = np.int64(10**8)
_FOUR_DIGITS: Final = np.frombuffer(b"".join(b"%04d" % value for value in range(10_000)), np.uint32)
