"""The units in which a list is read, and the files in which read rows wait for the next step.

A reader yields blocks: a `LineBlock` is a piece of a text file as it is, a `CellBlock` holds cells that were taken out
of a table. Both give `cells()`: line number and text, stripped, without blank lines. A block goes to a worker, which
makes `Rows` of it; a file of rows is the only thing that later steps see.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np

from orchestrator.files import FILE_MODE, disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

BLOCK_BYTES = 1 << 18
"""About 20,000 lines, half a second of `phonenumbers`: short enough that two workers end together."""


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines of a text file, ends included; `first_line` counts from 1."""

    first_line: int
    data: bytes

    def cells(self) -> Iterator[tuple[int, str]]:
        """Yield line number and text of every line that is not blank; bytes that are no UTF-8 become surrogates."""
        for line, text in enumerate(self.data.splitlines(), self.first_line):
            if stripped := text.decode("utf-8", "surrogateescape").strip():
                yield line, stripped


@dataclass(frozen=True, slots=True)
class CellBlock:
    """Cells of one column, of rows that are not blank; an empty cell of such a row is an empty text."""

    lines: Sequence[int]
    texts: Sequence[str]

    def cells(self) -> Iterator[tuple[int, str]]:
        """Yield line number and text of every cell."""
        return zip(self.lines, (text.strip() for text in self.texts), strict=True)


Block = LineBlock | CellBlock


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the list, four sequences of the same length.

    `numbers` are E.164 numbers without the plus sign, 0 for a rejected row; `lines` are line numbers; `codes` are those
    of `normalise`; `raws` is UTF-8 fit for people to see, empty where it would only repeat the number.
    """

    numbers: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    codes: npt.NDArray[np.uint8]
    raws: Sequence[bytes]

    def raw(self, row: int) -> str:
        """Return the text that row number `row` was read from."""
        return self.raws[row].decode() or f"+{self.numbers[row]}"


def write_rows(path: Path, rows: Rows) -> None:
    """Write a file of rows, private and not synced: it does not outlive the reading; raises `StorageError`."""
    ends = np.cumsum(np.fromiter(map(len, rows.raws), np.int64, len(rows.raws)))
    with disk_errors(path), private_file(path) as file:
        for array in (rows.numbers, rows.lines, rows.codes, ends):
            np.save(file, array, allow_pickle=False)
        file.write(b"".join(rows.raws))


def read_rows(path: Path) -> Rows:
    """Read a whole file of rows; raises `StorageError`."""
    with disk_errors(path), path.open("rb") as file:
        numbers, lines, codes, ends = _load(file, 4)
        text = file.read()
    limits = [0, *ends.tolist()]
    return Rows(numbers, lines, codes, [text[a:b] for a, b in pairwise(limits)])


def read_columns(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Read numbers, lines and codes of a file of rows, and leave the text where it is; raises `StorageError`."""
    with disk_errors(path), path.open("rb") as file:
        numbers, lines, codes = _load(file, 3)
    return numbers, lines, codes


def _load(file: BinaryIO, count: int) -> list[npt.NDArray[Any]]:
    return [np.load(file, allow_pickle=False) for _ in range(count)]


def private_file(path: Path) -> IO[bytes]:
    """Open a new file for writing, which is not synced; raises `OSError`."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb")
