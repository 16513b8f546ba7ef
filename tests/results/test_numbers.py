"""Result cells are read leniently, and never yield a number that does not stand there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.results.numbers import BLANK, NOT_A_NUMBER, as_numbers

e164 = st.integers(10**6, 10**15 - 1)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("+41798284651", 41798284651),
        ("41798284651", 41798284651),
        (" +41798284651 ", 41798284651),
        ("0041798284651", 41798284651),
        ("'+41798284651", 41798284651),
        ("+41 79 828-46 51", 41798284651),
        ("+1 (202) 555-0123", 12025550123),
        ("41798284651.0", 41798284651),
        (41798284651, 41798284651),
        (41798284651.0, 41798284651),
        ("", BLANK),
        ("  ", BLANK),
        (None, BLANK),
        (41798284651.5, NOT_A_NUMBER),
        ("41798284651.5", NOT_A_NUMBER),
        ("4.1798E+10", NOT_A_NUMBER),
        ("0798284651", NOT_A_NUMBER),
        ("-41798284651", 41798284651),
        ("4_1798284651", NOT_A_NUMBER),
        ("\u0664\u0661\u0667\u0669\u0668\u0662\u0668\u0664\u0666\u0665\u0661", 41798284651),
        ("1234567890123456", NOT_A_NUMBER),
        (1e15, NOT_A_NUMBER),
        (float("nan"), NOT_A_NUMBER),
        (float("inf"), NOT_A_NUMBER),
        (-41798284651.0, NOT_A_NUMBER),
        (True, NOT_A_NUMBER),
        ("total", NOT_A_NUMBER),
        ("1234", NOT_A_NUMBER),
    ],
)
def test_cells(cell: object, number: int) -> None:
    """A cell is the number it shows, whatever surrounds it; a rounded or odd one is none."""
    assert as_numbers([cell]).tolist() == [number]
    assert as_numbers([cell, "+41791234567", 1.5, None])[0] == number


@given(st.lists(e164))
def test_whole_columns(numbers: list[int]) -> None:
    """Columns of text, with and without the plus sign, and of floats give the same numbers as one by one."""
    for cells in ([f"+{n}" for n in numbers], [str(n) for n in numbers], [float(n) for n in numbers], list(numbers)):
        assert as_numbers(cells).tolist() == numbers
