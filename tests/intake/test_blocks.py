from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.intake.blocks import CellBlock, LineBlock, Rows, read_columns, read_rows, write_rows

if TYPE_CHECKING:
    from pathlib import Path


def rows(numbers: list[int], raws: list[str]) -> Rows:
    lines = np.arange(1, len(numbers) + 1)
    codes = np.zeros(len(numbers), np.uint8)
    return Rows(np.array(numbers, np.int64), lines, codes, [raw.encode() for raw in raws])


def test_cells_of_a_table_keep_empty_ones() -> None:
    """In a block of lines an empty one is blank; in a block of cells it belongs to a row that is not."""
    assert list(LineBlock(7, b"a\n \n b ").cells()) == [(7, "a"), (9, "b")]
    assert list(CellBlock([7, 9], ["", " b "]).cells()) == [(7, ""), (9, "b")]


def test_text_that_repeats_the_number_is_not_kept() -> None:
    """A row without raw text was read from the number as it is."""
    found = rows([41, 42], ["", "0042"])
    assert [found.raw(0), found.raw(1)] == ["+41", "0042"]


@given(st.lists(st.tuples(st.integers(0, 10**15), st.text(st.characters(codec="utf-8"), max_size=5)), max_size=20))
def test_a_file_of_rows_keeps_them(tmp_path_factory: pytest.TempPathFactory, content: list[tuple[int, str]]) -> None:
    """What is read from a file of rows is what was written, text of any length and script included."""
    path = tmp_path_factory.getbasetemp() / "rows"
    expected = rows([number for number, _ in content], [raw for _, raw in content])
    write_rows(path, expected)
    found = read_rows(path)
    assert found.numbers.tolist() == read_columns(path)[0].tolist() == expected.numbers.tolist()
    assert found.lines.tolist() == expected.lines.tolist()
    assert list(found.raws) == list(expected.raws)


def test_a_failing_disk(tmp_path: Path) -> None:
    """A file of rows that can't be written or read is an error of the disk."""
    path = tmp_path / "none" / "rows"
    with pytest.raises(StorageError, match="rows"):
        write_rows(path, rows([41], [""]))
    with pytest.raises(StorageError, match="rows"):
        read_rows(path)
    with pytest.raises(StorageError, match="rows"):
        read_columns(path)
