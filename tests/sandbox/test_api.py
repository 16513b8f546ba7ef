from __future__ import annotations

import asyncio
import hashlib
import math
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from orchestrator.sandbox import Options, read_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Client, Serve

    Numbers = Callable[..., list[str]]

pytestmark = pytest.mark.looptime
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"


async def test_simple_submit_answers_as_documented(serve: Serve, numbers: Numbers) -> None:
    """All fields of the documented answer, `total` 0, nothing else."""
    async with serve(options=Options(currency=None)) as client:
        answer = await client.submit(numbers(20))
    assert answer.status in (200, 202)
    assert re.fullmatch(STAMP, answer.json["created_at"])
    assert answer.json | {"task_id": ""} == {
        "created_at": "2025-11-21T15:58:08.916446685Z",
        "updated_at": "2025-11-21T15:58:08.916446685Z",
        "task_id": "",
        "user_id": "sandbox",
        "status": "pending",
        "total": 0,
        "success": 0,
        "failure": 0,
    }


async def test_v1_submit_answers_as_documented(serve: Serve, numbers: Numbers) -> None:
    """The v1 answer tells the real count and has no user."""
    async with serve(options=Options(currency=None)) as client:
        answer = await client.amazon(numbers(120))
    assert answer.status in (200, 202)
    assert {name: value for name, value in answer.json.items() if name not in ("task_id", "created_at")} == {
        "status": "pending",
        "total": 120,
        "message": "Task created successfully",
    }


async def test_amounts_are_told_as_decimals_in_text(serve: Serve, numbers: Numbers) -> None:
    """What a task is expected to cost comes with the submit, what it has cost with the export; the record has that."""
    async with serve(options=Options(price_factor=2.0, estimate_factor=1.5), pace=math.inf) as client:
        submitted = (await client.submit(numbers(20))).json
        exported = (await client.call("GET", f"/ins/api/simple/tasks/{submitted['task_id']}")).json
    estimated = {"amount": "0.006000000", "currency": "USD"}
    assert (submitted["estimated_amount"], submitted.get("actual_amount")) == (estimated, None)
    assert exported["status"] == "exported"
    assert (exported["estimated_amount"], exported["actual_amount"]) == (
        estimated,
        {"amount": "0.004000000", "currency": "USD"},
    )


async def test_some_submits_are_answered_202(serve: Serve, numbers: Numbers) -> None:
    """A client must take 202 for what it is."""
    async with serve() as client:
        answers = [await client.submit(numbers(1, first=41_790_000_000 + n)) for n in range(60)]
    assert {answer.status for answer in answers} == {200, 202}


@pytest.mark.parametrize("style", ["simple", "v1"])
async def test_a_task_goes_its_way_by_the_clock(serve: Serve, numbers: Numbers, style: str) -> None:
    """pending, processing with growing success, (completed,) exported with a link; counts add up to total."""
    async with serve(pace=10.0) as client:
        sent = await (client.submit(numbers(600)) if style == "simple" else client.amazon(numbers(600)))
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["status"] != "exported":
            look = client.status if style == "simple" else client.gettasks
            seen.append((await look(sent.json["task_id"])).json)
            await asyncio.sleep(1)
    statuses = list(dict.fromkeys(status["status"] for status in seen))
    assert statuses == ["pending", "processing", *(["completed"] if style == "simple" else []), "exported"]
    assert 45 <= len(seen) - 1 <= 76
    assert all(status["total"] == 600 and status["failure"] == 0 for status in seen)
    grown = [status["success"] for status in seen]
    assert grown == sorted(grown)
    assert len(set(grown)) > 30
    assert grown[-1] == 600
    assert [("result_url" in status) for status in seen] == [False] * (len(seen) - 1) + [True]
    assert seen[-1]["result_url"].startswith(f"{client.vendor.result_url}/externalcheck/{sent.json['task_id']}/")


async def test_timestamps_of_a_v1_status_have_three_digits(serve: Serve, numbers: Numbers) -> None:
    """As in the documented example."""
    async with serve(pace=math.inf) as client:
        sent = await client.amazon(numbers(100))
        status = await client.gettasks(sent.json["task_id"])
    assert status.json["created_at"] == "2025-11-21T15:58:08.916Z"


async def test_tasks_work_in_parallel(serve: Serve, numbers: Numbers) -> None:
    """Ten tasks take no longer than one."""
    async with serve(pace=10.0) as client:
        sent = [await client.submit(numbers(100, first=41_790_000_000 + n)) for n in range(10)]
        await asyncio.sleep(12.5)
        done = [(await client.status(answer.json["task_id"])).json["status"] for answer in sent]
    assert done == ["exported"] * 10


