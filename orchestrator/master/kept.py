"""The input's other columns: one csv file a chunk, read beside the verdicts, row by row."""

from __future__ import annotations

import csv
import sys
from itertools import islice, repeat
from typing import TYPE_CHECKING

from orchestrator.errors import StorageError
from orchestrator.files import disk_errors
from orchestrator.master.chunks import WAY_OUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.master.chunks import MasterChunk


class Kept:
    """Hands out the kept cells of the next rows; a chunk without a file has empty ones."""

    def __init__(self, chunks: Iterable[MasterChunk], columns: int) -> None:
        self._columns = columns
        self._records = (record for chunk in chunks for record in _records(chunk, columns))

    def take(self, rows: int) -> Sequence[Sequence[str]]:
        """Return the cells of the next `rows` rows, nothing when no columns are kept.

        Raises `StorageError` when a file is missing, altered, or has other rows than its chunk.
        """
        return list(islice(self._records, rows)) if self._columns else ()


def _records(chunk: MasterChunk, columns: int) -> Iterator[Sequence[str]]:
    if chunk.columns is None:
        yield from repeat(("",) * columns, chunk.rows)
        return
    csv.field_size_limit(sys.maxsize)  # a cell of any length was taken in
    rows = 0
    try:
        with disk_errors(chunk.columns), chunk.columns.open(encoding="utf-8", newline="") as file:
            for rows, record in enumerate(csv.reader(file, strict=True), start=1):
                if len(record) != columns or rows > chunk.rows:
                    break
                yield record
            else:
                if rows == chunk.rows:
                    return
    except (csv.Error, UnicodeDecodeError):
        pass
    raise StorageError(f"{chunk.columns}: not the columns of its chunk; {WAY_OUT}")
