"""The schedule and the pure rules alone, tens of thousands of seeds of them."""

from __future__ import annotations

import pytest

from orchestrator.dispatch.caution import Caution
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.platform_run import PlatformRun
from orchestrator.dispatch.polling import Poller
from orchestrator.vendor_api.client import Leave
from tests.simulation.checks import BrokenPromiseError
from tests.simulation.fast import play_fast

SEEDS = 20_000
A_BATCH = 2_500


@pytest.mark.parametrize("first", range(0, SEEDS, A_BATCH))
def test_the_rules_hold(first: int) -> None:
    """Whatever happens in whatever order: no spin, no starvation, never more than allowed, and an end."""
    for seed in range(first, first + A_BATCH):
        play_fast(seed)


def test_a_seed_is_repeatable() -> None:
    """A seed gives the same course every time."""
    assert [play_fast(seed) for seed in range(40)] == [play_fast(seed) for seed in range(40)]


def _reckless(caution: Caution) -> int:
    return 0 if caution.stopped else 8


def _stubborn(_: Caution) -> int:
    return 1


async def _believing(_: Poller, platform: PlatformRun, leave: Leave) -> None:
    await leave()
    platform.vendor.has_answered = True


def _greedy(platform: PlatformRun, now: float) -> float:
    return now if platform.upcoming and platform.submits.may_begin() else float("inf")


@pytest.mark.parametrize(
    ("where", "name", "what", "why"),
    [
        (Caution, "allowed", _reckless, "not alone|beside another|unread canary"),
        (Caution, "allowed", _stubborn, "after the third|unread canary|in doubt|came to nothing"),
        (Caution, "_judge", lambda _: None, "after the third|in doubt|came to nothing|not all sent"),
        (Poller, "ask", _believing, "before the vendor has answered"),
        (PlatformRun, "submit_at", _greedy, "tasks at the vendor|said stop|after the third|not all sent"),
        (Pace, "sent", lambda *_: None, "two requests within"),
    ],
)
def test_a_broken_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, where: type, name: str, what: object, why: str
) -> None:
    """Each rule that is taken out makes some seed fail, for that reason."""
    monkeypatch.setattr(where, name, what)
    with pytest.raises(BrokenPromiseError, match=why):
        list(map(play_fast, range(2_000)))