async def test_what_was_charged_is_on_record(serve: Serve, numbers: Numbers) -> None:
    """One line a task: type, hash of the file, rows, cost, file name."""
    text = "".join(f"{number}\n" for number in numbers(100)).encode()
    async with serve() as client:
        sent = await client.submit(text, file_name="spring-instagram-1.txt", user_id="me")
        (task,) = client.vendor.tasks
        assert (client.vendor.directory / "uploads" / f"{task.id}.txt").read_bytes() == text
    assert (task.id, task.style, task.type, task.platform) == (sent.json["task_id"], "simple", "ins", "instagram")
    assert (task.sha256, task.size_bytes) == (hashlib.sha256(text).hexdigest(), len(text))
    assert (task.rows, task.cost, task.file_name, task.user_id) == (100, 0.01, "spring-instagram-1.txt", "me")


async def test_the_same_file_twice_is_paid_twice(serve: Serve, numbers: Numbers) -> None:
    """There is no idempotency: nothing protects a client that sends again."""
    async with serve() as client:
        first, second = [await client.submit(numbers(10)) for _ in range(2)]
        assert first.json["task_id"] != second.json["task_id"]
        assert len(client.vendor.tasks) == 2


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        ({"numbers": ["+41798284651", "41798284652"]}, 400, "invalid_file"),
        ({"numbers": b""}, 400, "invalid_file"),
        ({"numbers": b"PK\x03\x04"}, 400, "invalid_file"),
        ({"numbers": ["+41798284651"], "task_type": "amazon"}, 400, "bad_request"),
        ({"numbers": ["+41798284651"], "path": "/v1/tasks"}, 400, "invalid_task_type"),
        ({"numbers": ["+41798284651"], "path": "/v1/tasks", "task_type": "Amazon"}, 400, "invalid_task_type"),
        ({"numbers": ["+41798284651"], "path": "/v1/tasks", "task_type": "tg", "user_id": "me"}, 400, "bad_request"),
        ({"numbers": ["+41798284651"], "path": "/nix/api/simple/tasks"}, 404, "not_found"),
        ({"numbers": ["+41798284651"], "path": "/api/simple/tasks"}, 404, "not_found"),
        ({"numbers": ["+41798284651"], "key": None}, 401, "unauthorized"),
        ({"numbers": ["+41798284651"], "key": ""}, 401, "unauthorized"),
        ({"numbers": ["+41798284651"], "key": "k-124"}, 401, "unauthorized"),
    ],
)
async def test_a_bad_submit_is_refused_and_free(serve: Serve, sent: dict[str, Any], status: int, error: str) -> None:
    """The answer is JSON with `error` and `message`, and no task is made."""
    async with serve() as client:
        answer = await client.submit(**sent)
        assert (answer.status, answer.json["error"], set(answer.json)) == (status, error, {"error", "message"})
        assert client.vendor.tasks == []
        assert list((client.vendor.directory / "uploads").iterdir()) == []


async def test_without_a_key_of_its_own_any_key_will_do(serve: Serve, numbers: Numbers) -> None:
    """But there must be one."""
    async with serve(key=None) as client:
        assert (await client.submit(numbers(1), key="anything")).status in (200, 202)
        assert (await client.submit(numbers(1), key=None)).status == 401


async def test_the_minimum_counts_rows_without_duplicates(serve: Serve, numbers: Numbers) -> None:
    """The vendor counts after dropping duplicates: 99 numbers, one of them twice, are 99."""
    async with serve() as client:
        lines = numbers(99)
        refused = await client.amazon([*lines, lines[0]])
        assert (refused.status, refused.json["error"]) == (400, "invalid_batch_size")
        taken = await client.amazon([*numbers(100), lines[0]])
        assert (taken.status in (200, 202), taken.json["total"]) == (True, 100)
        assert (await client.submit(lines, path="/fb/api/simple/tasks")).json["error"] == "invalid_batch_size"
        assert len(client.vendor.tasks) == 1


async def test_a_missing_file_is_refused(serve: Serve) -> None:
    """`file` is the one field that every submit needs."""
    async with serve() as client:
        form = aiohttp.FormData({"user_id": "me"}, default_to_multipart=True)
        answer = await client.call("POST", "/ins/api/simple/tasks", data=form)
        assert (answer.status, answer.json["error"]) == (400, "missing_field")
        plain = await client.call("POST", "/ins/api/simple/tasks", data={"file": "+41798284651"})
        assert (plain.status, plain.json["error"]) == (400, "bad_request")


