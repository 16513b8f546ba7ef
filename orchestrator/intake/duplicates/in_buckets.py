"""Drops duplicates of large lists, on all cores and in bounded memory, as pieces from files to files.

    scatter   a group of files of rows → its numbers and their positions, sorted by bucket
    find      a bucket → its duplicates, sorted by group; equal numbers always share a bucket
    keep      a group → its part of the file of accepted numbers, and of the table of duplicates

A number's bucket is the top bits of its product with an odd constant, modulo a power of two that all numbers are below.
That is one to one, so the rest of the product stands for the number. In a bucket it is put above the place at which the
number appeared, in one word: sorting words brings equal numbers together, in the order of their appearance. Where both
don't fit a word, a slower stable sort of the rests does the same.

Memory: a piece holds a group or a bucket, with some 80 bytes a row, 160 MB with the figures below. A bucket that has
more rows, as a number that is repeated a million times brings about, is read in parts, of which only first appearances
stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.files import disk_errors
from orchestrator.intake.blocks import FROM_TEXT, private_file, read_columns, read_numbers, whole_file
from orchestrator.intake.duplicates.in_memory import NUMBER_TYPE, Unique, starts
from orchestrator.jobdir.arrays import read_array, write_array
from orchestrator.pieces import PieceFiles, on_files

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from orchestrator.intake.stored_rows import StoredRows
    from orchestrator.workers import Workers

    Ints = npt.NDArray[np.int64]
    Words = npt.NDArray[np.uint64]

BUCKET_ROWS = 1_500_000
PART_ROWS = 2_000_000
"""Rows of a bucket, as it should be, and at most in memory."""
GROUP_ROWS = 1_000_000
"""Rows of a group, at least; a group is whole files of rows."""

_ODD = 0x9E3779B97F4A7C15
_WORD_BITS = 64


@dataclass(frozen=True, slots=True)
class Group:
    """Some files of rows that follow each other, and the position of their first row in the list."""

    files: tuple[StoredRows, ...]
    begin: int

    @property
    def rows(self) -> int:
        return sum(stored.rows for stored in self.files)


@dataclass(frozen=True, slots=True)
class Split:
    """How numbers are spread: all are below 2 ** `width`, and the top `bits` of that many tell the bucket."""

    width: int
    bits: int


@dataclass(frozen=True, slots=True)
class Scattered:
    """What came of a group: a file of products by bucket, positions behind them; how many rows each bucket has."""

    path: Path
    begin: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Duplicates of a bucket: a file of positions, ascending, and those of first appearances behind them.

    `counts` says how many are in each group.
    """

    path: Path
    counts: tuple[int, ...]


async def drop_in_buckets(
    files: Sequence[StoredRows], folder: Path, workers: Workers, *, positions: bool = False
) -> Unique:
    """Drop duplicates over all files of rows, in list order; the same comes out as of `in_memory.drop_duplicates`.

    Raises `StorageError`.
    """
    groups = grouped(files)
    split = split_for(groups, workers.count)
    borders = [group.begin for group in groups]

    async def scatters() -> AsyncGenerator[tuple[object, ...]]:
        for number, group in enumerate(groups):
            yield group, split, folder / f"scattered{number:06d}"

    async def finds() -> AsyncGenerator[tuple[object, ...]]:
        for bucket in range(1 << split.bits):
            yield scattered, bucket, split, borders, folder / f"found{bucket:06d}"

    scattered = await workers.map(scatter, scatters())
    found = list(chain.from_iterable(await workers.map(find, finds())))
    repeated = [sum(one.counts[group] for one in found) for group in range(len(groups))]
    shares = [sum(stored.numbers for stored in group.files) - n for group, n in zip(groups, repeated, strict=True)]
    with disk_errors(folder):
        for name in ("accepted", "positions"):
            private_file(folder / name).close()
        with private_file(folder / "duplicates") as file:
            header = {"descr": NUMBER_TYPE.str, "fortran_order": True, "shape": (sum(repeated), 3)}
            np.lib.format.write_array_header_1_0(file, header)
            table = _DuplicatesTable(folder / "duplicates", sum(repeated), file.tell())
    places = _LinePlaces.of(files)

    async def keeps() -> AsyncGenerator[tuple[object, ...]]:
        for number, begins in enumerate(zip(starts(shares), starts(repeated), strict=True)):
            yield groups[number], number, begins, found, table, places, positions

    from_text = sum(await workers.map(keep, keeps()))
    return Unique(folder / "accepted", folder / "positions", table.path, sum(shares), sum(repeated), from_text)


