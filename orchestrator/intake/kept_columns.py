"""Kept columns: cells of an input table that come back in the master, from the first appearance of a number.

Beside a file of rows lies one with the kept cells of the same rows, in the form of a column file, which those of chunks
are made from. Tables may keep different columns; in the files of chunks they are united by name, and empty where a
table has none.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.files import disk_errors
from orchestrator.intake.blocks import whole_file
from orchestrator.intake.duplicates.in_memory import NUMBER_TYPE
from orchestrator.jobdir.arrays import read_array
from orchestrator.jobdir.column_files import write_columns, write_records
from orchestrator.jobdir.list_rows import ALL_IN_ORDER, ListRows
from orchestrator.pieces import PieceFiles, on_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

CELL_LIMIT = 32_767
"""Characters of a cell that are kept: what a cell of a spreadsheet can hold."""


@dataclass(frozen=True, slots=True)
class KeptPart:
    """A file of rows, the position of its first row in the list, their count, and the names of its kept columns."""

    path: Path
    begin: int
    rows: int
    names: tuple[str, ...]


def write_kept(path: Path, records: Iterable[Sequence[str]]) -> None:
    """Write the kept cells of the file of rows at `path` beside it; raises `StorageError`."""
    with disk_errors(path), whole_file(_beside(path)) as file:
        write_records(file, ([cell[:CELL_LIMIT] for cell in record] for record in records))


def united(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return all names of kept columns, in the order of their first appearance."""
    return tuple(dict.fromkeys(name for names in parts for name in names))


def values_of(path: Path, first: int, count: int, list_rows: ListRows) -> npt.NDArray[np.int64]:
    """Return what a file of the list's numbers, or positions, has for some places of chunks; raises `StorageError`."""
    if not len(list_rows.trial):
        return read_array(path, NUMBER_TYPE, count, first * NUMBER_TYPE.itemsize)
    if first < len(list_rows.trial):  # from all of the list: only the pages that have them are read
        with disk_errors(path):
            return np.array(np.memmap(path, NUMBER_TYPE, mode="r")[list_rows.of(first, count)])
    low, high = (int(list_rows.of(place, 1)[0]) for place in (first, first + count - 1))
    within = list_rows.trial[slice(*np.searchsorted(list_rows.trial, (low, high)))]
    return np.delete(read_array(path, NUMBER_TYPE, high - low + 1, low * NUMBER_TYPE.itemsize), within - low)


@on_files(
    lambda positions, _first, _rows, parts, _names, path, *_: PieceFiles(
        (positions, *(_beside(part.path) for part in parts)), (path,)
    )
)
def write_chunk_columns(
    positions: Path,
    first_row: int,
    rows: int,
    parts: Sequence[KeptPart],
    names: tuple[str, ...],
    path: Path,
    list_rows: ListRows = ALL_IN_ORDER,
) -> str:
    """Write the kept columns of a chunk to `path`, and return the file's hash: a piece; raises `StorageError`.

    `positions` is the file of the accepted rows' positions; the chunk has `rows` of them from `first_row` on, as
    `list_rows` says, and `parts` cover these. The caller syncs the directory, once for all chunks.
    """
    wanted = values_of(positions, first_row, rows, list_rows)
    order = np.argsort(wanted, kind="stable")
    records = _records(wanted[order], parts, names)
    if (np.diff(order) < 0).any():  # the list stood in another order when the chunk was planned
        by_row = dict(zip(order.tolist(), records, strict=True))
        records = iter([by_row[row] for row in range(rows)])
    return write_columns(path, records, sync_name=False)


def _records(
    wanted: npt.NDArray[np.int64], parts: Sequence[KeptPart], names: tuple[str, ...]
) -> Iterator[Sequence[str]]:
    """Yield the records of the wanted rows, which ascend, under all `names`."""
    for part in parts:
        first, last = np.searchsorted(wanted, (part.begin, part.begin + part.rows))
        rows = set((wanted[first:last] - part.begin).tolist())
        if not part.names:
            yield from [[""] * len(names)] * len(rows)
            continue
        at = {name: place for place, name in enumerate(part.names)}  # a table may have more columns than a sheet takes
        places = [at.get(name, len(part.names)) for name in names]
        with disk_errors(part.path), _beside(part.path).open(encoding="utf-8", newline="") as file:
            for row, record in enumerate(csv.reader(file)):
                if row in rows:
                    cells = [*record, ""]
                    yield [cells[place] for place in places]


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.columns")