async def test_a_file_that_is_too_large_is_413(serve: Serve, numbers: Numbers) -> None:
    """By its length before it is read, or when it has grown too long."""
    async with serve(options=Options(max_upload_bytes=1000)) as client:
        for count in (100, 10_000):
            answer = await client.submit(numbers(count))
            assert (answer.status, answer.json["error"]) == (413, "file_too_large")
        assert client.vendor.tasks == []


async def test_a_body_needs_a_length(serve: Serve) -> None:
    """A body of unknown length can't be seen to be whole."""

    async def chunks() -> Any:
        yield b"--B\r\n"

    async with serve() as client:
        answer = await client.call("POST", "/ins/api/simple/tasks", data=chunks())
    assert answer.status == 411


async def test_status_calls_for_what_is_not_there(serve: Serve, numbers: Numbers) -> None:
    """404 for an unknown task, the other style, another platform, another user; 400 for a field too few or many."""
    async with serve() as client:
        simple = (await client.submit(numbers(10), user_id="me")).json["task_id"]
        v1 = (await client.amazon(numbers(100))).json["task_id"]
        assert (await client.status("nope")).status == 404
        assert (await client.status(v1)).status == 404
        assert (await client.gettasks(simple)).status == 404
        assert (await client.status(simple, path="/wa/api/simple/tasks")).status == 404
        assert (await client.status(simple, user_id="you")).status == 404
        assert (await client.status(simple, user_id="me")).status == 200
        assert (await client.status(simple)).status == 200
        assert (await client.status(simple, userid="me")).status == 400
        empty = aiohttp.FormData({"id": v1}, default_to_multipart=True)
        assert (await client.call("POST", "/v1/gettasks", data=empty)).status == 400
        nothing = aiohttp.MultipartWriter("form-data", boundary="B")
        nothing.append("x", {"Content-Disposition": 'form-data; name="task_type"'})
        assert (await client.call("POST", "/v1/gettasks", data=nothing)).status == 400


async def test_gettasks_needs_a_task_id(serve: Serve) -> None:
    """A form without fields says nothing."""
    async with serve() as client:
        head = {"Content-Type": "multipart/form-data; boundary=B"}
        async with client.session.post(
            client.vendor.base_url + "/v1/gettasks", data=b"--B--\r\n", headers=head | {"X-API-Key": "k-123"}
        ) as response:
            assert (response.status, (await response.json())["error"]) == (400, "missing_field")


async def test_unknown_paths_and_methods_are_json(serve: Serve) -> None:
    """Error bodies carry `error` and `message` everywhere."""
    async with serve() as client:
        assert (await client.call("GET", "/nowhere")).json == {"error": "not_found", "message": "Not Found"}
        assert (await client.call("GET", "/v1/tasks")).status == 405


async def test_balance_falls_with_every_task(serve: Serve, numbers: Numbers) -> None:
    """A submit above the balance is 402 and makes no task."""
    async with serve(options=Options(balance=0.03)) as client:
        assert (await client.call("GET", "/v1/balance")).json == {"balance": 0.03}
        assert (await client.amazon(numbers(100))).status in (200, 202)
        assert (await client.call("GET", "/v1/balance")).json == {"balance": 0.01}
        refused = await client.amazon(numbers(100))
        assert (refused.status, refused.json["error"]) == (402, "insufficient_balance")
        assert len(client.vendor.tasks) == 1


