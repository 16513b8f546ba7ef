"""Caution over many runs: a loop that repeats a run as long as it ends with 75 must never pay for more doubts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from aiohttp import web

from orchestrator.dispatch.caution import DOUBTS, PlatformStop
from orchestrator.errors import ExitCode
from orchestrator.job.ending import ending
from orchestrator.ledger import Ledger
from orchestrator.records import Chunk, PlannedPlatform
from orchestrator.settings import BackoffSettings
from orchestrator.tasks import State
from tests.dispatch.harness import AMAZON, RESET, Answer, Bench, Made, Script, error, result, serving

pytestmark = pytest.mark.looptime

DONE, PLANNED, IN_DOUBT, FAILED, SUBMITTED = (
    State.DONE,
    State.PLANNED,
    State.IN_DOUBT,
    State.FAILED,
    State.SUBMITTED,
)


async def repeated(bench: Bench, base_url: str, *, most: int = 20) -> list[int]:
    """Run again and again while a run ends with 75, as a CI system does; return all exit codes."""
    codes: list[int] = []
    while not codes or (codes[-1] == ExitCode.AGAIN and len(codes) < most):
        platforms = await bench.run(base_url)
        standings = {name: bench.standing(name) for name in bench.platforms}
        codes.append(int(ending(platforms, standings, stop_reason="").code))
        for name in bench.platforms:
            assert bench.states(name).count(IN_DOUBT) <= DOUBTS
    return codes


async def test_a_vendor_whose_gateway_loses_every_answer(bench: Bench) -> None:
    """It makes the task and its gateway answers 504: three are paid and held, in however many runs."""

    async def on_made(_made: Made) -> Answer:
        return web.Response(status=504, text="<html>gateway time-out</html>")

    bench.plan(50)
    async with serving(Script(on_made=on_made)) as vendor:
        assert await repeated(bench, vendor.base_url) == [3]
        for _ in range(5):
            await bench.run(vendor.base_url)
    assert Counter(bench.states()) == {IN_DOUBT: 3, PLANNED: 47}
    assert sum(vendor.charged().values()) == 3


async def test_an_outage_of_five_runs(bench: Bench) -> None:
    """Some tasks are at the vendor when it goes down: five runs end with 75, and hold three tasks a platform in all."""
    bench.platforms["amazon"] = AMAZON
    bench.backoff = BackoffSettings(give_up_after_s=600.0)
    down = False

    async def on_submit(_chunk: int, nth: int) -> Answer | None:
        nonlocal down
        down = nth > 10
        return RESET if down else None

    async def on_status(_made: Made) -> Answer | None:
        return RESET if down else None

    async def on_ask() -> Answer | None:
        return RESET if down else None

    bench.plan(60)
    async with serving(Script(on_submit=on_submit, on_status=on_status, on_ask=on_ask)) as vendor:
        assert await repeated(bench, vendor.base_url, most=5) == [75] * 5
        held = {name: bench.states(name).count(IN_DOUBT) for name in bench.platforms}
        assert all(count <= DOUBTS for count in held.values())
        assert sum(held.values()) > 0
        on = vendor.charged().total()
        vendor.on_submit = vendor.on_status = vendor.on_ask = None
        codes = await repeated(bench, vendor.base_url)
    assert codes == [3]
    assert set(vendor.charged().values()) == {1}
    assert vendor.charged().total() >= on


@pytest.mark.parametrize(
    "answer", [lambda: RESET, lambda: error(503), lambda: web.Response(text="<html>welcome"), lambda: error(429)]
)
async def test_an_outage_at_the_start_leaves_no_doubt(bench: Bench, answer: Callable[[], Answer]) -> None:
    """No submit leaves before the vendor has answered anything sensibly in this run."""

    async def on_any(*_: object) -> Answer:
        return answer()

    bench.plan(20)
    bench.backoff = BackoffSettings(give_up_after_s=600.0)
    async with serving(Script(on_submit=on_any, on_ask=on_any, on_status=on_any)) as vendor:
        assert await repeated(bench, vendor.base_url, most=3) == [75] * 3
        assert (vendor.submits, bench.states()) == ([], [PLANNED] * 20)
        assert len(vendor.arrived) <= 3 * 60
        vendor.on_submit = vendor.on_ask = vendor.on_status = None
        assert await repeated(bench, vendor.base_url) == [0]
    assert bench.states() == [DONE] * 20


async def test_a_vendor_without_a_page_for_the_balance(bench: Bench) -> None:
    """A page of somebody else in its place says nothing; the status of a task that can't exist does."""

    async def on_ask() -> Answer:
        return web.Response(text="<html>our prices")

    bench.plan(2)
    async with serving(Script(on_ask=on_ask)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [DONE] * 2


async def test_runs_that_are_cut_off_with_answers_on_their_way(bench: Bench) -> None:
    """A vendor that never answers a submit in time: stopped again and again, three tasks are held, not three a run."""

    async def on_made(made: Made) -> None:
        await asyncio.sleep(0.0 if made.chunk == 1 else 1000.0)

    bench.plan(50)
    async with serving(Script(on_made=on_made)) as vendor:
        for _ in range(6):
            run = asyncio.create_task(bench.run(vendor.base_url))
            await asyncio.sleep(5.0)
            bench.stopping.set()
            await run
    assert bench.states().count(IN_DOUBT) == len(vendor.submits) - 1 == DOUBTS


async def test_what_was_stopped_goes_on_once_it_is_settled(bench: Bench) -> None:
    """The next submit is alone, and three are on their way once one was accepted."""

    async def on_made(_made: Made) -> Answer:
        return RESET

    bench.plan(10)
    async with serving(Script(on_made=on_made)) as vendor:
        assert await repeated(bench, vendor.base_url) == [3]
        vendor.on_made = None
        for task in [task for task in bench.tasks() if task.state is IN_DOUBT]:
            bench.change(lambda ledger, key=task.key: ledger.transitions.give_up(key, at=1.0))  # type: ignore[misc]
        assert await repeated(bench, vendor.base_url) == [1]
    assert bench.states() == [FAILED] * 3 + [DONE] * 7


class TestResults:
    """Results that come to nothing."""

    async def test_a_column_that_is_renamed_after_the_first_task(self, bench: Bench) -> None:
        """What is at the vendor by then is paid, and hardly more, also in later runs, until somebody decides."""

        async def on_result(made: Made) -> Answer | None:
            return result(made) if made.chunk == 1 else web.Response(text=f"Number,renamed\n{made.numbers[0]},yes\n")

        bench.plan(100)
        bench.platform("instagram", canary=True)
        async with serving(Script(on_result=on_result)) as vendor:
            assert await repeated(bench, vendor.base_url) == [3]
            for _ in range(3):
                await bench.run(vendor.base_url)
        assert vendor.charged().total() <= 1 + bench.platforms["instagram"].max_in_flight + 2 * DOUBTS
        assert bench.states().count(DONE) == 1

    async def test_a_first_result_without_a_verdict(self, bench: Bench) -> None:
        """It costs one task, also in the next run; `canary = false` sends the rest all the same."""

        async def on_result(made: Made) -> Answer | None:
            return web.Response(text="Number,instagram\n" + "".join(f"{number},\n" for number in made.numbers))

        bench.plan(20)
        bench.platform("instagram", canary=True)
        async with serving(Script(on_result=on_result)) as vendor:
            assert await repeated(bench, vendor.base_url) == [3]
            platforms = await bench.run(vendor.base_url)
            assert (len(vendor.submits), platforms[0].caution.stopped) == (1, PlatformStop.CANARY)
            bench.platform("instagram", canary=False)
            vendor.on_result = None
            assert await repeated(bench, vendor.base_url) == [0]
        assert bench.states() == [DONE] * 20

    async def test_a_retry_has_a_canary_of_its_own(self, bench: Bench) -> None:
        """What failed and is asked for once more is read first, before the rest follows."""

        async def on_status(made: Made) -> Answer | None:
            return vendor.standing(made, status="failed") if made.chunk > 1 else None

        bench.plan(16)
        bench.platform("instagram", canary=True)
        async with serving(Script(on_status=on_status)) as vendor:
            assert await repeated(bench, vendor.base_url) == [1]
            assert bench.states().count(FAILED) == 15
            sent = len(vendor.submits)
            _retry(bench, 16)
            assert await repeated(bench, vendor.base_url) == [3]
        assert len(vendor.submits) == sent + 1


def _retry(bench: Bench, chunks: int) -> None:
    """Plan further chunks, as a retry of what failed."""
    platform = PlannedPlatform("instagram", bench.vendors["main"].base_url + "main", {}, 1)
    first = max(task.key.chunk for task in bench.tasks()) + 1
    found = bench.write_chunks(range(first, first + chunks), 3)
    records = [Chunk(c.chunk, c.first_row, c.rows, c.sha256, 2, "instagram") for c in found]
    bench.change(lambda ledger: Ledger.plan_retry(ledger, platform, records, at=1.0))


class TestDeadline:
    """A deadline is known beforehand."""

    @pytest.mark.parametrize("takes_s", [0.1, 6.0, 20.0])
    async def test_the_last_answers_come_before_it(self, bench: Bench, takes_s: float) -> None:
        """A vendor that is slow to answer: nothing is held, and in each run something is sent."""

        async def on_made(_made: Made) -> None:
            await asyncio.sleep(takes_s)

        bench.plan(60)
        bench.deadline_s = 90.0
        async with serving(Script(takes_s=30.0, on_made=on_made)) as vendor:
            for _ in range(4):
                before = len(vendor.submits)
                run = asyncio.create_task(bench.run(vendor.base_url))
                await asyncio.wait([run], timeout=bench.deadline_s)
                bench.stopping.set()
                await run
                assert len(vendor.submits) > before or PLANNED not in bench.states()
        assert set(bench.states()) <= {DONE, SUBMITTED, PLANNED}
        assert set(vendor.charged().values()) == {1}

    async def test_a_deadline_that_is_too_near(self, bench: Bench) -> None:
        """Nothing is sent, and the run ends at once."""
        bench.plan(3)
        bench.deadline_s = 5.0
        async with serving(Script()) as vendor:
            platforms = await bench.run(vendor.base_url)
        assert vendor.submits == []
        assert platforms[0].is_too_late(asyncio.get_running_loop().time())
