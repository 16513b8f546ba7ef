from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from orchestrator.dispatch.caution import DOUBTS, PlatformStop
from orchestrator.dispatch.dispatcher import GRACE_S
from orchestrator.jobdir.layout import verdict_path
from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.ledger import LedgerWriter
from orchestrator.sandbox import Options, Sandbox, read_requests, verdict
from orchestrator.settings import BackoffSettings, PollingSettings
from orchestrator.tasks import State
from tests.dispatch.harness import (
    AMAZON,
    VENDOR,
    Answer,
    Bench,
    Made,
    Script,
    Slow,
    clock,
    error,
    numbers_of,
    serving,
)
from tests.logs import capture_logs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_two_platforms_to_the_end(bench: Bench, tmp_path: Path) -> None:
    """Every chunk is charged once a platform, and every verdict is the vendor's."""
    bench.platforms["amazon"] = AMAZON
    bench.plan(5, rows=120)
    async with Sandbox(tmp_path / "vendor", pace=10.0, clock=clock) as vendor:
        await bench.run(vendor.base_url)
        charged = [(task.platform, task.file_name) for task in vendor.tasks]

    assert len(charged) == len(set(charged)) == 10
    for platform in ("instagram", "amazon"):
        assert bench.states(platform) == [State.DONE] * 5
        for chunk in range(1, 6):
            found = read_verdicts(verdict_path(bench.directory, platform, chunk))
            words = [found.words[code] for code in found.codes]
            assert words == [verdict(0, platform, number).lower() for number in numbers_of(chunk, 120)]


@pytest.mark.parametrize("seed", range(3))
async def test_all_faults_of_the_sandbox(bench: Bench, tmp_path: Path, seed: int) -> None:
    """Whatever the vendor does, each chunk is charged once, and what is not done is held."""
    bench.platforms["amazon"] = AMAZON
    bench.plan(15, rows=120)
    async with Sandbox(tmp_path / "vendor", seed=seed, faults=["all"], pace=10.0, clock=clock) as vendor:
        await bench.run(vendor.base_url)
        charged = [(task.platform, task.file_name) for task in vendor.tasks]

    assert len(charged) == len(set(charged))
    for states in (bench.states("instagram"), bench.states("amazon")):
        assert states.count(State.IN_DOUBT) <= DOUBTS
        left = {State.PLANNED} if states.count(State.IN_DOUBT) == DOUBTS else set()
        assert set(states) <= {State.DONE, State.IN_DOUBT} | left


async def test_nothing_to_do(bench: Bench) -> None:
    """A finished job ends at once, without a single call."""
    bench.plan(2)
    async with serving(Script()) as vendor:
        await bench.run(vendor.base_url)
        calls, began = len(vendor.arrived), now()
        await bench.run(vendor.base_url)
    assert (len(vendor.arrived), now()) == (calls, began)


