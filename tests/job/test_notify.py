"""Whoever is told of a job: a real server on loopback, and a file that Prometheus' own parser reads."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from orchestrator import sandbox
from orchestrator.errors import StorageError
from orchestrator.job import notify, run
from orchestrator.report import progress, summary
from orchestrator.report.metrics import _metric

if TYPE_CHECKING:
    from pathlib import Path

    from tests.job.conftest import Case

SECRET = "s3cret of the webhook"
NUMBERS = "41790000"


@dataclass
class Hook:
    """A receiver of notices; `status` is its answer, after `delay_s`."""

    url: str = ""
    status: int = 200
    delay_s: float = 0.0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def events(self) -> list[str]:
        return [json.loads(body).get("event", "") for _, body in self.got]

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        await asyncio.sleep(self.delay_s)
        headers = {"Location": f"{self.url}/elsewhere"} if self.status // 100 == 3 else {}
        return web.Response(status=self.status, headers=headers)


@asynccontextmanager
async def listening() -> AsyncIterator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hook.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield hook
    finally:
        await runner.cleanup()


@asynccontextmanager
async def vendor(case: Case, *faults: str) -> AsyncIterator[sandbox.Sandbox]:
    """Have a vendor that charges, beside the job."""
    server = sandbox.Sandbox(case.folder / "vendor", pace=1e9, faults=faults)
    await server.start()
    case.base_url = server.base_url
    try:
        yield server
    finally:
        await server.stop()


def notified(case: Case, hook: Hook, **more: object) -> None:
    lines = [f'url = "{hook.url}/hook"', *(f"{key} = {json.dumps(value)}" for key, value in more.items())]
    case.config += "[notify]\n" + "\n".join(lines) + "\n"


def signed(headers: dict[str, str], body: bytes, key: bytes) -> str:
    """Compute the signature as its standard says it, with HMAC written out (RFC 2104)."""
    text = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + text).digest()
    return "v1," + base64.b64encode(hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()).decode()


async def test_the_end_is_told_and_signed(case: Case) -> None:
    """What is told at the end has counts, money and the next step, and no number; its signature can be computed."""
    case.environ["ORCHESTRATOR_NOTIFY_SECRET"] = SECRET
    async with listening() as hook:
        notified(case, hook)
        assert await case.run() == 0
    ((headers, body),) = hook.got
    assert headers["webhook-signature"] == signed(headers, body, SECRET.encode())
    told = json.loads(body)
    assert (told["event"], told["job"], told["exit_code"], told["state"]) == ("ended", "bench", 0, "finished")
    assert told["numbers"]["accepted"] == 10
    assert NUMBERS not in body.decode()
    assert SECRET not in body.decode() + case.said + (case.directory / "run.jsonl").read_text()
    assert hook.url not in case.said


async def test_a_secret_in_base64_is_what_the_standard_writes(case: Case, tmp_path: Path) -> None:
    """A secret from a private file, with the standard's prefix, is the bytes that it stands for."""
    key = bytes(range(32))
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text(f"whsec_{base64.b64encode(key).decode()}\n")
    async with listening() as hook:
        notified(case, hook, secret_file="secret")
        assert await case.run() == 0
    ((headers, body),) = hook.got
    assert headers["webhook-signature"] == signed(headers, body, key)


async def test_what_is_held_and_what_is_spent_is_told_once(case: Case) -> None:
    """A share of max_cost that is reached, and the first held task, are told; a later run tells only its end."""
    case.overrides = ["budget.max_cost=0.0011", "platforms.instagram.max_in_flight=1"]
    async with listening() as hook, vendor(case, "reset_after"):
        notified(case, hook, cost_share=0.5)
        code = await case.run()
        assert code in (0, 3)
        first = hook.events
        assert first[-1] == "ended"
        assert set(first) >= {"budget"} | ({"held"} if code == 3 else set())
        assert len(first) == len(set(first))
        hook.got.clear()
        await case.run()
    assert hook.events == ["ended"]


async def test_a_form_that_slack_takes(case: Case) -> None:
    """Slack takes one text: job, end, money and the next command, in which nothing is a tag."""
    case.overrides = ["job.max_rejected=0"]
    (case.folder / "numbers.txt").write_text("+41790000001\n<!channel>\n")
    async with listening() as hook:
        notified(case, hook, form="slack")
        assert await case.run() == 2
    ((_, body),) = hook.got
    told = json.loads(body)
    assert list(told) == ["text"]
    assert told["text"].startswith("bench, run 1: exit code 2: ")
    assert "orchestrator run -c" in told["text"]
    assert "<!" not in told["text"]


@pytest.mark.parametrize(("status", "why"), [(500, "status 500"), (307, "status 307"), (404, "status 404")])
async def test_a_refusal_is_one_warning(case: Case, status: int, why: str) -> None:
    """Whatever it answers, the run ends as it would; no redirect is followed, and the address is in no log."""
    async with listening() as hook:
        hook.status = status
        notified(case, hook)
        assert await case.run() == 0
        assert len(hook.got) == 1
    assert case.said.count("not_notified") == 1
    assert why in case.said
    assert hook.url not in case.said + (case.directory / "run.jsonl").read_text()


