from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from orchestrator.settings import PollingSettings
from orchestrator.tasks import State
from tests.dispatch.harness import RESET, Answer, Bench, Made, Script, accepted, error, serving
from tests.logs import capture_logs

pytestmark = pytest.mark.looptime

HOUR_S = 3600.0


async def test_an_unknown_status_is_not_an_end(bench: Bench) -> None:
    """It is logged once, and the task is polled until it is exported; `completed` is no end either."""
    words = iter(["pending", "queued", "queued", "processing", "completed", "completed", "queued"])

    async def on_status(made: Made) -> Answer | None:
        word = next(words, None)
        return None if word is None else vendor.standing(made, status=word, result_url="")

    bench.plan(1)
    async with serving(Script(takes_s=1.0, on_status=on_status)) as vendor:
        with capture_logs() as logs:
            await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]
    assert [line["status"] for line in logs if line["event"] == "unknown_status"] == ["queued"]


async def test_exported_without_a_link_is_looked_at_again(bench: Bench) -> None:
    """The link may come later than the word."""

    async def on_status(made: Made) -> Answer | None:
        return vendor.standing(made, status="exported", result_url=None) if len(made.looks) < 4 else None

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_status=on_status)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]


async def test_the_vendor_reports_a_task_as_failed(bench: Bench) -> None:
    """The task is failed for good, its place at the vendor is free again, and the others go on."""

    async def on_status(made: Made) -> Answer | None:
        return vendor.standing(made, status="failed") if made.chunk == 2 else None

    bench.plan(4)
    bench.platform("instagram", max_in_flight=1)
    async with serving(Script(on_status=on_status)) as vendor:
        platforms = await bench.run(vendor.base_url)
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE, State.FAILED, State.DONE, State.DONE]
    assert platforms[0].at_vendor.work == 0
    assert set(vendor.charged().values()) == {1}


async def test_a_total_that_differs_is_logged_once(bench: Bench) -> None:
    """The vendor's count of rows is compared with ours; it is no reason to stop."""

    async def on_status(made: Made) -> Answer:
        return vendor.standing(made, total=2)

    bench.plan(1)
    async with serving(Script(takes_s=30.0, on_status=on_status)) as vendor:
        with capture_logs() as logs:
            await bench.run(vendor.base_url)
    assert [line["total"] for line in logs if line["event"] == "total_differs"] == [2]
    assert bench.states() == [State.DONE]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: RESET,
        lambda: error(500),
        lambda: web.Response(status=503, text="<html>"),
        lambda: web.Response(text="no json"),
        lambda: web.json_response({"task_id": "of-another", "status": "exported"}),
        lambda: web.Response(status=301, headers={"Location": "/"}),
    ],
)
async def test_a_look_that_failed_is_repeated(bench: Bench, answer: Callable[[], Answer]) -> None:
    """A status call is safe to repeat, whatever came back, and each one that left is counted."""

    async def on_status(made: Made) -> Answer | None:
        return answer() if len(made.looks) <= 3 else None

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_status=on_status)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]
    assert len(vendor.of(1).looks) == 4
    assert bench.standing().status_calls == 4  # those that the HTTP library repeated by itself as well


async def test_a_429_on_a_look_slows_down(bench: Bench) -> None:
    """The vendor's wish holds for the next look, and the pace is halved."""

    async def on_status(made: Made) -> Answer | None:
        return error(429, Retry_After="20") if len(made.looks) == 1 else None

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_status=on_status)) as vendor:
        await bench.run(vendor.base_url)
    first, second = vendor.of(1).looks
    assert second - first >= 20.0


@pytest.mark.parametrize("status", [401, 402])
async def test_a_look_that_is_denied_ends_all_calls_to_the_vendor(bench: Bench, status: int) -> None:
    """What is at the vendor stays there for the next run; nothing more is sent, and the run ends."""

    async def on_status(_made: Made) -> Answer:
        return error(status)

    bench.plan(30)
    async with serving(Script(on_status=on_status)) as vendor:
        platforms = await bench.run(vendor.base_url)
        assert platforms[0].vendor.poll_denial
        assert platforms[0].vendor.denial
        looks = sum(len(made.looks) for made in vendor.tasks.values())
        assert looks <= 20
        assert bench.states().count(State.SUBMITTED) == len(vendor.tasks)
        vendor.on_status = None
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE] * 30
    assert set(vendor.charged().values()) == {1}