class TestPace:
    """What leaves when."""

    async def test_spacing_at_the_server(self, bench: Bench, tmp_path: Path) -> None:
        """Submits and status calls alike leave 1/rate apart, the first 1/rate after the start, by the vendor's log."""
        bench.platforms["amazon"] = replace(AMAZON, requests_per_second=2.0)
        bench.platform("instagram", requests_per_second=2.0)
        bench.vendors["main"] = replace(VENDOR, requests_per_second=3.0)
        bench.plan(6, rows=120)
        options = Options(requests_per_second=3.0)
        began = clock()
        async with Sandbox(tmp_path / "vendor", pace=20.0, clock=clock, options=options) as vendor:
            await bench.run(vendor.base_url)
            assert vendor.throttled == 0
        calls = [line for line in read_requests(tmp_path / "vendor") if line["kind"] in ("submit", "status")]
        assert {line["kind"] for line in calls} == {"submit", "status"}
        times = [float(line["time"]) for line in calls]
        assert times[0] - began >= 1 / 3 - 1e-3
        assert min(b - a for a, b in pairwise(times)) >= 1 / 3 - 1e-3
        for word in ("ins", "v1"):
            mine = [float(line["time"]) for line in calls if line["path"].startswith(f"/{word}/")]
            assert min(b - a for a, b in pairwise(mine)) >= 0.5 - 1e-3
        assert bench.states("amazon") == [State.DONE] * 6

    async def test_first_submit_is_awaited_alone(self, bench: Bench) -> None:
        """Until one submit was accepted there is never a second one on its way; then there are several."""
        at_once = []

        async def on_submit(_chunk: int, nth: int) -> None:
            await asyncio.sleep(5)
            at_once.append((nth, vendor._at_once))

        bench.plan(20)
        bench.platform("instagram", max_in_flight=100)
        async with serving(Script(on_submit=on_submit)) as vendor:
            await bench.run(vendor.base_url)
        assert at_once[0] == (1, 1)
        assert vendor.most_at_once == DOUBTS

    async def test_calls_on_their_way_don_t_hold_up_the_next(self, bench: Bench) -> None:
        """A vendor that takes long to answer is still asked at the full pace."""

        async def on_status(_made: Made) -> None:
            await asyncio.sleep(50)

        bench.plan(20)
        bench.platform("instagram", max_in_flight=20, requests_per_second=2.0)
        async with serving(Script(takes_s=0.0, on_status=on_status)) as vendor:
            await bench.run(vendor.base_url)
        assert now() < 100.0
        assert bench.states() == [State.DONE] * 20

    async def test_tasks_at_the_vendor_have_a_limit(self, bench: Bench, tmp_path: Path) -> None:
        """`max_in_flight` is never exceeded, by the vendor's own count, while nothing idles."""
        bench.platform("instagram", max_in_flight=3)
        bench.plan(12, rows=10)
        options = Options(max_in_flight=3)
        async with Sandbox(tmp_path / "vendor", pace=0.5, clock=clock, options=options) as vendor:
            await bench.run(vendor.base_url)
        assert [line["code"] for line in read_requests(tmp_path / "vendor") if line["kind"] == "submit"].count(429) == 0
        assert bench.states() == [State.DONE] * 12
        assert now() < 12 / 3 * 25.0 * 1.4


class TestCanary:
    """The first result is read before the rest is sent."""

    async def test_one_task_alone(self, bench: Bench) -> None:
        """Until its result was read there is one task; then the rest follows."""
        sent: list[int] = []

        async def on_result(_made: Made) -> None:
            sent.append(len(vendor.submits))

        bench.plan(12)
        bench.platform("instagram", canary=True)
        async with serving(Script(on_result=on_result)) as vendor:
            await bench.run(vendor.base_url)
        assert sent[0] == 1
        assert bench.states() == [State.DONE] * 12

    async def test_a_put_off_canary(self, bench: Bench) -> None:
        """A canary that was put off is sent again, alone, or the next chunk in its place."""

        async def on_submit(_chunk: int, nth: int) -> Answer | None:
            return error(500) if nth <= 4 else None

        bench.plan(12)
        bench.platform("instagram", canary=True)
        async with serving(Script(on_submit=on_submit)) as vendor:
            await bench.run(vendor.base_url)
        assert vendor.tasks["t2"].at >= vendor.tasks["t1"].downloads[0]
        assert bench.states() == [State.DONE] * 12

    async def test_a_canary_in_doubt(self, bench: Bench) -> None:
        """Another one is sent in its place, alone."""

        async def on_made(made: Made) -> Answer | None:
            return error(502, content="bad gateway") if made.chunk == 1 else None

        bench.plan(12)
        bench.platform("instagram", canary=True)
        async with serving(Script(on_made=on_made)) as vendor:
            await bench.run(vendor.base_url)
        assert vendor.tasks["t3"].at >= vendor.tasks["t2"].downloads[0]
        assert bench.states() == [State.IN_DOUBT, *[State.DONE] * 11]

    async def test_a_lost_canary(self, bench: Bench) -> None:
        """A first result that can't be read costs one task, and the run ends."""

        async def on_status(made: Made) -> Answer:
            return vendor.standing(made, status="failed")

        bench.plan(12)
        bench.platform("instagram", canary=True)
        async with serving(Script(on_status=on_status)) as vendor:
            platforms = await bench.run(vendor.base_url)
        assert vendor.submits == [1]
        assert platforms[0].caution.stopped is PlatformStop.CANARY

    async def test_the_canary_of_an_earlier_run(self, bench: Bench) -> None:
        """A run that finds a task at the vendor waits for its result before it sends the rest."""
        bench.plan(12)
        bench.platform("instagram", canary=True)
        async with serving(Script(takes_s=100.0)) as vendor:
            run = asyncio.create_task(bench.run(vendor.base_url))
            await asyncio.sleep(10.0)
            bench.stopping.set()
            await run
            assert vendor.submits == [1]
            await bench.run(vendor.base_url)
        assert vendor.tasks["t2"].at >= vendor.tasks["t1"].downloads[0]


