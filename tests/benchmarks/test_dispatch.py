"""A task costs us no more beside bare `aiohttp` than was recorded, or at most twice of it."""

from __future__ import annotations

from tests.benchmarks.recorded import DISPATCH
from tests.benchmarks.rows import dispatched

FEW, MANY = 20, 620


def test_ratio() -> None:
    """By processor time of the client process, for each further task, with the same results on both sides.

    What a run costs however many tasks it has, start-up above all, is the difference to a run with few of them.
    """
    few, many = dispatched(FEW), dispatched(MANY)
    ratio = (many.bare.cpu_s - few.bare.cpu_s) / (many.whole.cpu_s - few.whole.cpu_s)
    assert ratio >= DISPATCH / 2, round(ratio, 2)
