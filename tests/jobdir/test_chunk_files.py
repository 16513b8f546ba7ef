"""A chunk file is read as it was written, or not at all."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.intake import ChunkLimits
from orchestrator.intake.generations import restore_retry, write_retry
from orchestrator.jobdir.chunk_files import chunk_blocks, lost_chunks, read_chunk, write_chunk
from orchestrator.jobdir.layout import chunk_path, columns_path
from orchestrator.records import Chunk

if TYPE_CHECKING:
    from pathlib import Path

e164 = st.integers(10**6, 10**15 - 1)


@given(st.lists(e164, min_size=1))
def test_chunk_file_round_trip(tmp_path_factory: pytest.TempPathFactory, numbers: list[int]) -> None:
    """A chunk file comes back as its numbers in its order, with its hash."""
    directory = tmp_path_factory.mktemp("job")
    path = chunk_path(directory, 1)
    path.parent.mkdir()
    sha256 = write_chunk(directory, 1, np.array(numbers))
    content = "".join(f"+{number}\n" for number in numbers).encode()
    assert path.read_bytes() == content
    assert sha256 == hashlib.sha256(content).hexdigest()
    chunk = read_chunk(path)
    assert chunk.numbers.tolist() == numbers
    assert chunk.sha256 == sha256


@pytest.mark.parametrize(
    "content",
    [
        "",
        "+41791234567",
        "41791234567\n",
        "+41791234567\r\n",
        "+41791234567\n\n",
        "+417912 34567\n",
        "+\n",
        "+41+79\n1\n",
    ],
)
def test_what_is_no_chunk_file(tmp_path: Path, content: str) -> None:
    """Anything else than a plus sign and digits a line is an error that names the file."""
    (tmp_path / "000001.txt").write_text(content, newline="")
    with pytest.raises(StorageError, match=r"000001\.txt: not a chunk file"):
        read_chunk(tmp_path / "000001.txt")


def test_a_chunk_file_in_blocks(tmp_path: Path) -> None:
    """Blocks end with a line, and the hash of the last one is the file's."""
    numbers = np.arange(41_790_000_000, 41_790_100_000)
    chunk_path(tmp_path, 1).parent.mkdir()
    sha256 = write_chunk(tmp_path, 1, numbers)
    blocks = list(chunk_blocks(chunk_path(tmp_path, 1)))
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate([block.numbers for block in blocks]), numbers)
    assert blocks[-1].sha256 == sha256


def test_missing_chunk_file(tmp_path: Path) -> None:
    """A missing chunk file is an error of the disk."""
    with pytest.raises(StorageError, match="No such file"):
        read_chunk(tmp_path / "000001.txt")


def test_a_retry_is_not_put_back_out_of_a_damaged_chunk(tmp_path: Path) -> None:
    """The chunks that a retry's lost file is built from are held to the same, and the message names the damaged one."""
    (tmp_path / "chunks").mkdir()
    number = np.array([41798284651])
    (retry,) = write_retry(tmp_path, number, np.array([0]), ChunkLimits(10, 1, 10), 2)
    chunk_path(tmp_path, 1).write_text(f"{number[0]}\n")
    with pytest.raises(StorageError, match=r"000001\.txt: not a chunk file"):
        restore_retry(tmp_path, retry, [Chunk(1, 0, 1, "")])


def test_lost_files(tmp_path: Path) -> None:
    """A chunk is lost without its file; one with kept columns without either; without a folder all are."""
    assert lost_chunks(tmp_path, [1, 2], columns=False) == [1, 2]
    chunk_path(tmp_path, 1).parent.mkdir()
    for path in (chunk_path(tmp_path, 1), chunk_path(tmp_path, 1_000_000), columns_path(tmp_path, 1)):
        path.touch()
    assert lost_chunks(tmp_path, [1, 2, 1_000_000], columns=False) == [2]
    assert lost_chunks(tmp_path, [1, 2, 1_000_000], columns=True) == [2, 1_000_000]
