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
        self._records = _in_list_order(chunks, columns)

    def take(self, rows: int) -> Sequence[Sequence[str]]:
        """Return the cells of the next `rows` rows, nothing when no columns are kept.

        Raises `StorageError` when a file is missing, altered, or has other rows than its chunk.
        """
        return list(islice(self._records, rows)) if self._columns else ()

    def must_be_over(self) -> None:
        """Raise `StorageError` when the last file is altered, or has more rows than its chunk."""
        next(self._records, None)


def _in_list_order(chunks: Iterable[MasterChunk], columns: int) -> Iterator[Sequence[str]]:
    """Yield the records as the list has them: those of a trial, which comes first, among the others."""
    row = 0
    trial: Iterator[tuple[int, Sequence[str]]] = iter(())
    place, waiting = -1, None
    for chunk in chunks:
        if chunk.places is not None:
            # All of it is read, as the master reads all of its verdicts: it is no more than a chunk.
            trial = iter(list(zip(chunk.places.tolist(), _records(chunk, columns), strict=True)))
            place, waiting = next(trial, (-1, None))
            continue
        for record in _records(chunk, columns):
            while waiting is not None and place == row:
                yield waiting
                row += 1
                place, waiting = next(trial, (-1, None))
            yield record
            row += 1
    if waiting is not None:
        yield waiting
    yield from (record for _, record in trial)


def _records(chunk: MasterChunk, columns: int) -> Iterator[Sequence[str]]:
    if chunk.columns is None:
        return repeat(("",) * columns, chunk.rows)
    return read_columns(chunk.columns, columns, chunk.rows, chunk.columns_sha256)
