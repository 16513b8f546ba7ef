from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import aiohttp
import pytest

from orchestrator.sandbox import Options, ResultFormat, missing_numbers, read_requests, verdict
from orchestrator.sandbox.faults import Moment, status_fate, submit_fate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Client, Serve

    Numbers = Callable[..., list[str]]

pytestmark = pytest.mark.looptime
PATH = "/ins/api/simple/tasks"


def seed_for(fault: str, moment: Moment) -> int:
    """Find a seed with which the first submit meets the fault at that moment."""
    fates = ((seed, submit_fate(seed, frozenset({fault}), PATH, 1)) for seed in range(10_000))
    return next(seed for seed, fate in fates if (fate.fault, fate.moment) == (fault, moment))


@pytest.mark.parametrize(
    ("fault", "moment", "status"),
    [
        ("error_500", Moment.EARLY, 500),
        ("error_500", Moment.WHOLE, 500),
        ("throttle_429", Moment.EARLY, 429),
        ("throttle_429", Moment.WHOLE, 429),
    ],
)
async def test_an_error_answer_makes_no_task(
    serve: Serve, numbers: Numbers, fault: str, moment: Moment, status: int
) -> None:
    """500 and 429 are free, as JSON, before or after the body was read; 429 says when to come back."""
    async with serve(seed=seed_for(fault, moment), faults=[fault]) as client:
        answer = await client.submit(numbers(10))
        assert (answer.status, set(answer.json)) == (status, {"error", "message"})
        assert ("Retry-After" in answer.headers) is (status == 429)
        assert client.vendor.tasks == []
        (line,) = read_requests(client.vendor.directory)
        assert (line["fault"], line["code"], line["nth"]) == (fault, status, 1)


@pytest.mark.parametrize(
    ("fault", "moment", "made"),
    [
        ("reset_before", Moment.EARLY, 0),
        ("reset_before", Moment.WHOLE, 0),
        ("reset_after", Moment.MADE, 1),
    ],
)
async def test_a_reset_gives_no_answer(serve: Serve, numbers: Numbers, fault: str, moment: Moment, made: int) -> None:
    """The client sees a reset connection both times; only the record tells what was charged."""
    async with serve(seed=seed_for(fault, moment), faults=[fault]) as client:
        with pytest.raises(aiohttp.ClientError) as caught:
            await client.submit(numbers(10))
        assert isinstance(caught.value, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)
        assert len(client.vendor.tasks) == made
        (line,) = read_requests(client.vendor.directory)
        assert (line["fault"], line["code"], bool(line["task_id"])) == (fault, 0, bool(made))


async def test_a_reset_is_a_real_one(serve: Serve, numbers: Numbers) -> None:
    """RST, not the orderly end of a stream."""
    async with serve(seed=seed_for("reset_before", Moment.EARLY), faults=["reset_before"]) as client:
        request = f"POST {PATH} HTTP/1.1\r\nHost: v\r\nX-API-Key: k-123\r\nContent-Length: 5\r\n\r\n"
        reader, writer = await client.raw(request.encode())
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_slow_answers_take_seconds(serve: Serve, numbers: Numbers) -> None:
    """Some answers take up to three seconds, whatever they are; the others come at once."""
    loop = asyncio.get_running_loop()
    async with serve(faults=["slow"], pace=math.inf) as client:
        times = []
        for _ in range(60):
            began = loop.time()
            await client.submit(numbers(1))
            times.append(loop.time() - began)
    assert 0.3 < max(times) <= 3.1
    assert sorted(times)[40] < 0.1


async def test_status_calls_fail_too_but_never_for_long(serve: Serve, numbers: Numbers) -> None:
    """500, 429 and resets strike status calls by seed; the next call is another one."""
    only = frozenset({"error_500", "throttle_429", "reset_before"})
    async with serve(faults=only, seed=3) as client:
        task = ""
        while not task:
            try:
                task = (await client.submit(numbers(1))).json.get("task_id", "")
            except aiohttp.ClientError:
                continue
        seen = []
        for _ in range(100):
            try:
                seen.append((await client.status(task)).status)
            except aiohttp.ClientError:
                seen.append(0)
    codes = {"": 200, "error_500": 500, "throttle_429": 429, "reset_before": 0}
    assert seen == [codes[status_fate(3, only, task, n).fault] for n in range(1, 101)]
    assert set(seen) == set(codes.values())