@pytest.mark.parametrize(("denied", "state"), [({1, 3}, State.DONE), ({1, 2}, State.SUBMITTED)])
async def test_a_look_that_a_gateway_denies(bench: Bench, denied: set[int], state: State) -> None:
    """An answer without the vendor's own words counts from the second one in a row on."""

    async def on_status(made: Made) -> Answer | None:
        return web.Response(status=401, text="<html>") if len(made.looks) in denied else None

    bench.plan(1)
    async with serving(Script(on_status=on_status)) as vendor:
        platforms = await bench.run(vendor.base_url)
    assert bench.states() == [state]
    assert bool(platforms[0].why_not_polled) is (state is State.SUBMITTED)


@pytest.mark.parametrize("alone", [False, True])
async def test_a_task_whose_look_is_denied_is_held_alone(bench: Bench, alone: bool) -> None:  # noqa: FBT001 - a table
    """A wrong id costs one task, whether or not another one is looked at; a decision on it is possible then."""

    async def on_status(made: Made) -> Answer | None:
        return error(403) if made.chunk == 1 else None

    bench.plan(1 if alone else 3)
    async with serving(Script(on_status=on_status)) as vendor:
        platforms = await bench.run(vendor.base_url)
        assert bench.states() == [State.STALLED, *[State.DONE] * (0 if alone else 2)]
        assert "does not let us see" in bench.task().reason
        assert platforms[0].why_not_sent == ""
        vendor.on_status = None
        await bench.run(vendor.base_url)
    assert set(bench.states()) == {State.DONE}


async def test_a_vendor_that_answers_nothing_but_denials(bench: Bench) -> None:
    """Then it is not the task: it stays at the vendor, nothing is asked any more, and the next run looks again."""

    async def denied(_made: Made) -> Answer:
        return web.Response(status=403, text="<html>")

    async def silent() -> Answer:
        return web.Response(status=403, text="<html>")

    bench.plan(1)
    async with serving(Script()) as vendor:
        await bench.run(vendor.base_url, submit_only=True)
        vendor.on_status, vendor.on_ask = denied, silent
        platforms = await bench.run(vendor.base_url)
        assert bench.states() == [State.SUBMITTED]
        assert platforms[0].why_not_polled
        vendor.on_status = vendor.on_ask = None
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]


async def test_a_task_that_the_vendor_does_not_know_yet(bench: Bench) -> None:
    """A few answers of 404 are borne: the vendor may be slow to know its own tasks."""

    async def on_status(made: Made) -> Answer | None:
        return error(404) if len(made.looks) <= 4 else None

    bench.plan(1)
    async with serving(Script(on_status=on_status)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]


async def test_a_task_that_the_vendor_does_not_know_any_more_is_held(bench: Bench) -> None:
    """It was paid for, so it is neither failed nor sent again: each later run looks a few times more."""

    async def on_status(made: Made) -> Answer | None:
        return error(404) if made.chunk == 2 else None

    bench.plan(3)
    bench.platform("instagram", max_in_flight=1)
    async with serving(Script(on_status=on_status)) as vendor:
        platforms = await bench.run(vendor.base_url)
        assert bench.states() == [State.DONE, State.STALLED, State.DONE]
        assert "does not know" in bench.task(2).reason
        assert platforms[0].at_vendor.work == 0
        await bench.run(vendor.base_url)
        assert bench.states()[1] == State.STALLED
        vendor.on_status = None
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE] * 3
    assert set(vendor.charged().values()) == {1}


