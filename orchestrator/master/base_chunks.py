"""Chunk files and verdict files → blocks of rows, side by side, without a join.

The base chunks are contiguous and frozen, so row i of a chunk file and byte i of each verdict file belong together.
That they do is checked: a verdict file names the hash of the chunk it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.errors import StorageError
from orchestrator.jobdir.chunk_files import ALTERED_CHUNK, chunk_blocks
from orchestrator.jobdir.extra_files import read_extras
from orchestrator.jobdir.reused_cells import REUSED_WORDS, moment_text, unpack_reused
from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.jobdir.verdict_words import OWN_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ExtraFile:
    """Where an extra file lies, and what it must be: these columns, taken out of this result.

    The file of other columns, or of a result that was fetched again since, says nothing.
    """

    path: Path
    names: tuple[str, ...]
    result_sha256: str


@dataclass(frozen=True, slots=True)
class MasterChunk:
    """One base chunk of the list: its file, its rows, and per platform where its cells come from.

    That is a verdict file, one word for all rows, or what the ledger keeps of verdicts taken from earlier jobs.
    `first_row` counts from 0 over all chunks; when it is given, it is checked. A trial, which comes first, has the
    `places` of its rows in the list; the other chunks have the rows around these, in order. `columns` is a csv file
    without a header, one record a row, of the input's other columns; `columns_sha256` is its hash, "" if nobody knows
    it. `extras` are the platforms' extra files, None where there is none; left out, nobody wants any. `checked` is for
    each platform when its verdicts were checked, see `moment_text`; left out, nobody wants to know.
    """

    path: Path
    rows: int
    cells: tuple[Path | str | bytes, ...]
    first_row: int | None = None
    columns: Path | None = None
    columns_sha256: str = ""
    extras: tuple[ExtraFile | None, ...] = ()
    places: NDArray[np.int64] | None = None
    checked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CodedColumn:
    """The cells of one column for some rows: `codes[i]` indexes `words`.

    Of verdicts one byte a row, two where the generations together use more than 256 words; of further columns four.
    """

    words: tuple[str, ...]
    codes: NDArray[np.unsignedinteger[Any]]

    def cut(self, first: int, last: int) -> CodedColumn:
        codes = self.codes[first:last]
        if len(self.words) <= max(len(codes), MANY_WORDS):
            return CodedColumn(self.words, codes)
        # A large chunk may have another text in each row: a block of it would pay for those of all others.
        used, codes = np.unique(codes, return_inverse=True)
        return CodedColumn(tuple(self.words[code] for code in used.tolist()), codes.astype(np.uint32))


@dataclass(frozen=True, slots=True)
class ResolvedChunk:
    """A base chunk or a part of one, in list order, with the cells as the master shows them.

    `first_row` counts from 0 over the whole list; `numbers` are E.164 without the plus sign. `columns` are the
    verdicts, one a platform; `extras` are the platforms' further columns, where these are wanted.
    """

    first_row: int
    numbers: NDArray[np.int64]
    columns: tuple[CodedColumn, ...]
    extras: tuple[tuple[CodedColumn, ...], ...] = ()

    @property
    def in_order(self) -> tuple[CodedColumn, ...]:
        """Return all columns as they stand in the master: each platform's verdicts, then its further ones."""
        further = self.extras or ((),) * len(self.columns)
        return tuple(one for column, extras in zip(self.columns, further, strict=True) for one in (column, *extras))

    @property
    def words(self) -> tuple[tuple[str, ...], ...]:
        return tuple(column.words for column in self.columns)

    @property
    def codes(self) -> tuple[NDArray[np.unsignedinteger[Any]], ...]:
        """Return the codes of each platform: row i's word is `words[platform][codes[platform][i]]`."""
        return tuple(column.codes for column in self.columns)

    def cut(self, first: int, last: int) -> ResolvedChunk:
        return self.with_columns(self.first_row + first, self.numbers[first:last], lambda one: one.cut(first, last))

    def with_columns(
        self, first_row: int, numbers: NDArray[np.int64], made: Callable[[CodedColumn], CodedColumn]
    ) -> ResolvedChunk:
        """Return a block of these numbers, each column of which is `made` of the one that stands there."""
        extras = tuple(tuple(map(made, columns)) for columns in self.extras)
        return ResolvedChunk(first_row, numbers, tuple(map(made, self.columns)), extras)


def base_blocks(chunk: MasterChunk, first_row: int, extras: Sequence[int] = ()) -> Iterator[ResolvedChunk]:
    """Yield a chunk as blocks of about 1 MiB of its file; its first row is `first_row` of the list.

    `extras` is how many further columns each platform has.
    Raises `StorageError` when a file is missing, altered, or belongs to another chunk.
    """
    if chunk.first_row not in (None, first_row):
        raise StorageError(f"{chunk.path}: begins at row {chunk.first_row}, but the list is at row {first_row}")
    read = [read_cells(cell, chunk.rows) for cell in chunk.cells]
    hashes = {sha256 for _, sha256 in read} - {""}
    further = tuple(
        read_further(file, count, chunk.rows)
        for file, count in zip(chunk.extras or (None,) * len(extras), extras, strict=True)
    )
    if chunk.checked:
        moments = map(checked_at, chunk.cells, chunk.checked, (column for column, _ in read))
        further = tuple(
            (*columns, moment) for columns, moment in zip(further or ((),) * len(read), moments, strict=True)
        )
    whole = ResolvedChunk(first_row, np.empty(0, np.int64), tuple(column for column, _ in read), further)
    sha256 = ""
    done = 0
    for block in chunk_blocks(chunk.path):
        sha256 = block.sha256
        end = done + len(block.numbers)
        if end > chunk.rows:
            break
        yield whole.with_columns(first_row + done, block.numbers, partial(CodedColumn.cut, first=done, last=end))
        done = end
    if done != chunk.rows or not hashes <= {sha256}:
        raise StorageError(f"{chunk.path}: not the chunk its verdicts belong to; {ALTERED_CHUNK}")


