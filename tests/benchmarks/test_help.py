"""`orchestrator --help` starts as fast as was recorded, or at least half as fast."""

from __future__ import annotations

from tests.benchmarks.recorded import START_UP
from tests.benchmarks.rows import help_turns

TURNS = 5


def test_ratio() -> None:
    """Beside a Python that imports click and nothing else, by processor time, the best of some turns each."""
    ours, bare = help_turns(TURNS)
    ratio = min(taken.cpu_s for taken in bare) / min(taken.cpu_s for taken in ours)
    assert ratio >= START_UP / 2, round(ratio, 2)
