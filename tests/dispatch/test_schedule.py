from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from orchestrator.dispatch.caution import Outcome
from orchestrator.dispatch.lanes import LEAVING_LIMIT, Lane, Watch
from orchestrator.dispatch.schedule import Download, Poll, Schedule, Step, Submit, Wait
from orchestrator.ledger import Task
from orchestrator.tasks import State, TaskKey

pytestmark = pytest.mark.looptime

MakeLane = Callable[..., Lane]


def planned(chunk: int) -> Task:
    return Task(TaskKey("instagram", chunk), State.PLANNED, 3, "", None, 0, None, None, 0, 0, "")


def watched(chunk: int) -> Watch:
    return Watch(TaskKey("instagram", chunk), f"t{chunk}", 3, 0.0, 0.0)


def schedule(*lanes: Lane, downloads: int = 4) -> Schedule:
    return Schedule(lanes, lambda: None, downloads=downloads)


def kinds(schedule: Schedule, now: float) -> list[str]:
    """Take steps until there is none; return them as `platform kind`."""
    found = []
    while not isinstance(step := schedule.next_step(now), Wait):
        found.append(f"{step.lane.name} {type(step).__name__}")
    return found


async def test_download_then_poll_then_submit(make_lane: MakeLane) -> None:
    """What is ready is downloaded first, then tasks are polled, and only then new ones are sent."""
    lane = make_lane()
    lane.upcoming.append(planned(1))
    lane.looks.put(watched(2), 1.0)
    lane.ready.put(watched(3), 1.0)
    assert kinds(schedule(lane), 1.0) == ["instagram Download", "instagram Poll", "instagram Submit"]


async def test_lanes_take_turns(make_lane: MakeLane) -> None:
    """A platform with much to do does not keep another from its own."""
    one, other = make_lane("one"), make_lane("other")
    for lane in (one, other):
        for chunk in range(3):
            lane.looks.put(watched(chunk), 0.0)
    found = kinds(schedule(one, other), 0.0)
    assert found == ["one Poll", "other Poll"] * 3


async def test_a_blocked_lane_does_not_block_the_other(make_lane: MakeLane) -> None:
    """Two platforms of one vendor: what stops the one, its own caution or budget, leaves the other going."""
    one, other = make_lane("one"), make_lane("other")
    other.side = one.side
    one.over_budget = True
    for lane in (one, other):
        lane.upcoming.append(planned(1))
    assert kinds(schedule(one, other), 0.0) == ["other Submit"]


async def test_a_step_counts_at_once(make_lane: MakeLane) -> None:
    """The second look comes before the first step has begun to run, and must see it all the same."""
    lane = make_lane()
    lane.upcoming.extend(planned(chunk) for chunk in range(1, 30))
    plan = schedule(lane)
    first = plan.next_step(0.0)
    assert isinstance(first, Submit)
    assert (lane.submits.count, lane.leaving, lane.side.calls) == (1, 1, 1)
    assert plan.next_step(0.0) == Wait(math.inf)  # the first submit is awaited alone
    lane.caution.answered(Outcome.ACCEPTED)
    assert kinds(plan, 0.0) == ["instagram Submit"] * (LEAVING_LIMIT - 1)


async def test_calls_that_wait_to_leave_are_few(make_lane: MakeLane) -> None:
    """Only so many calls wait for their turn, so that one decided later, but more urgent, need not wait long."""
    told: list[bool] = []
    lane = make_lane()
    for chunk in range(20):
        lane.looks.put(watched(chunk), 0.0)
    plan = Schedule([lane], lambda: told.append(True), downloads=4)
    steps = [plan.next_step(0.0) for _ in range(LEAVING_LIMIT)]
    assert plan.next_step(0.0) == Wait(math.inf)
    poll = steps[0]
    assert isinstance(poll, Poll)
    with poll.turn as turn:
        await turn.leave()
        assert told == [True]
        assert isinstance(plan.next_step(0.0), Poll)
    assert (lane.leaving, lane.side.calls, told) == (LEAVING_LIMIT, LEAVING_LIMIT, [True])


