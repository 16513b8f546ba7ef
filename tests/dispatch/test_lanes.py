from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from orchestrator.dispatch.caution import Outcome
from orchestrator.dispatch.lanes import DueQueue, Lane, Watch
from orchestrator.dispatch.pace import Pace
from orchestrator.ledger import Task
from orchestrator.tasks import State, TaskKey

pytestmark = pytest.mark.looptime

MakeLane = Callable[..., Lane]


def planned(chunk: int) -> Task:
    return Task(TaskKey("instagram", chunk), State.PLANNED, 3, "", None, 0, None, None, 0, 0, "")


def test_the_earliest_comes_first_and_equals_in_order() -> None:
    """A queue of things that become due compares times only, never the things."""
    queue: DueQueue[object] = DueQueue()
    assert (len(queue), queue.next_at) == (0, math.inf)
    late, early, second = object(), object(), object()
    queue.put(late, 2.0)
    queue.put(early, 1.0)
    queue.put(second, 1.0)
    assert (len(queue), queue.next_at) == (3, 1.0)
    assert [queue.pop(), queue.pop(), queue.pop()] == [early, second, late]


async def test_what_was_put_off_and_is_due_goes_before_the_next(make_lane: MakeLane) -> None:
    """A task that waits for its repeat lets others pass, and goes first once it is due."""
    lane = make_lane()
    lane.upcoming.extend([planned(2), planned(3)])
    lane.again.put(planned(1), 5.0)
    assert lane.submit_at(4.0) == 4.0
    assert lane.next_task(4.0).key.chunk == 2
    assert lane.next_task(5.0).key.chunk == 1
    assert lane.next_task(5.0).key.chunk == 3
    assert lane.submit_at(5.0) == math.inf


async def test_only_a_repeat_is_left(make_lane: MakeLane) -> None:
    """With nothing else to send, the next submit is when the repeat is due."""
    lane = make_lane()
    lane.again.put(planned(1), 5.0)
    assert lane.submit_at(1.0) == 5.0
    assert not lane.drained


@pytest.mark.parametrize(
    ("at_vendor", "submitting", "at"), [(0, 0, 1.0), (1, 1, 1.0), (3, 0, math.inf), (2, 1, math.inf)]
)
async def test_what_is_on_its_way_counts_for_the_limit(
    make_lane: MakeLane, at_vendor: int, submitting: int, at: float
) -> None:
    """`max_in_flight` holds for the tasks at the vendor and the submits on their way together."""
    lane = make_lane(max_in_flight=3)
    lane.caution.answered(Outcome.ACCEPTED)
    lane.upcoming.append(planned(1))
    lane.at_vendor, lane.submits.count = at_vendor, submitting
    assert lane.submit_at(1.0) == at


@pytest.mark.parametrize("why", ["over budget", "caution", "denied"])
async def test_blocked(make_lane: MakeLane, why: str) -> None:
    """A lane that can't submit any more in this run wants no tasks and counts as drained."""
    lane = make_lane()
    lane.upcoming.append(planned(1))
    if why == "over budget":
        lane.over_budget = True
    elif why == "denied":
        lane.side.denied = "no money"
    else:
        for _ in range(3):
            lane.caution.answered(Outcome.DOUBTED)
    assert lane.blocked
    assert (lane.submit_at(1.0), lane.drained, lane.wants_tasks) == (math.inf, True, False)


async def test_a_window_is_filled_when_it_is_empty(make_lane: MakeLane) -> None:
    """The ledger is asked for more only while it may have some."""
    lane = make_lane()
    found = [lane.wants_tasks]
    lane.upcoming.append(planned(1))
    found.append(lane.wants_tasks)
    lane.upcoming.clear()
    lane.exhausted = True
    found.append(lane.wants_tasks)
    assert found == [True, False, False]
    assert lane.drained


