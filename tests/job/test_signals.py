from __future__ import annotations

import asyncio
import os
import signal

import pytest

from orchestrator.job.signals import Interrupts, handled

INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.mark.parametrize(
    ("came", "stops", "left"),
    [
        ([(INT, 0)], ["SIGINT"], []),
        ([(TERM, 0)], ["SIGTERM"], []),
        ([(INT, 0), (INT, 1)], ["SIGINT"], [130]),
        ([(INT, 0), (INT, 3600)], ["SIGINT"], [130]),
        ([(TERM, 0), (TERM, 1)], ["SIGTERM"], [143]),
        ([(INT, 0), (TERM, 7.5)], ["SIGINT"], []),  # a CI system that cancels a job
        ([(INT, 0), (TERM, 14.9), (INT, 14.95)], ["SIGINT"], [130]),
        ([(INT, 0), (TERM, 15.0)], ["SIGINT", "SIGTERM"], []),
        ([(INT, 0), (TERM, 15.0), (TERM, 40.0)], ["SIGINT", "SIGTERM"], [143]),
        ([(TERM, 0), (INT, 1)], ["SIGTERM", "SIGINT"], []),
        ([(TERM, 0), (INT, 1), (TERM, 2)], ["SIGTERM", "SIGINT"], []),
        ([(TERM, 0), (INT, 1), (TERM, 17)], ["SIGTERM", "SIGINT"], [143]),
    ],
)
def test_what_signals_mean(came: list[tuple[signal.Signals, float]], stops: list[str], left: list[int]) -> None:
    """The first stops in good order, a second of the same kind at once; a SIGTERM soon after a SIGINT is neither."""
    stopped: list[str] = []
    codes: list[int] = []
    now = [0.0]
    interrupts = Interrupts(stopped.append, codes.append, lambda: now[0])
    for kind, at in came:
        now[0] = at
        interrupts.came(kind)
    assert (stopped, codes) == (stops, left)


@pytest.mark.parametrize("kind", [INT, TERM])
async def test_a_real_signal(kind: signal.Signals) -> None:
    """It reaches the loop by its name, and the handlers are gone with the block."""
    before = {kind: signal.getsignal(kind) for kind in (INT, TERM)}
    stopped: asyncio.Queue[str] = asyncio.Queue()
    with handled(stopped.put_nowait):
        os.kill(os.getpid(), kind)
        assert await asyncio.wait_for(stopped.get(), 5) == kind.name
    assert signal.getsignal(TERM) == before[TERM] == signal.SIG_DFL
    assert signal.getsignal(INT) == signal.default_int_handler
