"""The two columns are found below their header, and batches keep every row's cells."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.results.batches import Batch, batch, read_rows
from orchestrator.results.columns import Wanted

Cells = list[object]


def rows(one: Batch) -> list[tuple[int, object]]:
    return list(zip(one.numbers.tolist(), one.verdicts, strict=True))


def test_cells() -> None:
    """Cells come back in their order; equal ones are kept once."""
    one = batch(["+41791234567", "", "x"], ["yes", 1.0, "yes"])
    assert rows(one) == [(41791234567, "yes"), (0, 1.0), (-1, "yes")]
    assert list(one.cells) == ["yes", 1.0]
    assert rows(batch([], [])) == []


def read(table: list[Sequence[object]]) -> list[tuple[int, object]] | None:
    found = read_rows(table, Wanted("instagram"))
    return None if found is None else [row for part in found for row in rows(part)]


def test_title_lines_above_the_header() -> None:
    """The header is the first row that names both columns, among the first twenty that are not blank."""
    titles: list[Sequence[object]] = [["Instagram"], [], ["made", None], ["", "", ""]]
    below: list[Sequence[object]] = [["Number", "instagram"], ["+41791234567", "yes"]]
    assert read([*titles, *below]) == [(41791234567, "yes")]
    assert read([["x"]] * 19 + below) == [(41791234567, "yes")]
    assert read([["x"]] * 20 + below) is None


def test_two_columns_of_one_name() -> None:
    """Of two columns that are called numbers, one may count the rows: it holds no telephone numbers."""
    table: list[Sequence[object]] = [["number", "number", "activated"], [1.0, 41791234567.0, "no"]]
    assert read(table) == [(41791234567, "no")]
    assert read([[row[1], row[0], row[2]] for row in table]) == [(41791234567, "no")]


def test_numbers_under_an_unknown_name() -> None:
    """Beside the column of verdicts, one that holds telephone numbers is that of the numbers, however it is called."""
    header = ["#", "Kontakt", "instagram"]
    assert read([header, ["1", "+41791234567", "yes"], ["2", "", "no"]]) == [(41791234567, "yes"), (0, "no")]
    assert read([header, ["1", "Anna", "yes"]]) is None
    assert read([header]) is None
    assert read([["instagram"], ["yes"]]) is None


def test_only_a_header() -> None:
    """A table without rows is a table."""
    assert read([["Number", "instagram"]]) == []


def test_rows_that_end_early() -> None:
    """Cells that are not there are empty."""
    assert read([["Number", "instagram"], ["+41791234567"], []]) == [(41791234567, "")]
