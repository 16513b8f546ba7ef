"""Telephone numbers of a result as int64: an E.164 number has at most 15 digits, so it fits.

What a cell says, the door `cells` decides, as for a list. Only the plus sign may be gone here: the vendor was sent
whole numbers, with their calling codes, so digits alone are such a number too.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.cells import MAX_DIGITS, Fault, read_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BLANK: Final = 0
NOT_A_NUMBER: Final = -1

_FEWEST_DIGITS = 5
_NUMBER = re.compile(rf"(?:\+|00)?([1-9][0-9]{{{_FEWEST_DIGITS - 1},{MAX_DIGITS - 1}}})")
_PLAIN = re.compile(rf"\+?[1-9][0-9]{{{_FEWEST_DIGITS - 1},{MAX_DIGITS - 1}}}")
_FIRST = 10 ** (_FEWEST_DIGITS - 1)
_END = 10**MAX_DIGITS


def as_numbers(cells: Sequence[object]) -> NDArray[np.int64]:
    """Return each cell's number, `BLANK` for an empty cell and `NOT_A_NUMBER` for anything else.

    Whole columns of plain text or of floats, which is what vendors send, take no Python step a cell.
    """
    kinds = set(map(type, cells))
    if kinds == {float}:
        values = np.array(cells, np.float64)
        # With a fraction, or beyond 15 digits and so rounded, a float could hit somebody else's number.
        whole = (values >= 1) & (values < _END) & (np.floor(values) == values)
        return np.where(whole, values, NOT_A_NUMBER).astype(np.int64)
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


def _as_number(cell: object) -> int:
    # What most cells are, in a column that holds something else too.
    if isinstance(cell, str) and _PLAIN.fullmatch(cell):
        return int(cell)
    if isinstance(cell, float):
        return int(cell) if 1 <= cell < _END and cell.is_integer() else NOT_A_NUMBER
    found = read_cell(cell)
    if found.fault is Fault.EMPTY:
        return BLANK
    if len(found.numbers) != 1:
        return NOT_A_NUMBER
    (text,) = found.numbers
    if "(" in text:
        # A zero in brackets is left out where the country does: `+41 (0)79…` is `+4179…`, `+39 (0)6…` keeps it.
        import phonenumbers  # noqa: PLC0415 - hardly any result needs it

        with suppress(phonenumbers.NumberParseException):
            text = phonenumbers.format_number(phonenumbers.parse(text), phonenumbers.PhoneNumberFormat.E164)
    number = _NUMBER.fullmatch(text)
    return int(number[1]) if number else NOT_A_NUMBER
