from __future__ import annotations

import pytest

from orchestrator.dispatch.caution import CONCURRENT_SUBMITS, Caution, Outcome

A, P, R, D = Outcome.ACCEPTED, Outcome.PUT_OFF, Outcome.REFUSED, Outcome.DOUBTED
MANY = CONCURRENT_SUBMITS


@pytest.mark.parametrize(
    ("outcomes", "allowed"),
    [
        ([], 1),
        ([P, P, P, P], 1),
        ([A], MANY),
        ([R], 1),
        ([R, R, D, R, R], 1),
        ([R, A], MANY),
        ([A, R], MANY),
        ([A, R, R], MANY),
        ([A, D], 1),
        ([A, D, P], 1),
        ([A, D, D], 1),
        ([A, D, A], MANY),
        ([A, D, R], MANY),
        ([D], 1),
        ([D, D, A, D, D, A], MANY),
        ([R, R, A, R, R], MANY),
    ],
)
def test_how_many_submits_may_be_on_their_way(outcomes: list[Outcome], allowed: int) -> None:
    """One until the first was accepted, one after a doubt until something clear comes, else many."""
    caution = Caution(canary=False)
    for outcome in outcomes:
        caution.answered(outcome)
    assert caution.allowed() == allowed
    assert caution.stopped == ""


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ([D, D, D], "3 submits in a row are in doubt"),
        ([A, D, P, D, P, D], "3 submits in a row are in doubt"),
        ([R, R, R], "the vendor refused 3 submits in a row"),
        ([A, R, P, R, R], "the vendor refused 3 submits in a row"),
    ],
)
def test_three_in_a_row_stop_the_platform(outcomes: list[Outcome], reason: str) -> None:
    """A put-off says nothing, so it does not break the row; stopped means stopped."""
    caution = Caution(canary=False)
    for outcome in outcomes:
        caution.answered(outcome)
    assert (caution.allowed(), caution.stopped) == (0, reason)
    caution.answered(A)
    assert caution.allowed() == 0


def test_the_canary_is_read_before_the_rest_is_sent() -> None:
    """After the first accepted submit nothing is allowed until a result was read."""
    caution = Caution(canary=True)
    assert caution.allowed() == 1
    caution.answered(P)
    assert (caution.allowed(), caution.awaits_canary) == (1, False)
    caution.answered(A)
    assert (caution.allowed(), caution.awaits_canary) == (0, True)
    caution.result_read()
    assert (caution.allowed(), caution.awaits_canary) == (MANY, False)


def test_a_task_of_an_earlier_run_is_the_canary() -> None:
    """A second run does not send another first task beside one that is at the vendor already."""
    caution = Caution(canary=True)
    caution.submitted_before()
    assert (caution.allowed(), caution.awaits_canary) == (0, True)
    without = Caution(canary=False)
    without.submitted_before()
    assert without.allowed() == 1


def test_a_lost_canary_stops_the_platform() -> None:
    """A first result that came to nothing costs one task, not all; a later loss stops nothing."""
    caution = Caution(canary=True)
    caution.answered(A)
    caution.result_lost()
    assert caution.allowed() == 0
    assert "first result" in caution.stopped
    later = Caution(canary=True)
    later.answered(A)
    later.result_read()
    later.result_lost()
    assert later.allowed() == MANY
