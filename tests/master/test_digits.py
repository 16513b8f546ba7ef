"""Lines become the numbers that they show, or nothing at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.master.digits import MAX_DIGITS, count_digits, digit_rows, leading_digits, parse_lines

anything = st.lists(st.integers(100, 10**MAX_DIGITS - 1), max_size=40)


@given(anything)
def test_lines_come_back_as_numbers(numbers: list[int]) -> None:
    """Every number of 3 to 18 digits is read as it stands, whatever stands around it."""
    assert parse_lines("".join(f"+{number}\n" for number in numbers).encode()).tolist() == numbers


@given(anything)
def test_digits_are_those_of_the_text(numbers: list[int]) -> None:
    """The count of digits, and the first three, are those of the decimal text."""
    array = np.array(numbers, np.int64)
    assert count_digits(array).tolist() == [len(str(number)) for number in numbers]
    assert [row.tobytes()[-len(str(n)) :] for row, n in zip(digit_rows(array), numbers, strict=True)] == [
        b"%d" % number for number in numbers
    ]
    assert leading_digits(array).tolist() == [int(str(number)[:3]) for number in numbers]


@pytest.mark.parametrize(
    "data",
    [
        *[b"+41798284651", b"41798284651\n", b"+41 798284651\n", b"\n", b"+41798284651\n\n", b"<&>123\n", b"+12\n"],
        *[b"+1234567890123456789\n", b"+0041798284651\n", b"++123\n", b"+123\n123+\n", b"+123\r\n", b"+12+3\n4567\n"],
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    """Whatever is not a plus sign and 3 to 18 digits on each line is an error, not another number."""
    with pytest.raises(ValueError, match="not lines of numbers"):
        parse_lines(data)