def grouped(files: Sequence[StoredRows]) -> list[Group]:
    """Cut the list into groups of files, of `GROUP_ROWS` or a little more."""
    groups: list[Group] = []
    begin = first = 0
    for last in range(1, len(files) + 1):
        group = Group(tuple(files[first:last]), begin)
        if group.rows >= GROUP_ROWS or last == len(files):
            groups.append(group)
            begin, first = begin + group.rows, last
    return groups


def split_for(groups: Sequence[Group], workers: int) -> Split:
    """Return a split into buckets that keep the budget, at least one for each worker."""
    rows = sum(group.rows for group in groups)
    largest = max((stored.largest for group in groups for stored in group.files), default=0)
    buckets = max(-(-rows // BUCKET_ROWS), workers)
    bits = (buckets - 1).bit_length()
    return Split(max(largest.bit_length(), bits), bits)


@on_files(
    lambda group, _split, path: PieceFiles(tuple(stored.path for stored in group.files), (path,), handed_on=True),
)
def scatter(group: Group, split: Split, path: Path) -> Scattered:
    """Write a group's numbers to `path`, sorted by bucket, list order within: a piece; raises `StorageError`."""
    numbers = np.concatenate([read_numbers(stored.path) for stored in group.files])
    places = np.flatnonzero(numbers)
    products = (numbers[places].astype(np.uint64) * np.uint64(_ODD)) & np.uint64((1 << split.width) - 1)
    buckets = (products >> np.uint64(split.width - split.bits)).astype(np.uint16)
    order = np.argsort(buckets, kind="stable")
    with disk_errors(path), whole_file(path) as file:
        write_array(file, products[order])
        write_array(file, places[order].astype(np.uint32))
    return Scattered(path, group.begin, tuple(np.bincount(buckets, minlength=1 << split.bits).tolist()))


@on_files(
    lambda scattered, _bucket, _split, _borders, path: PieceFiles(
        tuple(one.path for one in scattered), (path.with_name(f"{path.name}-*"),)
    )
)
def find(scattered: Sequence[Scattered], bucket: int, split: Split, borders: Sequence[int], path: Path) -> list[Found]:
    """Write the duplicates of a bucket to files that are named `path` with a number: a piece.

    `borders` are the positions at which groups begin. Raises `StorageError`.
    """
    width = split.width - split.bits
    products, positions = np.empty(0, np.uint64), np.empty(0, np.int64)
    written = []
    for number, part in enumerate(_parts(scattered, bucket)):
        every, places = [products], [positions]
        for one in part:
            count, before, rows = one.counts[bucket], sum(one.counts[:bucket]), sum(one.counts)
            every.append(read_array(one.path, np.uint64, count, 8 * before))
            places.append(read_array(one.path, np.uint32, count, 8 * rows + 4 * before) + np.int64(one.begin))
        products, positions = np.concatenate(every), np.concatenate(places)
        repeated, firsts = find_repeated(products & np.uint64((1 << width) - 1), width)
        order = np.argsort(positions[repeated])
        duplicates = positions[repeated][order]
        own = path.with_name(f"{path.name}-{number}")
        with disk_errors(own), whole_file(own) as file:
            write_array(file, duplicates)
            write_array(file, positions[firsts][order])
        limits = np.append(np.searchsorted(duplicates, borders), len(duplicates))
        written.append(Found(own, tuple(np.diff(limits).tolist())))
        products, positions = np.delete(products, repeated), np.delete(positions, repeated)
    return written


def find_repeated(rests: Words, width: int) -> tuple[Ints, Ints]:
    """Return the places of repeated values, and those of their first appearances; values are below 2 ** `width`."""
    place_bits = len(rests).bit_length()
    if width + place_bits > _WORD_BITS:
        order = np.argsort(rests, kind="stable")
        ranked = rests[order]
    else:
        words = rests << np.uint64(place_bits) | np.arange(len(rests), dtype=np.uint64)
        words.sort()
        order = (words & np.uint64((1 << place_bits) - 1)).astype(np.int64)
        ranked = words >> np.uint64(place_bits)
    is_repeated = np.zeros(len(ranked), np.bool_)
    is_repeated[1:] = ranked[1:] == ranked[:-1]
    begins = np.flatnonzero(~is_repeated)
    again = np.flatnonzero(is_repeated)
    before = again - np.arange(1, len(again) + 1)  # how many first appearances stand before, but for the own one
    return order[again], order[begins[before]]


def keep(
    group: Group,
    number: int,
    begins: tuple[int, int],
    found: Sequence[Found],
    table: _DuplicatesTable,
    places: _LinePlaces,
    positions: bool,  # noqa: FBT001 - a piece's arguments have no names
) -> int:
    """Write what becomes of group `number` to its place in the files of all: a piece.

    `begins` are the rows at which it begins there, of accepted numbers and of duplicates. Returns how many accepted
    numbers were found in other text. Raises `StorageError`. All groups write into the same files, which a file system
    that machines share may not take from several at once: this is no piece for other machines.
    """
    repeated, firsts = _duplicates_of(found, number)
    for column, values in enumerate((repeated, firsts, places.lines_at(firsts))):
        _write_at(table.path, table.header_bytes, column * table.rows + begins[1], values)
    numbers = np.concatenate([read_numbers(stored.path) for stored in group.files])
    kept = numbers != 0
    kept[repeated - group.begin] = False
    _write_at(table.path.with_name("accepted"), 0, begins[0], numbers[kept])
    if positions:
        _write_at(table.path.with_name("positions"), 0, begins[0], np.flatnonzero(kept) + group.begin)
    return sum(
        int((read_columns(stored.path)[2][kept[place : place + stored.rows]] == FROM_TEXT).sum())
        for place, stored in zip(starts([stored.rows for stored in group.files]), group.files, strict=True)
        if stored.from_text
    )


def _parts(scattered: Sequence[Scattered], bucket: int) -> Iterator[list[Scattered]]:
    """Cut what came of the groups into parts that keep the budget of a bucket."""
    part: list[Scattered] = []
    rows = 0
    for one in scattered:
        if part and rows + one.counts[bucket] > PART_ROWS:
            yield part
            part, rows = [], 0
        part.append(one)
        rows += one.counts[bucket]
    if part:
        yield part


def _duplicates_of(found: Sequence[Found], group: int) -> tuple[Ints, Ints]:
    """Return the positions of a group's duplicates, ascending, and those of their first appearances."""
    columns: tuple[list[Ints], list[Ints]] = ([np.empty(0, np.int64)], [np.empty(0, np.int64)])
    for one in found:
        count, before, rows = one.counts[group], sum(one.counts[:group]), sum(one.counts)
        for column, begin in zip(columns, (before, rows + before), strict=True):
            column.append(read_array(one.path, np.int64, count, 8 * begin))
    repeated, firsts = map(np.concatenate, columns)
    order = np.argsort(repeated)
    return repeated[order], firsts[order]


@dataclass(frozen=True, slots=True)
class _DuplicatesTable:
    """The table of duplicates, an array in a file, column by column."""

    path: Path
    rows: int
    header_bytes: int


@dataclass(frozen=True, slots=True)
class _LinePlaces:
    """Which lines the rows of the list stand on.

    For each file its first position and its first line; the path of a file whose lines don't count up from that.
    """

    begins: Ints
    first_lines: Ints
    odd: dict[int, Path]

    @classmethod
    def of(cls, files: Sequence[StoredRows]) -> _LinePlaces:
        return cls(
            np.array(starts([stored.rows for stored in files]), np.int64),
            np.array([stored.first_line or 0 for stored in files], np.int64),
            {i: stored.path for i, stored in enumerate(files) if stored.first_line is None and stored.rows},
        )

    def lines_at(self, positions: Ints) -> Ints:
        """Return the line numbers of some rows."""
        owners = np.searchsorted(self.begins, positions, side="right") - 1
        places = positions - self.begins[owners]
        lines: Ints = self.first_lines[owners] + places
        for number in np.unique(owners).tolist() if self.odd else ():
            if number in self.odd:
                mine = owners == number
                lines[mine] = read_columns(self.odd[number])[1][places[mine]]
        return lines


def _write_at(path: Path, offset: int, row: int, values: Ints) -> None:
    with disk_errors(path), path.open("r+b") as file:
        file.seek(offset + row * NUMBER_TYPE.itemsize)
        write_array(file, values.astype(NUMBER_TYPE, copy=False))