class Trial:
    """The rows of a trial, put where they belong between those of the other chunks, which pass by in order.

    Of the trial all is in memory, which is no more than a chunk.
    """

    def __init__(self, blocks: Iterable[ResolvedChunk], places: NDArray[np.int64]) -> None:
        self._whole = _joined(list(blocks))
        # How many of the other rows stand before each of the trial's.
        self._others_before = places - np.arange(len(places))

    def mixed(self, block: ResolvedChunk) -> ResolvedChunk:
        """Return a block of the other rows with those of the trial that stand among them or just before."""
        first = block.first_row - len(self._others_before)
        others = np.arange(first, first + len(block.numbers))
        taken, end = np.searchsorted(self._others_before, (first, first + len(others))).tolist()
        if taken == end:
            return block.with_columns(first + taken, block.numbers, lambda one: one)
        at = np.concatenate([self._others_before[taken:end] * 2, others * 2 + 1])
        order = np.argsort(at, kind="stable")
        both = _joined([self._whole.cut(taken, end), block])
        return both.with_columns(
            first + taken, both.numbers[order], lambda one: CodedColumn(one.words, one.codes[order])
        )

    def rest(self, others: int) -> ResolvedChunk:
        """Return what stands behind all of the `others` rows."""
        taken = int(np.searchsorted(self._others_before, others))
        rest = self._whole.cut(taken, len(self._others_before))
        return rest.with_columns(others + taken, rest.numbers, lambda one: one)


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
    columns = tuple(map(_joined_column, zip(*(block.columns for block in blocks), strict=True)))
    extras = tuple(
        tuple(map(_joined_column, zip(*of_platform, strict=True)))
        for of_platform in zip(*(block.extras for block in blocks), strict=True)
    )
    return ResolvedChunk(blocks[0].first_row, np.concatenate([block.numbers for block in blocks]), columns, extras)


def _joined_column(columns: Sequence[CodedColumn]) -> CodedColumn:
    words = tuple(dict.fromkeys(word for column in columns for word in column.words))
    places = {word: place for place, word in enumerate(words)}
    kind = code_type(len(words))
    codes = [np.array([places[word] for word in column.words], kind)[column.codes] for column in columns]
    return CodedColumn(words, np.concatenate(codes))


def code_type(words: int) -> type[np.unsignedinteger[Any]]:
    """Return the smallest type that has a code for each of so many words."""
    return next(kind for kind in (np.uint8, np.uint16, np.uint32) if words <= np.iinfo(kind).max + 1)


def read_cells(cell: Path | str | bytes, rows: int) -> tuple[CodedColumn, str]:
    """Return the cells of `rows` rows and the hash of the chunk they belong to, "" when none is known.

    Raises `StorageError` when the verdict file is missing, altered or of another length.
    """
    if isinstance(cell, str):
        return CodedColumn((cell,), np.zeros(rows, np.uint8)), ""
    if isinstance(cell, bytes):
        return CodedColumn(REUSED_WORDS, unpack_reused(cell, rows).codes), ""
    verdicts = read_verdicts(cell)
    if len(verdicts.codes) != rows:
        raise StorageError(f"{cell}: holds {len(verdicts.codes):,} verdicts for {rows:,} numbers")
    return CodedColumn(verdicts.words, np.frombuffer(verdicts.codes, np.uint8)), verdicts.chunk_sha256


def checked_at(cell: Path | str | bytes, moment: str, verdicts: CodedColumn) -> CodedColumn:
    """Return when each of some `verdicts` was checked, empty where there is none; `moment` is that of the task."""
    if isinstance(cell, bytes):
        moments, codes = np.unique(unpack_reused(cell, len(verdicts.codes)).moments, return_inverse=True)
        words = tuple(moment_text(at) if at else "" for at in moments.tolist())
        return CodedColumn(words, codes.astype(np.uint32))
    is_verdict = np.array([word not in OWN_WORDS for word in verdicts.words])[verdicts.codes]
    return CodedColumn(("", moment), is_verdict.astype(np.uint8))


def read_further(file: ExtraFile | None, count: int, rows: int) -> tuple[CodedColumn, ...]:
    """Return a platform's further columns for `rows` rows, empty where there is no extra file that is the one."""
    if file is not None and count:
        extras = read_extras(file.path, rows)
        found = tuple(column.name for column in extras.columns), extras.result_sha256
        if found == (file.names, file.result_sha256):
            return tuple(CodedColumn(column.words, column.codes) for column in extras.columns)
    return (CodedColumn(("",), np.zeros(rows, np.uint8)),) * count


ROWS_AT_ONCE: Final = 20_000
MANY_WORDS: Final = 256
