from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.intake.digits import lines_of


@given(st.lists(st.integers(0, 10**16 - 1) | st.integers(0, 10**18), max_size=30))
def test_lines_are_those_of_python(numbers: list[int]) -> None:
    """Numbers of any length, one among others or all alike, are written as Python writes them."""
    values = np.array(numbers, np.int64)
    expected = "".join(f"+{number}\n" for number in numbers).encode()
    assert lines_of((b"+", values, b"\n"), len(values)) == expected


@pytest.mark.parametrize("digits", range(1, 18))
def test_every_digit_in_every_place(digits: int) -> None:
    """The ends of each length, and each digit in each place."""
    numbers = [10 ** (digits - 1), 10**digits - 1]
    numbers += [digit * 10**place for place in range(digits) for digit in range(10)]
    values = np.array(numbers, np.int64)
    assert lines_of((values, b";"), len(values)).split(b";")[:-1] == [b"%d" % number for number in numbers]


def test_all_numbers_of_four_digits_side_by_side() -> None:
    """Dividing by multiplication is exact wherever it is used."""
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