class TestOutage:
    """A vendor that fails."""

    @pytest.mark.parametrize("kind", ["503", "429", "refused"])
    async def test_traffic_falls_and_the_run_ends(self, bench: Bench, kind: str) -> None:
        """After `give_up_after_s` without any success the run ends, and what was planned stays planned."""

        async def on_submit(_chunk: int, _nth: int) -> Answer:
            return error(int(kind))

        async def on_ask() -> Answer | None:
            return error(503) if kind == "503" else None

        bench.plan(30)
        bench.backoff = BackoffSettings(give_up_after_s=1800.0)
        async with serving(Script(on_submit=on_submit, on_ask=on_ask)) as vendor:
            base_url = "http://127.0.0.1:1" if kind == "refused" else vendor.base_url
            async with asyncio.timeout(2 * 1800.0):
                platforms = await bench.run(base_url)
        assert platforms[0].vendor.unreachable
        assert bench.states() == [State.PLANNED] * 30
        assert 1800.0 <= now() <= 1800.0 + 200.0
        first_minute = sum(at < 60.0 for at in vendor.arrived)
        last_ten = sum(at > now() - 600.0 for at in vendor.arrived)
        assert last_ten <= 60
        assert first_minute <= 30

    async def test_polls_fail_too(self, bench: Bench) -> None:
        """Twenty tasks at a vendor that goes down are not twenty times the traffic."""

        async def on_status(_made: Made) -> Answer | None:
            return error(503, content="down") if 100.0 < now() < 3000.0 else None

        bench.plan(20)
        async with serving(Script(takes_s=200.0, on_status=on_status)) as vendor:
            await bench.run(vendor.base_url)
        during = [at for at in vendor.arrived if 200.0 < at < 2900.0]
        assert len(during) <= 2700.0 / 30.0 * 1.5
        assert min(b - a for a, b in pairwise(during)) >= 0.0
        assert bench.states() == [State.DONE] * 20

    async def test_one_vendor_of_two(self, bench: Bench) -> None:
        """The other vendor's platforms are brought to their end, whatever happens to the first."""
        bench.vendors["other"] = VENDOR
        bench.platforms["amazon"] = replace(AMAZON, vendor="other")
        bench.plan(30)
        bench.backoff = BackoffSettings(give_up_after_s=600.0)
        async with serving(Script(takes_s=500.0)) as vendor:
            platforms = await bench.run("http://127.0.0.1:1", vendor.base_url)
        assert [platform.vendor.unreachable for platform in platforms] == [True, False]
        assert bench.states("instagram") == [State.PLANNED] * 30
        assert bench.states("amazon") == [State.DONE] * 30

    async def test_a_pause_longer_than_anything_else(self, bench: Bench) -> None:
        """A long `Retry-After` with nothing on its way is waited for, not taken for the end."""

        async def on_submit(_chunk: int, nth: int) -> Answer | None:
            return error(500, Retry_After="3000") if nth == 1 else None

        bench.plan(1)
        async with serving(Script(on_submit=on_submit)) as vendor:
            await bench.run(vendor.base_url)
        assert now() > 3000.0
        assert bench.states() == [State.DONE]


