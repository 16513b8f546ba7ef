from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from orchestrator.dispatch.caution import SubmitOutcome
from orchestrator.dispatch.places import LEAVING_LIMIT, VendorPlaces
from orchestrator.dispatch.platform_run import PlatformRun
from orchestrator.dispatch.schedule import Download, Poll, Schedule, Step, Submit, Wait
from orchestrator.dispatch.watching import Watch
from orchestrator.records import Task
from orchestrator.tasks import State, TaskKey

pytestmark = pytest.mark.looptime

MakePlatform = Callable[..., PlatformRun]


def planned(chunk: int) -> Task:
    return Task(TaskKey("instagram", chunk), State.PLANNED, 3, "", None, 0, None, None, 0, 0, "")


def watched(chunk: int) -> Watch:
    return Watch(TaskKey("instagram", chunk), f"t{chunk}", 3, 0.0, 0.0, VendorPlaces(9).begin())


def schedule(*platforms: PlatformRun, downloads: int = 4) -> Schedule:
    return Schedule(platforms, lambda: None, downloads=downloads)


def kinds(schedule: Schedule, now: float) -> list[str]:
    """Take steps until there is none; return them as `platform kind`."""
    found = []
    while not isinstance(step := schedule.next_step(now), Wait):
        found.append(f"{step.platform.name} {type(step).__name__}")
    return found


async def test_download_then_poll_then_submit(make_platform: MakePlatform) -> None:
    """What is ready is downloaded first, then tasks are polled, and only then new ones are sent."""
    platform = make_platform()
    platform.upcoming.append(planned(1))
    platform.polls.put(watched(2), 1.0)
    platform.ready.put(watched(3), 1.0)
    assert kinds(schedule(platform), 1.0) == ["instagram Download", "instagram Poll", "instagram Submit"]


async def test_lanes_take_turns(make_platform: MakePlatform) -> None:
    """A platform with much to do does not keep another from its own."""
    one, other = make_platform("one"), make_platform("other")
    for platform in (one, other):
        for chunk in range(3):
            platform.polls.put(watched(chunk), 0.0)
    found = kinds(schedule(one, other), 0.0)
    assert found == ["one Poll", "other Poll"] * 3


async def test_a_blocked_lane_does_not_block_the_other(make_platform: MakePlatform) -> None:
    """Two platforms of one vendor: what stops the one, its own caution or budget, leaves the other going."""
    one, other = make_platform("one"), make_platform("other")
    other.vendor = one.vendor
    one.over_budget = True
    for platform in (one, other):
        platform.upcoming.append(planned(1))
    assert kinds(schedule(one, other), 0.0) == ["other Submit"]


async def test_a_step_counts_at_once(make_platform: MakePlatform) -> None:
    """The second look comes before the first step has begun to run, and must see it all the same."""
    platform = make_platform()
    platform.upcoming.extend(planned(chunk) for chunk in range(1, 30))
    plan = schedule(platform)
    first = plan.next_step(0.0)
    assert isinstance(first, Submit)
    assert (platform.submits.count, platform.leaving, platform.vendor.calls) == (1, 1, 1)
    assert plan.next_step(0.0) == Wait(math.inf)  # the first submit is awaited alone
    platform.caution.submit_ended(SubmitOutcome.ACCEPTED)
    assert kinds(plan, 0.0) == ["instagram Submit"] * (LEAVING_LIMIT - 1)


async def test_calls_that_wait_to_leave_are_few(make_platform: MakePlatform) -> None:
    """Only so many calls wait for their turn, so that one decided later, but more urgent, need not wait long."""
    told: list[bool] = []
    platform = make_platform()
    for chunk in range(20):
        platform.polls.put(watched(chunk), 0.0)
    plan = Schedule([platform], lambda: told.append(True), downloads=4)
    steps = [plan.next_step(0.0) for _ in range(LEAVING_LIMIT)]
    assert plan.next_step(0.0) == Wait(math.inf)
    poll = steps[0]
    assert isinstance(poll, Poll)
    with poll.call as call:
        await call.leave()
        assert told == [True]
        assert isinstance(plan.next_step(0.0), Poll)
    assert (platform.leaving, platform.vendor.calls, told) == (LEAVING_LIMIT, LEAVING_LIMIT, [True])


