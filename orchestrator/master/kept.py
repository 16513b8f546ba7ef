"""The input's other columns: one csv file a chunk, read beside the verdicts, row by row."""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from itertools import islice, repeat
from typing import IO, TYPE_CHECKING, Final

from orchestrator.errors import StorageError
from orchestrator.files import BLOCK_BYTES, disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from _typeshed import WriteableBuffer

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

    def must_be_over(self) -> None:
        """Raise `StorageError` when the last file is altered, or has more rows than its chunk."""
        next(self._records, None)


def _records(chunk: MasterChunk, columns: int) -> Iterator[Sequence[str]]:
    if chunk.columns is None:
        yield from repeat(("",) * columns, chunk.rows)
        return
    csv.field_size_limit(sys.maxsize)  # a cell of any length was taken in
    rows = 0
    try:
        with disk_errors(chunk.columns), chunk.columns.open("rb") as file:
            hashed = _Hashed(file)
            text = io.TextIOWrapper(io.BufferedReader(hashed, BLOCK_BYTES), encoding="utf-8", newline="")
            for rows, record in enumerate(csv.reader(text, strict=True), start=1):
                if len(record) != columns or rows > chunk.rows:
                    break
                yield record
            else:
                if rows == chunk.rows and chunk.columns_sha256 in ("", hashed.sha256):
                    return
    except (csv.Error, UnicodeDecodeError):
        pass
    raise StorageError(f"{chunk.columns}: not the columns of its chunk; {_WAY_OUT}")


class _Hashed(io.RawIOBase):
    """Reads another file, and knows the hash of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._file.read(len(view))
        view[: len(data)] = data
        self._hash.update(data)
        return len(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


_WAY_OUT: Final = (
    "remove it, and the next run or merge writes it anew from the inputs; without these, set [output] "
    "keep_columns = false for a master without such columns"
)
