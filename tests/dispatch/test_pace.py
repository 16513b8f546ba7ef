from __future__ import annotations

import asyncio
import math
from itertools import pairwise

import looptime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dispatch.pace import FIRST_SLOW_INTERVAL_S, SLOWEST_INTERVAL_S, Pace, wait_to_leave

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def departures(count: int, *paces: Pace) -> list[float]:
    """Let `count` requests leave as fast as they may; return when each did."""
    left: list[float] = []

    async def one() -> None:
        await wait_to_leave(*paces)
        left.append(now())

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
    return left


async def test_the_first_request_waits_too() -> None:
    """Requests leave 1/rate apart, the first 1/rate after the start: a run after a run is no burst."""
    assert await departures(4, Pace(2.0, now=now())) == pytest.approx([0.5, 1.0, 1.5, 2.0], abs=0.001)


async def test_no_limit_is_no_wait() -> None:
    """An infinite rate costs no time at all."""
    assert await departures(100, Pace(math.inf, now=now())) == [0.0] * 100


async def test_both_paces_hold() -> None:
    """Two platforms of one vendor, each at its own pace, together never faster than the vendor's."""
    vendor, slow, fast = (Pace(rate, now=now()) for rate in (2.0, 1.0, 2.0))
    lefts = await asyncio.gather(departures(5, slow, vendor), departures(5, fast, vendor))
    together = sorted(lefts[0] + lefts[1])
    assert min(b - a for a, b in pairwise(together)) >= 0.5 - 1e-6
    assert min(b - a for a, b in pairwise(lefts[0])) >= 1.0 - 1e-6
    assert together[-1] <= 5.5


async def test_a_wait_for_the_platform_does_not_hold_up_the_vendor() -> None:
    """A request that waits long for its platform lets those of other platforms pass."""
    vendor, slow, fast = Pace(10.0, now=now()), Pace(0.1, now=now()), Pace(10.0, now=now())
    waiting = asyncio.create_task(wait_to_leave(slow, vendor))
    assert (await departures(3, fast, vendor))[-1] < 0.4
    await waiting
    assert now() == pytest.approx(10.0, abs=0.001)


async def test_a_cancelled_wait_leaves_the_locks_free() -> None:
    """Cancelled at whichever of the two, the next request leaves as if nothing had been."""
    vendor, platform = Pace(0.5, now=now()), Pace(1.0, now=now())
    for cancel_at in (0.5, 1.5):  # the first waits for the platform, the second for the vendor
        task = asyncio.create_task(wait_to_leave(platform, vendor))
        await asyncio.sleep(cancel_at - now())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not vendor.lock.locked()
        assert not platform.lock.locked()
    await wait_to_leave(platform, vendor)
    assert now() == pytest.approx(2.0, abs=0.001)


async def test_cancelled_while_queueing() -> None:
    """One that waits behind another is dropped without a trace."""
    pace = Pace(1.0, now=now())
    first, second, third = (asyncio.create_task(wait_to_leave(pace)) for _ in range(3))
    await asyncio.sleep(0.5)
    second.cancel()
    await asyncio.wait([first, second, third])
    assert second.cancelled()
    assert now() == pytest.approx(2.0, abs=0.001)


async def test_429_slows_down_and_success_speeds_up_again() -> None:
    """The interval doubles, then comes back step by step, never below the configured one."""
    pace = Pace(10.0, now=now())
    pace.slow_down(now(), None)
    assert pace.interval_s == pytest.approx(0.2)
    assert pace.next_at == pytest.approx(0.2)
    for _ in range(3):
        pace.speed_up()
    assert pace.interval_s == pytest.approx(0.2 * 0.9**3)
    for _ in range(10):
        pace.speed_up()
    assert pace.interval_s == 0.1


async def test_without_a_limit_429_still_slows_down() -> None:
    """There is always something to halve, and it goes away completely again."""
    pace = Pace(math.inf, now=now())
    pace.slow_down(now(), None)
    assert pace.interval_s == FIRST_SLOW_INTERVAL_S
    pace.speed_up()
    pace.speed_up()
    assert pace.interval_s == 0.0


async def test_requests_that_were_on_their_way_together_slow_down_once() -> None:
    """Eight answers of 429 to one burst mean half the rate, not 1/256 of it; a later one halves it again."""
    pace = Pace(10.0, now=now())
    for _ in range(8):
        pace.slow_down(now(), 2.0)
    assert (pace.interval_s, pace.next_at) == pytest.approx((0.2, 2.0))
    await asyncio.sleep(2.5)
    pace.slow_down(now(), None)
    assert pace.interval_s == pytest.approx(0.4)


async def test_retry_after_moves_a_turn_that_is_waited_for() -> None:
    """A request that waits for its turn when the 429 comes waits on; an earlier wish does not shorten a later one."""
    pace = Pace(1.0, now=now())
    waiting = asyncio.create_task(departures(1, pace))
    await asyncio.sleep(0.5)
    pace.slow_down(now(), 30.0)
    pace.slow_down(now(), 1.0)
    assert await waiting == pytest.approx([30.5], abs=0.001)


async def test_the_slowest_pace() -> None:
    """However often it is throttled, a request leaves once a minute."""
    pace = Pace(0.1, now=now())
    for n in range(20):
        pace.slow_down(now() + 1000.0 * n, None)
    assert pace.interval_s == SLOWEST_INTERVAL_S


async def test_a_slower_rate_than_the_slowest_is_kept() -> None:
    """A 429 never speeds anything up: who configured one request in five minutes keeps it."""
    pace = Pace(1 / 300, now=now())
    pace.slow_down(now(), None)
    assert pace.interval_s >= 300.0


@pytest.mark.parametrize("start", [0.1, 1 / 3, 16.230074])
async def test_waits_come_to_an_end(start: float) -> None:
    """A rest of a wait that is smaller than the clock's tick is no endless loop."""
    pace = Pace(math.inf, now=now())
    await asyncio.sleep(start)
    pace.interval_s = math.nextafter(now(), math.inf) - now()
    pace.sent(now())
    async with asyncio.timeout(1):
        await wait_to_leave(pace)


@given(
    rate=st.floats(0.005, 50),
    arrivals=st.lists(st.floats(0, 20), min_size=2, max_size=30),
    throttles=st.lists(st.floats(0, 20), max_size=3),
    successes=st.lists(st.floats(0, 20), max_size=10),
)
def test_no_window_is_ever_over_the_limit(
    rate: float, arrivals: list[float], throttles: list[float], successes: list[float]
) -> None:
    """Whatever comes when, two requests never leave closer together than 1/rate."""
    left: list[float] = []

    async def scene() -> None:
        pace = Pace(rate, now=now())

        async def request(at: float) -> None:
            await asyncio.sleep(at)
            await wait_to_leave(pace)
            left.append(now())

        loop = asyncio.get_running_loop()
        for at in throttles:
            loop.call_at(at, lambda: pace.slow_down(now(), None))
        for at in successes:
            loop.call_at(at, pace.speed_up)
        await asyncio.gather(*map(request, arrivals))

    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(scene())
    finally:
        loop.close()
    assert left[0] >= 1 / rate - 1e-5
    assert all(b - a >= 1 / rate - 1e-5 for a, b in pairwise(left))
