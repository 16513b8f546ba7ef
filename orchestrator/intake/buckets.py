"""Drops duplicates of large lists, on all cores and in bounded memory, as pieces from files to files.

    scatter   groups of files of rows → numbers and positions, sorted by bucket
    find      one bucket → its duplicates; equal numbers always share a bucket
    merge     all buckets → the table of duplicates, in list order
    keep      groups of files of rows → their part of the file of accepted numbers

A number's bucket is the top bits of its product with an odd constant, modulo a power of two that all numbers are below.
That is one to one, so the rest of the product stands for the number. In a bucket it is put above the place at which the
number appeared, in one word: sorting words brings equal numbers together, in the order of their appearance. Where both
don't fit a word, a slower stable sort of the rests does the same.

Memory: `find` holds a bucket, with some 80 bytes a row; `scatter` and `keep` hold a group, with some 60; `merge` some
80 bytes a duplicate. The budget is `BUCKET_ROWS` rows to a bucket: 160 MB a worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.files import disk_errors
from orchestrator.intake.blocks import FROM_TEXT, private_file, read_columns, read_numbers
from orchestrator.intake.duplicates import NUMBER_TYPE, Unique, starts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from orchestrator.intake.normalise import StoredRows
    from orchestrator.workers import Workers

    Ints = npt.NDArray[np.int64]
    Words = npt.NDArray[np.uint64]

BUCKET_ROWS = 2_000_000
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
        """How many rows they have."""
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


async def drop_in_buckets(
    files: Sequence[StoredRows], folder: Path, workers: Workers, *, positions: bool = False
) -> Unique:
    """Drop duplicates over all files of rows, in list order; the same comes out as of `duplicates.drop_duplicates`.

    Raises `StorageError`.
    """
    groups = grouped(files)
    split = split_for(groups, workers.count)
    table = folder / "duplicates"

    async def scatters() -> AsyncGenerator[tuple[object, ...]]:
        for number, group in enumerate(groups):
            yield group, split, folder / f"scattered{number:06d}"

    async def finds() -> AsyncGenerator[tuple[object, ...]]:
        for bucket in range(1 << split.bits):
            yield scattered, bucket, split, folder / f"found{bucket:06d}"

    async def keeps() -> AsyncGenerator[tuple[object, ...]]:
        for group, begin, share in zip(groups, starts(shares), spans(repeated), strict=True):
            yield group, begin, table, share, folder, positions

    scattered = await workers.map(scatter, scatters())
    found = await workers.map(find, finds())
    repeated = await workers.run(merge, found, groups, table)
    shares = [sum(stored.numbers for stored in group.files) - n for group, n in zip(groups, repeated, strict=True)]
    with disk_errors(folder):
        for name in ("accepted", "positions"):
            private_file(folder / name).close()
    from_text = sum(await workers.map(keep, keeps()))
    return Unique(folder / "accepted", folder / "positions", table, sum(shares), sum(repeated), from_text)


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


def spans(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Return where each of several runs, that lie one behind the other, begins and ends."""
    return [(begin, begin + count) for begin, count in zip(starts(counts), counts, strict=True)]


def scatter(group: Group, split: Split, path: Path) -> Scattered:
    """Write a group's numbers to `path`, sorted by bucket, list order within: a piece; raises `StorageError`."""
    numbers = np.concatenate([read_numbers(stored.path) for stored in group.files])
    places = np.flatnonzero(numbers)
    products = (numbers[places].astype(np.uint64) * np.uint64(_ODD)) & np.uint64((1 << split.width) - 1)
    buckets = (products >> np.uint64(split.width - split.bits)).astype(np.uint16)
    order = np.argsort(buckets, kind="stable")
    with disk_errors(path), private_file(path) as file:
        products[order].tofile(file)
        places[order].astype(np.uint32).tofile(file)
    return Scattered(path, group.begin, tuple(np.bincount(buckets, minlength=1 << split.bits).tolist()))


