from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from aiohttp import web

from orchestrator.dispatch.caution import PlatformStop
from orchestrator.dispatch.receipts import Seal
from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.jobdir.layout import chunk_path
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.tasks import State
from tests.dispatch.harness import (
    AMAZON,
    RESET,
    VENDOR,
    Answer,
    Bench,
    Interrupted,
    Made,
    Script,
    accepted,
    error,
    serving,
)
from tests.logs import capture_logs

pytestmark = pytest.mark.looptime

DONE, PLANNED, IN_DOUBT, FAILED, SUBMITTED = (
    State.DONE,
    State.PLANNED,
    State.IN_DOUBT,
    State.FAILED,
    State.SUBMITTED,
)


async def test_an_accepted_submit_is_logged_before_it_is_recorded(bench: Bench) -> None:
    """Platform, chunk and task id stand in the log even if nothing of the disk is left, with a check over all."""
    bench.plan(1)
    async with serving(Script()) as vendor:
        with capture_logs() as logs:
            await bench.run(vendor.base_url)
    assert logs[0] == {
        "event": "accepted",
        "log_level": "info",
        "platform": "instagram",
        "chunk": "000001",
        "check": Seal(b"", 0).check(bench.task().key, bench.task().sha256, "t1"),
        "task_id": "t1",
    }
    assert bench.states() == [DONE]


async def test_doubts_go_one_at_a_time_and_the_third_in_a_row_stops(bench: Bench) -> None:
    """A vendor that breaks off after every submit costs three tasks, which are held; the rest is never sent."""

    async def on_made(_made: Made) -> Answer:
        return RESET

    bench.plan(20)
    # One that nothing stops would go on for ever.
    asyncio.get_running_loop().call_later(600, lambda: bench.stopping.set())  # noqa: PLW0108 - the run makes another
    async with serving(Script(on_made=on_made)) as vendor:
        platforms = await bench.run(vendor.base_url)
    assert vendor.submits == [1, 2, 3]
    assert vendor.most_at_once == 1
    assert bench.states() == [IN_DOUBT] * 3 + [PLANNED] * 17
    assert platforms[0].caution.stopped is PlatformStop.DOUBTS
    assert bench.spent_nano() == 3 * bench.platforms["instagram"].cost_nano(3)


async def test_a_single_doubt_slows_down_for_a_while(bench: Bench) -> None:
    """After a doubt submits go one at a time until one is accepted, then together again."""
    at_once: list[int] = []

    async def on_made(made: Made) -> Answer | None:
        await asyncio.sleep(1)
        at_once.append(vendor._at_once)
        return RESET if made.chunk == 2 else None

    bench.plan(6)
    async with serving(Script(on_made=on_made)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [DONE, IN_DOUBT, DONE, DONE, DONE, DONE]
    assert vendor.charged()["instagram", 2] == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda: RESET,
        lambda: web.Response(status=502, text="<html>"),
        lambda: web.Response(status=504),
        lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
        lambda: web.Response(status=200, text="welcome"),
        lambda: web.json_response({"message": "created"}),
        lambda: error(409),
        lambda: error(408),
        lambda: web.Response(status=500, text="oops"),
    ],
)
async def test_no_clear_answer_is_held_and_never_sent_again(bench: Bench, answer: Callable[[], Answer]) -> None:
    """Whatever comes after release and is neither an id nor a refusal is a person's decision, also for later runs."""

    async def on_submit(chunk: int, _nth: int) -> Answer | None:
        return answer() if chunk == 2 else None

    bench.plan(3)
    async with serving(Script(on_submit=on_submit)) as vendor:
        await bench.run(vendor.base_url)
        await bench.run(vendor.base_url)
    assert bench.states() == [DONE, IN_DOUBT, DONE]
    assert vendor.submits.count(2) == 1