class TestStop:
    """Told to stop, the run ends in good order."""

    async def test_before_anything(self, bench: Bench) -> None:
        """Nothing leaves."""
        bench.plan(3)
        bench.platform("instagram", requests_per_second=0.01)
        async with serving(Script()) as vendor:
            run = asyncio.create_task(bench.run(vendor.base_url))
            await asyncio.sleep(1.0)
            bench.stopping.set()
            await run
        assert now() <= 1.0 + GRACE_S + 0.1
        assert vendor.arrived == []
        assert bench.states() == [State.PLANNED] * 3

    async def test_an_answer_that_comes_in_time(self, bench: Bench) -> None:
        """A submit that was released is recorded when its answer comes within the grace; nothing more leaves."""

        async def on_made(made: Made) -> None:
            await asyncio.sleep(3.0 if made.chunk > 1 else 0.0)

        bench.plan(30)
        async with serving(Script(on_made=on_made)) as vendor:
            run = asyncio.create_task(bench.run(vendor.base_url))
            await asyncio.sleep(1.0)
            assert vendor._at_once == DOUBTS
            bench.stopping.set()
            await run
        assert now() <= 1.0 + GRACE_S
        assert bench.states() == [State.SUBMITTED] * 4 + [State.PLANNED] * 26
        assert sum(vendor.charged().values()) == 4

    async def test_an_answer_that_does_not_come_in_time(self, bench: Bench) -> None:
        """A submit that was released and has no answer after the grace is held."""

        async def on_made(made: Made) -> None:
            await asyncio.sleep(60.0 if made.chunk == 3 else 0.0)

        bench.plan(4)
        async with serving(Script(takes_s=1000.0, on_made=on_made)) as vendor:
            run = asyncio.create_task(bench.run(vendor.base_url))
            await asyncio.sleep(1.0)
            bench.stopping.set()
            await run
        assert now() == pytest.approx(1.0 + GRACE_S, abs=0.5)
        assert bench.states() == [State.SUBMITTED, State.SUBMITTED, State.IN_DOUBT, State.SUBMITTED]
        assert "ended" in bench.task(3).reason

    async def test_what_was_not_released_stays_planned(self, bench: Bench) -> None:
        """A vendor that does not take the body can't have made a task, so the next run may send it."""
        bench.plan(1, rows=500_000)  # more than the kernel buffers

        deaf: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: deaf.append(writer), "127.0.0.1", 0, limit=1024)
        async with server:
            run = asyncio.create_task(bench.run(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
            await asyncio.sleep(1.0)
            bench.stopping.set()
            await run
            for writer in deaf:
                writer.transport.abort()
        assert now() == pytest.approx(1.0 + GRACE_S, abs=0.5)
        assert bench.states() == [State.PLANNED]
        assert bench.spent_nano() == 0

    async def test_stopped_in_the_moment_of_release(self, bench: Bench) -> None:
        """A submit whose body is complete but for its last bytes when the stop comes is not released."""
        bench.plan(1)
        bench.platform("instagram", requests_per_second=1.0)
        async with serving(Script()) as vendor:
            run = asyncio.create_task(bench.run(vendor.base_url))
            # The first second is the first question's, which has to be answered before anything is submitted.
            asyncio.get_running_loop().call_at(2.0, lambda: bench.stopping.set())  # noqa: PLW0108 - the event is made by the run
            await run
        assert vendor.tasks == {}
        assert bench.states() == [State.PLANNED]

    async def test_cut_off_while_the_release_is_committed(self, bench: Bench) -> None:
        """The last bytes did not leave, so the task is planned again, although the ledger had it as released."""
        bench.plan(1)
        bench.writer = lambda ledger: Slow(ledger, at=3, takes_s=60.0)
        async with serving(Script()) as vendor:
            run = asyncio.create_task(bench.run(vendor.base_url))
            await asyncio.sleep(1.0)
            assert bench.states() == [State.RELEASED]
            bench.stopping.set()
            await run
            assert bench.states() == [State.PLANNED]
            assert bench.spent_nano() == 0
            assert vendor.tasks == {}
            bench.writer = LedgerWriter
            await bench.run(vendor.base_url)
        assert set(vendor.charged().values()) == {1}

    async def test_while_a_download_is_on_its_way(self, bench: Bench) -> None:
        """It is cut off, leaves no part behind, and the next run fetches it."""

        async def on_result(made: Made) -> None:
            await asyncio.sleep(30.0 if len(made.downloads) == 1 else 0.0)

        bench.plan(1)
        async with serving(Script(takes_s=0.0, on_result=on_result)) as vendor:
            run = asyncio.create_task(bench.run(vendor.base_url))
            await asyncio.sleep(10.0)
            bench.stopping.set()
            await run
            assert bench.states() == [State.SUBMITTED]
            assert not list(bench.directory.rglob("*.part"))
            await bench.run(vendor.base_url)
        assert bench.states() == [State.DONE]

    async def test_cancelled(self, bench: Bench) -> None:
        """A run that is cancelled as a whole settles what was on its way, like one that is told to stop."""

        async def on_made(made: Made) -> None:
            await asyncio.sleep(60.0 if made.chunk == 2 else 0.0)

        bench.plan(2)
        async with serving(Script(takes_s=1000.0, on_made=on_made)) as vendor:
            run = asyncio.create_task(bench.run(vendor.base_url))
            await asyncio.sleep(1.0)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
        assert bench.states() == [State.SUBMITTED, State.IN_DOUBT]


class TestSubmitOnly:
    """`--submit-only` ends when all is submitted."""

    async def test_it_ends_with_the_last_submit(self, bench: Bench) -> None:
        """Nothing waits for the vendor's work; the next run goes on from there."""
        bench.plan(10)
        async with serving(Script(takes_s=1000.0)) as vendor:
            await bench.run(vendor.base_url, submit_only=True)
            assert now() < 30.0
            assert bench.states() == [State.SUBMITTED] * 10
            await bench.run(vendor.base_url)
        assert bench.states() == [State.DONE] * 10

    async def test_it_waits_for_places_and_repeats(self, bench: Bench) -> None:
        """A limit of tasks in flight and a put-off submit are waited for."""

        async def on_submit(chunk: int, _nth: int) -> Answer | None:
            return error(500) if chunk == 5 and vendor.submits.count(5) < 4 else None

        bench.plan(5)
        bench.platform("instagram", max_in_flight=2)
        async with serving(Script(on_submit=on_submit)) as vendor:
            await bench.run(vendor.base_url, submit_only=True)
        assert State.PLANNED not in bench.states()

    async def test_a_stopped_platform_is_not_waited_for(self, bench: Bench) -> None:
        """What can't be submitted in this run does not keep it going."""

        async def on_submit(chunk: int, _nth: int) -> Answer | None:
            return error(402) if chunk == 3 else None

        bench.plan(5)
        async with serving(Script(takes_s=1000.0, on_submit=on_submit)) as vendor:
            await bench.run(vendor.base_url, submit_only=True)
        assert now() < 30.0
        assert bench.states().count(State.SUBMITTED) >= 2
        assert bench.states()[2] == State.PLANNED


async def test_two_platforms_of_one_vendor_one_of_them_stopped(bench: Bench) -> None:
    """Three doubts of one platform leave the other alone."""
    bench.platforms["amazon"] = AMAZON

    async def on_made(made: Made) -> Answer | None:
        return error(409) if made.platform == "amazon" else None

    bench.plan(15)
    async with serving(Script(on_made=on_made)) as vendor:
        platforms = await bench.run(vendor.base_url)
    assert bench.states("instagram") == [State.DONE] * 15
    assert bench.states("amazon") == [State.IN_DOUBT] * 3 + [State.PLANNED] * 12
    assert [platform.at_vendor.work for platform in platforms] == [0, 0]
    assert [platform.leaving for platform in platforms] == [0, 0]
    assert [platform.submits.count for platform in platforms] == [0, 0]
    assert platforms[0].vendor.calls == 0


async def test_an_error_of_the_program_ends_the_run(bench: Bench) -> None:
    """It comes out as itself, once the answers on their way have been taken."""

    async def on_made(made: Made) -> None:
        await asyncio.sleep(2.0 if made.chunk == 3 else 0.0)

    async def on_status(_made: Made) -> None:
        bench.broken = True

    bench.plan(3)
    bench.polling = PollingSettings(min_interval_s=1.0)
    async with serving(Script(on_made=on_made, on_status=on_status)) as vendor:
        with capture_logs() as logs, pytest.raises(ZeroDivisionError):
            await bench.run(vendor.base_url)
    assert {line["task_id"] for line in logs if line["event"] == "accepted"} == set(vendor.tasks)
