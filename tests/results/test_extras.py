"""What a result says beside the verdict comes to the numbers that it says it of."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.jobdir.extra_files import CellKind, read_extras, read_extras_head
from orchestrator.results import ExtrasOrder, ExtrasReport, take_extras

Take = Callable[..., tuple[ExtrasReport, list[list[str]]]]
HEADER = ["number", "Number", "activated", "activetime", "Active Days", "business"]


@pytest.fixture
def take(tmp_path: Path, numbers: list[str]) -> Take:
    """Give a reader of columns out of a file's content: the report, and the cells of each column in chunk order."""

    def run(content: bytes, *names: str, without_verdict: bool = False) -> tuple[ExtrasReport, list[list[str]]]:
        (tmp_path / "result").write_bytes(content)
        (tmp_path / "000001.txt").write_text("".join(f"{number}\n" for number in numbers))
        order = ExtrasOrder(
            result=tmp_path / "result",
            chunk=tmp_path / "000001.txt",
            target=tmp_path / "000001.extras",
            platform="whatsapp",
            columns=(),
            names=names,
            result_sha256=hashlib.sha256(content).hexdigest(),
            without_verdict=without_verdict,
        )
        (report,) = take_extras([order])
        if isinstance(report, Exception):
            raise report
        read = read_extras(order.target, len(numbers))
        return report, [[column.words[code] for code in column.codes] for column in read.columns]

    return run


def test_columns_of_a_workbook(take: Take, numbers: list[str], xlsx: Callable[..., bytes]) -> None:
    """Cells are found by the column's name in any spelling; whole numbers have no fraction, days no hour."""
    day = dt.datetime(2026, 3, 1)  # noqa: DTZ001 - a sheet knows no zones
    rows = [[i, number, "yes", day, i % 365, None] for i, number in enumerate(numbers)]
    report, (days, time, business) = take(xlsx([HEADER, *reversed(rows)]), "activedays", "ACTIVETIME", "business")
    assert report.missing == ()
    assert days == [str(i % 365) for i in range(len(numbers))]
    assert set(time) == {"2026-03-01"}
    assert set(business) == {""}


def test_doubled_headers(take: Take, numbers: list[str], csv_text: Callable[..., bytes]) -> None:
    """Of two columns of one name that one counts which holds something."""
    rows = [[number, "", "yes", i] for i, number in enumerate(numbers)]
    _, (days,) = take(csv_text([["number", "days", "activated", "Days"], *rows]), "days")
    assert days == [str(i) for i in range(len(numbers))]


def test_ids_beside_the_numbers(take: Take, numbers: list[str], csv_text: Callable[..., bytes]) -> None:
    """The column of numbers is the one that has those that were sent, as for the verdicts."""
    rows = [[10_000_000 + i, number, "yes", i] for i, number in enumerate(numbers)]
    _, (days,) = take(csv_text([["number", "Kontakt", "activated", "days"], *rows]), "days")
    assert days == [str(i) for i in range(len(numbers))]


def test_rows_that_disagree(take: Take, numbers: list[str], csv_text: Callable[..., bytes]) -> None:
    """A number whose rows disagree has an empty cell; a foreign row says nothing; a blank one contradicts nothing."""
    rows = [[number, "yes", "1"] for number in numbers]
    odd = [[numbers[0], "yes", "2"], [numbers[1], "yes", ""], ["+12025550123", "yes", "9"]]
    _, (days,) = take(csv_text([["number", "activated", "days"], *rows, *odd]), "days")
    assert days == ["", *["1"] * (len(numbers) - 1)]


def test_another_table_has_the_column(
    take: Take,
    numbers: list[str],
    csv_text: Callable[..., bytes],
    xlsx: Callable[..., bytes],
    zipped: Callable[..., bytes],
) -> None:
    """The best table of a zip may have the verdicts only: the column is taken from the next, and lists say nothing."""
    plain = csv_text([["number", "activated"], *([number, "yes"] for number in numbers)])
    book = xlsx([["number", "activated", "days"], *([number, "yes", 7] for number in numbers)])
    content = zipped({"all.csv": plain, "result.xlsx": book, "registered.txt": "\n".join(numbers).encode()})
    report, (days,) = take(content, "days")
    assert (report.missing, set(days)) == ((), {"7"})