def find(scattered: Sequence[Scattered], bucket: int, split: Split, path: Path) -> Path:
    """Write the duplicates of a bucket to `path`, positions and those of first appearances: a piece.

    Raises `StorageError`.
    """
    products, positions = _gathered(scattered, bucket)
    rests = products & np.uint64((1 << (split.width - split.bits)) - 1)
    repeated, firsts = find_repeated(rests, split.width - split.bits)
    with disk_errors(path), private_file(path) as file:
        np.save(file, np.stack([positions[repeated], positions[firsts]]), allow_pickle=False)
    return path


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


def merge(found: Sequence[Path], groups: Sequence[Group], path: Path) -> list[int]:
    """Write the table of duplicates to `path`, and return how many are in each group: a piece.

    Raises `StorageError`.
    """
    with disk_errors(path):
        repeated, firsts = np.concatenate([np.load(one, allow_pickle=False) for one in found], axis=1)
        order = np.argsort(repeated)
        repeated, firsts = repeated[order], firsts[order]
        table = np.array([repeated, firsts, _lines_at(groups, firsts)])
        with private_file(path) as file:
            np.save(file, table.T, allow_pickle=False)
    borders = [group.begin for group in groups[1:]]
    counts: list[int] = np.diff(np.searchsorted(repeated, borders), prepend=0, append=len(repeated)).tolist()
    return counts


def keep(
    group: Group,
    begin: int,
    table: Path,
    share: tuple[int, int],
    folder: Path,
    positions: bool,  # noqa: FBT001 - a piece's arguments have no names
) -> int:
    """Write a group's accepted numbers to their place in the file of all, from row `begin` on: a piece.

    `share` says which rows of the table of duplicates are the group's. Returns how many accepted numbers were found in
    other text. Raises `StorageError`.
    """
    with disk_errors(table):
        repeated = np.load(table, mmap_mode="r", allow_pickle=False)[share[0] : share[1], 0] - group.begin
    numbers = np.concatenate([read_numbers(stored.path) for stored in group.files])
    kept = numbers != 0
    kept[repeated] = False
    _write_at(folder / "accepted", begin, numbers[kept])
    if positions:
        _write_at(folder / "positions", begin, np.flatnonzero(kept) + group.begin)
    return sum(
        int((read_columns(stored.path)[2][kept[place : place + stored.rows]] == FROM_TEXT).sum())
        for place, stored in zip(starts([stored.rows for stored in group.files]), group.files, strict=True)
        if stored.from_text
    )


def _gathered(scattered: Sequence[Scattered], bucket: int) -> tuple[Words, Ints]:
    """Return the products of a bucket and their positions, in list order."""
    products, positions = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for one in scattered:
        count, before, all_rows = one.counts[bucket], sum(one.counts[:bucket]), sum(one.counts)
        with disk_errors(one.path):
            products.append(np.fromfile(one.path, np.uint64, count, offset=8 * before))
            places = np.fromfile(one.path, np.uint32, count, offset=8 * all_rows + 4 * before)
        positions.append(places + np.int64(one.begin))
    return np.concatenate(products), np.concatenate(positions)


def _lines_at(groups: Sequence[Group], positions: Ints) -> Ints:
    """Return the line numbers of some rows."""
    files = [stored for group in groups for stored in group.files]
    begins = np.array(starts([stored.rows for stored in files]))
    owners = np.searchsorted(begins, positions, side="right") - 1
    places = positions - begins[owners]
    lines: Ints = np.array([stored.first_line or 0 for stored in files])[owners] + places
    for number, stored in enumerate(files):
        if stored.first_line is None and stored.rows:
            mine = owners == number
            lines[mine] = read_columns(stored.path)[1][places[mine]]
    return lines


def _write_at(path: Path, row: int, values: Ints) -> None:
    with disk_errors(path), path.open("r+b") as file:
        file.seek(row * NUMBER_TYPE.itemsize)
        values.astype(NUMBER_TYPE).tofile(file)
