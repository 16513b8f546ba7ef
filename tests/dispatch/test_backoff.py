from __future__ import annotations

import pytest

from orchestrator.dispatch.backoff import ALLOWANCE, Health, delay_s
from orchestrator.settings import BackoffSettings

BACKOFF = BackoffSettings(base_delay_s=1.0, max_delay_s=60.0, give_up_after_s=3600.0)


@pytest.mark.parametrize(
    ("attempt", "draw", "expected_s"),
    [
        (1, 0.0, 0.0),
        (1, 0.5, 0.5),
        (2, 0.5, 1.0),
        (6, 0.5, 16.0),
        (7, 0.5, 30.0),
        (1_000_000, 0.5, 30.0),
        (3, 0.999, 3.996),
    ],
)
def test_delays_double_up_to_the_largest(attempt: int, draw: float, expected_s: float) -> None:
    """The wait is drawn from zero to a ceiling that doubles with each repeat, and has a limit."""
    assert delay_s(attempt, BACKOFF, draw) == pytest.approx(expected_s)


def test_failures_use_up_the_allowance() -> None:
    """Ten failures in a row are borne; then only one call at a time is made, after a pause that is drawn anew."""
    health = Health(BACKOFF)
    for now in range(int(ALLOWANCE) - 1):
        health.failed(float(now), 0.5)
        assert (health.probing, health.not_before) == (False, float("-inf"))
    health.failed(9.0, 0.5)
    assert (health.probing, health.not_before) == (True, 9.0 + 30.0)
    health.failed(39.0, 0.1)
    assert health.not_before == pytest.approx(39.0 + 6.0)


def test_one_success_ends_the_pause_but_not_the_caution() -> None:
    """Half a repeat is granted for each success, so an ailing vendor gets at most that share of repeats."""
    health = Health(BACKOFF)
    for _ in range(20):
        health.failed(0.0, 0.5)
    health.succeeded()
    assert (health.probing, health.not_before) == (True, float("-inf"))
    health.succeeded()
    assert not health.probing
    health.failed(1.0, 0.5)
    assert health.probing


def test_the_allowance_has_a_limit() -> None:
    """A long good time does not grant more repeats than the beginning did."""
    health = Health(BACKOFF)
    for _ in range(1000):
        health.succeeded()
    for _ in range(int(ALLOWANCE)):
        health.failed(0.0, 0.5)
    assert health.probing


@pytest.mark.parametrize("kind", ["failed", "throttled"])
def test_out_of_reach_is_the_time_since_the_first_of_the_failures(kind: str) -> None:
    """Without any success for `give_up_after_s` the vendor is out of reach, also when it only says "too fast"."""
    health = Health(BACKOFF)
    fail = (lambda now: health.failed(now, 0.5)) if kind == "failed" else health.throttled
    assert not health.out_of_reach(1e9)
    fail(100.0)
    fail(3000.0)
    assert not health.out_of_reach(3699.0)
    assert health.out_of_reach(3700.0)
    health.succeeded()
    assert not health.out_of_reach(3700.0)


def test_being_throttled_is_no_failure() -> None:
    """A vendor that finds us too fast is slowed down to, not probed."""
    health = Health(BACKOFF)
    for _ in range(100):
        health.throttled(0.0)
    assert not health.probing
