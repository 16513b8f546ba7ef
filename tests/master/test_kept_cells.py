"""KeptCells columns stand beside the rows that they came with, or the master is not written."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.master import MasterChunk
from orchestrator.master.kept_cells import KeptCells

Chunk = Callable[..., MasterChunk]


def with_columns(chunk: MasterChunk, rows: Sequence[Sequence[str]]) -> MasterChunk:
    path = chunk.path.with_suffix(".columns.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return dataclasses.replace(chunk, columns=path)


@pytest.fixture
def rows(chunk: Chunk) -> MasterChunk:
    """Give a chunk of two rows with awkward cells."""
    return with_columns(chunk(["+41798284651", "+12025550123"], "held"), [["a,\r\nb", '"'], ["", "\U0001f600"]])


def test_rows_come_in_order(chunk: Chunk, rows: MasterChunk) -> None:
    """Cells are handed out row by row across chunks; a chunk without a file has empty ones."""
    kept = KeptCells([chunk(["+4915112345678"], "held"), rows], 2)
    assert kept.take(2) == [("", ""), ["a,\r\nb", '"']]
    assert kept.take(1) == [["", "\U0001f600"]]
    assert kept.take(0) == []


def test_nothing_is_kept(rows: MasterChunk) -> None:
    """Without columns to keep no file is opened."""
    assert rows.columns is not None
    rows.columns.unlink()
    assert KeptCells([rows], 0).take(2) == ()


@pytest.mark.parametrize(
    "content",
    [b"a,b\r\n", b"a,b\r\nc,d\r\ne,f\r\n", b"a,b\r\nc\r\n", b'a,b\r\nc,"d\r\n', b"a,b\r\nc,\xff\r\n", b""],
)
def test_files_that_do_not_fit(rows: MasterChunk, content: bytes) -> None:
    """A file with other rows, other columns or no csv at all is refused."""
    assert rows.columns is not None
    rows.columns.write_bytes(content)
    with pytest.raises(StorageError, match=r"000001\.columns\.csv: not the columns of its chunk"):
        KeptCells([rows], 2).take(3)


def test_missing_file(rows: MasterChunk) -> None:
    """A missing file is named."""
    path: Path | None = rows.columns
    assert path is not None
    path.unlink()
    with pytest.raises(StorageError, match=path.name):
        KeptCells([rows], 2).take(1)