def test_a_name_that_no_table_has(take: Take, numbers: list[str], csv_text: Callable[..., bytes]) -> None:
    """It is told, with the names that there are, and its cells are empty."""
    report, (days,) = take(csv_text([["number", "activated", "days"], [numbers[0], "yes", "1"]]), "active")
    assert (report.missing, report.there) == (("active",), ("number", "activated", "days"))
    assert set(days) == {""}


def test_a_platform_without_a_verdict(take: Take, numbers: list[str], csv_text: Callable[..., bytes]) -> None:
    """Its tables need a column for numbers only."""
    content = csv_text([["Phone", "telegram_days"], *([number, "N/A"] for number in numbers)])
    _, (days,) = take(content, "telegram_days", without_verdict=True)
    assert set(days) == {"N/A"}


def test_names_that_are_there(take: Take, numbers: list[str], csv_text: Callable[..., bytes]) -> None:
    """Also where no table has any that is wanted, those that it has are told."""
    content = csv_text([["made today"], ["Phone", "days"], [numbers[0], "7"]])
    report, (cells,) = take(content, "weeks", without_verdict=True)
    assert (report.missing, report.there) == (("weeks",), ("Phone", "days"))
    assert set(cells) == {""}


def test_a_result_that_was_altered(tmp_path: Path, numbers: list[str], csv_text: Callable[..., bytes]) -> None:
    """Nothing is taken from a file that is not the one that was read for the verdicts; the others are read."""
    content = csv_text([["number", "activated", "days"], *([number, "yes", "3"] for number in numbers)])
    (tmp_path / "000001.txt").write_text("".join(f"{number}\n" for number in numbers))
    (tmp_path / "result").write_bytes(content)
    good = ExtrasOrder(
        result=tmp_path / "result",
        chunk=tmp_path / "000001.txt",
        target=tmp_path / "000001.extras",
        platform="whatsapp",
        columns=(),
        names=("days",),
        result_sha256=hashlib.sha256(content).hexdigest(),
    )
    altered = replace(good, result_sha256="0" * 64, target=tmp_path / "000002.extras")
    first, second = take_extras([altered, good])
    assert isinstance(first, StorageError)
    assert isinstance(second, ExtrasReport)
    head = read_extras_head(good.target)
    assert head is not None
    assert head.kinds == (CellKind.WHOLE,)
    assert not altered.target.exists()


WORDS = st.text(st.sampled_from("wW0179.,;-+@'\"<&ähñ 是"), max_size=6)
"""Without an equals sign, of which openpyxl would make a formula."""


@given(
    rows=st.lists(st.tuples(st.sampled_from([-1, 0, 1, 2, 399]), WORDS, WORDS), max_size=40),
    as_workbook=st.booleans(),
    order=st.permutations(["number", "activated", "city", "days"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table(
    take: Take,
    numbers: list[str],
    xlsx: Callable[..., bytes],
    rows: list[tuple[int, str, str]],
    as_workbook: bool,  # noqa: FBT001 - drawn
    order: list[str],
) -> None:
    """Whatever stands in the cells, a number has the one text that its rows say, and nothing where they differ."""
    table = [
        {
            "number": numbers[place] if place >= 0 else f"+1202555{place + 9990}",
            "activated": "yes",
            "city": one,
            "days": two,
        }
        for place, one, two in rows
    ]
    cells = [order, *([row[name] for name in order] for row in table)]
    if as_workbook:
        content = xlsx(cells)
    else:
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows(cells)
        content = text.getvalue().encode()
    _, found = take(content, "city", "days")
    for name, column in zip(("city", "days"), found, strict=True):
        said: dict[str, set[str]] = defaultdict(set)
        for row in table:
            said[row["number"]].add(" ".join(row[name].split()))
        for number, cell in zip(numbers, column, strict=True):
            texts = said[number] - {""}
            assert cell == (texts.pop() if len(texts) == 1 else "")
