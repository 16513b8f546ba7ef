"""Chunk files and verdict files → blocks of rows, side by side, without a join.

The chunks are contiguous and frozen, so row i of a chunk file and byte i of each verdict file belong together. That
they do is checked: a verdict file names the hash of the chunk it belongs to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.errors import StorageError
from orchestrator.files import BLOCK_BYTES, disk_errors
from orchestrator.results import read_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MIN_LINE_BYTES: Final = 5  # a plus sign, the three digits that name the country at most, a line end
_ZERO: Final = ord("0")


@dataclass(frozen=True, slots=True)
class MasterChunk:
    """One chunk of the list: its file, its rows, and per platform a verdict file or one word for all rows."""

    path: Path
    rows: int
    cells: tuple[Path | str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """The cells of one platform: `codes[i]` indexes `words` (at most 256)."""

    words: tuple[str, ...]
    codes: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows in list order: `numbers` as they stand in the master, the first three digits of each as 0 to 999."""

    numbers: list[bytes]
    leading: NDArray[np.int64]
    columns: tuple[Column, ...]

    def cut(self, first: int, last: int) -> Block:
        """Return the rows from `first` to before `last`."""
        columns = tuple(Column(column.words, column.codes[first:last]) for column in self.columns)
        return Block(self.numbers[first:last], self.leading[first:last], columns)

    def render(self, cells: Sequence[Sequence[bytes]]) -> bytes:
        """Join every number and its cells, row by row; `cells[platform][code]` is what to write for a code."""
        looked_up = (map(table.__getitem__, column.codes) for table, column in zip(cells, self.columns, strict=True))
        return b"".join(chain.from_iterable(zip(self.numbers, *looked_up, strict=True)))


def blocks(chunk: MasterChunk) -> Iterator[Block]:
    """Yield a chunk as blocks of about 1 MiB of its file.

    Raises `StorageError` when a file is missing, altered, or belongs to another chunk.
    """
    hashes, columns = _columns(chunk)
    digest = hashlib.sha256()
    first = 0
    for data in _whole_lines(chunk.path):
        digest.update(data)
        block = _block(chunk.path, data, first, columns)
        first += len(block.numbers)
        if first > chunk.rows:
            break
        yield block
    if first != chunk.rows or not hashes <= {digest.hexdigest()}:
        raise StorageError(f"{chunk.path}: not the chunk its verdicts belong to; {_WAY_OUT}")


def _columns(chunk: MasterChunk) -> tuple[set[str], tuple[Column, ...]]:
    """Return the columns of the whole chunk, and the hashes that its file must have.

    Here later generations will overlay the first one: their codes replace single bytes of a column.
    """
    hashes: set[str] = set()
    columns = []
    for cell in chunk.cells:
        if isinstance(cell, str):
            columns.append(Column((cell,), bytes(chunk.rows)))
            continue
        verdicts = read_verdicts(cell)
        if len(verdicts.codes) != chunk.rows:
            raise StorageError(f"{cell}: holds {len(verdicts.codes):,} verdicts for {chunk.rows:,} numbers")
        hashes |= {verdicts.chunk_sha256} - {""}
        columns.append(Column(verdicts.words, verdicts.codes))
    return hashes, tuple(columns)


def _whole_lines(path: Path) -> Iterator[bytes]:
    with disk_errors(path), path.open("rb") as file:
        while data := file.read(BLOCK_BYTES):
            yield data + file.readline()


def _block(path: Path, data: bytes, first: int, columns: tuple[Column, ...]) -> Block:
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    starts = np.concatenate(([0], ends[:-1] + 1))
    if data.translate(None, b"+0123456789\n") or not data.endswith(b"\n") or min(ends - starts) < _MIN_LINE_BYTES - 1:
        raise StorageError(f"{path}: not a chunk file; {_WAY_OUT}")
    hundreds, tens, ones = (text[starts + place].astype(np.int64) - _ZERO for place in (1, 2, 3))
    rows = slice(first, first + len(ends))
    return Block(
        numbers=data.split(b"\n")[:-1],
        leading=hundreds * 100 + tens * 10 + ones,
        columns=tuple(Column(column.words, column.codes[rows]) for column in columns),
    )


_WAY_OUT: Final = "remove it, and the next run writes it anew from the inputs"
