from __future__ import annotations

import datetime as dt
import re
import zipfile
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import UsageError
from orchestrator.intake.table import TableOptions
from orchestrator.intake.workbook import read_workbook

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Write, WriteWorkbook


def cells(path: Path, block_bytes: int = 1 << 20, **options: str) -> list[tuple[int, str]]:
    blocks = read_workbook(str(path), TableOptions(path.name, **options), block_bytes)
    return [cell for block in blocks for cell in block.cells()]


def test_cells_and_rows(write_workbook: WriteWorkbook) -> None:
    """Cells of any type become text, with their row number; rows without anything are blank, others are not."""
    rows = [[], ["Name", "Phone"], ["a", " +41 "], [None, 41798284651], [None, None], ["b", 41.0], ["c"], ["d", 1.5],
            ["e", dt.date(2026, 1, 2)], ["f", True]]  # fmt: skip
    path = write_workbook("a.xlsx", Sheet=rows)
    assert cells(path) == [
        (3, "+41"), (4, "41798284651"), (6, "41"), (7, ""), (8, "1.5"), (9, "2026-01-02 00:00:00"), (10, "True"),
    ]  # fmt: skip
    assert cells(path, block_bytes=1) == cells(path)


def test_headerless_sheet(write_workbook: WriteWorkbook) -> None:
    """A single column that begins with a number has no header."""
    path = write_workbook("a.xlsx", Sheet=[["+41798284651"], ["+41798284652"]])
    assert cells(path) == [(1, "+41798284651"), (2, "+41798284652")]


def test_the_one_filled_sheet(write_workbook: WriteWorkbook) -> None:
    """Empty sheets don't count; without any filled sheet there are no cells."""
    path = write_workbook("a.xlsx", First=[], Second=[[None, None], ["phone"], ["+41"]], Third=[])
    assert cells(path) == [(3, "+41")]
    assert cells(write_workbook("b.xlsx", First=[], Second=[])) == []


def test_named_sheet(write_workbook: WriteWorkbook) -> None:
    """`sheet` names the sheet, exactly or but for case; without it, several filled ones are an error."""
    path = write_workbook("a.xlsx", One=[["phone"], ["+41"]], Two=[["phone"], ["+42"]], Empty=[])
    assert cells(path, sheet="Two") == cells(path, sheet="two") == [(2, "+42")]
    with pytest.raises(UsageError, match=r"a\.xlsx: several sheets are filled; .*`sheet`: 'One', 'Two'$"):
        cells(path)
    with pytest.raises(UsageError, match=r"no sheet is called 'Three'; .*`sheet`.*: 'One', 'Two', 'Empty'"):
        cells(path, sheet="Three")


def test_wrong_dimension(write_workbook: WriteWorkbook, tmp_path: Path) -> None:
    """What a workbook says of its own size is not believed: every row comes out."""
    path = write_workbook("a.xlsx", Sheet=[["name", "phone"], *(["a", f"+4{i}"] for i in range(100))])
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("sheet1.xml"):
                content, found = re.subn(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:A5"', content)
                assert found == 1
            new.writestr(name, content)
    assert len(cells(tmp_path / "b.xlsx")) == 100


@pytest.mark.parametrize("content", [b"", b"+41798284651\n", b"PK\x03\x04 and more"])
def test_no_workbook(write: Write, content: bytes) -> None:
    """A file that is no workbook is an error that names it."""
    with pytest.raises(UsageError, match=r"a\.xlsx: this can't be read as a workbook"):
        cells(write("a.xlsx", content))


def test_half_a_workbook(write_workbook: WriteWorkbook) -> None:
    """A workbook whose sheet is cut off is an error, also when it is found in the middle of it."""
    path = write_workbook("a.xlsx", Sheet=[["phone"], *([f"+4{i}"] for i in range(100))])
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_name("b.xlsx"), "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[: len(content) // 2] if name.endswith("sheet1.xml") else content)
    with pytest.raises(UsageError, match=r"b\.xlsx: this can't be read as a workbook \(ParseError\)"):
        cells(path.with_name("b.xlsx"))


def test_missing_workbook(tmp_path: Path) -> None:
    """A workbook that vanished is an error of the input, not of the workbook."""
    with pytest.raises(UsageError, match=r"a\.xlsx: No such file"):
        cells(tmp_path / "a.xlsx")
