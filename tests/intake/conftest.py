from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import openpyxl
import pytest

from orchestrator.settings import JobSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    MakeJob = Callable[..., JobSettings]
    Write = Callable[[str, bytes | str], Path]
    WriteWorkbook = Callable[..., Path]
    Table = Callable[[str], list[list[str]]]


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    """Build the settings of a job in its own folder; inputs are names below the test's folder, or "-"."""

    def make(*inputs: str, **changes: object) -> JobSettings:
        paths = tuple(name if name == "-" else str(tmp_path / name) for name in inputs)
        return JobSettings(**{"name": "job", "inputs": paths, "directory": tmp_path / "run"} | changes)  # type: ignore[arg-type]  # settings by name

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below the test's folder."""

    def write(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def write_workbook(tmp_path: Path) -> WriteWorkbook:
    """Write a workbook with the given sheets, each a list of rows."""

    def write(name: str, **sheets: Sequence[Sequence[object]]) -> Path:
        workbook = openpyxl.Workbook()
        workbook.remove(workbook.worksheets[0])
        for title, rows in sheets.items():
            sheet = workbook.create_sheet(title)
            for row in rows:
                sheet.append(row)
        workbook.save(tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Read a csv file that the job has written."""

    def read(name: str) -> list[list[str]]:
        with (tmp_path / "run" / name).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    return read