class TestStandstill:
    """A task that makes no progress for `give_up_after_h`."""

    async def test_it_is_held_and_looked_at_rarely(self, bench: Bench) -> None:
        """It costs few looks, and each later run looks once and takes a late result."""

        async def on_status(made: Made) -> Answer:
            return vendor.standing(made, status="processing", success=1)

        bench.plan(2)
        bench.polling = PollingSettings(give_up_after_h=2.0)
        bench.platform("instagram", max_in_flight=1)
        async with serving(Script(on_status=on_status)) as vendor:
            await bench.run(vendor.base_url)
            began = asyncio.get_running_loop().time()
            assert bench.states() == [State.STALLED, State.STALLED]
            assert 4 * HOUR_S <= began <= 4.5 * HOUR_S
            assert len(vendor.of(1).looks) <= 2 * HOUR_S / 300 + 15

            looks = len(vendor.of(1).looks)
            await bench.run(vendor.base_url)
            assert len(vendor.of(1).looks) == looks + 1
            assert bench.states() == [State.STALLED, State.STALLED]

            vendor.on_status = None
            await bench.run(vendor.base_url)
        assert bench.states() == [State.DONE, State.DONE]
        assert set(vendor.charged().values()) == {1}

    async def test_progress_starts_the_time_anew(self, bench: Bench) -> None:
        """A slow task is not a stalled one: as long as a row is added now and then, it is waited for."""
        bench.plan(1, rows=1000)
        bench.polling = PollingSettings(give_up_after_h=1.0)
        async with serving(Script(takes_s=4 * HOUR_S)) as vendor:
            await bench.run(vendor.base_url)
        assert bench.states() == [State.DONE]

    async def test_one_failed_look_after_days_says_nothing(self, bench: Bench) -> None:
        """The last run was long ago, and the first call of this one fails: the task is not held for that."""
        bench.plan(1)
        async with serving(Script(takes_s=HOUR_S)) as vendor:
            await bench.run(vendor.base_url, submit_only=True)
            assert bench.states() == [State.SUBMITTED]
            await asyncio.sleep(100 * HOUR_S)

            async def on_status(made: Made) -> Answer | None:
                return error(500) if len(made.looks) <= 3 else None

            vendor.on_status = on_status
            await bench.run(vendor.base_url)
        assert bench.states() == [State.DONE]

    async def test_one_failed_look_at_a_held_task_is_repeated(self, bench: Bench) -> None:
        """A later run takes a late result even if its first call fails, and gives up after a few."""
        bench.plan(1)
        bench.polling = PollingSettings(give_up_after_h=1.0)

        async def stuck(made: Made) -> Answer:
            return vendor.standing(made, status="processing", success=0)

        async def broken(_made: Made) -> Answer:
            return error(500)

        async with serving(Script(on_status=stuck)) as vendor:
            await bench.run(vendor.base_url)
            assert bench.states() == [State.STALLED]
            vendor.on_status = broken
            platforms = await bench.run(vendor.base_url)
            assert bench.states() == [State.STALLED]
            assert platforms[0].at_vendor.work == 0

            async def broken_at_first(made: Made) -> Answer | None:
                return error(500) if len(made.looks) <= looks + 1 else None

            looks = len(vendor.of(1).looks)
            vendor.on_status = broken_at_first
            await bench.run(vendor.base_url)
        assert bench.states() == [State.DONE]

    async def test_looks_that_always_fail_for_one_task(self, bench: Bench) -> None:
        """A task whose status can never be read is held in the end, though the vendor is well otherwise."""
        bench.polling = PollingSettings(give_up_after_h=1.0)
        bench.plan(2, rows=1000)

        async def on_status(made: Made) -> Answer | None:
            return error(500) if made.chunk == 1 else None

        async with serving(Script(takes_s=3 * HOUR_S, on_status=on_status)) as vendor:
            await bench.run(vendor.base_url)
        assert bench.states() == [State.STALLED, State.DONE]


async def test_a_clock_that_was_set_back_makes_no_task_older(bench: Bench) -> None:
    """What an earlier run recorded may lie in the future now; it counts as now."""
    bench.plan(1)
    bench.polling = PollingSettings(give_up_after_h=1.0)
    async with serving(Script(takes_s=HOUR_S / 2)) as vendor:
        await bench.run(vendor.base_url, submit_only=True)
        bench.clock_offset_s = -100 * HOUR_S
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]


async def test_looks_aim_at_the_end(bench: Bench) -> None:
    """The vendor's example, 29 minutes a task: about ten looks each, and no result waits for long."""
    bench.plan(10, rows=2_000)
    bench.platform("instagram", max_in_flight=5)
    async with serving(Script(takes_s=1740.0)) as vendor:
        await bench.run(vendor.base_url)
    looks = [len(made.looks) for made in vendor.tasks.values()]
    delays = [made.looks[-1] - made.at - 1740.0 for made in vendor.tasks.values()]
    assert max(looks) <= 16
    assert sum(looks) / len(looks) <= 11
    assert max(delays) <= 60.0


async def test_an_accepted_task_waits_for_its_first_look(bench: Bench) -> None:
    """With nothing known the first look comes after `min_interval_s`; never later than `max_interval_s`."""
    bench.plan(6)
    bench.polling = PollingSettings(min_interval_s=7.0, max_interval_s=50.0)
    bench.platform("instagram", max_in_flight=1)
    async with serving(Script(takes_s=500.0)) as vendor:
        await bench.run(vendor.base_url)
    first = [made.looks[0] - made.at for made in vendor.tasks.values()]
    assert first[0] == pytest.approx(7.0, abs=0.5)
    assert all(wait == pytest.approx(50.0, abs=0.5) for wait in first[1:])


async def test_the_answer_to_a_submit_may_differ(bench: Bench) -> None:
    """The v1 answer counts the rows: what the vendor says is kept with the task."""

    async def on_made(made: Made) -> Answer:
        return accepted(made, total=7)

    bench.plan(1)
    async with serving(Script(takes_s=20.0, on_made=on_made)) as vendor:
        await bench.run(vendor.base_url, submit_only=True)
    assert bench.task().total == 7
