"""Which numbers of a platform's chunks are known from earlier jobs, and chunk files of the others: a piece.

It goes over the chunks twice, a chunk at a time: first what is known of each is looked up, and kept in a file; then,
when it is known how many are left, these are cut. So memory is that of a chunk, whatever is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from orchestrator.files import disk_errors, open_private
from orchestrator.intake import ChunkLimits
from orchestrator.intake.cutting import can_be_cut, filled_up, picked_sizes
from orchestrator.intake.generations import write_retry
from orchestrator.jobdir.chunk_files import read_chunk
from orchestrator.jobdir.layout import chunk_path
from orchestrator.jobdir.list_rows import draw, rows_of_chunks
from orchestrator.jobdir.reused_cells import REUSED_WORDS, ReusedCells, moment_of, pack_reused, unpack_reused
from orchestrator.jobdir.verdict_words import CHECKED_AT
from orchestrator.records import Reused, ReusedSums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.master.number_index import NumberIndex
    from orchestrator.records import Chunk

    Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier job says of a platform, which is called `platform` there."""

    index: NumberIndex
    platform: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What there is to choose from: `chunks` of the job in `directory`, and what is `known` of their numbers.

    A yes that was checked before `yes_since` counts no more, nor a no before `no_since`, nor anything behind `until` (s
    since the epoch): nobody knows how old that is. What is left is cut by `limits`, into chunks that count from
    `first_chunk` on, unless the platform `has_condition`; `folder` is taken for files.
    """

    directory: Path
    chunks: tuple[Chunk, ...]
    known: tuple[Known, ...]
    yes_since: float
    no_since: float
    until: float
    limits: ChunkLimits
    first_chunk: int
    folder: Path
    has_condition: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chunks of the numbers that are left, the trial in front, and what was taken for each chunk.

    That lies in files in `folder`.
    """

    chunks: tuple[Chunk, ...]
    sums: tuple[tuple[int, ReusedSums], ...]
    folder: Path

    @property
    def reused(self) -> Iterator[Reused]:
        """Read what was taken, a chunk at a time; raises `StorageError`."""
        for chunk, sums in self.sums:
            path = _kept(self.folder, chunk)
            with disk_errors(path):
                yield Reused(chunk, path.read_bytes(), sums)


def select_numbers(choice: Choice) -> Chosen | None:
    """Look up what is known, and write the chunk files of the rest; None when nothing is known that counts.

    Raises `StorageError`.
    """
    lookups = [_Lookup(known) for known in choice.known]
    min_rows = choice.limits.min_rows
    left = known = 0
    oldest = _Oldest(min_rows)
    for chunk in choice.chunks:
        numbers = read_chunk(chunk_path(choice.directory, chunk.chunk)).numbers
        cells = _known_cells(choice, lookups, numbers)
        path = _kept(choice.folder, chunk.chunk)
        with disk_errors(path), open(path, "wb", opener=open_private) as file:
            file.write(pack_reused(cells))
        is_known = cells.codes > 0
        left += int((~is_known).sum())
        known += int(is_known.sum())
        oldest.look(numbers[is_known], cells.moments[is_known])
    if choice.has_condition:  # for which of the others it is asked is told later
        sums = [(chunk.chunk, _sums(choice, chunk, np.empty(0, np.int64))) for chunk in choice.chunks]
        return Chosen((), tuple(sums), choice.folder)
    if not known:
        return None
    filling = filled_up(left, choice.limits) - left
    again = oldest.first(filling) if filling <= known else np.empty(0, np.int64)
    left += len(again)
    if left < min_rows:  # the platform is skipped for a list that is too short; what is known is taken all the same
        left = 0
    sums = [(chunk.chunk, _sums(choice, chunk, again)) for chunk in choice.chunks]
    return Chosen(tuple(_write(choice, again, left)), tuple(sums), choice.folder)


class _Lookup:
    """An index, mapped; `codes` and `moments` have what the codes of its columns mean."""

    def __init__(self, known: Known) -> None:
        index = known.index
        place, moment_place = (index.columns.index(name) for name in (known.platform, f"{known.platform}.{CHECKED_AT}"))
        arrays = index.arrays()
        self.numbers, self.verdicts, self.times = arrays[0], arrays[place + 1], arrays[moment_place + 1]
        codes = {word: code for code, word in enumerate(REUSED_WORDS) if code}
        self.codes = np.array([codes.get(word, 0) for word in index.words[place]], np.uint8)
        self.moments = np.array([moment_of(text) for text in index.words[moment_place]], np.int64)

    def find(self, numbers: Numbers) -> tuple[NDArray[np.bool_], NDArray[np.uint8], Numbers]:
        """Return which of ascending `numbers` there are, with their codes and moments."""
        if not len(self.numbers):
            return np.zeros(len(numbers), np.bool_), np.zeros(len(numbers), np.uint8), np.zeros(len(numbers), np.int64)
        at = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        there: NDArray[np.bool_] = self.numbers[at] == numbers
        return there, self.codes[self.verdicts[at]], self.moments[self.times[at]]


