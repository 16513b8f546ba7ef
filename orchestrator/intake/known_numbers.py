"""Where the numbers that a job has stand in a longer list, in memory that does not grow with either.

Numbers are spread over buckets on disk, so that equal ones meet; what was found there is spread again, by its place in
the job, and read back in that order.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.errors import ChangedError
from orchestrator.files import DIRECTORY_MODE, disk_errors
from orchestrator.intake.blocks import private_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

GROUP_ROWS = 1_000_000
"""Rows that are in memory together, about."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(40)


class KnownPlaces:
    """Where known numbers stand in a list of `count` numbers; `is_new` tells of each of these whether it is none.

    Raises `ChangedError` when the list lacks known numbers, and `StorageError`. `folder` is taken for files.
    """

    def __init__(self, known: Iterable[Ints], listed: Iterable[Ints], count: int, folder: Path) -> None:
        with disk_errors(folder):
            folder.mkdir(mode=DIRECTORY_MODE)
        self.is_new = np.ones(count, np.bool_)
        groups = -(-count // GROUP_ROWS)
        by_number = [_Spread(folder, "known", groups), _Spread(folder, "listed", groups)]
        for spread, blocks in zip(by_number, (known, listed), strict=True):
            begin = 0
            for numbers in blocks:
                hashes = (numbers.astype(np.uint64) * _ODD) >> _SHIFT
                places = np.arange(begin, begin + len(numbers))
                spread.add((hashes % np.uint64(groups)).astype(np.int64), numbers, places)
                begin += len(numbers)
        self._by_place = _Spread(folder, "places", groups)
        lacking = sum(self._join(by_number[0].rows(group), by_number[1].rows(group)) for group in range(groups))
        if lacking:
            raise ChangedError(
                f"the list lacks {lacking:,} numbers that the job has already; --extend only adds: bring them back, or "
                "begin a new job in another directory"
            )

    def order(self) -> Iterator[Ints]:
        """Yield the places of known numbers, as the job has them, and then those of the others; once."""
        for group in range(self._by_place.count):
            rows = self._by_place.rows(group)
            yield rows[np.argsort(rows[:, 0]), 1]
        for begin in range(0, len(self.is_new), GROUP_ROWS):
            yield begin + np.flatnonzero(self.is_new[begin : begin + GROUP_ROWS])

    def _join(self, known: Ints, listed: Ints) -> int:
        """Note where the numbers of a bucket stand; return how many stand nowhere. Rows are number and place."""
        numbers, places = listed[np.argsort(listed[:, 0])].T
        nearest = np.searchsorted(numbers, known[:, 0])
        is_there = nearest < len(numbers)
        is_there[is_there] = numbers[nearest[is_there]] == known[is_there, 0]
        found = places[nearest[is_there]]
        self.is_new[found] = False
        own = known[is_there, 1]
        self._by_place.add(own // GROUP_ROWS, own, found)
        return len(known) - len(found)


class _Spread:
    """Pairs of integers in files, which are read one by one, once."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        self.count = count
        self._paths = [folder / f"{name}{number:06d}" for number in range(count)]

    def add(self, files: Ints, *columns: Ints) -> None:
        """Add rows, each to one of the files."""
        order = np.argsort(files, kind="stable")
        rows = np.stack(columns, axis=1)[order]
        chosen, starts = np.unique(files[order], return_index=True)
        for file, (begin, end) in zip(chosen.tolist(), pairwise([*starts.tolist(), len(rows)]), strict=True):
            path = self._paths[file]
            with disk_errors(path), private_file(path, append=True) as opened:
                opened.write(rows[begin:end].data)

    def rows(self, file: int) -> Ints:
        """Take the rows of a file."""
        path = self._paths[file]
        with disk_errors(path):
            if not path.exists():
                return np.empty((0, 2), np.int64)
            rows = np.frombuffer(path.read_bytes(), np.int64).reshape(-1, 2)
            path.unlink()
            return rows
