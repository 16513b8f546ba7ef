from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dispatch.polling import Progress, floor_s, learn, next_look_s
from orchestrator.settings import PollingSettings

POLLING = PollingSettings(min_interval_s=5.0, max_interval_s=300.0)

PROGRESS = st.builds(
    Progress,
    age_s=st.floats(0, 1e7),
    since_progress_s=st.floats(0, 1e7),
    done=st.floats(0, 2),
    typical_s=st.none() | st.floats(0, 1e6),
)


@dataclass(frozen=True)
class Watched:
    looks: int
    delay_s: float


def watch(takes_s: float, *, typical_s: float | None, seed: int, rows: int = 20_000) -> Watched:
    """Look at a task until it is exported: it pends for the first 5 % of its time, and packs for the last 5 %."""
    draws = random.Random(seed)  # noqa: S311 - a test's dice
    now = progress_at = 0.0
    said: tuple[str, int] = ("", 0)
    looks, done = 0, 0.0
    while True:
        progress = Progress(now, now - progress_at, done, typical_s)
        now += next_look_s(progress, POLLING, floor_s=0.0, draw=draws.random())
        looks += 1
        if now >= takes_s:
            return Watched(looks, now - takes_s)
        done = min(1.0, max(0.0, (now / takes_s - 0.05) / 0.9))
        if said != (said := ("processing" if done else "pending", int(done * rows))):
            progress_at = now


@pytest.mark.parametrize(
    ("progress", "expected_s"),
    [
        (Progress(0, 0, 0.0, None), 5.0),  # just submitted, nothing known
        (Progress(0, 0, 0.0, 100.0), 75.0),  # others took 100 s, some less
        (Progress(0, 0, 0.0, 1740.0), 300.0),
        (Progress(60, 0, 0.0, 100.0), 15.0),
        (Progress(40, 0, 0.0, None), 40.0),
        (Progress(100, 0, 0.5, 1.0), 100.0),  # its own progress counts more than that of others
        (Progress(100, 0, 0.8, None), 25.0),
        (Progress(5, 0, 0.001, None), 10.0),  # a first progress is not believed too far ahead
        (Progress(1000, 0, 0.999, None), 20.0),  # at the end: 2 % of its age
        (Progress(1000, 0, 1.4, None), 20.0),  # more successes than rows
        (Progress(1000, 400, 1.0, None), 100.0),
        (Progress(1000, 4000, 1.0, None), 300.0),
    ],
)
def test_next_look(progress: Progress, expected_s: float) -> None:
    """It aims at the end, from the task's own progress, from what others took, or from the task's age."""
    assert next_look_s(progress, POLLING, floor_s=0.0, draw=0.5) == pytest.approx(expected_s)


@given(progress=PROGRESS, draw=st.floats(0, 1, exclude_max=True), floor=st.floats(0, 200))
def test_looks_stay_between_the_intervals(progress: Progress, draw: float, floor: float) -> None:
    """No look comes before the shorter interval or what the pace bears, or after the longer one."""
    wait_s = next_look_s(progress, POLLING, floor_s=floor, draw=draw)
    assert max(5.0, floor) <= wait_s <= 300.0


def test_a_pace_that_bears_less_counts_more_than_the_longer_interval() -> None:
    """With very many tasks at the vendor, looks are as rare as the pace makes them."""
    assert next_look_s(Progress(10, 0, 0.5, None), POLLING, floor_s=1000.0, draw=0.5) == 1000.0


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
        return next_look_s(Progress(age, since_progress_s, share, None), POLLING, floor_s=0.0, draw=0.5)

    assert wait_s(still, min(1.0, done + more)) <= wait_s(still, done) + 1e-9
    assert wait_s(still + longer, done) >= wait_s(still, done) - 1e-9


def test_looks_are_spread() -> None:
    """Tasks that were submitted together are not looked at together: a tenth of the wait is drawn."""
    waits = [next_look_s(Progress(100, 0, 0.5, None), POLLING, floor_s=0.0, draw=draw) for draw in (0.0, 0.5, 0.999)]
    assert waits == pytest.approx([95.0, 100.0, 104.99])


@pytest.mark.parametrize("seed", range(20))
def test_the_example_of_the_vendor_needs_few_looks(seed: int) -> None:
    """A task of 29 minutes is looked at about ten times, and its export is seen within 3 % of its time."""
    first = watch(1740.0, typical_s=None, seed=seed)
    later = watch(1740.0, typical_s=1740.0, seed=seed)
    assert first.looks <= 15
    assert later.looks <= 10
    assert max(first.delay_s, later.delay_s) <= 0.03 * 1740.0


@pytest.mark.parametrize("share", [0.75, 0.9, 1.0, 1.1, 1.25])
@pytest.mark.parametrize("takes_s", [20.0, 100.0, 1740.0, 3600.0])
def test_tasks_that_vary(takes_s: float, share: float) -> None:
    """Tasks around what is typical cost few looks, and their export is seen within a tenth of their time."""
    watched = [watch(takes_s * share, typical_s=takes_s, seed=seed) for seed in range(20)]
    assert sum(one.looks for one in watched) / 20 <= 4 + takes_s / 300.0 + 3
    assert sum(one.delay_s for one in watched) / 20 <= max(5.0, 0.1 * takes_s * share)


def test_a_task_that_stands_still_is_looked_at_ever_more_rarely() -> None:
    """The waits grow up to the longer interval, whatever its last progress was."""
    now, waits = 100.0, []
    while now < 5000.0:
        waits.append(next_look_s(Progress(now, now - 100.0, 0.99, None), POLLING, floor_s=0.0, draw=0.5))
        now += waits[-1]
    assert waits == sorted(waits)
    assert waits[0] == 5.0
    assert waits[-1] == 300.0


def test_looks_take_half_of_the_pace_at_most() -> None:
    """40 tasks at 5 requests a second: one look each in 16 s leaves half of the requests for submits."""
    assert floor_s(40, 0.2) == pytest.approx(16.0)
    assert floor_s(40, 0.0) == 0.0


def test_what_is_typical_is_learnt_slowly() -> None:
    """The first task is all that is known; every later one moves it by a fifth."""
    assert learn(None, 100.0) == 100.0
    assert learn(100.0, 200.0) == pytest.approx(120.0)
