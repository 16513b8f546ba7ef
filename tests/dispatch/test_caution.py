from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from orchestrator.dispatch.caution import ANSWER_MARGIN, DOUBTS, USUAL_ANSWER_S, Caution, PlatformStop, SubmitOutcome
from orchestrator.records import LastingCaution

A, P, R, D = SubmitOutcome.ACCEPTED, SubmitOutcome.PUT_OFF, SubmitOutcome.REFUSED, SubmitOutcome.DOUBTED
READ = LastingCaution(unread=False)


def caution(*outcomes: SubmitOutcome, lasting: LastingCaution = READ, canary: bool = True, waiting: int = 0) -> Caution:
    """Return the caution of a platform whose first result was read, after some submits."""
    found = Caution(lasting, canary=canary, waiting=waiting)
    for outcome in outcomes:
        found.submit_ended(outcome)
    return found


@pytest.mark.parametrize(
    ("outcomes", "allowed"),
    [
        ([], 1),
        ([P, P, P, P], 1),
        ([A], 3),
        ([R], 1),
        ([R, R, D, R, R], 1),
        ([R, A], 3),
        ([A, R], 3),
        ([A, R, R], 3),
        ([A, D], 1),
        ([A, D, P], 1),
        ([A, D, D], 1),
        ([A, D, A], 2),
        ([A, D, R], 2),
        ([D], 1),
        ([D, D, A], 1),
        ([R, R, A, R, R], 3),
    ],
)
def test_how_many_submits_may_be_on_their_way(outcomes: list[SubmitOutcome], allowed: int) -> None:
    """One until the first was accepted, one after a doubt until something clear comes, else as many as may be lost."""
    found = caution(*outcomes)
    assert found.allowed() == allowed
    assert found.stopped is None


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ([D, D, D], PlatformStop.DOUBTS),
        ([A, D, P, D, P, D], PlatformStop.DOUBTS),
        ([A, D, A, A, D, A, R, D], PlatformStop.DOUBTS),  # not in a row: none of them has been decided
        ([R, R, R], PlatformStop.REFUSALS),
        ([A, R, P, R, R], PlatformStop.REFUSALS),
    ],
)
def test_three_stop_the_platform(outcomes: list[SubmitOutcome], reason: PlatformStop) -> None:
    """A put-off says nothing, so it does not break a row; stopped means stopped."""
    found = caution(*outcomes)
    assert (found.allowed(), found.stopped) == (0, reason)
    found.submit_ended(A)
    assert found.allowed() == 0


def test_never_more_on_their_way_than_doubts_may_come() -> None:
    """Whatever comes, in whatever order: those on their way and those that wait are three at most, also over runs."""
    chance = random.Random(1)  # noqa: S311 - the same course every time
    for _ in range(2_000):
        waiting, lasting = 0, READ
        for _ in range(4):
            found = caution(lasting=lasting, waiting=waiting)
            on_their_way = 0
            for _ in range(chance.randrange(30)):
                if on_their_way < found.allowed() and chance.random() < 0.7:
                    on_their_way += 1
                    assert on_their_way + waiting <= DOUBTS
                elif on_their_way:
                    outcome = chance.choice((A, A, P, R, D))
                    found.submit_ended(outcome)
                    on_their_way -= 1
                    waiting += outcome is D
            waiting += on_their_way  # the process is killed
            assert waiting <= DOUBTS
            waiting = chance.choice((waiting, waiting, 0))  # somebody decides
            lasting = found.lasting


@pytest.mark.parametrize(
    ("lasting", "waiting", "stopped"),
    [
        (READ, 2, None),
        (READ, 3, PlatformStop.DOUBTS),
        (replace(READ, refusals=2), 0, None),
        (replace(READ, refusals=3), 0, PlatformStop.REFUSALS),
        (replace(READ, losses=2), 0, None),
        (replace(READ, losses=3), 0, PlatformStop.LOSSES),
        (LastingCaution(), 0, None),
        (LastingCaution(losses=1), 0, PlatformStop.CANARY),
    ],
)
def test_a_platform_stays_stopped_in_the_next_run(
    lasting: LastingCaution, waiting: int, stopped: PlatformStop | None
) -> None:
    """What the ledger knows is enough: nothing has to happen in this run."""
    found = caution(lasting=lasting, waiting=waiting)
    assert found.stopped is stopped
    assert found.allowed() == (0 if stopped else 1)


