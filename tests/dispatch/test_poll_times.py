from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dispatch.poll_times import Experience, PollProgress, floor_s, learn, next_poll_s, worked_s
from orchestrator.settings import PollingSettings

POLLING = PollingSettings(min_interval_s=5.0, max_interval_s=300.0)
NOTHING = Experience()

SHARE = st.floats(0, 2)
PROGRESS = st.builds(
    PollProgress,
    age_s=st.floats(0, 1e7),
    since_progress_s=st.floats(0, 1e7),
    done=SHARE,
    since=st.tuples(st.floats(0, 1e7), SHARE),
    worked_s=st.none() | st.floats(0, 1e7),
)
EXPERIENCE = st.builds(Experience, typical_s=st.none() | st.floats(0, 1e6), margin=st.floats(-0.5, 1.0))


@dataclass(frozen=True)
class Watched:
    looks: int
    delay_s: float
    polled_s: float
    worked_s: float | None


def watch(takes_s: float, experience: Experience, *, seed: int, rows: int = 20_000) -> Watched:
    """Look at a task until it is exported: it pends for the first 5 % of its time, and packs for the last 5 %."""
    draws = random.Random(seed)  # noqa: S311 - a test's dice
    now = progress_at = 0.0
    said: tuple[str, int] = ("", 0)
    since, last_row_s = (0.0, 0.0), None
    looks, done = 0, 0.0
    while True:
        progress = PollProgress(now, now - progress_at, done, since, last_row_s)
        last_row_s = worked_s(progress)
        since = since if since[1] > 0.0 else (now, done)
        polled_s = now
        now += next_poll_s(progress, experience, POLLING, floor_s=0.0, draw=draws.random())
        looks += 1
        if now >= takes_s:
            return Watched(looks, now - takes_s, polled_s, last_row_s)
        done = min(1.0, max(0.0, (now / takes_s - 0.05) / 0.9))
        if said != (said := ("processing" if done else "pending", int(done * rows))):
            progress_at = now


@pytest.mark.parametrize(
    ("progress", "typical_s", "expected_s"),
    [
        (PollProgress(0, 0, 0.0), None, 5.0),  # just submitted, nothing known
        (PollProgress(40, 0, 0.0), None, 40.0),
        (PollProgress(40, 0, 0.0), 0.0, 40.0),
        (PollProgress(0, 0, 0.0), 100.0, 55.0),  # others took 100 s, some less
        (PollProgress(0, 0, 0.0), 1740.0, 300.0),
        (PollProgress(600, 500, 0.0), 1000.0, 75.0),  # it tells nothing, and few end so early
        (PollProgress(1000, 900, 0.0), 1000.0, 45.0),  # neither does its standing still tell anything
        (PollProgress(1500, 1400, 0.0), 1000.0, 45.0),
        (PollProgress(2000, 1900, 0.0), 1000.0, 95.0),  # but that it is late does
        (PollProgress(100, 0, 0.5), 1.0, 95.0),  # its own progress counts more than that of others
        (PollProgress(100, 0, 0.8), None, 23.75),
        (PollProgress(400, 0, 0.6, (200, 0.2)), None, 190.0),  # of its age it spent the half in a queue
        (PollProgress(400, 0, 0.2, (200, 0.2)), None, 300.0),  # it stood still since
        (PollProgress(5, 0, 0.001), None, 9.5),  # a first progress is not believed too far ahead
        (PollProgress(1000, 0, 0.98), None, 20.4),  # near the end it is the end that is aimed at
        (PollProgress(2000, 0, 0.999), None, 20.0),  # but a look is worth 1 % of its age
        (PollProgress(2000, 0, 1.4), None, 20.0),  # more successes than rows
        (PollProgress(1000, 400, 1.0), None, 100.0),
        (PollProgress(1000, 4000, 1.0), None, 300.0),
    ],
)
def test_next_look(progress: PollProgress, typical_s: float | None, expected_s: float) -> None:
    """It aims at the end, from the task's own progress, from what others took, or from the task's age."""
    wait_s = next_poll_s(progress, Experience(typical_s), POLLING, floor_s=0.0, draw=0.5)
    assert wait_s == pytest.approx(expected_s, abs=0.01)


