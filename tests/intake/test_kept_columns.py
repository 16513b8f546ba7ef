from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.intake.kept_columns import CELL_LIMIT, KeptPart, united, write_chunk_columns, write_kept

if TYPE_CHECKING:
    from pathlib import Path


def test_names_are_united_in_order() -> None:
    """Columns of several tables stand in the order of their first appearance."""
    assert united([("b", "a"), (), ("a", "c"), ("b",)]) == ("b", "a", "c")


def test_columns_of_a_chunk(tmp_path: Path) -> None:
    """A chunk has a record for each of its numbers, under all names, from parts with different columns or none."""
    write_kept(tmp_path / "1", [["Anna", "Bern"], ["Bob", "a\nb"], ["Carl", ""]])
    write_kept(tmp_path / "3", [["Oslo", "x,y"], ["Rome", '"q"']])
    parts = [
        KeptPart(tmp_path / "1", 0, 3, ("name", "city")),
        KeptPart(tmp_path / "2", 3, 4, ()),
        KeptPart(tmp_path / "3", 7, 2, ("city", "note")),
    ]
    np.array([0, 1, 2, 5, 8], "<i8").tofile(tmp_path / "positions")
    path = tmp_path / "000001.columns.csv"
    write_chunk_columns(tmp_path / "positions", 1, 4, parts, ("name", "city", "note"), path)
    assert path.read_bytes() == b'Bob,"a\nb",\r\nCarl,,\r\n,,\r\n,Rome,"""q"""\r\n'
    assert path.stat().st_mode & 0o777 == 0o600


def test_long_cells_are_cut(tmp_path: Path) -> None:
    """A kept cell holds what a spreadsheet's cell can hold."""
    write_kept(tmp_path / "1", [["x" * (CELL_LIMIT + 1)]])
    assert (tmp_path / "1.columns").read_bytes() == b"x" * CELL_LIMIT + b"\r\n"


@settings(deadline=None, max_examples=30)  # each example syncs a file
@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=4), st.booleans()), max_size=12))
def test_cells_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, bool]]) -> None:
    """Whatever is in a cell, quotes and line ends and NUL included, a csv reader gets it back."""
    folder = tmp_path_factory.getbasetemp()
    write_kept(folder / "part", [[cell] for cell, _ in rows])
    wanted = [place for place, (_, accepted) in enumerate(rows) if accepted]
    np.array(wanted, "<i8").tofile(folder / "positions")
    part = KeptPart(folder / "part", 0, len(rows), ("a",))
    write_chunk_columns(folder / "positions", 0, len(wanted), [part], ("a",), folder / "out.csv")
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [[rows[place][0]] for place in wanted]


def test_a_failing_disk(tmp_path: Path) -> None:
    """A file that can't be written or read is an error of the disk."""
    with pytest.raises(StorageError):
        write_kept(tmp_path / "none" / "1", [["a"]])
    np.array([0], "<i8").tofile(tmp_path / "positions")
    part = KeptPart(tmp_path / "1", 0, 1, ("a",))
    with pytest.raises(StorageError):
        write_chunk_columns(tmp_path / "positions", 0, 1, [part], ("a",), tmp_path / "x")
