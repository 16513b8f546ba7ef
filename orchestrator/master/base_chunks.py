"""Chunk files and verdict files → blocks of rows, side by side, without a join.

The base chunks are contiguous and frozen, so row i of a chunk file and byte i of each verdict file belong together.
That they do is checked: a verdict file names the hash of the chunk it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.errors import StorageError
from orchestrator.jobdir.chunk_files import ALTERED_CHUNK, chunk_blocks
from orchestrator.jobdir.verdict_files import read_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MasterChunk:
    """One base chunk of the list: its file, its rows, and per platform a verdict file or one word for all rows.

    `first_row` counts from 0 over the whole list; when it is given, it is checked. `columns` is a csv file without a
    header, one record a row, of the input's other columns; `columns_sha256` is its hash, "" if nobody knows it.
    """

    path: Path
    rows: int
    cells: tuple[Path | str, ...]
    first_row: int | None = None
    columns: Path | None = None
    columns_sha256: str = ""


@dataclass(frozen=True, slots=True)
class VerdictColumn:
    """The cells of one platform for some rows: `codes[i]` indexes `words`.

    One byte a row, two where the generations together use more than 256 words.
    """

    words: tuple[str, ...]
    codes: NDArray[np.uint8] | NDArray[np.uint16]

    def cut(self, first: int, last: int) -> VerdictColumn:
        """Return the rows from `first` to before `last`."""
        return VerdictColumn(self.words, self.codes[first:last])


@dataclass(frozen=True, slots=True)
class ResolvedChunk:
    """A base chunk or a part of one, in list order, with the cells as the master shows them.

    `first_row` counts from 0 over the whole list; `numbers` are E.164 without the plus sign.
    """

    first_row: int
    numbers: NDArray[np.int64]
    columns: tuple[VerdictColumn, ...]

    @property
    def words(self) -> tuple[tuple[str, ...], ...]:
        """Return the words of each platform."""
        return tuple(column.words for column in self.columns)

    @property
    def codes(self) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]:
        """Return the codes of each platform: row i's word is `words[platform][codes[platform][i]]`."""
        return tuple(column.codes for column in self.columns)

    def cut(self, first: int, last: int) -> ResolvedChunk:
        """Return the rows from `first` to before `last`, counted from this block's first."""
        columns = tuple(column.cut(first, last) for column in self.columns)
        return ResolvedChunk(self.first_row + first, self.numbers[first:last], columns)


def base_blocks(chunk: MasterChunk, first_row: int) -> Iterator[ResolvedChunk]:
    """Yield a chunk as blocks of about 1 MiB of its file; its first row is `first_row` of the list.

    Raises `StorageError` when a file is missing, altered, or belongs to another chunk.
    """
    if chunk.first_row not in (None, first_row):
        raise StorageError(f"{chunk.path}: begins at row {chunk.first_row}, but the list is at row {first_row}")
    hashes, columns = _columns(chunk)
    sha256 = ""
    done = 0
    for block in chunk_blocks(chunk.path):
        sha256, numbers = block.sha256, block.numbers
        if done + len(numbers) > chunk.rows:
            break
        cells = tuple(column.cut(done, done + len(numbers)) for column in columns)
        yield ResolvedChunk(first_row + done, numbers, cells)
        done += len(numbers)
    if done != chunk.rows or not hashes <= {sha256}:
        raise StorageError(f"{chunk.path}: not the chunk its verdicts belong to; {ALTERED_CHUNK}")


def gathered(blocks: Iterable[ResolvedChunk]) -> Iterator[ResolvedChunk]:
    """Yield small neighbours together, up to some rows: every block costs the same work once, however small."""
    waiting: list[ResolvedChunk] = []
    rows = 0
    for block in blocks:
        if waiting and rows + len(block.numbers) > ROWS_AT_ONCE:
            yield _joined(waiting)
            waiting, rows = [], 0
        waiting.append(block)
        rows += len(block.numbers)
    if waiting:
        yield _joined(waiting)


def _joined(blocks: Sequence[ResolvedChunk]) -> ResolvedChunk:
    if len(blocks) == 1:
        return blocks[0]
    columns = zip(*(block.columns for block in blocks), strict=True)
    numbers = np.concatenate([block.numbers for block in blocks])
    return ResolvedChunk(blocks[0].first_row, numbers, tuple(map(_joined_column, columns)))


def _joined_column(columns: Sequence[VerdictColumn]) -> VerdictColumn:
    words = tuple(dict.fromkeys(word for column in columns for word in column.words))
    places = {word: place for place, word in enumerate(words)}
    kind = np.uint8 if len(words) <= MAX_BYTE_WORDS else np.uint16
    codes = [np.array([places[word] for word in column.words], kind)[column.codes] for column in columns]
    return VerdictColumn(words, np.concatenate(codes))


def read_cells(cell: Path | str, rows: int) -> tuple[VerdictColumn, str]:
    """Return the cells of `rows` rows and the hash of the chunk they belong to, "" when none is known.

    Raises `StorageError` when the verdict file is missing, altered or of another length.
    """
    if isinstance(cell, str):
        return VerdictColumn((cell,), np.zeros(rows, np.uint8)), ""
    verdicts = read_verdicts(cell)
    if len(verdicts.codes) != rows:
        raise StorageError(f"{cell}: holds {len(verdicts.codes):,} verdicts for {rows:,} numbers")
    return VerdictColumn(verdicts.words, np.frombuffer(verdicts.codes, np.uint8)), verdicts.chunk_sha256


def _columns(chunk: MasterChunk) -> tuple[set[str], tuple[VerdictColumn, ...]]:
    """Return the columns of the whole chunk, and the hashes that its file must have."""
    read = [read_cells(cell, chunk.rows) for cell in chunk.cells]
    return {sha256 for _, sha256 in read} - {""}, tuple(column for column, _ in read)


ROWS_AT_ONCE: Final = 20_000
MAX_BYTE_WORDS: Final = 256
"""So many words have codes of one byte."""
