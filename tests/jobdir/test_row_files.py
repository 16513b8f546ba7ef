"""A row file is read as it was written, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.jobdir.layout import rows_path
from orchestrator.jobdir.row_files import read_rows, write_rows

if TYPE_CHECKING:
    from pathlib import Path


@given(st.sets(st.integers(0, 2**63 - 1), max_size=20))
def test_row_file_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: set[int]) -> None:
    """Places come back in their order."""
    directory = tmp_path_factory.mktemp("job")
    rows_path(directory, 2).parent.mkdir()
    write_rows(directory, 2, np.array(sorted(rows), np.int64))
    assert read_rows(rows_path(directory, 2)).tolist() == sorted(rows)


@pytest.mark.parametrize(
    "content",
    [b"\0" * 7, np.array([5, 3], "<i8").tobytes(), np.array([3, 3], "<i8").tobytes(), np.array([-1], "<i8").tobytes()],
    ids=["torn", "descending", "twice", "negative"],
)
def test_what_is_no_row_file(tmp_path: Path, content: bytes) -> None:
    """Anything but ascending places is an error that names the file."""
    (tmp_path / "000002.rows").write_bytes(content)
    with pytest.raises(StorageError, match=r"000002\.rows: not a rows file"):
        read_rows(tmp_path / "000002.rows")
