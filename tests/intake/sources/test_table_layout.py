from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.intake.sources import record_fields, table_layout
from orchestrator.intake.sources.number_column import NumberColumn, Wanted
from orchestrator.intake.sources.table_layout import (
    HEADER_ROWS,
    LOOK_ROWS,
    Keep,
    Row,
    TableOptions,
    cell_at,
    holds_number,
    lay_out,
    looks_like_number,
)

ROWS = [["Name", "Phone", "City"], ["Anna", "+41 79 828 46 51", "Bern"], ["Bob", "", "0798284651"], ["Carl"]]


def numbered(rows: list[list[str]]) -> list[Row]:
    return list(enumerate(rows, 1))


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
    layout = lay_out(numbered(ROWS), TableOptions("a.csv", keep=keep))
    assert (layout.column, dict(zip(layout.names, layout.kept, strict=True))) == (NumberColumn((1,)), kept)


def test_headers_of_columns_without_one() -> None:
    """Every column has a name of its own; empty ones at the end of the first row are none."""
    rows = [["a", "", "phone", "a", " b \n c ", "", ""]]
    layout = lay_out(numbered(rows), TableOptions("a.csv", keep=True))
    assert layout.names == ("a", "Column 2", "a#2", "b c")


def test_the_first_look() -> None:
    """The look counts, column by column, cells that look like numbers, in the first rows below the header."""
    look = lay_out(numbered(ROWS), TableOptions("a.csv")).look
    assert (look.source, look.headers, look.indexes, look.likely) == (
        "a.csv",
        ("Name", "Phone", "City"),
        (1,),
        (0, 1, 1),
    )
    many = [["phone", "x"], *([["+41798284651", "1"]] * (LOOK_ROWS + 10))]
    assert lay_out(numbered(many), TableOptions("a.csv")).look.likely == (LOOK_ROWS, 0)


def test_headerless() -> None:
    """A single column of numbers has no header, and nothing to keep."""
    layout = lay_out([(1, ["+41798284651", ""])], TableOptions("a.csv", keep=True))
    assert (layout.column, layout.names, layout.look.headers) == (NumberColumn((0,), headerless=True), (), ())


@pytest.mark.parametrize(
    ("rows", "column", "message"),
    [
        ([["Name", "City"]], None, r"a\.csv: no column in row 1 may.*`header_row`\. Row 1 has: 'Name', 'City'"),
        ([["Report"], ["Name", "City"]], None, r"no column in the first 2 rows may.* Row 2 has: 'Name', 'City'"),
        ([["Name", "City"]], "phone", "no column is called 'phone' in row 1; set `column`.* Row 1 has: 'Name', 'City'"),
        ([["Phone", "City"]], ("Phone", "Office"), "no column is called 'Office' in row 1"),
        ([["Phone", "Mobile"]], None, "several columns may.*`column`.* Row 1 has: 'Phone', 'Mobile'"),
        ([["Anna", "+41 79 828 46 51"]], None, "row 1 holds a number.*what looks like a person's data"),
        ([["Anna", "anna@example.org"]], None, "no column in row 1 may.*what looks like a person's data"),
        ([["x" * 100] * 40], None, "'x{40}', [.]{3}$"),
    ],
)
def test_a_column_that_cant_be_told(rows: list[list[str]], column: Wanted, message: str) -> None:
    """The message says where the header was looked for, lists it, but no row of a person, and names the key."""
    with pytest.raises(UsageError, match=message) as caught:
        lay_out(numbered(rows), TableOptions("a.csv", column))
    assert "828" not in str(caught.value)
    assert "Anna" not in str(caught.value)


TITLED = [
    ["Call report", ""],
    ["Generated", "2026-11-01"],
    ["Phone"],
    ["Name", "Phone", "Phone"],
    ["x", "+41798284651", ""],
]


@pytest.mark.parametrize(
    ("column", "header_row", "header", "indexes"),
    [
        ("Phone", None, 3, (1,)),
        (("Phone", "Phone#2"), None, 3, (1, 2)),
        ("Phone", 4, 3, (1,)),
        ("Phone", 3, 2, (0,)),
        ("call report", None, 0, (0,)),
    ],
)
def test_titles_above_the_header(column: Wanted, header_row: int | None, header: int, indexes: tuple[int, ...]) -> None:
    """The header is looked for below titles; the widest row that has the columns is it, unless its row is named."""
    layout = lay_out(numbered(TITLED), TableOptions("a.csv", column, header_row=header_row))
    assert (layout.header, layout.column.indexes, layout.look.above) == (header, indexes, header)


@pytest.mark.parametrize("above", ["+41791110001", "Anna 079 111 00 01", "+41791110001; 0791110002"])
@pytest.mark.parametrize("title", [[["List", ""]], [], [["Phone"]]])
def test_a_number_above_the_header(title: list[list[str]], above: str) -> None:
    """A number is never passed over as a title, unless the row of the header is named."""
    rows = numbered([*title, [above], ["Name", "Phone"], ["x", "+41798284651"]])
    header = len(title) + 2
    with pytest.raises(UsageError, match=rf"row {header - 1} holds a number.*row {header}; .*`header_row = {header}`"):
        lay_out(rows, TableOptions("a.csv"))
    assert lay_out(rows, TableOptions("a.csv", header_row=header)).header == header - 1


@pytest.mark.parametrize("title", ["2026-11-01 10:00:00", "1.11.2026 - 30.11.2026", "2025-2026", "01/11/26 08:15"])
def test_dates_above_the_header(title: str) -> None:
    """Dates are no numbers, and stand in titles."""
    assert lay_out(numbered([["Report", title], ["Name", "Phone"]]), TableOptions("a.csv")).header == 1


@pytest.mark.parametrize("number", ["06.12.34.56.78", "06-12-34-56-78", "079/828.46.51", "+41 79 2012 345"])
def test_numbers_that_are_no_dates(number: str) -> None:
    """What has more groups than a date is none."""
    assert holds_number(number)


def test_where_no_header_is_looked_for() -> None:
    """Neither below a row of data, nor below the first rows; a row that is named has to be there."""
    with pytest.raises(UsageError, match="no column"):
        lay_out(numbered([["a", "b"], ["+41798284651", "x"], ["phone", "b"]]), TableOptions("a.csv"))
    with pytest.raises(UsageError, match=f"no column in the first {HEADER_ROWS} rows"):
        lay_out(numbered([["a", "b"]] * HEADER_ROWS + [["phone", "b"]]), TableOptions("a.csv"))
    with pytest.raises(UsageError, match="header_row = 9: that row is blank, or not there"):
        lay_out(numbered(TITLED), TableOptions("a.csv", header_row=9))


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


@pytest.mark.parametrize("known", [table_layout._has_several, record_fields._known_shape])
def test_long_texts_are_not_remembered(known: Any) -> None:
    """A column of pictures has another text in each row: thousands of these would be kept."""
    known.cache_clear()
    for text in ("x" * 20 + "1234567", "x" * 100_000 + "1234567"):
        assert table_layout.has_seven_digits(text)
        assert record_fields._has_seven_digits(text.encode())
    assert known.cache_info().currsize == 1