async def test_concurrent_submits_cannot_share_the_last_dollar(serve: Serve, numbers: Numbers) -> None:
    """Looking and taking are one step."""
    async with serve(options=Options(balance=0.05)) as client:
        answers = await asyncio.gather(*(client.amazon(numbers(100)) for _ in range(8)))
        assert sorted(answer.status // 100 for answer in answers) == [2] * 2 + [4] * 6
        assert len(client.vendor.tasks) == 2


async def test_too_many_unfinished_tasks_are_429(serve: Serve, numbers: Numbers) -> None:
    """Per platform, with a hint when to come back, and free."""
    async with serve(pace=10.0, options=Options(max_in_flight=2)) as client:
        first = [await client.submit(numbers(100)) for _ in range(3)]
        assert [answer.status // 100 for answer in first] == [2, 2, 4]
        assert (first[2].status, first[2].json["error"]) == (429, "too_many_tasks")
        assert (await client.amazon(numbers(100))).status in (200, 202)
        await asyncio.sleep(float(first[2].headers["Retry-After"]))
        assert (await client.submit(numbers(100))).status in (200, 202)


async def test_requests_that_come_too_close_are_429(serve: Serve, numbers: Numbers) -> None:
    """Every kind of request counts, and so does a refused one; Retry-After is in whole seconds."""
    async with serve(options=Options(requests_per_second=4.0, tolerance_s=0.0)) as client:
        codes = []
        for wait in (0.0, 0.25, 0.2, 0.1, 0.25, 0.249, 0.25):
            await asyncio.sleep(wait)
            answer = await client.call("GET", "/v1/balance")
            codes.append(answer.status)
            assert answer.status == 200 or answer.headers["Retry-After"] == "1"
        assert codes == [200, 200, 429, 429, 200, 429, 200]
        assert client.vendor.throttled == 3


async def test_requests_are_logged_with_their_arrival(serve: Serve, numbers: Numbers, epoch: float) -> None:
    """Tests of spacing read kind and time; every outcome has its line."""
    async with serve() as client:
        await asyncio.sleep(1)
        sent = await client.submit(numbers(1))
        await asyncio.sleep(2)
        await client.status(sent.json["task_id"])
        await client.gettasks("nope")
        await client.call("GET", "/v1/balance", key=None)
        await client.call("GET", "/other")
        lines = read_requests(client.vendor.directory)
    assert [(line["kind"], line["method"], line["code"]) for line in lines] == [
        ("submit", "POST", sent.status),
        ("status", "GET", 200),
        ("status", "POST", 404),
        ("balance", "GET", 401),
        ("other", "GET", 404),
    ]
    assert [round(line["time"] - epoch, 3) for line in lines] == [1, 3, 3, 3, 3]
    assert lines[0]["task_id"] == lines[1]["task_id"] == sent.json["task_id"]
    assert lines[0]["path"] == "/ins/api/simple/tasks"


async def test_answers_are_dated_by_the_clock(serve: Serve) -> None:
    """A client that compares clocks sees the vendor's one."""
    async with serve() as client:
        await asyncio.sleep(60)
        answer = await client.call("GET", "/v1/balance")
    assert answer.headers["Date"] == "Fri, 21 Nov 2025 15:59:08 GMT"


async def test_a_lost_file_fails_its_task(serve: Serve, numbers: Numbers) -> None:
    """The status `failed` exists at the vendor."""
    async with serve(pace=math.inf) as client:
        task = (await client.submit(numbers(10))).json["task_id"]
        (client.vendor.directory / "uploads" / f"{task}.txt").unlink()
        status = (await client.status(task)).json
    assert (status["status"], status["success"], "result_url" in status) == ("failed", 0, False)


def raw_submit(client: Client, lines: list[str], cut: int = 0) -> bytes:
    """Spell a submit as bytes on the wire, without its last `cut` bytes."""
    content = "".join(f"{line}\n" for line in lines)
    body = (
        '--B\r\nContent-Disposition: form-data; name="file"; filename="input.txt"\r\n'
        f"Content-Type: text/plain\r\n\r\n{content}\r\n--B--\r\n"
    ).encode()
    head = (
        "POST /ins/api/simple/tasks HTTP/1.1\r\nHost: vendor\r\nX-API-Key: k-123\r\n"
        f"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    return head + body[: len(body) - cut]


@pytest.mark.parametrize("cut", [3, 4, 7, 40, 100])
async def test_a_body_that_is_not_whole_makes_no_task(serve: Serve, numbers: Numbers, cut: int) -> None:
    """Whatever is missing, the client may send it again; nothing is left behind."""
    async with serve() as client:
        _, writer = await client.raw(raw_submit(client, numbers(10), cut))
        await asyncio.sleep(60)
        assert client.vendor.tasks == []
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(1)
        assert client.vendor.tasks == []
        assert list((client.vendor.directory / "uploads").iterdir()) == []
        assert [line["code"] for line in read_requests(client.vendor.directory)] == [0]


async def test_a_body_is_whole_with_its_closing_delimiter(serve: Serve, numbers: Numbers) -> None:
    """Who holds back only the last line break has paid: a vendor may act before it comes."""
    async with serve() as client:
        reader, writer = await client.raw(raw_submit(client, numbers(10), 2))
        assert (await reader.readline()).startswith(b"HTTP/1.1 20")
        writer.transport.abort()
        assert len(client.vendor.tasks) == 1
