from __future__ import annotations

import datetime as dt
import decimal
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyarrow import parquet

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import CellBlock, Declared
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.parquet_rows import BATCH_ROWS, read_parquet
from orchestrator.intake.sources.table_layout import TableOptions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.intake.sources.table_layout import Keep


def tables(found: Iterable[CellBlock | Declared]) -> list[CellBlock]:
    """Return the blocks alone."""
    return [block for block in found if isinstance(block, CellBlock)]


def blocks(path: Path, block_bytes: int = 1 << 18, *, column: str | None = None, keep: Keep = False) -> list[object]:
    found = tables(read_parquet(str(path), TableOptions("a.parquet", column, keep=keep), block_bytes))
    return [(list(block.cells()), dict(block.faults), block.names, list(block.kept)) for block in found]


def write(path: Path, **columns: object) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def test_values_of_every_type(tmp_path: Path) -> None:
    """Text and whole numbers are read, dates and fractions are faults; rows count from 1, blank ones are left out."""
    values = {
        "text": (["+41", None, " 42 "], [(1, "+41"), (3, "42")], {}),
        "whole": ([41, None, 42], [(1, "41"), (3, "42")], {}),
        "float": ([41.0, None, 4.5], [(1, "41"), (3, "4.5")], {1: Reason.NOT_A_NUMBER}),
        "bytes": ([b"+41", None, b"\xff"], [(1, "+41"), (3, "\ufffd")], {}),
        "decimal": ([decimal.Decimal("41.00"), None, decimal.Decimal("1.50")], [(1, "41.00"), (3, "1.50")], {}),
        "date": ([dt.date(2026, 1, 2), None, dt.date(2026, 1, 3)], [(1, "2026-01-02"), (3, "2026-01-03")],
                 {0: Reason.DATE, 1: Reason.DATE}),
        "nanoseconds": (pa.array([1, None, 0], pa.time64("ns")), [(1, "00:00:00.000000001"), (3, "00:00:00.000000000")],
                        {0: Reason.DATE, 1: Reason.DATE}),
        "category": (pa.array(["+41", None, "+41"]).dictionary_encode(), [(1, "+41"), (3, "+41")], {}),
    }  # fmt: skip
    for name, (column, cells, faults) in values.items():
        path = write(tmp_path / "a.parquet", **{name: column})
        assert blocks(path, column=name) == [(cells, faults, (), [])], name


def test_short_floats(tmp_path: Path) -> None:
    """Large ones are rounded, be they telephone numbers; what is no number is not."""
    path = write(tmp_path / "a", phone=pa.array([float("nan"), 41798284651.0, 7.0, None], pa.float32()))
    (block,) = tables(read_parquet(str(path), TableOptions("a.parquet", "phone"), 1 << 18))
    assert block.texts == ["nan", "41798283264", "7"]
    assert list(block.faults.values()) == [Reason.NOT_A_NUMBER, Reason.ROUNDED]


def test_kept_columns(tmp_path: Path) -> None:
    """Other columns are kept as text; nested ones are left out."""
    path = write(tmp_path / "a.parquet", id=[1, 2], phone=["+41", "+42"], tags=[["a"], ["b"]], note=["x", None])
    assert blocks(path, keep=True) == [([(1, "+41"), (2, "+42")], {}, ("id", "note"), [["1", "x"], ["2", ""]])]


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.date64(), pa.duration("s")])
def test_times_beyond_all_years(tmp_path: Path, kind: pa.DataType) -> None:
    """A time that no calendar has is a cell like any other, and spoils no list."""
    path = write(tmp_path / "a.parquet", phone=["+41", "+42"], since=pa.array([2**63 - 1, None], pa.int64()).view(kind))
    (block,) = tables(read_parquet(str(path), TableOptions("a.parquet", keep=True), 1000))
    (time,), no_time = block.kept
    assert (list(block.cells()), block.names, no_time) == ([(1, "+41"), (2, "+42")], ("since",), [""])
    (block,) = tables(read_parquet(str(path), TableOptions("a.parquet", "since"), 1000))
    assert (list(block.cells()), block.faults) == ([(1, time), (2, "")], {0: Reason.DATE})


def test_many_rows(tmp_path: Path) -> None:
    """Batches and blocks leave no row out."""
    path = write(tmp_path / "a.parquet", phone=[f"+{i}" for i in range(BATCH_ROWS + 10)])
    found = tables(read_parquet(str(path), TableOptions("a.parquet"), 1000))
    lines = [line for block in found for line, _ in block.cells()]
    assert lines == list(range(1, BATCH_ROWS + 11))


def test_empty_table(tmp_path: Path) -> None:
    """A table without rows gives no cells."""
    assert blocks(write(tmp_path / "a.parquet", phone=pa.array([], pa.string()))) == []


def test_no_column(tmp_path: Path) -> None:
    """A table whose names don't tell is the same error as in any table; an unnamed column has a name to show."""
    with pytest.raises(UsageError, match=r"a\.parquet: no column in .* may hold the numbers.*'a', 'Column 2'"):
        blocks(write(tmp_path / "a.parquet", **{"a": [1], "": [2]}))
    with pytest.raises(UsageError, match=r"a\.parquet: no column in .* may hold the numbers.*'Column 1'"):
        blocks(write(tmp_path / "a.parquet", **{" ": [1]}))
    with pytest.raises(UsageError, match=r"a\.parquet: no column has plain values; write it with the numbers in"):
        blocks(write(tmp_path / "a.parquet", phones=[["+41"], ["+42"]]))


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1 and more PAR1", b""])
def test_damage(tmp_path: Path, content: bytes) -> None:
    """A broken file is an error that names it."""
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.parquet: this can't be read as a parquet file"):
        blocks(tmp_path / "a.parquet")


@pytest.mark.parametrize("place", [4, 5, 20, 30])
def test_damaged_pages(tmp_path: Path, place: int) -> None:
    """Damage below a whole footer is one too, in one line, although the library calls it an error of the disk."""
    path = write(tmp_path / "copy000001", phone=["+41"] * 9)
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(
        UsageError, match=r"^a\.parquet: this can't be read as a parquet file .OSError.; write it anew$"
    ):
        blocks(path)


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is missing, the message says how to get it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'numbercheck-orchestrator\[parquet\]', or save it as \.csv"):
        blocks(tmp_path / "a.parquet")
