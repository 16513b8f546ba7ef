from __future__ import annotations

import itertools
from dataclasses import replace
from io import BytesIO
from typing import Any

import openpyxl
import pytest
import python_calamine

from orchestrator.sandbox import workbook
from orchestrator.sandbox.catalog import ApiStyle
from orchestrator.sandbox.shapes import Dimension, NumberForm, Shape, shape_of
from orchestrator.sandbox.workbook import write_workbook

BASE = shape_of(0, "t", ApiStyle.SIMPLE, "instagram")
SHAPES = [
    replace(BASE, form=form, cell_references=references, shared_strings=shared, dimension=dimension)
    for form, references, shared, dimension in itertools.product(NumberForm, (True, False), (True, False), Dimension)
]
NUMBERS = [str(41_790_000_000 + n) for n in range(50)]


def written(shape: Shape, numbers: list[str]) -> BytesIO:
    file = BytesIO()
    write_workbook(file, shape, numbers, [[shape.words[n % 5] for n in range(len(numbers))]])
    file.seek(0)
    return file


def rows_of(file: BytesIO) -> list[list[Any]]:
    book = openpyxl.load_workbook(file, read_only=True)
    rows: list[list[Any]] = []
    for sheet in book.worksheets:
        sheet.reset_dimensions()
        rows += [list(row) for row in sheet.iter_rows(values_only=True)]
    return rows


@pytest.mark.parametrize("shape", SHAPES)
def test_two_independent_readers_see_the_same_rows(shape: Shape) -> None:
    """Every layout is a workbook that openpyxl and calamine read alike."""
    mark = "+" if shape.form is NumberForm.PLUS else ""
    texts = [mark + number for number in NUMBERS]
    file = written(shape, texts)
    words = [shape.words[n % 5] for n in range(len(texts))]
    cells = [int(number) for number in NUMBERS] if shape.form is NumberForm.NUMERIC else texts
    expected = [[shape.number_header, shape.verdict_header], *map(list, zip(cells, words, strict=True))]
    assert rows_of(file) == expected
    file.seek(0)
    assert python_calamine.load_workbook(file).get_sheet_by_index(0).to_python() == expected


def test_equal_rows_give_equal_bytes() -> None:
    """No time of day gets into a file."""
    assert written(BASE, NUMBERS).getvalue() == written(BASE, NUMBERS).getvalue()


@pytest.mark.parametrize("shared", [True, False])
def test_sheets_roll_over(monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:  # noqa: FBT001
    """More rows than a sheet may hold go on in the next one, under a header of their own."""
    monkeypatch.setattr(workbook, "ROWS_A_SHEET", 20)
    monkeypatch.setattr(workbook, "_BLOCK_ROWS", 7)
    shape = replace(BASE, shared_strings=shared, form=NumberForm.PLAIN)
    header = [shape.number_header, shape.verdict_header]
    rows = rows_of(written(shape, NUMBERS))
    assert rows.count(header) == 3
    assert [row[0] for row in rows if row != header] == NUMBERS


def test_a_result_without_rows_has_its_header() -> None:
    """Nothing but the header is still a workbook."""
    assert rows_of(written(BASE, [])) == [[BASE.number_header, BASE.verdict_header]]