def test_the_export_is_expected_behind_the_last_row() -> None:
    """How far behind, other tasks have taught; once all rows are done, it is reckoned from when that was expected."""
    taught = Experience(1000.0, margin=0.03)
    before = PollProgress(980, 0, 0.98)
    assert worked_s(before) == pytest.approx(1000.0)
    assert next_poll_s(before, taught, POLLING, floor_s=0.0, draw=0.5) == pytest.approx(50.0)
    after = PollProgress(1010, 0, 1.0, (500, 0.5), worked_s=1000.0)
    assert worked_s(after) == 1000.0
    assert next_poll_s(after, taught, POLLING, floor_s=0.0, draw=0.5) == pytest.approx(20.0)
    assert worked_s(PollProgress(990, 0, 1.0, (500, 0.5), worked_s=1000.0)) == 990.0


@given(progress=PROGRESS, experience=EXPERIENCE, draw=st.floats(0, 1, exclude_max=True), floor=st.floats(0, 200))
def test_looks_stay_between_the_intervals(
    progress: PollProgress, experience: Experience, draw: float, floor: float
) -> None:
    """No look comes before the shorter interval or what the pace bears, or after the longer one."""
    wait_s = next_poll_s(progress, experience, POLLING, floor_s=floor, draw=draw)
    assert max(5.0, floor) <= wait_s <= 300.0


def test_a_pace_that_bears_less_counts_more_than_the_longer_interval() -> None:
    """With very many tasks at the vendor, looks are as rare as the pace makes them."""
    assert next_poll_s(PollProgress(10, 0, 0.5), NOTHING, POLLING, floor_s=1000.0, draw=0.5) == 1000.0


@given(
    age=st.floats(1, 1e5),
    done=st.floats(0.001, 1),
    more=st.floats(0, 1),
    still=st.floats(0, 1e5),
    longer=st.floats(0, 1e5),
)
def test_monotone(age: float, done: float, more: float, still: float, longer: float) -> None:
    """The further a task is, the sooner the next look; the longer it stood still, the later."""

    def wait_s(since_progress_s: float, share: float) -> float:
        return next_poll_s(PollProgress(age, since_progress_s, share), NOTHING, POLLING, floor_s=0.0, draw=0.5)

    assert wait_s(still, min(1.0, done + more)) <= wait_s(still, done) + 1e-9
    assert wait_s(still + longer, done) >= wait_s(still, done) - 1e-9


def test_looks_are_spread() -> None:
    """Tasks that were submitted together are not looked at together: a tenth of the wait is drawn."""
    waits = [
        next_poll_s(PollProgress(100, 0, 0.5), NOTHING, POLLING, floor_s=0.0, draw=draw) for draw in (0.0, 0.5, 0.999)
    ]
    assert waits == pytest.approx([90.25, 95.0, 99.74], abs=0.01)


@pytest.mark.parametrize("seed", range(20))
def test_the_example_of_the_vendor_needs_few_looks(seed: int) -> None:
    """A task of 29 minutes is looked at about eight times, and its export is seen within 3 % of its time."""
    first = watch(1740.0, NOTHING, seed=seed)
    later = watch(1740.0, Experience(1740.0, 0.05), seed=seed)
    assert first.looks <= 18
    assert later.looks <= 9
    assert max(first.delay_s, later.delay_s) <= 0.03 * 1740.0


@pytest.mark.parametrize("share", [0.75, 0.9, 1.0, 1.1, 1.25])
@pytest.mark.parametrize("takes_s", [20.0, 100.0, 1740.0, 3600.0])
def test_tasks_that_vary(takes_s: float, share: float) -> None:
    """Tasks around what is typical cost few looks, and their export is seen within a tenth of their time."""
    watched = [watch(takes_s * share, Experience(takes_s, 0.05), seed=seed) for seed in range(20)]
    assert sum(one.looks for one in watched) / 20 <= 4 + takes_s / 300.0 + 3
    assert sum(one.delay_s for one in watched) / 20 <= max(5.0, 0.1 * takes_s * share)


