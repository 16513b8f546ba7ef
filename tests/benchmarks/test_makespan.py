"""Dispatch keeps the vendor busy with few status calls, whatever way tasks tell their progress."""

from __future__ import annotations

import pytest

from tests.benchmarks.makespan import course, play

CHUNKS = 140


@pytest.mark.parametrize("shape", ["even", "mixed"])
def test_near_the_bound(shape: str) -> None:
    """The makespan is within 3 % of the vendor's own time, with at most 12 status calls a task.

    These are the numbers to keep; the whole job of 10,000 tasks does better, as its begin and end weigh less.
    """
    found = play(shape, 1, CHUNKS)
    assert 0.0 < found.over <= 0.03
    assert 5.0 < found.looks <= 12.0
    assert 0.0 < found.delay_s <= 30.0


@pytest.mark.parametrize("shape", ["even", "blocks", "bursts", "silent"])
def test_courses(shape: str) -> None:
    """A drawn task begins with nothing done, never goes back, and, save for a silent one, has all done at its end."""
    drawn = course(shape, "a seed")
    assert 300.0 < drawn.takes_s < 10_000.0
    shares = [drawn.share(drawn.takes_s * step / 1000) for step in range(1001)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 0.0 if shape == "silent" else 1.0)
    assert drawn == course(shape, "a seed")
