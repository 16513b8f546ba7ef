"""Column files: the kept columns of a chunk's numbers, beside its chunk file and in its order.

UTF-8, no header, one record a number, RFC 4180.
"""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from typing import IO, TYPE_CHECKING, Final

from orchestrator.errors import StorageError
from orchestrator.files import BLOCK_BYTES, CSV_LINE_END, disk_errors, replacing, sha256_so_far

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from _typeshed import WriteableBuffer

_WAY_OUT: Final = (
    "remove it, and the next run or merge writes it anew from the inputs; without these, set [output] "
    "keep_columns = false for a master without such columns"
)


def write_columns(path: Path, records: Iterable[Sequence[str]], *, sync_name: bool = True) -> str:
    """Write a column file, synced, and return its hash; raises `StorageError`."""
    with replacing(path, sync_name=sync_name) as file:
        write_records(file, records)
        return sha256_so_far(file)


def write_records(file: IO[bytes], records: Iterable[Sequence[str]]) -> None:
    """Write what a column file holds into an open one."""
    text = io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="")
    csv.writer(text, lineterminator=CSV_LINE_END).writerows(records)
    text.flush()
    text.detach()  # whoever opened the file syncs and closes it


def read_columns(path: Path, columns: int, rows: int, sha256: str) -> Iterator[list[str]]:
    """Yield the records of a column file of so many `columns` and `rows`; `sha256` is "" if nobody knows its hash.

    Raises `StorageError` when it is missing, altered, or of another shape: behind the last record at the latest.
    """
    csv.field_size_limit(sys.maxsize)  # a cell of any length was taken in
    row = 0
    try:
        with disk_errors(path), path.open("rb") as file:
            hashed = _Hashed(file)
            text = io.TextIOWrapper(io.BufferedReader(hashed, BLOCK_BYTES), encoding="utf-8", newline="")
            for row, record in enumerate(csv.reader(text, strict=True), start=1):
                if len(record) != columns or row > rows:
                    break
                yield record
            else:
                if row == rows and sha256 in ("", hashed.sha256):
                    return
    except (csv.Error, UnicodeDecodeError):
        pass
    raise StorageError(f"{path}: not the columns of its chunk; {_WAY_OUT}")


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
