"""A kept result file is named after what it is."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.results.suffix import result_suffix

Make = Callable[..., bytes]
Rows = list[list[object]]


def test_every_kind(tmp_path: Path, xlsx: Make, zipped: Make, csv_text: Make, rows: Rows) -> None:
    """The suffix follows the content: a workbook, any other zip, and all else."""
    workbook = xlsx(rows)
    contents = {
        ".xlsx": [workbook],
        ".zip": [zipped({"all.csv": csv_text(rows)}), zipped({"result.xlsx": workbook}), workbook[:500], b"PK"],
        ".csv": [csv_text(rows), b"", b"P", b"<html>", b"\xd0\xcf\x11\xe0"],
    }
    for suffix, kinds in contents.items():
        for content in kinds:
            (tmp_path / "result").write_bytes(content)
            assert result_suffix(tmp_path / "result") == suffix


def test_damage_never_stops_the_naming(tmp_path: Path, xlsx: Make, rows: Rows) -> None:
    """A workbook with any byte of its directory altered still gets a name, so that it can be put aside."""
    whole = bytearray(xlsx(rows))
    for place in range(whole.index(b"PK\x01\x02"), len(whole)):
        for value in (0, 0xFF):
            altered = bytes(whole[:place]) + bytes([value]) + bytes(whole[place + 1 :])
            (tmp_path / "result").write_bytes(altered)
            assert result_suffix(tmp_path / "result") in {".xlsx", ".zip"}


def test_a_member_that_lies_nowhere(tmp_path: Path) -> None:
    """An offset that no file can have makes the system refuse to go there: that is no failure of the disk."""
    name, far = b"all.csv", struct.pack("<HHQ", 1, 8, (1 << 63) - 1)
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HH", len(name), len(far)) + bytes(10) + b"\xff" * 4 + name + far
    end = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(entry), 4, 0)
    (tmp_path / "result").write_bytes(b"PK\0\0" + entry + end)
    assert result_suffix(tmp_path / "result") == ".zip"


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is the caller's to explain."""
    with pytest.raises(OSError, match="No such file"):
        result_suffix(tmp_path / "result")
