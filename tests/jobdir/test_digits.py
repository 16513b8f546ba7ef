"""Lines become the numbers that they show, or nothing at all, and numbers become such lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.jobdir.digits import MAX_DIGITS, count_digits, digit_rows, leading_digits, lines_of, parse_lines

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


@given(st.lists(st.integers(0, 10**16 - 1) | st.integers(0, 2**63 - 1), max_size=30))
def test_lines_are_those_of_python(numbers: list[int]) -> None:
    """Numbers of any length, one among others or all alike, are written as Python writes them."""
    values = np.array(numbers, np.int64)
    expected = "".join(f"+{number}\n" for number in numbers).encode()
    assert lines_of((b"+", values, b"\n"), len(values)) == expected


@pytest.mark.parametrize("digits", range(1, 19))
def test_every_digit_in_every_place(digits: int) -> None:
    """The ends of each length, and each digit in each place."""
    numbers = [10 ** (digits - 1), 10**digits - 1]
    numbers += [digit * 10**place for place in range(digits) for digit in range(10)]
    values = np.array(numbers, np.int64)
    assert lines_of((values, b";"), len(values)).split(b";")[:-1] == [b"%d" % number for number in numbers]


def test_all_numbers_of_four_digits_side_by_side() -> None:
    """Every group of four digits comes out right, on either side of another one."""
    values = np.arange(100_000_000, step=7919, dtype=np.int64)
    assert lines_of((values, b"\n"), len(values)).split() == [b"%d" % number for number in values.tolist()]
    small = np.arange(10_000, dtype=np.int64)
    both = small * 10_000 + small[::-1]
    assert lines_of((both, b"\n"), len(both)).split() == [b"%d" % number for number in both.tolist()]


def test_several_columns() -> None:
    """A line may hold several numbers, and the same text in all lines."""
    first, second = np.array([7, 70]), np.array([123, 9])
    assert lines_of((first, b",+", second, b",a\r\n"), 2) == b"7,+123,a\r\n70,+9,a\r\n"
    assert lines_of((np.array([], np.int64), b"\n"), 0) == b""
    assert lines_of((np.array([7, 70]), b"\0\n"), 2) == b"7\0\n70\0\n"