def _known_cells(choice: Choice, lookups: Sequence[_Lookup], numbers: Numbers) -> ReusedCells:
    """Return of several jobs the verdict that was checked last, if it is young enough."""
    order = np.argsort(numbers)
    codes, moments = np.zeros(len(numbers), np.uint8), np.zeros(len(numbers), np.int64)
    for lookup in lookups:
        there, its, times = lookup.find(numbers[order])
        newer = there & (its > 0) & (times > moments) & (times <= choice.until)
        codes[newer], moments[newer] = its[newer], times[newer]
    since = np.array([np.inf, choice.yes_since, choice.no_since])[codes]
    too_old = moments < since
    codes[too_old], moments[too_old] = 0, 0
    cells = ReusedCells(np.empty_like(codes), np.empty_like(moments))
    cells.codes[order], cells.moments[order] = codes, moments
    return cells


class _Oldest:
    """The `most` numbers that were checked first, of all that passed by."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers, self._moments = np.empty(0, np.int64), np.empty(0, np.int64)

    def look(self, numbers: Numbers, moments: Numbers) -> None:
        numbers, moments = (np.concatenate(both) for both in ((self._numbers, numbers), (self._moments, moments)))
        first = np.lexsort((numbers, moments))[: self._most]
        self._numbers, self._moments = numbers[first], moments[first]

    def first(self, count: int) -> Numbers:
        """Return so many of them, ascending."""
        return np.sort(self._numbers[:count])


def _sums(choice: Choice, chunk: Chunk, again: Numbers) -> ReusedSums:
    cells = _cells(choice, chunk)
    filling = np.isin(read_chunk(chunk_path(choice.directory, chunk.chunk)).numbers, again) if len(again) else False
    codes = np.where(filling, 0, cells.codes)
    yes, no = (int((codes == code).sum()) for code in (1, 2))
    moments = cells.moments[codes > 0]
    return ReusedSums(
        yes=yes,
        no=no,
        asked_again=int((cells.codes > 0).sum()) - yes - no,
        oldest=int(moments.min()) if len(moments) else None,
        tasks=1,
        rows=chunk.rows,
    )


class Part(NamedTuple):
    """Numbers to ask for, with their rows of the list."""

    numbers: Numbers
    rows: Numbers


def _write(choice: Choice, again: Numbers, left: int) -> Iterator[Chunk]:
    """Write the chunk files of what is left, in the list's order; a trial of it, which is drawn, comes first."""
    limits = choice.limits
    size = limits.trial_rows
    if not left:
        return
    if not (limits.min_rows <= size and can_be_cut(left - size, limits)):
        size = 0
    drawn = draw(left, size, limits.seed) if size else np.empty(0, np.int64)

    def parts(*, others: bool) -> Iterator[Part]:
        at = 0
        for part in _left(choice, again):
            picked = np.isin(np.arange(at, at + len(part.rows)), drawn, assume_unique=True, invert=others)
            yield Part(part.numbers[picked], part.rows[picked])
            at += len(part.rows)

    if size:
        whole = ChunkLimits(size, size, size)
        for chunk in cut_parts(choice.directory, partial(parts, others=False), size, whole, choice.first_chunk):
            yield replace(chunk, is_trial=True)
    first_chunk = choice.first_chunk + (size > 0)
    yield from cut_parts(choice.directory, partial(parts, others=True), left - size, limits, first_chunk)


def cut_parts(
    directory: Path, parts: Callable[[], Iterator[Part]], count: int, limits: ChunkLimits, first_chunk: int
) -> Iterator[Chunk]:
    """Write the chunk files of `count` numbers in all, a chunk at a time; of those that a cut takes, see there."""
    sizes = picked_sizes(count, limits)
    waiting: list[Part] = []
    ready, number = 0, first_chunk
    for part in parts():
        waiting.append(part)
        ready += len(part.rows)
        while sizes and ready >= sizes[0]:
            size = sizes.pop(0)
            numbers, rows = (np.concatenate(column) for column in zip(*waiting, strict=True))
            yield from write_retry(directory, numbers[:size], rows[:size], ChunkLimits(size, size, size), number)
            waiting = [Part(numbers[size:], rows[size:])]
            number, ready = number + 1, ready - size


def _left(choice: Choice, again: Numbers) -> Iterator[Part]:
    """Yield the numbers that are left to ask for, with their rows of the list, in its order."""
    list_rows = rows_of_chunks(choice.chunks)
    marked = (_marked(choice, chunk, again) for chunk in choice.chunks)
    if len(list_rows.trial):  # with the trial there are all others too
        row = 0
        for values in list_rows.in_list_order(marked):
            wanted = np.flatnonzero(values & 1)
            yield Part(values[wanted] >> 1, wanted + row)
            row += len(values)
        return
    for chunk, values in zip(choice.chunks, marked, strict=True):
        wanted = np.flatnonzero(values & 1)
        yield Part(values[wanted] >> 1, wanted + chunk.first_row)


def _marked(choice: Choice, chunk: Chunk, again: Numbers) -> Numbers:
    """Return the numbers of a chunk, doubled, and one more for each that is left to ask for."""
    numbers = read_chunk(chunk_path(choice.directory, chunk.chunk)).numbers
    wanted = _cells(choice, chunk).codes == 0
    if len(again):
        wanted |= np.isin(numbers, again)
    marked: Numbers = numbers * 2 + wanted
    return marked


def _cells(choice: Choice, chunk: Chunk) -> ReusedCells:
    path = _kept(choice.folder, chunk.chunk)
    with disk_errors(path):
        return unpack_reused(path.read_bytes(), chunk.rows)


def _kept(folder: Path, chunk: int) -> Path:
    return folder / f"{chunk:06d}"