async def test_a_server_that_is_gone_is_one_warning(case: Case) -> None:
    """Where nobody listens, the run ends as it would."""
    async with listening() as hook:
        notified(case, hook)
    assert await case.run() == 0
    assert case.said.count("not_notified") == 1


async def test_a_slow_server_is_not_waited_for(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come is given up after seconds."""
    monkeypatch.setattr(notify, "TIMEOUT_S", 0.05)
    async with listening() as hook:
        hook.delay_s = 0.5
        notified(case, hook)
        assert await case.run() == 0
    assert "no answer within 0.05 s" in case.said


async def test_an_address_from_the_environment(case: Case) -> None:
    """An address that is a secret comes from a variable; where that is empty, a warning names the variable."""
    case.config += '[notify]\nurl_env = "HOOK_URL"\n'
    assert await case.run() == 0
    assert "HOOK_URL holds no URL" in case.said
    async with listening() as hook:
        case.environ["HOOK_URL"] = f"{hook.url}/T0/B0/secret-part"
        assert await case.run() == 0
        hook.status = 500
        assert await case.run() == 0
    assert hook.events == ["ended", "ended"]
    assert "secret-part" not in case.said + (case.directory / "run.jsonl").read_text()


def samples(text: str) -> dict[tuple[str, str, str], float]:
    """Read the file with Prometheus' own parser: what counts by name, platform, and state or verdict."""
    return {
        (one.name, one.labels.get("platform", ""), one.labels.get("state", one.labels.get("verdict", ""))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


async def test_the_metrics_of_a_job(case: Case) -> None:
    """The file has last success, numbers by state, money, calls and the share of unknown, and may be read by others."""
    case.config += '[notify]\nmetrics = "job.prom"\n'
    async with vendor(case):
        assert await case.run() == 0
    file = case.folder / "job.prom"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert not list(case.folder.glob("job.prom?*"))
    got = samples(file.read_text())
    assert got["orchestrator_numbers", "instagram", "done"] == 10
    assert got["orchestrator_numbers", "instagram", "held"] == 0
    assert got["orchestrator_cost_usd", "instagram", ""] == 0.001
    assert got["orchestrator_max_cost_usd", "", ""] == 1.0
    assert got["orchestrator_submits_total", "instagram", ""] == 4
    assert got["orchestrator_status_calls_total", "instagram", ""] >= 4
    assert got["orchestrator_exit_code", "", ""] == 0
    last = got["orchestrator_last_success_timestamp_seconds", "", ""]
    assert 0 <= got["orchestrator_updated_timestamp_seconds", "", ""] - last < 60
    words = {word: n for (name, _, word), n in got.items() if name == "orchestrator_verdicts"}
    unknown = sum(words.get(word, 0) for word in ("unknown", "unanswered"))
    assert got["orchestrator_unknown_ratio", "instagram", ""] == unknown / 10
    assert NUMBERS not in file.read_text()


async def test_a_failure_leaves_the_last_success(case: Case) -> None:
    """A run that failed does not pass for a success, nor hide the last one."""
    case.config += '[notify]\nmetrics = "job.prom"\n'
    async with vendor(case):
        assert await case.run() == 0
        first = samples((case.folder / "job.prom").read_text())
        case.overrides = ["job.chunk_size=2"]
        assert await case.run() == 2
    second = samples((case.folder / "job.prom").read_text())
    key = ("orchestrator_last_success_timestamp_seconds", "", "")
    assert first[key] == second[key]
    assert second["orchestrator_exit_code", "", ""] == 2


async def test_metrics_that_cannot_be_written_are_one_warning(case: Case) -> None:
    """A folder that is not there changes nothing else."""
    case.config += '[notify]\nmetrics = "nowhere/job.prom"\n'
    assert await case.run() == 0
    assert case.said.count("not_notified") == 1
    assert not (case.folder / "nowhere").exists()


async def test_what_fails_beside_a_run_does_not_end_for_good(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A summary that can't be written is a warning, and the next one is tried; any other error is told at once."""
    case.numbers(90)
    write, shown = summary.write, progress.ProgressTeller._courses
    tries = {"summary": 0, "progress": 0}

    def full_at_times(directory: Path, content: summary.Summary) -> None:
        tries["summary"] += 1
        if tries["summary"] in (2, 3):
            raise StorageError("summary.json: No space left on device")
        write(directory, content)

    async def fails_once(self: progress.ProgressTeller) -> Any:
        tries["progress"] += 1
        if tries["progress"] == 1:
            raise ZeroDivisionError
        return await shown(self)

    monkeypatch.setattr(run, "SUMMARY_INTERVAL_S", 0.01)
    monkeypatch.setattr(summary, "write", full_at_times)
    monkeypatch.setattr(progress.ProgressTeller, "_courses", fails_once)
    assert await case.run() == 0
    assert tries["summary"] > 5
    assert case.said.count("summary_not_written") == 2
    assert "reporting_failed" in case.said
    assert "ZeroDivisionError" in case.said


def test_odd_names_stay_one_label() -> None:
    """A quote, a backslash or a line end in a value ends no label."""
    value = 'a"b\\c\nd'
    (line,) = [line for line in _metric("x", "y", [({"platform": value}, 1.0)]) if not line.startswith("#")]
    ((name, platform, _),) = samples(line + "\n")
    assert (name, platform) == ("orchestrator_x", value)
