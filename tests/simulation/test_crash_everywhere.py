"""Promise 3 at every point of a small job: killed there, it goes on, to the same master.

Real processes, the system's own failures and lost power are a tier of their own, beside this one: it kills at system
calls and loses what was not synced, which a process that merely stops can't show.
"""

from __future__ import annotations

from functools import cache

import pytest

from orchestrator.errors import ExitCode
from tests.simulation.crashes import KINDS, crash, points

SHARES = 4
"""Each kind's points are dealt out to so many tests, which may run side by side."""
LEAST = {"commit": 25, "committed": 25, "call": 35, "file": 60}
"""Fewer points than these would mean that they are not seen any more."""


@cache
def undisturbed() -> bytes:
    _, operator = crash("none", 0)
    assert operator.code is ExitCode.DONE
    return operator.master


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_point_costs_nothing(kind: str, share: int) -> None:
    """Killed at the n-th commit, vendor call or file operation, for every n: the same master, nothing paid twice."""
    count = points(kind)
    assert count >= LEAST[kind]
    for nth in range(1 + share, count + 1, SHARES):
        story, operator = crash(kind, nth)
        assert operator.struck, f"{kind} {nth} was never reached"
        assert operator.master == undisturbed(), f"killed at {kind} {nth}, the master is another"
        assert story.counts["submitted"] == 4, f"killed at {kind} {nth}, a chunk went out twice"


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_was_released_is_held(kind: str) -> None:
    """A task needs a decision only when the kill fell between its release and the record of its answer."""
    for nth in range(1, points(kind) + 1, 3):
        _, operator = crash(kind, nth)
        for key, history in operator.histories().items():
            for at, event in enumerate(history):
                assert event != "doubt" or history[at - 1] == "release", f"killed at {kind} {nth}: {key} {history}"