def test_what_is_to_be_saved() -> None:
    """Each change is told once, and what is back as it was is not told."""
    found = caution()
    assert found.unsaved() is None
    found.submit_ended(R)
    assert found.unsaved() == replace(READ, refusals=1)
    assert found.unsaved() is None
    found.submit_ended(R)
    found.submit_ended(A)
    assert found.unsaved() == READ


def test_the_canary_is_read_before_the_rest_is_sent() -> None:
    """After the first accepted submit nothing is allowed until a result was read."""
    found = caution(lasting=LastingCaution())
    assert found.allowed() == 1
    found.submit_ended(P)
    assert (found.allowed(), found.awaits_canary) == (1, False)
    found.submit_ended(A)
    assert (found.allowed(), found.awaits_canary) == (0, True)
    found.result_read(1.0)
    assert (found.allowed(), found.awaits_canary) == (3, False)
    assert found.lasting == READ


def test_a_task_of_an_earlier_run_is_the_canary() -> None:
    """A second run does not send another first task beside one that is at the vendor already."""
    found = caution(lasting=LastingCaution())
    found.submitted_before()
    assert (found.allowed(), found.awaits_canary) == (0, True)
    found.result_read(1.0)
    assert found.allowed() == 1  # the first submit of this run is awaited alone
    without = caution(lasting=LastingCaution(), canary=False)
    without.submitted_before()
    assert without.allowed() == 1


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.89])
def test_a_first_result_that_says_too_little(share: float) -> None:
    """It answers for less than nearly all of its numbers: the rest is not sent, in this run and in the next."""
    found = caution(A, lasting=LastingCaution())
    found.result_read(share)
    assert (found.allowed(), found.stopped) == (0, PlatformStop.CANARY)
    assert caution(lasting=found.lasting).stopped is PlatformStop.CANARY
    assert caution(lasting=found.lasting, canary=False).stopped is None  # a decision: send the rest all the same


def test_a_first_result_that_lacks_a_few_numbers() -> None:
    """A vendor drops some numbers of any list: that is no reason to stop."""
    found = caution(A, lasting=LastingCaution())
    found.result_read(0.9)
    assert (found.allowed(), found.stopped) == (3, None)


def test_a_first_task_that_came_to_nothing_or_is_held() -> None:
    """It costs one task, not all; a later one stops nothing."""
    lost, held, later = (
        caution(A, lasting=LastingCaution()),
        caution(A, lasting=LastingCaution()),
        caution(A, lasting=LastingCaution()),
    )
    lost.result_lost()
    assert (lost.allowed(), lost.stopped) == (0, PlatformStop.CANARY)
    held.result_held()
    assert (held.allowed(), held.stopped) == (0, PlatformStop.STALLED)
    later.result_read(1.0)
    later.result_lost()
    later.result_held()
    assert later.allowed() == 3


@pytest.mark.parametrize("results", list(itertools.product((0.0, 0.09, None), repeat=3)))
def test_three_results_in_a_row_that_come_to_nothing(results: tuple[float | None, ...]) -> None:
    """Hardly a verdict is as good as none; the platform stays stopped, whatever was still on its way."""
    found = caution(A)
    for share in results:
        assert found.stopped is None
        found.result_lost() if share is None else found.result_read(share)
    found.result_read(1.0)
    assert (found.stopped, caution(lasting=found.lasting).stopped) == (PlatformStop.LOSSES, PlatformStop.LOSSES)


def test_results_that_break_the_row() -> None:
    """A result with verdicts begins the count anew; half of them are verdicts enough, once a first result was read."""
    found = caution(A)
    for share in (0.0, 0.0, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0):
        found.result_read(share)
    assert found.stopped is None


def test_results_that_may_come_to_nothing_are_waited_for() -> None:
    """Enough of them to stop the platform, and nothing is sent until it is known."""
    found = caution(A)
    found.result_lost()
    for suspects, allowed in ((1, 3), (2, 0), (0, 3)):
        found.suspects = suspects
        assert (found.allowed(), found.stopped) == (allowed, None)


def test_how_long_an_answer_may_take() -> None:
    """By the slowest so far, of this run or the last; before any is known, by a guess."""
    assert caution().answer_s == USUAL_ANSWER_S
    found = caution(lasting=replace(READ, slowest_s=6.0))
    assert found.answer_s == 6.0 * ANSWER_MARGIN
    found.answer_took(2.0)
    assert found.answer_s == 6.0 * ANSWER_MARGIN
    assert found.lasting.slowest_s == 2.0  # an outlier does not hold for ever
    found.answer_took(9.0)
    found.answer_took(1.0)
    assert (found.answer_s, found.lasting.slowest_s) == (9.0 * ANSWER_MARGIN, 9.0)