async def test_a_turn_that_never_left_gives_its_place_back(make_lane: MakeLane) -> None:
    """A call that failed before its request left, or was cancelled, frees its place, once."""
    lane = make_lane()
    lane.looks.put(watched(1), 0.0)
    poll = schedule(lane).next_step(0.0)
    assert isinstance(poll, Poll)
    with pytest.raises(RuntimeError), poll.turn:
        raise RuntimeError
    assert (lane.leaving, lane.side.calls) == (0, 0)


async def test_downloads_have_a_limit(make_lane: MakeLane) -> None:
    """Downloads are not calls to the vendor: a limit of their own, no pace, no part in its health."""
    lane = make_lane()
    lane.side.unreachable = True
    for chunk in range(3):
        lane.ready.put(watched(chunk), 0.0)
    plan = schedule(lane, downloads=2)
    assert kinds(plan, 0.0) == ["instagram Download"] * 2
    plan.downloads.__exit__()
    assert kinds(plan, 0.0) == ["instagram Download"]


async def test_waits_until_the_earliest(make_lane: MakeLane) -> None:
    """Nothing may begin before the first thing becomes due, in whatever lane that is."""
    one, other = make_lane("one"), make_lane("other")
    one.looks.put(watched(1), 7.0)
    one.ready.put(watched(2), 9.0)
    other.again.put(planned(3), 5.0)
    assert schedule(one, other).next_step(1.0) == Wait(5.0)
    assert schedule(make_lane()).next_step(1.0) == Wait(math.inf)


async def test_a_pause_of_the_vendor_is_waited_for(make_lane: MakeLane) -> None:
    """With nothing on its way, a vendor in its pause gives a finite wait: else the run would end there."""
    lane = make_lane()
    lane.upcoming.append(planned(1))
    lane.looks.put(watched(2), 3.0)
    for _ in range(10):
        lane.side.health.failed(0.0, 0.5)
    assert schedule(lane).next_step(1.0) == Wait(30.0)
    assert isinstance(schedule(lane).next_step(30.0), Poll)


@pytest.mark.parametrize("now", [0.0, 0.1, 1 / 3, 16.230074, 1e9 + 0.1])
async def test_no_wait_lies_in_the_past(make_lane: MakeLane, now: float) -> None:
    """A wait that is over already would send the loop round and round."""
    lane = make_lane()
    for chunk, due in enumerate((now, now - 1.0, math.nextafter(now, math.inf), now + 1.0)):
        lane.looks.put(watched(chunk), due)
        lane.ready.put(watched(chunk), due)
    plan = schedule(lane)
    while not isinstance(step := plan.next_step(now), Wait):
        lane.leaving = 0
        plan.downloads.free = 4
    assert step.until > now


@pytest.mark.parametrize(("key", "submits"), [("denied", False), ("poll_denied", True)])
async def test_the_vendor_says_stop(make_lane: MakeLane, key: str, submits: bool) -> None:  # noqa: FBT001 - a table
    """A key without money keeps polling what was paid for; one that may not even poll does not."""
    lane = make_lane()
    lane.upcoming.append(planned(1))
    lane.looks.put(watched(2), 0.0)
    setattr(lane.side, key, "no money")
    expected: type[Step] = Submit if submits else Poll
    assert kinds(schedule(lane), 0.0) == [f"instagram {expected.__name__}"]


async def test_download_goes_on_whatever_the_vendor_says(make_lane: MakeLane) -> None:
    """A result that is ready was paid for, and is not at the vendor's API."""
    lane = make_lane()
    lane.side.denied = lane.side.poll_denied = "no"
    lane.ready.put(watched(1), 0.0)
    assert isinstance(schedule(lane).next_step(0.0), Download)
