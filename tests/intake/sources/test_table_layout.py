from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.intake.sources.number_column import NumberColumn
from orchestrator.intake.sources.table_layout import LOOK_ROWS, Keep, TableOptions, cell_at, lay_out, looks_like_number

ROWS = [["Name", "Phone", "City"], ["Anna", "+41 79 828 46 51", "Bern"], ["Bob", "", "0798284651"], ["Carl"]]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (False, {}),
        (True, {"Name": 0, "City": 2}),
        (("city", "none"), {"city": 2}),
        (("City", "Phone"), {"City": 2, "Phone": 1}),
        ((), {}),
    ],
)
def test_kept_columns(keep: Keep, kept: dict[str, int]) -> None:
    """None, all but that of the numbers, or those named, in the order and spelling of the setting."""
    layout = lay_out(ROWS, TableOptions("a.csv", keep=keep))
    assert (layout.column, dict(zip(layout.names, layout.kept, strict=True))) == (NumberColumn(1), kept)


def test_headers_of_columns_without_one() -> None:
    """Every column has a name of its own; empty ones at the end of the first row are none."""
    rows = [["a", "", "phone", "a", " b \n c ", "", ""]]
    layout = lay_out(rows, TableOptions("a.csv", keep=True))
    assert layout.names == ("a", "Column 2", "a 2", "b c")


def test_the_first_look() -> None:
    """The look counts, column by column, cells that look like numbers, in the first rows below the header."""
    look = lay_out(ROWS, TableOptions("a.csv")).look
    assert (look.source, look.headers, look.index, look.likely) == ("a.csv", ("Name", "Phone", "City"), 1, (0, 1, 1))
    many = [["phone", "x"], *([["+41798284651", "1"]] * (LOOK_ROWS + 10))]
    assert lay_out(many, TableOptions("a.csv")).look.likely == (LOOK_ROWS, 0)


def test_headerless() -> None:
    """A single column of numbers has no header, and nothing to keep."""
    layout = lay_out([["+41798284651", ""]], TableOptions("a.csv", keep=True))
    assert (layout.column, layout.names, layout.look.headers) == (NumberColumn(0, headerless=True), (), ())


def test_a_column_that_cant_be_told() -> None:
    """The error is that of the header."""
    with pytest.raises(UsageError, match=r"a\.csv: no column may hold"):
        lay_out([["a", "b"]], TableOptions("a.csv"))


@pytest.mark.parametrize("text", ["+41798284651", "(079) 828 46 51", " 079/828-46-51 ", "0041.79.828.46.51", "1234567"])
def test_what_looks_like_a_number(text: str) -> None:
    """Digits with what people write between them."""
    assert looks_like_number(text)


@pytest.mark.parametrize("text", ["", "123456", "Anna", "2026-01-02 00:00:00", "1234567890123456", "call 0798284651"])
def test_what_does_not(text: str) -> None:
    """Too few digits, too many, or letters."""
    assert not looks_like_number(text)


def test_short_rows() -> None:
    """A cell beyond the end of its row is empty."""
    assert [cell_at(["a"], 0), cell_at(["a"], 1)] == ["a", ""]
