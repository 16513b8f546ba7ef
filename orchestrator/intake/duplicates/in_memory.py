"""Drops duplicates: of every number the first appearance stays. One piece, over all files of rows.

It works on arrays of integers, and takes some 60 bytes a row; above `AT_ONCE_ROWS`, `in_buckets` does the same. Files
come out of it: the accepted numbers, as bare integers in list order; their positions in the list, likewise, where
somebody needs them; a table of the duplicates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.files import disk_errors
from orchestrator.intake.blocks import FROM_TEXT, private_file, read_columns
from orchestrator.jobdir.arrays import read_array, save_array, write_array

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

NUMBER_TYPE = np.dtype("<i8")
"""What the files of accepted numbers and of their positions are made of."""

AT_ONCE_ROWS = 500_000

POSITION, FIRST_POSITION, FIRST_LINE = range(3)
"""Columns of the table of duplicates. Positions count all rows of the list from 0; the rows stand in list order."""


@dataclass(frozen=True, slots=True)
class Unique:
    """What was left, in numbers. The files are described above."""

    accepted_file: Path
    positions_file: Path
    duplicates_file: Path
    accepted: int
    duplicates: int
    from_text: int


def drop_duplicates(paths: Sequence[Path], folder: Path, *, positions: bool = False) -> Unique:
    """Read the files of rows at `paths`, in list order, and write what comes out into `folder`; raises `StorageError`.

    The positions are written only if they are asked for.
    """
    numbers = _joined(paths, 0, np.int64)
    duplicates, firsts = find_duplicates(numbers)
    table = np.stack([duplicates, firsts, _joined(paths, 1, np.int64)[firsts]], axis=1)
    kept = numbers != 0
    kept[duplicates] = False
    unique = Unique(
        folder / "accepted",
        folder / "positions",
        folder / "duplicates",
        accepted=int(kept.sum()),
        duplicates=len(duplicates),
        from_text=int((kept & (_joined(paths, 2, np.uint16) == FROM_TEXT)).sum()),
    )
    with disk_errors(folder):
        with private_file(unique.accepted_file) as file:
            write_array(file, numbers[kept].astype(NUMBER_TYPE))
        if positions:
            with private_file(unique.positions_file) as file:
                write_array(file, np.flatnonzero(kept).astype(NUMBER_TYPE))
        with private_file(unique.duplicates_file) as file:
            save_array(file, table)
    return unique


def in_order(unique: Unique, order: npt.NDArray[np.int64], folder: Path) -> Unique:
    """Put accepted numbers, and their positions if they are there, in another order, which may leave some out.

    Writes files into `folder`; there are none when the list has no such places. Raises `StorageError`.
    """
    if len(order) and not 0 <= order.min() <= order.max() < unique.accepted:
        return replace(unique, accepted=0)
    ordered = replace(
        unique,
        accepted_file=folder / "ordered",
        positions_file=folder / "ordered-positions",
        accepted=len(order),
    )
    for old, new in (
        (unique.accepted_file, ordered.accepted_file),
        (unique.positions_file, ordered.positions_file),
    ):
        with disk_errors(old):
            if old.exists():
                values = read_array(old, NUMBER_TYPE, unique.accepted)[order]
                with private_file(new) as file:
                    write_array(file, values)
    return ordered


def find_duplicates(numbers: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the positions of repeated numbers, ascending, and those of their first appearances; 0 is no number."""
    order = np.argsort(numbers, kind="stable")
    order = order[np.searchsorted(numbers, 1, sorter=order) :]
    ranked = numbers[order]
    is_first = np.ones(len(ranked), np.bool_)
    is_first[1:] = ranked[1:] != ranked[:-1]
    firsts = order[is_first][np.cumsum(is_first) - 1]
    repeated, originals = order[~is_first], firsts[~is_first]
    ascending = np.argsort(repeated)
    return repeated[ascending], originals[ascending]


def starts(rows: Sequence[int]) -> list[int]:
    """Return at which position each file of rows begins, given their lengths."""
    return list(accumulate(rows, initial=0))[:-1]


def _joined(paths: Sequence[Path], column: int, kind: type[np.generic]) -> npt.NDArray[np.int64]:
    """Return one column of all files of rows."""
    return np.concatenate([np.empty(0, kind), *(read_columns(path)[column] for path in paths)])