async def test_a_turn_that_never_left_gives_its_place_back(make_platform: MakePlatform) -> None:
    """A call that failed before its request left, or was cancelled, frees its place, once."""
    platform = make_platform()
    platform.polls.put(watched(1), 0.0)
    poll = schedule(platform).next_step(0.0)
    assert isinstance(poll, Poll)
    with pytest.raises(RuntimeError), poll.call:
        raise RuntimeError
    assert (platform.leaving, platform.vendor.calls) == (0, 0)


async def test_downloads_have_a_limit(make_platform: MakePlatform) -> None:
    """Downloads are not calls to the vendor: a limit of their own, no pace, no part in its health."""
    platform = make_platform()
    platform.vendor.unreachable = True
    for chunk in range(3):
        platform.ready.put(watched(chunk), 0.0)
    plan = schedule(platform, downloads=2)
    assert kinds(plan, 0.0) == ["instagram Download"] * 2
    plan.downloads.__exit__()
    assert kinds(plan, 0.0) == ["instagram Download"]


async def test_waits_until_the_earliest(make_platform: MakePlatform) -> None:
    """Nothing may begin before the first thing becomes due, in whatever platform that is."""
    one, other = make_platform("one"), make_platform("other")
    one.polls.put(watched(1), 7.0)
    one.ready.put(watched(2), 9.0)
    other.again.put(planned(3), 5.0)
    assert schedule(one, other).next_step(1.0) == Wait(5.0)
    assert schedule(make_platform()).next_step(1.0) == Wait(math.inf)


async def test_a_pause_of_the_vendor_is_waited_for(make_platform: MakePlatform) -> None:
    """With nothing on its way, a vendor in its pause gives a finite wait: else the run would end there."""
    platform = make_platform()
    platform.upcoming.append(planned(1))
    platform.polls.put(watched(2), 3.0)
    for _ in range(10):
        platform.vendor.health.failed(0.0, 0.5)
    assert schedule(platform).next_step(1.0) == Wait(30.0)
    assert isinstance(schedule(platform).next_step(30.0), Poll)


@pytest.mark.parametrize("now", [0.0, 0.1, 1 / 3, 16.230074, 1e9 + 0.1])
async def test_no_wait_lies_in_the_past(make_platform: MakePlatform, now: float) -> None:
    """A wait that is over already would send the loop round and round."""
    platform = make_platform()
    for chunk, due in enumerate((now, now - 1.0, math.nextafter(now, math.inf), now + 1.0)):
        platform.polls.put(watched(chunk), due)
        platform.ready.put(watched(chunk), due)
    plan = schedule(platform)
    while not isinstance(step := plan.next_step(now), Wait):
        platform.leaving = 0
        plan.downloads.free = 4
    assert step.until > now


@pytest.mark.parametrize(("key", "submits"), [("denial", False), ("poll_denial", True)])
async def test_the_vendor_says_stop(make_platform: MakePlatform, key: str, submits: bool) -> None:  # noqa: FBT001 - a table
    """A key without money keeps polling what was paid for; one that may not even poll does not."""
    platform = make_platform()
    platform.upcoming.append(planned(1))
    platform.polls.put(watched(2), 0.0)
    setattr(platform.vendor, key, "no money")
    expected: type[Step] = Submit if submits else Poll
    assert kinds(schedule(platform), 0.0) == [f"instagram {expected.__name__}"]


async def test_download_goes_on_whatever_the_vendor_says(make_platform: MakePlatform) -> None:
    """A result that is ready was paid for, and is not at the vendor's API."""
    platform = make_platform()
    platform.vendor.denial = platform.vendor.poll_denial = "no"
    platform.ready.put(watched(1), 0.0)
    assert isinstance(schedule(platform).next_step(0.0), Download)