async def test_an_expired_link_is_renewed_by_the_next_status(serve: Serve, numbers: Numbers) -> None:
    """403 from the result host means: ask again."""
    async with serve(faults=["expired_link"], pace=math.inf) as client:
        outcomes = []
        for n in range(30):
            task = (await client.submit(numbers(1, first=41_790_000_000 + n))).json["task_id"]
            codes = [(await client.fetch((await client.status(task)).json["result_url"]))[0] for _ in range(2)]
            outcomes.append(codes)
    assert [403, 200] in outcomes
    assert [403, 403] not in outcomes


async def test_a_truncated_file_is_whole_at_the_third_fetch(serve: Serve, numbers: Numbers) -> None:
    """It breaks off, or it comes short as if that were all; later it is right."""
    broken, short = 0, 0
    async with serve(faults=["truncated_file"], pace=math.inf) as client:
        for n in range(40):
            task = (await client.submit(numbers(600, first=41_790_000_000 + n))).json["task_id"]
            url = (await client.status(task)).json["result_url"]
            sizes = []
            for _ in range(4):
                try:
                    sizes.append(len((await client.fetch(url))[1]))
                except aiohttp.ClientPayloadError:
                    broken += 1
            short += sizes.count(sizes[-1] // 2)
            assert set(sizes[-2:]) == {sizes[-1]}
    assert broken > 0
    assert short > 0


async def all_rows(client: Client, task: str) -> dict[str, str]:
    status = (await client.status(task)).json
    _, content = await client.fetch(status["result_url"])
    rows = [line.split(",") for line in content.decode("utf-8-sig").splitlines()[1:]]
    assert len(rows) == status["success"]
    return {f"+{number.lstrip('+')}": word for number, word in rows}


async def test_success_counts_the_rows_that_are_there(serve: Serve, numbers: Numbers) -> None:
    """With rows missing and foreign, `success` is what the file holds and `failure` what is missing."""
    options = Options(result_format=ResultFormat.CSV)
    async with serve(faults=["missing_rows", "foreign_rows"], pace=math.inf, options=options, seed=2) as client:
        strangers = 0
        for n in range(10):
            lines = numbers(1_000, first=41_790_000_000 + n)
            task = (await client.submit(lines)).json["task_id"]
            status = (await client.status(task)).json
            rows = await all_rows(client, task)
            assert set(lines) - set(rows) == missing_numbers(2, task, lines)
            assert status["failure"] == len(missing_numbers(2, task, lines))
            strangers += len(set(rows) - set(lines))
        assert strangers % 5 == 0 < strangers


async def test_without_faults_every_verdict_comes(serve: Serve, numbers: Numbers) -> None:
    """A quiet run is complete, whatever the layout of its files."""
    async with serve(pace=math.inf, options=Options(result_format=ResultFormat.CSV)) as client:
        lines = numbers(7_000)  # more than is worked off on the loop
        task = (await client.submit(lines)).json["task_id"]
        rows = await all_rows(client, task)
        assert set(rows) == set(lines)
        assert len(set(rows.values())) == 5
        assert (await all_rows(client, task)) == rows
    assert {verdict(0, "instagram", number) for number in lines} >= {"yes", "no", "ban"}


async def test_the_same_seed_and_calls_meet_the_same_faults(serve: Serve, numbers: Numbers) -> None:
    """A run can be repeated; a restart in the middle goes on where it was."""

    async def outcomes(client: Client, count: int) -> list[int]:
        codes = []
        for _ in range(count):
            try:
                codes.append((await client.submit(numbers(1))).status)
            except aiohttp.ClientError:
                codes.append(0)
        return codes

    seen = []
    for _ in range(2):
        async with serve(faults=["all"], seed=9) as client:
            seen += await outcomes(client, 40)
    fates = [submit_fate(9, client.vendor._faults, PATH, n).fault for n in range(1, 81)]
    codes = {"error_500": {500}, "throttle_429": {429}, "reset_before": {0}, "reset_after": {0}, "": {200, 202}}
    assert len(set(fates)) == 5
    assert all(code in codes[fate] for code, fate in zip(seen, fates, strict=True))
