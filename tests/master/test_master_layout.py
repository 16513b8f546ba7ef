"""Columns have names that nobody mixes up, and sheets end where a spreadsheet's do."""

from __future__ import annotations

import pytest
from openpyxl.utils import get_column_letter

from orchestrator.errors import UsageError
from orchestrator.master.master_layout import (
    BookLimits,
    MasterLayout,
    check_length,
    check_width,
    column_letters,
    header,
    sheet_rows,
)
from orchestrator.settings import OutputFormat


@pytest.mark.parametrize(
    ("total", "sheets"),
    [(0, (0,)), (1, (1,)), (10, (10,)), (11, (10, 1)), (30, (10, 10, 10)), (35, (10, 10, 10, 5)), (36, ())],
)
def test_sheet_rows(total: int, sheets: tuple[int, ...]) -> None:
    """Sheets are full but for the last; an empty list has one; above the limit there are none."""
    assert sheet_rows(total, BookLimits(sheet_rows=10, rows=35)) == sheets


def test_default_limits() -> None:
    """A sheet takes a million rows, a workbook ten."""
    assert sheet_rows(2_500_000, BookLimits()) == (1_000_000, 1_000_000, 500_000)
    assert len(sheet_rows(10_000_000, BookLimits())) == 10
    assert sheet_rows(10_000_001, BookLimits()) == ()


def test_kept_columns_give_way() -> None:
    """A kept column whose name is taken, in any case, says that it is the list's; so no two names are the same."""
    kept = ("name", "number", "Instagram", "name", "NAME", "", "name (list)")
    assert header(("instagram",), kept) == (
        *("Number", "instagram", "name", "number (list)", "Instagram (list)"),
        *("name (list)", "NAME (list 2)", "(list)", "name (list) (list)"),
    )


def test_column_letters() -> None:
    """Columns are named as a spreadsheet names them."""
    last = 16_384  # of Excel
    assert list(map(column_letters, range(1, last + 1))) == list(map(get_column_letter, range(1, last + 1)))


def test_filter_and_widths() -> None:
    """The filter covers every column and row; columns are as wide as their names, within bounds."""
    layout = MasterLayout(("instagram", "p" * 60), 5, (5,), columns=("name",))
    assert layout.filter_range(5) == "A1:D6"
    assert layout.widths == (18, 14, 40, 14)


def test_more_rows_than_a_workbook_takes() -> None:
    """They are refused where no other file would hold them, with the way out."""
    only = (OutputFormat.XLSX,)
    check_length(10_000_000, only)
    with pytest.raises(UsageError, match=r'10,000,001 numbers.* set \[output\] formats = \["xlsx", "csv"\]'):
        check_length(10_000_001, only)
    for other in (OutputFormat.CSV, OutputFormat.PARQUET):
        check_length(10_000_001, (*only, other))
        check_length(10_000_001, (other,))


def test_more_columns_than_a_sheet_takes() -> None:
    """They are refused for a workbook, with what may be left out; csv takes any number."""
    names = tuple(f"c{place}" for place in range(16_382))
    check_width(["instagram"], names, tuple(OutputFormat))
    with pytest.raises(UsageError, match=r'16,385 columns, and a sheet takes 16,384; leave "xlsx" out'):
        check_width(["instagram", "amazon"], names, tuple(OutputFormat))
    check_width(["instagram", "amazon"], names, (OutputFormat.CSV,))
