"""Integers → lines of text, many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Words = npt.NDArray[np.uint64]

WIDTH = 16
"""Digits that are made at once; a longer number goes the slow way."""

_HALF = np.uint64(10 ** (WIDTH // 2))
_POWERS = 10 ** np.arange(1, WIDTH + 1, dtype=np.int64)
_SHOWN = np.where(np.arange(WIDTH) >= WIDTH - np.arange(WIDTH + 1)[:, None], 0xFF, 0).astype(np.uint8).view("<u8")
"""For each count of digits, the masks of two words that clear what stands before them."""
_NUL = b"\0"


def lines_of(parts: Sequence[bytes | Ints], count: int) -> bytes:
    r"""Return `count` lines, each made of the parts in order: the same bytes in all, or a number of its own.

    `lines_of((b"+", numbers, b"\n"), len(numbers))` is a chunk file. Numbers are not negative.
    """
    if any(_NUL in part if isinstance(part, bytes) else part.max(initial=0) >= _POWERS[-1] for part in parts):
        return _slowly(parts, count)
    columns = {id(part): _column(part, count) for part in parts}
    text = np.concatenate([columns[id(part)] for part in parts], axis=1).tobytes()
    return text.translate(None, _NUL) if _NUL in text else text


def _column(part: bytes | Ints, count: int) -> npt.NDArray[np.uint8]:
    """Return the characters of a part, line by line; NUL stands before shorter numbers."""
    if isinstance(part, bytes):
        return np.broadcast_to(np.frombuffer(part, np.uint8), (count, len(part)))
    least, most = (len(str(number)) for number in (part.min(initial=10**WIDTH - 1), part.max(initial=0)))
    values = part.astype(np.uint64)
    high = values // _HALF
    words = np.stack([_eight_digits(high), _eight_digits(values - high * _HALF)], axis=1)
    if least < most:
        words &= _SHOWN[np.searchsorted(_POWERS[:-1], part, side="right") + 1]
    return words.astype("<u8", copy=False).view(np.uint8)[:, WIDTH - most :]


def _eight_digits(values: Words) -> Words:
    """Return the characters of values below 10 ** 8, the first in the lowest byte: halves are split side by side."""
    fours = _split(values, 10_000, 32, (1 << 64) - 1, 40, 109_951_163)
    twos = _split(fours, 100, 16, 0x0000_007F_0000_007F, 20, 10_486)
    ones = _split(twos, 10, 8, 0x000F_000F_000F_000F, 10, 103)
    return ones + np.uint64(0x3030_3030_3030_3030)


def _split(values: Words, base: int, bits: int, mask: int, shift: int, reciprocal: int) -> Words:
    """Split each lane into its quotient by `base`, and the remainder `bits` further up."""
    quotients = (values * np.uint64(reciprocal) >> np.uint64(shift)) & np.uint64(mask)
    return quotients | (values - quotients * np.uint64(base)) << np.uint64(bits)


def _slowly(parts: Sequence[bytes | Ints], count: int) -> bytes:
    columns = [[part] * count if isinstance(part, bytes) else [b"%d" % n for n in part.tolist()] for part in parts]
    return b"".join(b"".join(line) for line in zip(*columns, strict=True))
