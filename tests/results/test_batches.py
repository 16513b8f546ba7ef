"""The two columns are found below their header, and batches keep every row's cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

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


CHUNK = [41791234567, 41791234568, 41791234569]
OTHERS = {
    "ids of eight digits": [10000001, 10000002, 10000003],
    "Unix seconds": [1767225600, 1767225601, 1767225602],
    "one number of the chunk, again and again": [CHUNK[0]] * 3,
}


def sent(table: list[Cells]) -> list[int]:
    (part,) = read_rows(table, Wanted("instagram", chunk=np.array(CHUNK))) or []
    return [number for number, _ in rows(part)]


@pytest.mark.parametrize("names", [("id", "Kontakt"), ("number", "phone"), ("number", "Kontakt"), ("time", "Phone No")])
@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS)
def test_the_column_with_the_numbers_that_were_sent(names: tuple[str, str], others: list[int]) -> None:
    """Whatever else looks like telephone numbers, and however it is called, that column is the one."""
    for turn in (1, -1):
        header: Cells = [*names[::turn], "instagram"]
        table: list[Cells] = [
            [*(other, f"+{number}")[::turn], "yes"] for other, number in zip(others, CHUNK, strict=True)
        ]
        assert sent([header, *table]) == CHUNK


def test_columns_with_the_same_numbers() -> None:
    """Of two with equally many of them, the one that is called so counts, then the left one."""
    row: Cells = [*CHUNK[:2], "yes"]
    assert sent([["x", "phone", "instagram"], row]) == [CHUNK[1]]
    assert sent([["number", "phone", "instagram"], row]) == [CHUNK[0]]
    assert sent([["x", "y", "instagram"], row]) == [CHUNK[0]]


def test_a_column_of_verdicts_that_is_empty() -> None:
    """Of several that have a name of the verdicts' column, the best one that says anything counts."""
    header = ["Phone No", "instagram", "activated"]
    assert read([header, ["+41791234567", " ", "yes"]]) == [(41791234567, "yes")]
    assert read([header, ["+41791234567", "", ""], ["+41791234568", "no", "yes"]]) == [
        (41791234567, ""),
        (41791234568, "no"),
    ]
    assert read([header, ["+41791234567", "", ""]]) == [(41791234567, "")]


def test_only_a_header() -> None:
    """A table without rows is a table."""
    assert read([["Number", "instagram"]]) == []


def test_rows_that_end_early() -> None:
    """Cells that are not there are empty."""
    assert read([["Number", "instagram"], ["+41791234567"], []]) == [(41791234567, "")]
