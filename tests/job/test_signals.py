from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from orchestrator.interrupts import Interrupts
from orchestrator.job.signals import handled

if TYPE_CHECKING:
    from collections.abc import Iterator

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


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
        ([(HUP, 0)], ["SIGHUP"], []),
        ([(HUP, 0), (TERM, 1)], ["SIGHUP", "SIGTERM"], []),
        ([(HUP, 0), (HUP, 1)], ["SIGHUP"], [129]),
    ],
)
def test_what_signals_mean(came: list[tuple[signal.Signals, float]], stops: list[str], left: list[int]) -> None:
    """The first stops in good order, a second of the same kind at once; a SIGTERM soon after a SIGINT is neither."""
    stopped: list[str] = []
    codes: list[int] = []
    now = [0.0]
    interrupts = Interrupts(codes.append, lambda: now[0])
    with interrupts.heard_by(lambda kind: stopped.append(kind.name)):
        for kind, at in came:
            now[0] = at
            interrupts.came(kind)
    assert (stopped, codes) == (stops, left)


def test_a_wish_waits_for_one_who_hears() -> None:
    """What came before is heard first, once; what comes in an inner block is heard there."""
    outer: list[signal.Signals] = []
    inner: list[signal.Signals] = []
    interrupts = Interrupts(int, lambda: 0.0)
    interrupts.came(TERM)
    with interrupts.heard_by(outer.append):
        with interrupts.heard_by(inner.append):
            interrupts.came(INT)
        interrupts.came(HUP)
    assert (outer, inner) == ([TERM, HUP], [INT])


@pytest.fixture
def untouched() -> Iterator[None]:
    """Have signals handled as in a new process: what measures coverage has a handler of its own."""
    before = {kind: signal.getsignal(kind) for kind in (INT, TERM, HUP)}
    signal.signal(INT, signal.default_int_handler)
    signal.signal(TERM, signal.SIG_DFL)
    signal.signal(HUP, signal.SIG_DFL)
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.mark.parametrize("kind", [INT, TERM, HUP])
@pytest.mark.usefixtures("untouched")
async def test_a_real_signal(kind: signal.Signals) -> None:
    """It reaches the loop by its name, and the handlers are gone with the block."""
    stopped: asyncio.Queue[str] = asyncio.Queue()
    with handled(stopped.put_nowait):
        os.kill(os.getpid(), kind)
        assert await asyncio.wait_for(stopped.get(), 5) == kind.name
    assert signal.getsignal(TERM) == signal.SIG_DFL
    assert signal.getsignal(HUP) == signal.SIG_DFL
    assert signal.getsignal(INT) == signal.default_int_handler
