"""The input's other columns, read beside the verdicts, row by row."""

from __future__ import annotations

from itertools import islice, repeat
from typing import TYPE_CHECKING

from orchestrator.jobdir.column_files import read_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.master.base_chunks import MasterChunk


class KeptCells:
    """Hands out the kept cells of the next rows; a chunk without a file has empty ones."""

    def __init__(self, chunks: Iterable[MasterChunk], columns: int) -> None:
        self._columns = columns
        self._records = (record for chunk in chunks for record in _records(chunk, columns))

    def take(self, rows: int) -> Sequence[Sequence[str]]:
        """Return the cells of the next `rows` rows, nothing when no columns are kept.

        Raises `StorageError` when a file is missing, altered, or has other rows than its chunk.
        """
        return list(islice(self._records, rows)) if self._columns else ()

    def must_be_over(self) -> None:
        """Raise `StorageError` when the last file is altered, or has more rows than its chunk."""
        next(self._records, None)


def _records(chunk: MasterChunk, columns: int) -> Iterator[Sequence[str]]:
    if chunk.columns is None:
        return repeat(("",) * columns, chunk.rows)
    return read_columns(chunk.columns, columns, chunk.rows, chunk.columns_sha256)
