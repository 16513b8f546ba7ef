"""A column file is read as it was written, or not at all."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.jobdir.column_files import read_columns, write_columns

if TYPE_CHECKING:
    from pathlib import Path

cells = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(cells, cells), max_size=5))
def test_column_file_round_trip(tmp_path_factory: pytest.TempPathFactory, records: list[tuple[str, str]]) -> None:
    """Whatever stands in the cells comes back, and the hash is that of the file."""
    path = tmp_path_factory.mktemp("chunks") / "000001.columns.csv"
    sha256 = write_columns(path, records)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(map(tuple, read_columns(path, 2, len(records), sha256))) == records


def test_cells_of_any_length(tmp_path: Path) -> None:
    """A cell may be longer than the csv module takes by itself."""
    records = [["x" * 200_000]]
    sha256 = write_columns(tmp_path / "000001.columns.csv", records)
    assert list(read_columns(tmp_path / "000001.columns.csv", 1, 1, sha256)) == records


@pytest.mark.parametrize(("columns", "rows", "sha256"), [(1, 2, ""), (2, 1, ""), (2, 3, ""), (2, 2, "0" * 64)])
def test_a_file_that_is_not_the_one(tmp_path: Path, columns: int, rows: int, sha256: str) -> None:
    """Another width, another count of records, or another hash."""
    path = tmp_path / "000001.columns.csv"
    write_columns(path, [["a", "b"], ["c", "d"]])
    with pytest.raises(StorageError, match=r"000001\.columns\.csv: not the columns of its chunk"):
        list(read_columns(path, columns, rows, sha256))
