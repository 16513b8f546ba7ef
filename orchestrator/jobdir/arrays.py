"""Arrays in files of our own: written whole, read whole, or a `StorageError`.

numpy's `save`, `tofile`, `load` and `fromfile` hand real files to C's stdio and drop what its last flush or a read in
the middle says: on a full disk an array is cut short in silence, and numbers of the list would be lost. So the bytes go
through Python's files, in the same formats.
"""

from __future__ import annotations

import math
import zlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from orchestrator.errors import StorageError
from orchestrator.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import BufferedReader
    from pathlib import Path

    import numpy.typing as npt


def distinct(*arrays: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the values of arrays, each once, in order. numpy's `unique` takes twenty times as long for millions."""
    values = np.concatenate(arrays)
    values.sort()
    kept = np.ones(len(values), bool)
    kept[1:] = values[1:] != values[:-1]
    return values[kept]


def write_array(file: IO[bytes], array: npt.NDArray[Any]) -> None:
    """Write the values of an array, row by row; raises `OSError`."""
    file.write(np.ascontiguousarray(array).data)


def save_blocks(file: IO[bytes], blocks: Iterable[npt.NDArray[np.int64]], count: int) -> None:
    """Write blocks of `count` integers in all as one array in the npy format; raises `OSError`."""
    said = np.lib.format.header_data_from_array_1_0(np.empty(0, np.int64))
    np.lib.format.write_array_header_1_0(file, said | {"shape": (count,)})
    for block in blocks:
        write_array(file, block)


def save_array(file: IO[bytes], array: npt.NDArray[Any]) -> None:
    """Write an array in the npy format; raises `OSError`."""
    rows = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(rows))
    write_array(file, rows)


def load_array(file: BufferedReader) -> npt.NDArray[Any]:
    """Read the next array in the npy format; raises `OSError`, and `StorageError` when the file ends in it."""
    try:
        np.lib.format.read_magic(file)
        shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
    except ValueError:
        raise _cut_short(file.name) from None
    return _values(file, dtype, math.prod(shape)).reshape(shape, order="F" if in_columns else "C")


def read_array(path: Path, dtype: npt.DTypeLike, count: int, offset: int = 0) -> npt.NDArray[Any]:
    """Read `count` values that begin `offset` bytes into the file at `path`; raises `StorageError`."""
    with disk_errors(path), path.open("rb") as file:
        file.seek(offset)
        return _values(file, np.dtype(dtype), count)


def pack_places(places: npt.NDArray[np.int64]) -> bytes:
    """Return places in a list as bytes for the ledger: hardly any where they count up, some bits where most do."""
    return zlib.compress(np.diff(places, prepend=0).astype("<i8").tobytes(), 1)


def pack_order(blocks: Iterable[npt.NDArray[np.int64]]) -> bytes | None:
    """Do the same for an order of all rows, block by block; None where it is that of the list."""
    packer = zlib.compressobj(1)
    parts = []
    last, is_ascending = 0, True
    for places in blocks:
        steps = np.diff(places, prepend=last)
        is_ascending = is_ascending and not bool((steps < 0).any())
        parts.append(packer.compress(steps.astype("<i8").tobytes()))
        last = int(places[-1]) if len(places) else last
    return None if is_ascending else b"".join((*parts, packer.flush()))


def unpack_places(packed: bytes) -> npt.NDArray[np.int64]:
    """Return what `pack_places` packed; raises `StorageError` for anything else."""
    try:
        return np.cumsum(np.frombuffer(zlib.decompress(packed), "<i8"), dtype=np.int64)
    except (zlib.error, ValueError):
        raise StorageError("the ledger's places of a chunk make no sense; restore the job's directory") from None


def _values(file: BufferedReader, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
    array = np.empty(count, dtype)
    if file.readinto(array.view(np.uint8).data) < array.nbytes:
        raise _cut_short(file.name)
    return array


def _cut_short(name: str) -> StorageError:
    return StorageError(f"{name}: it has been cut short; repair the disk and run the same command again")
