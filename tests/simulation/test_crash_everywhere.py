"""Promise 3 at every point of a small job: killed there, it goes on, to the same master.

Real processes, the system's own failures and lost power are a tier of their own, beside this one: it kills at system
calls and loses what was not synced, which a process that merely stops can't show.
"""

from __future__ import annotations

from functools import cache

import pytest

from orchestrator.errors import ExitCode
from tests.simulation.crashes import KINDS, Place, crash, points

SHARES = 4
"""Each kind's points are dealt out to so many tests, which may run side by side."""
LEAST = {"commit": 25, "committed": 25, "call": 35, "file": 80}
"""Fewer points than these would mean that they are not seen any more."""
FIRST = ("committed", 24)
"""Where the first of two kills falls: one task is at the vendor, one is released, and two are planned."""


@cache
def undisturbed() -> bytes:
    _, operator = crash(("none", 0))
    assert operator.code is ExitCode.DONE
    return operator.master


def survives(*places: Place) -> None:
    """See that after these kills the master is the same, nothing was paid twice, and only what was released is held."""
    story, operator = crash(*places)
    assert operator.struck == len(places), f"{places} were never reached"
    assert operator.master == undisturbed(), f"killed at {places}, the master is another"
    assert story.counts["submitted"] == 4, f"killed at {places}, a chunk went out twice"
    assert operator.doubted == operator.released, f"killed at {places}, other tasks are held than were released"


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_point_costs_nothing(kind: str, share: int) -> None:
    """Killed at the n-th commit, vendor call or file operation, for every n, it loses nothing, and goes on."""
    count = points(kind)
    assert count >= LEAST[kind]
    for nth in range(1 + share, count + 1, SHARES):
        survives((kind, nth))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_while_going_on_costs_nothing(kind: str) -> None:
    """Neither does a second kill in the run that goes on after a first one, here at every fourth point."""
    for nth in range(1, points(kind, FIRST) + 1, 4):
        survives(FIRST, (kind, nth))