async def test_a_vendor_that_is_probed_takes_one_call_at_a_time(make_lane: MakeLane) -> None:
    """While one call is on its way, only its end tells when the next may begin."""
    side = make_lane().side
    assert side.callable_at(1.0) == 1.0
    for _ in range(10):
        side.health.failed(1.0, 0.5)
    assert side.callable_at(1.0) == 1.0 + 30.0
    assert side.callable_at(50.0) == 50.0
    side.calls = 1
    assert side.callable_at(50.0) == math.inf
    side.calls = 0
    side.unreachable = True
    assert side.callable_at(50.0) == math.inf


async def test_the_slower_pace_decides_how_often_tasks_are_looked_at(make_lane: MakeLane) -> None:
    """The floor follows the platform's or the vendor's pace, whichever is slower now."""
    lane = make_lane(requests_per_second=5.0)
    lane.at_vendor = 10
    assert lane.look_floor_s() == pytest.approx(4.0)
    lane.side.pace.slow_down(0.0, None)
    for _ in range(3):
        lane.side.pace.slow_down(1000.0 * lane.side.pace.interval_s, None)
    assert lane.look_floor_s() == pytest.approx(10 * lane.side.pace.interval_s * 2)


async def test_platforms_of_one_vendor_share_its_pace(make_lane: MakeLane) -> None:
    """The looks of all of them together take at most half of what the vendor allows."""
    lane = make_lane(requests_per_second=math.inf)
    lane.side.pace = Pace(10.0, now=0.0)
    other = Lane("amazon", lane.settings, lane.side, lane.pace, lane.caution)
    lane.at_vendor, other.at_vendor = 10, 30
    assert lane.look_floor_s() == other.look_floor_s() == pytest.approx(8.0)


def watched(*, submitted_at: float, looked_s: float | None) -> Watch:
    watch = Watch(TaskKey("instagram", 1), "t1", 3, submitted_at=submitted_at, progress_at=submitted_at)
    watch.looked_s = looked_s
    return watch


async def test_a_lane_learns_how_long_tasks_take(make_lane: MakeLane) -> None:
    """The first export says it, later ones correct it; an export lies between the last two looks."""
    lane = make_lane()
    lane.exported(watched(submitted_at=0.0, looked_s=90.0), 110.0)
    assert lane.experience.typical_s == pytest.approx(100.0)
    lane.exported(watched(submitted_at=1000.0, looked_s=190.0), 1210.0)
    assert lane.experience.typical_s == pytest.approx(110.0)


async def test_what_was_exported_while_no_run_looked_teaches_nothing(make_lane: MakeLane) -> None:
    """A job that rested for a week does not make tasks take a week."""
    lane = make_lane()
    lane.exported(watched(submitted_at=-600_000.0, looked_s=None), 1.0)
    assert lane.experience.typical_s is None


async def test_an_exported_task_makes_room_at_the_vendor(make_lane: MakeLane) -> None:
    """The next may be sent while its result is still to be fetched, but results must not pile up without end."""
    lane = make_lane(max_in_flight=2)
    lane.upcoming.extend([planned(n) for n in range(9)])
    lane.at_vendor = 2
    assert lane.submit_at(1.0) == math.inf
    watches = [watched(submitted_at=0.0, looked_s=1.0) for _ in range(4)]
    for sent, watch in enumerate(watches, start=1):
        lane.exported(watch, 2.0)
        lane.at_vendor += 1  # the next one
        assert (lane.at_vendor, lane.to_fetch) == (2, sent)
    lane.at_vendor = 0
    assert lane.submit_at(1.0) == math.inf
    for watch in watches:
        lane.ended(watch)
    assert (lane.at_vendor, lane.to_fetch, lane.submit_at(1.0)) == (0, 0, 1.0)


async def test_a_task_that_ends_before_its_export_gives_its_place_back_too(make_lane: MakeLane) -> None:
    """It may fail, or be held."""
    lane = make_lane()
    lane.at_vendor = 2
    lane.ended(watched(submitted_at=0.0, looked_s=None))
    assert (lane.at_vendor, lane.to_fetch) == (1, 0)
