"""Chunk files: the numbers of a chunk, one in E.164 form a line, LF after each.

They are ours, and their reader is strict: what is not exactly as it was written is no chunk file.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.errors import StorageError
from orchestrator.files import BLOCK_BYTES, disk_errors, replacing
from orchestrator.jobdir.digits import lines_of, parse_lines
from orchestrator.jobdir.layout import chunk_folder, chunk_names, chunk_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ALTERED_CHUNK: Final = "remove it, and the next run writes it anew from the inputs"
"""The way out, whatever is wrong with a chunk file."""


@dataclass(frozen=True, slots=True)
class ChunkNumbers:
    """The numbers of a chunk file in its order (int64, without the plus sign), and the hash of its bytes.

    Of a block, the hash is that of the file up to its end.
    """

    numbers: NDArray[np.int64]
    sha256: str


def read_chunk(path: Path) -> ChunkNumbers:
    """Read a chunk file; raises `StorageError` when it is missing or not such a file."""
    with disk_errors(path):
        data = path.read_bytes()
    numbers = _numbers(path, data)
    if not len(numbers):
        raise _not_a_chunk(path)
    return ChunkNumbers(numbers, hashlib.sha256(data).hexdigest())


def chunk_blocks(path: Path) -> Iterator[ChunkNumbers]:
    """Do the same in blocks of about 1 MiB, so that memory does not grow with the chunk."""
    digest = hashlib.sha256()
    with disk_errors(path), path.open("rb") as file:
        while data := file.read(BLOCK_BYTES):
            data += file.readline()
            digest.update(data)
            yield ChunkNumbers(_numbers(path, data), digest.hexdigest())


def chunk_bytes(numbers: Sequence[int] | NDArray[np.int64]) -> bytes:
    """Return the content of a chunk file; `numbers` are without their plus signs."""
    return lines_of((b"+", np.asarray(numbers, np.int64), b"\n"), len(numbers))


def write_chunk(directory: Path, chunk: int, numbers: NDArray[np.int64]) -> str:
    """Write the file of one chunk, synced, and return its hash; raises `StorageError`."""
    content = chunk_bytes(numbers)
    with replacing(chunk_path(directory, chunk)) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def lost_chunks(
    directory: Path, chunks: Iterable[int], *, columns: bool, elsewhere: frozenset[str] = frozenset()
) -> list[int]:
    """Return those of `chunks` that lack their file, or that of their kept `columns`, also among those `elsewhere`.

    One look at the folder, and plain strings: a job may have a million chunks. Raises `StorageError`.
    """
    folder = chunk_folder(directory)
    with disk_errors(folder):
        there = frozenset(os.listdir(folder)) if folder.is_dir() else frozenset()  # noqa: PTH208 - a path each is slow
    there |= elsewhere
    return [chunk for chunk in chunks if not there.issuperset(chunk_names(chunk, columns=columns))]


def _numbers(path: Path, data: bytes) -> NDArray[np.int64]:
    try:
        return parse_lines(data)
    except ValueError:
        raise _not_a_chunk(path) from None


def _not_a_chunk(path: Path) -> StorageError:
    return StorageError(f"{path}: not a chunk file; {ALTERED_CHUNK}")
