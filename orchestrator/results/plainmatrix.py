"""Rows of a sheet that have one length, as a matrix of bytes: many are understood at once.

One row of the matrix is taken apart. Then every other one with the very same bytes, save for digits in the row's
number and in the number column, is understood too, without a step of Python a row. The verdict is the same in all of
them, since its bytes are. The rows that differ are for the next matrix, and the last few for the other readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from orchestrator.results.frames import NotPlainError
from orchestrator.results.plainrows import Slots, rows, slots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from orchestrator.results.plainrows import Row

FEWEST_ROWS: Final = 32
"""Below so many rows, taking them apart one by one is as fast."""
_LONGEST_ROW_BYTES: Final = 1024
_MOST_SAMPLES: Final = 12
"""How many different rows of one length are tried: verdicts, and digits that moved."""
_WORD_BYTES: Final = 8
_MOST_DIGITS: Final = 15
_FEWEST_DIGITS: Final = 5
_ZERO: Final = ord("0")
_TEN: Final = 10


class Alike(NamedTuple):
    """Rows that differ in their numbers only, by their places in the block.

    `row_numbers` is empty where rows carry none; `numbers` are of the number column, whose cells are of `kind`:
    references to shared strings where that is `s`. `sample` is one of the rows, as it was taken apart.
    """

    places: NDArray[np.intp]
    row_numbers: NDArray[np.int64]
    numbers: NDArray[np.int64]
    kind: str
    sample: Row


def row_starts(block: bytes) -> NDArray[np.intp]:
    """Return where rows start in a block that starts with one; each ends where the next one starts."""
    text = np.frombuffer(block, np.uint8)
    # Of all bytes of a row's tags this is the rarest.
    places = np.flatnonzero(text == ord("w")) - len("<ro")
    return np.extract(text[places] == ord("<"), places)


def alike(block: bytes, starts: NDArray[np.intp], number: int, verdict: int) -> Iterator[Alike]:
    """Yield sets of rows that are alike; no row is in two of them, and some are in none."""
    lengths = np.diff(starts, append=len(block))
    counts = np.bincount(np.minimum(lengths, _LONGEST_ROW_BYTES))
    padded = block + bytes(_LONGEST_ROW_BYTES)
    for length in np.flatnonzero(counts[:_LONGEST_ROW_BYTES] >= FEWEST_ROWS).tolist():
        places = np.flatnonzero(lengths == length)
        yield from _of_one_length(padded, places, starts[places], length, (number, verdict))


def _of_one_length(
    block: bytes, places: NDArray[np.intp], starts: NDArray[np.intp], length: int, wanted: tuple[int, int]
) -> Iterator[Alike]:
    width = -(-length // _WORD_BYTES) * _WORD_BYTES  # whole words compare several times as fast
    windows = np.ndarray((len(block) - width + 1,), f"V{width}", block, strides=(1,))
    matrix = windows[starts].view(np.uint8).reshape(len(starts), width)
    for _ in range(_MOST_SAMPLES):
        if len(matrix) < FEWEST_ROWS:
            return
        sample = matrix[0, :length].tobytes()
        found = _like(sample, matrix, wanted)
        if found is None:
            rest = np.arange(len(matrix)) > 0
        else:
            yield found._replace(places=places[found.places])
            rest = np.ones(len(matrix), np.bool_)
            rest[found.places] = False
        matrix, places = matrix[rest], places[rest]


def _like(sample: bytes, matrix: NDArray[np.uint8], wanted: tuple[int, int]) -> Alike | None:
    """Return the rows that are like the sample, or None if that has not both columns, or no number of digits."""
    try:
        (row,) = rows(sample)
    except (NotPlainError, ValueError):
        return None
    cells = {cell.column: cell for cell in row.cells if cell.kind}
    if wanted[0] not in cells or wanted[1] not in cells:
        return None
    free, kind = slots(sample, wanted[0]), cells[wanted[0]].kind
    if not _is_number(kind, sample[slice(*free.value)]):
        return None
    same = _same_but(matrix, sample, free)
    numbers, digits = _numbers(matrix, free.value)
    same &= digits & ((matrix[:, free.value[0]] != _ZERO) | (kind == "s"))
    row_numbers = np.zeros(0, np.int64)
    if free.row is not None:
        row_numbers, digits = _numbers(matrix, free.row)
        same &= digits & (matrix[:, free.row[0]] != _ZERO)
        for start, _ in free.places:
            for offset, place in enumerate(range(*free.row)):
                same &= matrix[:, start + offset] == matrix[:, place]
        row_numbers = row_numbers[same]
    return Alike(np.flatnonzero(same), row_numbers, numbers[same], kind, row)


def _is_number(kind: str, digits: bytes) -> bool:
    """Whether the free part of a cell is all digits, as many as a telephone number or a reference has."""
    if not digits.isdigit():
        return False
    return kind == "s" or _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS


def _same_but(matrix: NDArray[np.uint8], sample: bytes, free: Slots) -> NDArray[np.bool_]:
    """Return which rows have the bytes of the sample, save for what is free."""
    width = matrix.shape[1]
    fixed = np.zeros(width, np.uint8)
    fixed[: len(sample)] = 0xFF
    for start, end in (free.value, *free.places, *([] if free.row is None else [free.row])):
        fixed[start:end] = 0
    wanted = np.frombuffer(sample.ljust(width, b"\0"), np.uint64)
    different = np.zeros(len(matrix), np.uint64)
    # Column by column: a step across the rows costs far less than a step along each of them.
    for column, (word, mask) in zip(
        matrix.view(np.uint64).T, zip(wanted, fixed.view(np.uint64), strict=True), strict=True
    ):
        if mask:
            different |= (column ^ word) & mask
    return np.equal(different, 0)


def _numbers(matrix: NDArray[np.uint8], span: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the numbers that stand in these columns, and where they are digits indeed."""
    numbers = np.zeros(len(matrix), np.int64)
    digits = np.ones(len(matrix), np.bool_)
    for place in range(*span):
        digit = matrix[:, place] - np.uint8(_ZERO)
        digits &= digit < _TEN
        numbers *= _TEN
        numbers += digit
    return numbers, digits
