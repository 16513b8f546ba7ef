from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from orchestrator.dispatch.caution import SubmitOutcome
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.places import VendorPlaces
from orchestrator.dispatch.platform_run import DueQueue, PlatformRun
from orchestrator.dispatch.watching import Watch
from orchestrator.records import Task
from orchestrator.tasks import State, TaskKey

pytestmark = pytest.mark.looptime

MakePlatform = Callable[..., PlatformRun]


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


async def test_what_was_put_off_and_is_due_goes_before_the_next(make_platform: MakePlatform) -> None:
    """A task that waits for its repeat lets others pass, and goes first once it is due."""
    platform = make_platform()
    platform.upcoming.extend([planned(2), planned(3)])
    platform.again.put(planned(1), 5.0)
    assert platform.submit_at(4.0) == 4.0
    assert platform.next_task(4.0).key.chunk == 2
    assert platform.next_task(5.0).key.chunk == 1
    assert platform.next_task(5.0).key.chunk == 3
    assert platform.submit_at(5.0) == math.inf


async def test_only_a_repeat_is_left(make_platform: MakePlatform) -> None:
    """With nothing else to send, the next submit is when the repeat is due."""
    platform = make_platform()
    platform.again.put(planned(1), 5.0)
    assert platform.submit_at(1.0) == 5.0
    assert not platform.drained


@pytest.mark.parametrize(
    ("at_vendor", "submitting", "at"), [(0, 0, 1.0), (1, 1, 1.0), (3, 0, math.inf), (2, 1, math.inf)]
)
async def test_what_is_on_its_way_counts_for_the_limit(
    make_platform: MakePlatform, at_vendor: int, submitting: int, at: float
) -> None:
    """`max_in_flight` holds for the tasks at the vendor and the submits on their way together."""
    platform = make_platform(max_in_flight=3)
    platform.caution.submit_ended(SubmitOutcome.ACCEPTED)
    platform.upcoming.append(planned(1))
    platform.at_vendor.work, platform.submits.count = at_vendor, submitting
    assert platform.submit_at(1.0) == at


@pytest.mark.parametrize("why", ["over budget", "caution", "denied"])
async def test_blocked(make_platform: MakePlatform, why: str) -> None:
    """A platform that can't submit any more in this run wants no tasks and counts as drained."""
    platform = make_platform()
    platform.upcoming.append(planned(1))
    if why == "over budget":
        platform.over_budget = True
    elif why == "denied":
        platform.vendor.denial = "no money"
    else:
        for _ in range(3):
            platform.caution.submit_ended(SubmitOutcome.DOUBTED)
    assert platform.why_not_sent
    assert (platform.submit_at(1.0), platform.drained, platform.wants_tasks) == (math.inf, True, False)


async def test_a_window_is_filled_when_it_is_empty(make_platform: MakePlatform) -> None:
    """The ledger is asked for more only while it may have some."""
    platform = make_platform()
    found = [platform.wants_tasks]
    platform.upcoming.append(planned(1))
    found.append(platform.wants_tasks)
    platform.upcoming.clear()
    platform.exhausted = True
    found.append(platform.wants_tasks)
    assert found == [True, False, False]
    assert platform.drained


async def test_a_vendor_that_is_probed_takes_one_call_at_a_time(make_platform: MakePlatform) -> None:
    """While one call is on its way, only its end tells when the next may begin."""
    vendor = make_platform().vendor
    assert vendor.callable_at(1.0) == 1.0
    for _ in range(10):
        vendor.health.failed(1.0, 0.5)
    assert vendor.callable_at(1.0) == 1.0 + 30.0
    assert vendor.callable_at(50.0) == 50.0
    vendor.calls = 1
    assert vendor.callable_at(50.0) == math.inf
    vendor.calls = 0
    vendor.unreachable = True
    assert vendor.callable_at(50.0) == math.inf


async def test_the_slower_pace_decides_how_often_tasks_are_looked_at(make_platform: MakePlatform) -> None:
    """The floor follows the platform's or the vendor's pace, whichever is slower now."""
    platform = make_platform(requests_per_second=5.0)
    platform.at_vendor.work = 10
    assert platform.poll_floor_s() == pytest.approx(4.0)
    platform.vendor.pace.slow_down(0.0, None)
    for _ in range(3):
        platform.vendor.pace.slow_down(1000.0 * platform.vendor.pace.interval_s, None)
    assert platform.poll_floor_s() == pytest.approx(10 * platform.vendor.pace.interval_s * 2)


async def test_platforms_of_one_vendor_share_its_pace(make_platform: MakePlatform) -> None:
    """The looks of all of them together take at most half of what the vendor allows."""
    platform = make_platform(requests_per_second=math.inf)
    platform.vendor.pace = Pace(10.0, now=0.0)
    other = PlatformRun("amazon", platform.settings, platform.vendor, platform.pace, platform.caution)
    platform.at_vendor.work, other.at_vendor.work = 10, 30
    assert platform.poll_floor_s() == other.poll_floor_s() == pytest.approx(8.0)


def watched(*, submitted_at: float, polled_s: float | None, places: VendorPlaces | None = None) -> Watch:
    place = (places or VendorPlaces(1)).begin()
    watch = Watch(TaskKey("instagram", 1), "t1", 3, submitted_at, submitted_at, place)
    watch.polled_s = polled_s
    return watch


async def test_a_platform_learns_how_long_tasks_take(make_platform: MakePlatform) -> None:
    """The first export says it, later ones correct it; an export lies between the last two looks."""
    platform = make_platform()
    platform.exported(watched(submitted_at=0.0, polled_s=90.0), 110.0)
    assert platform.experience.typical_s == pytest.approx(100.0)
    platform.exported(watched(submitted_at=1000.0, polled_s=190.0), 1210.0)
    assert platform.experience.typical_s == pytest.approx(110.0)


async def test_what_was_exported_while_no_run_looked_teaches_nothing(make_platform: MakePlatform) -> None:
    """A job that rested for a week does not make tasks take a week."""
    platform = make_platform()
    platform.exported(watched(submitted_at=-600_000.0, polled_s=None), 1.0)
    assert platform.experience.typical_s is None


async def test_an_exported_task_makes_room_at_the_vendor(make_platform: MakePlatform) -> None:
    """The next may be sent while its result is still to be fetched, but results must not pile up without end."""
    platform = make_platform(max_in_flight=2)
    platform.upcoming.extend([planned(n) for n in range(9)])
    watches = []
    for sent in range(4):
        assert (platform.at_vendor.to_fetch, platform.submit_at(1.0)) == (sent, 1.0)
        watches.append(watched(submitted_at=0.0, polled_s=1.0, places=platform.at_vendor))
        platform.exported(watches[-1], 2.0)
        assert (platform.at_vendor.work, platform.at_vendor.to_fetch) == (0, sent + 1)
    assert platform.submit_at(1.0) == math.inf
    for watch in watches:
        platform.over(watch)
    assert (platform.at_vendor.work, platform.at_vendor.to_fetch, platform.submit_at(1.0)) == (0, 0, 1.0)