def test_a_task_that_stands_still_is_looked_at_ever_more_rarely() -> None:
    """The waits grow up to the longer interval, whatever its last progress was."""
    now, waits = 100.0, []
    while now < 5000.0:
        progress = PollProgress(now, now - 100.0, 0.99, (50.0, 0.5))
        waits.append(next_poll_s(progress, NOTHING, POLLING, floor_s=0.0, draw=0.5))
        now += waits[-1]
    assert waits == sorted(waits)
    assert waits[0] == 5.0
    assert waits[-1] == 300.0


def test_a_task_that_tells_nothing_is_looked_at_most_often_when_others_end() -> None:
    """Looks come closer together until its usual end, and stand ever farther apart once it is late."""
    now, waits = 0.0, list[tuple[float, float]]()
    while now < 10_000.0:
        wait_s = next_poll_s(PollProgress(now, now, 0.0), Experience(1000.0), POLLING, floor_s=0.0, draw=0.5)
        waits.append((now, wait_s))
        now += wait_s
    before = [wait_s for at_s, wait_s in waits if 550.0 <= at_s < 1000.0]
    after = [wait_s for at_s, wait_s in waits if at_s >= 1000.0]
    assert before == sorted(before, reverse=True)
    assert before[0] > 80.0
    assert after == sorted(after)
    assert (after[0], after[-1]) == (45.0, 300.0)


def test_looks_take_half_of_the_pace_at_most() -> None:
    """40 tasks at 5 requests a second: one look each in 16 s leaves half of the requests for submits."""
    assert floor_s(40, 0.2) == pytest.approx(16.0)
    assert floor_s(40, 0.0) == 0.0


def test_what_is_typical_is_learnt_slowly() -> None:
    """The first task is all that is known; every later one moves it by a tenth. The truth lies between two looks."""
    first = learn(NOTHING, polled_s=90.0, seen_s=110.0, worked_s=None)
    assert first == Experience(100.0)
    assert learn(first, polled_s=180.0, seen_s=220.0, worked_s=None).typical_s == pytest.approx(110.0)


@pytest.mark.parametrize(
    ("polled_s", "seen_s", "sign"),
    [
        (900.0, 1010.0, -1),  # exported before the aim at 1020
        (1030.0, 1050.0, 1),  # or behind it
        (1000.0, 1040.0, 0),  # nobody knows
    ],
)
def test_the_margin_follows_how_often_the_aim_was_late_enough(polled_s: float, seen_s: float, sign: int) -> None:
    """It shrinks when the export came before the aim, and grows when it came behind, by as little each time."""
    margin = learn(Experience(1000.0, 0.02), polled_s=polled_s, seen_s=seen_s, worked_s=1000.0).margin
    assert margin == pytest.approx(0.02 + sign * 0.001)


@pytest.mark.parametrize("margin", [-0.05, 0.0, 0.2])
def test_the_margin_finds_the_export(margin: float) -> None:
    """Wherever it began, after some tasks looks come just behind the export, and few are needed."""
    experience = Experience(1740.0, margin)
    chance = random.Random(1)  # noqa: S311 - a test's dice
    watched = []
    for seed in range(300):
        takes_s = 1740.0 * chance.uniform(0.7, 1.3)
        one = watch(takes_s, experience, seed=seed)
        watched.append(one)
        seen_s = takes_s + one.delay_s
        experience = learn(experience, polled_s=one.polled_s, seen_s=seen_s, worked_s=one.worked_s)
    assert sum(one.delay_s for one in watched[-100:]) / 100 <= 0.01 * 1740.0
    assert sum(one.looks for one in watched[-100:]) / 100 <= 8.0
    assert experience.margin == pytest.approx(0.05, abs=0.01)
