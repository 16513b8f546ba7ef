"""Telephone numbers as int64: an E.164 number has at most 15 digits, so it fits.

A result file is the vendor's, where the plus sign may be gone and the number may be a floating point cell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BLANK: Final = 0
NOT_A_NUMBER: Final = -1

_NUMBER = re.compile(r"(?:\+|00)?([1-9][0-9]{4,14})(?:\.0+)?")
_PUNCTUATION = str.maketrans("", "", " \t\r\n\N{NO-BREAK SPACE}-()'")
_FIRST = 10**4
_END = 10**15


def as_numbers(cells: Sequence[object]) -> NDArray[np.int64]:
    """Return each cell's number, `BLANK` for an empty cell and `NOT_A_NUMBER` for anything else.

    Whole columns of plain text or of floats, which is what vendors send, take no Python step a cell.
    """
    kinds = set(map(type, cells))
    if kinds == {float}:
        return _whole_floats(np.array(cells, np.float64))
    if kinds == {str}:
        text = "\n".join(cells) + "\n"  # type: ignore[arg-type]  # every one is a str, as just seen
        numbers = plain_numbers(text.encode(errors="replace"), len(cells))
        if numbers is not None:
            return numbers
    return np.fromiter(map(_as_number, cells), np.int64, len(cells))


def plain_numbers(lines: bytes, count: int) -> NDArray[np.int64] | None:
    """Return the numbers of `count` lines, or None unless each is five to fifteen digits, with or without a plus.

    Looks at the text as a whole, without a regular expression's cost a line.
    """
    if not lines or lines.translate(None, b"+0123456789\n") or lines.count(b"\n") != count or not lines.endswith(b"\n"):
        return None
    signs = lines.count(b"+")
    if signs and signs != lines.count(b"\n+") + lines.startswith(b"+"):
        return None
    bare = lines.replace(b"+", b"") if signs else lines
    if bare.startswith((b"0", b"\n")) or b"\n0" in bare or b"\n\n" in bare:
        return None
    numbers = np.fromstring(bare, np.int64, sep="\n")  # saturates beyond 19 digits
    return numbers if numbers.min() >= _FIRST and numbers.max() < _END else None


def _whole_floats(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Refuse floats with a fraction, or beyond 15 digits: rounded, they could hit somebody else's number."""
    whole = (values >= 1) & (values < _END) & (np.floor(values) == values)
    return np.where(whole, values, NOT_A_NUMBER).astype(np.int64)


def _as_number(cell: object) -> int:
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return int(cell) if 1 <= cell < _END and cell == int(cell) else NOT_A_NUMBER
    text = "" if cell is None else str(cell).strip()
    if not text:
        return BLANK
    found = None if text.startswith("-") else _NUMBER.fullmatch(text.translate(_PUNCTUATION))
    return int(found[1]) if found else NOT_A_NUMBER
