from __future__ import annotations

import csv
import zipfile
from dataclasses import replace
from io import BytesIO, StringIO
from typing import TYPE_CHECKING

import numpy as np
import openpyxl
import pytest

from orchestrator.sandbox.catalog import FURTHER_COLUMNS, ApiStyle
from orchestrator.sandbox.results import ResultFormat, ResultOrder, result_bytes, result_path, result_rows
from orchestrator.sandbox.shapes import shape_of
from orchestrator.sandbox.verdicts import WORDS, further_cells, missing_numbers, verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TASKS = [f"task{n}" for n in range(12)]


@pytest.fixture
def lines(numbers: Callable[..., list[str]]) -> list[str]:
    return numbers(1_500)


@pytest.fixture
def order(tmp_path: Path, lines: list[str]) -> ResultOrder:
    upload = tmp_path / "upload.txt"
    upload.write_text("".join(f"{line}\n" for line in lines))
    return ResultOrder(5, frozenset(), "task", ApiStyle.V1, "amazon", upload, ResultFormat.DOCUMENTED)


def from_csv(text: bytes) -> list[tuple[str, str]]:
    assert text.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(StringIO(text.decode("utf-8-sig"))))[1:]
    return [(number, word) for number, word in rows]


def from_xlsx(content: bytes) -> list[tuple[str, str]]:
    sheet = openpyxl.load_workbook(BytesIO(content)).worksheets[0]
    return [(str(number), str(word)) for number, word in list(sheet.iter_rows(values_only=True))[1:]]


def as_verdicts(order: ResultOrder, rows: list[tuple[str, str]]) -> dict[str, str]:
    """Undo the spelling of a file: E.164 number → word of `verdict`."""
    words = shape_of(order.seed, order.task_id, order.style, order.platform).words
    return {f"+{number.lstrip('+')}": WORDS[words.index(word)] for number, word in rows}


@pytest.mark.parametrize("task", TASKS)
def test_a_zip_holds_the_same_rows_several_times(order: ResultOrder, lines: list[str], task: str) -> None:
    """all.csv, result.xlsx and the two lists agree, and every verdict is the one that `verdict` gives."""
    order = replace(order, task_id=task)
    shape = shape_of(5, task, ApiStyle.V1, "amazon")
    folder = f"{task}/" if shape.folder else ""
    with zipfile.ZipFile(BytesIO(result_bytes(order))) as archive:
        names = {"all.csv", "result.xlsx", shape.registered, "unregistered.txt"}
        assert set(archive.namelist()) == {folder + name for name in names}
        read = {name: archive.read(folder + name) for name in names}
    table = from_csv(read["all.csv"])
    assert len(table) == len(lines)
    assert as_verdicts(order, table) == {line: verdict(5, "amazon", line) for line in lines}
    assert as_verdicts(order, from_xlsx(read["result.xlsx"])) == as_verdicts(order, table)
    for word, name in zip(shape.words, (shape.registered, "unregistered.txt"), strict=False):
        assert read[name].decode().split() == [number for number, found in table if found == word]


@pytest.mark.parametrize("task", TASKS)
def test_a_simple_result_is_a_workbook(order: ResultOrder, lines: list[str], task: str) -> None:
    """A run without faults gives every number its verdict, however oddly the file is laid out."""
    order = replace(order, style=ApiStyle.SIMPLE, platform="instagram", task_id=task)
    assert order.extension == ".xlsx"
    rows = from_xlsx(result_bytes(order))
    assert as_verdicts(order, rows) == {line: verdict(5, "instagram", line) for line in lines}
    assert len(rows) == len(lines)


def test_csv_on_request(order: ResultOrder, lines: list[str]) -> None:
    """For measuring, both styles give a plain csv."""
    order = replace(order, result_format=ResultFormat.CSV)
    assert order.extension == ".csv"
    rows = from_csv(result_bytes(order))
    assert as_verdicts(order, rows) == {line: verdict(5, "amazon", line) for line in lines}


def test_missing_rows_are_those_that_can_be_computed(order: ResultOrder, lines: list[str]) -> None:
    """With the fault, exactly `missing_numbers` have no row."""
    order = replace(order, faults=frozenset({"missing_rows"}), result_format=ResultFormat.CSV)
    found = as_verdicts(order, from_csv(result_bytes(order)))
    assert set(lines) - set(found) == missing_numbers(5, "task", lines) != set()
    assert result_rows(order).missing == len(lines) - len(found) < 0.01 * len(lines)


def test_foreign_rows_come_on_top(order: ResultOrder, lines: list[str]) -> None:
    """With the fault, some tasks hold a few numbers that nobody asked for, and still all of their own."""
    extra = []
    for task in TASKS:
        found = result_rows(replace(order, faults=frozenset({"foreign_rows"}), task_id=task))
        own = {f"+{number}" for number in found.numbers.tolist()}
        assert own >= set(lines)
        extra.append(len(own) - len(lines))
    assert set(extra) == {0, len(lines) // 200}


def test_files_are_made_once_and_the_same_again(order: ResultOrder, tmp_path: Path) -> None:
    """A stored result equals the one made anew; nothing half-written stays."""
    folder = tmp_path / "results"
    folder.mkdir()
    path = result_path(order, folder)
    first = path.read_bytes()
    made_at = path.stat().st_mtime_ns
    assert result_path(order, folder).stat().st_mtime_ns == made_at
    path.unlink()
    assert result_path(order, folder).read_bytes() == first == result_bytes(order)
    faulty = result_path(replace(order, faults=frozenset({"missing_rows"})), folder)
    assert set(folder.iterdir()) == {path, faulty}
    assert faulty.read_bytes() != first


@pytest.mark.parametrize("task", TASKS[:6])
@pytest.mark.parametrize("platform", ["whatsapp_active", "telegram_active", "carrier"])
def test_further_columns(order: ResultOrder, lines: list[str], task: str, platform: str) -> None:
    """They stand behind the verdict, or without one behind the number, the same in csv and workbook."""
    order = replace(order, task_id=task, platform=platform)
    shape = shape_of(5, task, ApiStyle.V1, platform)
    assert shape.further == FURTHER_COLUMNS[platform]
    assert bool(shape.verdict_header) == (platform == "whatsapp_active")
    with zipfile.ZipFile(BytesIO(result_bytes(order))) as archive:
        folder = f"{task}/" if shape.folder else ""
        header, *rows = csv.reader(StringIO(archive.read(f"{folder}all.csv").decode("utf-8-sig")))
        sheet = openpyxl.load_workbook(BytesIO(archive.read(f"{folder}result.xlsx"))).worksheets[0]
    assert tuple(header) == shape.headers
    assert rows == [
        ["" if cell is None else str(cell) for cell in row] for row in sheet.iter_rows(min_row=2, values_only=True)
    ]
    assert sorted(row[0].lstrip("+") for row in rows) == sorted(line[1:] for line in lines)
    column = shape.further[0]
    numbers = np.array([int(row[0]) for row in rows])
    assert [row[header.index(column)] for row in rows] == further_cells(5, platform, column, numbers)