async def test_no_answer_within_the_time_limit_is_in_doubt(bench: Bench) -> None:
    """A vendor that stays silent does not hang the run."""

    async def on_made(made: Made) -> None:
        if made.chunk == 2:
            await asyncio.sleep(10_000)

    bench.plan(2)
    async with serving(Script(on_made=on_made)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [DONE, IN_DOUBT]


async def test_three_refusals_in_a_row_stop(bench: Bench) -> None:
    """A vendor that takes nothing costs three attempts, and nothing."""

    async def on_submit(_chunk: int, _nth: int) -> Answer:
        return error(400)

    bench.plan(20)
    async with serving(Script(on_submit=on_submit)) as vendor:
        platforms = await bench.run(vendor.base_url)
    assert vendor.submits == [1, 2, 3]
    assert bench.states() == [FAILED] * 3 + [PLANNED] * 17
    assert platforms[0].caution.stopped is PlatformStop.REFUSALS
    assert bench.spent_nano() == 0


async def test_a_single_refusal_is_final_for_its_task_only(bench: Bench) -> None:
    """A file that is too large fails with the vendor's words and ours; the others go on."""

    async def on_submit(chunk: int, _nth: int) -> Answer | None:
        return error(413) if chunk == 3 else None

    bench.plan(5)
    async with serving(Script(on_submit=on_submit)) as vendor:
        await bench.run(vendor.base_url)
        await bench.run(vendor.base_url)
    assert bench.states() == [DONE, DONE, FAILED, DONE, DONE]
    assert "chunk_size" in bench.task(3).reason
    assert vendor.submits.count(3) == 1


@pytest.mark.parametrize("failures", [1, 4])
async def test_a_500_is_sent_again(bench: Bench, failures: int) -> None:
    """A JSON 500 made no task: the same file is sent again, with growing waits, and charged once."""

    async def on_submit(chunk: int, _nth: int) -> Answer | None:
        return error(500) if chunk == 1 and vendor.submits.count(1) <= failures else None

    bench.plan(3)
    async with serving(Script(on_submit=on_submit)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [DONE] * 3
    assert set(vendor.charged().values()) == {1}
    assert bench.spent_nano() == 3 * bench.platforms["instagram"].cost_nano(3)


async def test_a_429_is_waited_for(bench: Bench) -> None:
    """Nothing at all leaves for this vendor before its `Retry-After` is over, and then more slowly."""

    async def on_submit(chunk: int, _nth: int) -> Answer | None:
        return error(429, Retry_After="30") if chunk == 2 and vendor.submits.count(2) == 1 else None

    bench.plan(3)
    bench.platform("instagram", max_in_flight=1)
    async with serving(Script(on_submit=on_submit)) as vendor:
        await bench.run(vendor.base_url)
    throttled_at = vendor.arrived[1 + vendor.submits.index(2) + len(vendor.of(1).looks)]
    later = [at for at in vendor.arrived if at > throttled_at]
    assert min(later) >= throttled_at + 30.0
    assert bench.states() == [DONE] * 3


@pytest.mark.parametrize("status", [401, 402])
async def test_the_vendor_says_stop(bench: Bench, status: int) -> None:
    """Nothing more is sent, the task stays planned, and what is at the vendor is still brought in."""

    async def on_submit(chunk: int, _nth: int) -> Answer | None:
        return error(status) if chunk == 3 else None

    bench.plan(6)
    bench.platform("instagram", max_in_flight=2)
    async with serving(Script(on_submit=on_submit)) as vendor:
        platforms = await bench.run(vendor.base_url)
    assert bench.states() == [DONE, DONE, *[PLANNED] * 4]
    assert vendor.submits == [1, 2, 3]
    assert platforms[0].vendor.denial
    assert not platforms[0].vendor.poll_denial
    assert bench.spent_nano() == 2 * bench.platforms["instagram"].cost_nano(3)


async def test_a_platform_that_is_denied_leaves_the_others_alone(bench: Bench) -> None:
    """403 is about what the key may do there; in the vendor's own words it counts at once."""
    bench.platforms["amazon"] = AMAZON
    bench.platforms["viber"] = replace(AMAZON, vendor="other")
    bench.vendors["other"] = VENDOR

    async def on_submit(_chunk: int, _nth: int) -> Answer:
        return error(403)

    bench.plan(3)
    async with serving(Script()) as vendor, serving(Script(on_submit=on_submit)) as other:
        platforms = await bench.run(vendor.base_url, other.base_url)
    assert [bool(platform.denial) for platform in platforms] == [False, False, True]
    assert (len(other.submits), bench.states("viber")) == (1, [PLANNED] * 3)
    assert bench.states("instagram") == bench.states("amazon") == [DONE] * 3


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("times", [1, 2])
async def test_a_gateway_that_denies(bench: Bench, status: int, times: int) -> None:
    """Without the vendor's own words a denial counts from the second one in a row on; the first is sent again."""

    async def on_submit(chunk: int, nth: int) -> Answer | None:
        return web.Response(status=status, text="<html>") if nth <= times else None

    bench.plan(2)
    async with serving(Script(on_submit=on_submit)) as vendor:
        platforms = await bench.run(vendor.base_url)
    if times == 1:
        assert bench.states() == [DONE, DONE]
        assert platforms[0].why_not_sent == ""
    else:
        assert bench.states() == [PLANNED, PLANNED]
        assert bool(platforms[0].denial) is (status == 403)
        assert bool(platforms[0].vendor.denial) is (status != 403)
    assert set(vendor.charged().values()) <= {1}


async def test_a_vendor_that_fails_for_ever(bench: Bench) -> None:
    """Five times it is believed, over all runs, that a 500 made no task; then the task is held, and three stop all."""

    async def on_submit(_chunk: int, _nth: int) -> Answer:
        if len(vendor.submits) in {3, 9}:
            bench.stopping.set()
        return error(500)

    bench.plan(10)
    async with serving(Script(on_submit=on_submit)) as vendor:
        for _ in range(6):
            await bench.run(vendor.base_url)
    assert bench.states().count(IN_DOUBT) == 3
    assert bench.states().count(PLANNED) == 7
    held = [task for task in bench.tasks() if task.state is IN_DOUBT]
    assert [vendor.submits.count(task.key.chunk) for task in held] == [5, 5, 5]
    assert all(task.reason.startswith("5 times HTTP 500") for task in held)
    assert max(Counter(vendor.submits).values()) == 5


async def test_a_task_id_that_another_task_has(bench: Bench) -> None:
    """It proves nothing, so the task is in doubt; three in a row stop the platform and say so."""

    async def on_made(made: Made) -> Answer:
        return accepted(made, task_id="t1")

    bench.plan(10)
    async with serving(Script(on_made=on_made)) as vendor:
        with capture_logs() as logs:
            await bench.run(vendor.base_url)
    states = bench.states()
    assert states[0] == DONE
    assert states.count(IN_DOUBT) == len(vendor.submits) - 1 < 10
    assert "platform_stopped" in [line["event"] for line in logs]


async def test_the_budget_is_held_at_release(bench: Bench) -> None:
    """What does not fit any more is not released; what is at the vendor is brought in."""
    bench.plan(5)
    bench.max_cost_nano = 2 * bench.platforms["instagram"].cost_nano(3)
    async with serving(Script()) as vendor:
        platforms = await bench.run(vendor.base_url)
    assert sorted(bench.states()) == [DONE, DONE, PLANNED, PLANNED, PLANNED]
    assert sum(vendor.charged().values()) == 2
    assert platforms[0].over_budget
    assert bench.spent_nano() == bench.max_cost_nano


async def test_a_chunk_file_that_was_changed_is_not_released(bench: Bench) -> None:
    """The hash of what was sent is compared with the plan before the last bytes leave."""
    bench.plan(2)
    path = chunk_path(bench.directory, 1)
    path.write_text(path.read_text().replace("+4179", "+4178"))
    async with serving(Script()) as vendor:
        with pytest.raises(StorageError, match="not the file that was planned"):
            await bench.run(vendor.base_url)
    assert bench.states() == [PLANNED, PLANNED]
    assert not vendor.tasks
    assert hashlib.sha256(path.read_bytes()).hexdigest() != bench.task(1).sha256


async def test_a_run_that_slept_behind_its_release_sends_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the job by then has the task held: these last bytes would make one that nobody expects."""
    bench.plan(2)
    monkeypatch.setattr(LedgerWriter, "holds", False)
    async with serving(Script()) as vendor:
        with pytest.raises(LeaseLostError, match="this run was asleep for too long"):
            await bench.run(vendor.base_url)
    assert not vendor.tasks


async def test_a_chunk_file_that_is_gone(bench: Bench) -> None:
    """It ends the run; the next one builds it anew."""
    bench.plan(2)
    chunk_path(bench.directory, 1).unlink()
    async with serving(Script()) as vendor:
        with pytest.raises(StorageError, match="000001"):
            await bench.run(vendor.base_url)
    assert not vendor.tasks


@pytest.mark.parametrize("kept", [True, False])
async def test_a_ledger_that_fails_at_release(bench: Bench, kept: bool) -> None:  # noqa: FBT001 - a table
    """The last bytes don't leave: nothing is charged, whether the disk kept the release or not."""
    bench.plan(3)
    at_release = 3  # take-over and the window of planned tasks come before
    bench.writer = lambda ledger: Interrupted(ledger, at=at_release, kept=kept)
    async with serving(Script()) as vendor:
        with pytest.raises(StorageError):
            await bench.run(vendor.base_url)
    assert vendor.tasks == {}
    assert bench.states()[0] == (State.RELEASED if kept else PLANNED)


async def test_a_ledger_that_fails_at_the_answer(bench: Bench) -> None:
    """Nothing more is sent, and the task id stands in the log; the next run holds the task."""
    bench.plan(3)
    bench.writer = lambda ledger: Interrupted(ledger, at=4, kept=False)
    async with serving(Script()) as vendor:
        with capture_logs() as logs, pytest.raises(StorageError):
            await bench.run(vendor.base_url)
        assert vendor.submits == [1]
        assert [line["task_id"] for line in logs if line["event"] == "accepted"] == ["t1"]
        assert "not_recorded" in [line["event"] for line in logs]
        bench.writer = Interrupted.__mro__[1]  # the plain one
        await bench.run(vendor.base_url)
    assert bench.states() == [IN_DOUBT, DONE, DONE]
    assert set(vendor.charged().values()) == {1}


async def test_answers_of_others_are_logged_when_the_ledger_fails(bench: Bench) -> None:
    """Submits that were released before the failure get their grace, and their task ids stand in the log."""

    async def on_made(made: Made) -> None:
        await asyncio.sleep(2 if made.chunk in (2, 3) else 0)

    bench.plan(4)
    failing: list[Interrupted] = []

    def writer(ledger: Ledger) -> Interrupted:
        failing.append(Interrupted(ledger, at=1_000, kept=False))
        return failing[-1]

    async def on_made_then_fail(made: Made) -> None:
        if made.chunk == 3:
            asyncio.get_running_loop().call_later(1, lambda: setattr(failing[0], "_at", 0))
        await on_made(made)

    bench.writer = writer
    async with serving(Script(on_made=on_made_then_fail)) as vendor:
        with capture_logs() as logs, pytest.raises(StorageError):
            await bench.run(vendor.base_url)
    named = {line["task_id"] for line in logs if line["event"] == "accepted"}
    assert named == set(vendor.tasks)


async def test_an_early_refusal_is_no_doubt(bench: Bench) -> None:
    """A vendor that answers before it has the body made no task, whatever it says."""
    bench.plan(2)

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(early, "127.0.0.1", 0)
    async with server:
        await bench.run(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert bench.states() == [FAILED, FAILED]
    assert bench.spent_nano() == 0
