"""Row files: the places of a retry's numbers in the accepted list, beside its chunk file.

They count from 0 and ascend, as little-endian 64-bit integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.errors import StorageError
from orchestrator.files import disk_errors, replacing
from orchestrator.jobdir.layout import rows_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_ROW_TYPE: Final = np.dtype("<i8")


def read_rows(path: Path) -> NDArray[np.int64]:
    """Return a row file's places; raises `StorageError`."""
    with disk_errors(path):
        data = path.read_bytes()
    if len(data) % _ROW_TYPE.itemsize == 0:
        rows = np.frombuffer(data, _ROW_TYPE)
        if not len(rows) or (rows[0] >= 0 and (np.diff(rows) > 0).all()):
            return rows
    raise StorageError(f"{path}: not a rows file; restore it from a copy of the job's directory")


def rows_bytes(rows: NDArray[np.int64]) -> bytes:
    return rows.astype(_ROW_TYPE).tobytes()


def write_rows(directory: Path, chunk: int, rows: NDArray[np.int64]) -> None:
    """Write the row file of a retry's chunk, synced; raises `StorageError`."""
    with replacing(rows_path(directory, chunk)) as file:
        file.write(rows_bytes(rows))
