"""A run's first look at its vendor: what it can learn for nothing, before anything is sent that costs."""

from __future__ import annotations

import io
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from orchestrator import sandbox
from orchestrator.api import job_status
from orchestrator.cli.status import held_text
from orchestrator.config import load
from orchestrator.job.run import RunOptions, RunReport, run_job
from orchestrator.job.world import World
from orchestrator.ledger import Ledger, ledger_path

KEY = "k-0123456789abcdef"
CONFIG = """
[job]
inputs = ["numbers.txt"]
directory = "out"
[vendors.main]
base_url = "URL"
requests_per_second = inf
[platforms.instagram]
requests_per_second = inf
[polling]
min_interval_s = 0.01
max_interval_s = 0.02
[backoff]
base_delay_s = 0.01
max_delay_s = 0.02
give_up_after_s = 0.1
[budget]
max_cost = 1.0
[output]
formats = ["csv"]
[workers]
count = 1
"""


class Job:
    """A job in a folder; `said` is what the last run wrote to standard error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""
        folder.mkdir(exist_ok=True)
        self.numbers(1)

    def numbers(self, count: int) -> None:
        """Write a list of so many numbers."""
        lines = [f"+{41_798_284_651 + n}\n" for n in range(count)]
        (self.folder / "numbers.txt").write_text("".join(lines))

    async def run(self, base_url: str, *overrides: str) -> RunReport:
        (self.folder / "config.toml").write_text(CONFIG.replace("URL", base_url))
        stderr = io.StringIO()
        world = World(time.time, random.Random(1), {"EKYCPRO_API_KEY": KEY}, None, stderr)  # noqa: S311 - test data
        outcome = await run_job(load(self.folder / "config.toml", overrides), RunOptions(), world)
        self.said = stderr.getvalue()
        return outcome


@pytest.fixture
def a_job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@asynccontextmanager
async def vendor_at(tmp_path: Path, name: str = "vendor") -> AsyncIterator[sandbox.Sandbox]:
    async with sandbox.Sandbox(tmp_path / name, pace=1e9) as vendor:
        yield vendor


@asynccontextmanager
async def answering(status: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Answer every call with one status; give the port."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"error": "no"}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.fixture
def no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a resolver that knows no name but this machine's answer at once."""
    real = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **options: Any) -> Any:
        if host in ("127.0.0.1", "localhost"):
            return real(host, *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


async def test_the_balance_is_asked_once_before_the_first_submit(a_job: Job, tmp_path: Path) -> None:
    """A run that has something to send asks for the balance first; one that has not asks for nothing."""
    async with vendor_at(tmp_path) as vendor:
        assert (await a_job.run(vendor.base_url)).exit_code == 0
        kinds = [request["kind"] for request in sandbox.read_requests(tmp_path / "vendor")]
        assert kinds[:2] == ["balance", "submit"]
        assert kinds.count("balance") == 1
        assert (await a_job.run(vendor.base_url)).exit_code == 0
        assert len(sandbox.read_requests(tmp_path / "vendor")) == len(kinds)


async def test_the_embedded_vendor_is_not_asked(a_job: Job) -> None:
    """There is no address to mistake."""
    assert (await a_job.run("sandbox")).exit_code == 0
    assert "balance" not in {r["kind"] for r in sandbox.read_requests(a_job.folder / "out" / "sandbox")}


async def test_a_name_that_is_not_found_ends_a_job_that_has_not_begun(a_job: Job, no_such_name: None) -> None:
    """Exit code 2 at once, with the name and the key of the configuration to look at."""
    outcome = await a_job.run("https://api.example.com")
    assert outcome.exit_code == 2
    assert outcome.summary["reason"] == (
        f"{a_job.folder}/config.toml: [vendors.main] base_url: no connection to api.example.com:443: "
        "name or service not known; check base_url"
    )


async def test_a_proxy_may_be_the_name_that_is_not_found(a_job: Job, no_such_name: None) -> None:
    """With a proxy it is the proxy's name that is looked up, and the message says so."""
    outcome = await a_job.run("https://api.example.com", "vendors.main.proxy=http://proxy.example.com:3128")
    assert outcome.exit_code == 2
    assert "proxy.example.com:3128" in outcome.summary["reason"]
    assert "check base_url and proxy" in outcome.summary["reason"]


async def test_a_foreign_certificate_ends_a_job_that_has_not_begun(a_job: Job) -> None:
    """Neither the key nor a number goes to a server that can't prove its name."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(tls)
    async with answering(200, tls) as port:
        outcome = await a_job.run(f"https://localhost:{port}")
    assert outcome.exit_code == 2
    assert "the certificate of localhost does not hold" in outcome.summary["reason"]
    assert outcome.summary["reason"].endswith("in the environment variable SSL_CERT_FILE")


@pytest.mark.usefixtures("no_such_name")
async def test_a_begun_job_takes_it_for_an_outage(a_job: Job, tmp_path: Path) -> None:
    """The address was right once, so the name will come back: the run tries as long as it may, then ends with 75."""
    async with vendor_at(tmp_path) as vendor:
        url = vendor.base_url
        assert (await a_job.run(url)).exit_code == 0
    (a_job.folder / "config.toml").unlink()
    other = ('vendors.other.base_url="https://api.example.com"', "platforms.instagram.vendor=main")
    amazon = ("platforms.amazon.min_rows=1", "platforms.amazon.vendor=other", "platforms.amazon.canary=false")
    outcome = await a_job.run(url, *other, *amazon)
    assert outcome.exit_code == 75
    assert "no_balance_from_vendor" in a_job.said
    assert "vendor=other" in a_job.said


async def test_a_vendor_that_is_down_is_told_at_once(a_job: Job) -> None:
    """The log says so before the first repeat; the run tries on, because it may come back."""
    outcome = await a_job.run("http://127.0.0.1:9")
    assert outcome.exit_code == 75
    assert "no_balance_from_vendor" in a_job.said.split("run_ended")[0]


@pytest.mark.parametrize(("charged", "hint"), [(True, "as if this had been charged"), (False, "had not been charged")])
async def test_the_balance_hints_at_whether_a_doubt_was_charged(
    a_job: Job, tmp_path: Path, *, charged: bool, hint: str
) -> None:
    """It is asked before and behind the doubt; status --held, its JSON and the report say what became of it."""
    a_job.numbers(3)
    vendor = Forgetful(charged=charged)
    async with vendor.serving() as base_url:
        assert (await a_job.run(base_url, "job.chunk_size=1", "platforms.instagram.canary=false")).exit_code == 3
    content = await job_status(load(a_job.folder / "config.toml"))
    (task,) = content["held_tasks"]
    assert hint in str(task["balance"])
    assert "of which other tasks cost 0.0002 USD" in str(task["balance"])
    assert hint in held_text(content)
    assert hint in (a_job.folder / "out" / "report.html").read_text()


async def test_a_balance_in_other_money_hints_at_nothing(a_job: Job) -> None:
    """Nor does one that moves for other reasons; and without a balance there is no hint."""
    for vendor in (Forgetful(charged=True, others_usd=0.01), Forgetful(charged=True, tells=False)):
        a_job = Job(a_job.folder / str(id(vendor)))
        a_job.numbers(3)
        async with vendor.serving() as base_url:
            await a_job.run(base_url, "job.chunk_size=1", "platforms.instagram.canary=false")
        (task,) = (await job_status(load(a_job.folder / "config.toml")))["held_tasks"]
        assert task["balance"] is None or "does not tell" in task["balance"]
        assert (task["balance"] is None) == (not vendor.tells)


async def test_a_run_that_was_killed_leaves_its_doubt_to_the_next_look(a_job: Job) -> None:
    """What the first run had asked before it sent is compared with what the next one asks when it begins."""
    a_job.numbers(2)
    vendor = Forgetful(charged=True, loses=2)
    async with vendor.serving() as base_url:
        options = ("job.chunk_size=1", "platforms.instagram.canary=false")
        await a_job.run(base_url, *options)
        with Ledger.open(ledger_path(a_job.folder / "out")) as ledger:  # as if it had been killed before its last look
            ledger.change(lambda it: it.connection.run("DELETE FROM balances WHERE doubts <> '{}'"))
        assert (await job_status(load(a_job.folder / "config.toml")))["held_tasks"][0]["balance"] is None
        await a_job.run(base_url, *options)
    (task,) = (await job_status(load(a_job.folder / "config.toml")))["held_tasks"]
    assert "as if this had been charged" in str(task["balance"])


class Forgetful:
    """A vendor of one platform that loses the answer to one submit, which it has `charged` or not."""

    def __init__(self, *, charged: bool, loses: int = 2, others_usd: float = 0.0, tells: bool = True) -> None:
        self.charged, self.loses, self.others_usd, self.tells = charged, loses, others_usd, tells
        self.submits, self.balance, self.tasks = 0, 5.0, dict[str, str]()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/ins/api/simple/tasks", self._submit)
        app.router.add_get("/ins/api/simple/tasks/{task}", self._status)
        app.router.add_get("/v1/balance", self._tell)
        app.router.add_get("/file/{task}", self._file)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self.base_url
        finally:
            await runner.cleanup()

    async def _submit(self, request: web.Request) -> web.Response:
        number = (await request.post())["file"].file.read().decode().strip()  # type: ignore[union-attr]
        self.submits += 1
        lost = self.submits == self.loses
        self.balance -= (not lost or self.charged) * 0.0001 + lost * self.others_usd
        if lost:
            return web.Response(text="<html>", content_type="text/html")
        self.tasks[task := f"task{self.submits}"] = number
        return web.json_response({"task_id": task, "status": "pending", "total": 0, "success": 0, "failure": 0})

    async def _status(self, request: web.Request) -> web.Response:
        task = request.match_info["task"]
        url = f"{self.base_url}/file/{task}.csv"
        told = {"task_id": task, "status": "exported", "total": 1, "success": 1, "failure": 0, "result_url": url}
        return web.json_response(told)

    async def _tell(self, _: web.Request) -> web.Response:
        return web.json_response({"balance": f"{self.balance:.6f}"} if self.tells else {})

    async def _file(self, request: web.Request) -> web.Response:
        number = self.tasks[request.match_info["task"].removesuffix(".csv")]
        return web.Response(text=f"Number,instagram\n{number},yes\n")


@pytest.mark.parametrize(("status", "code"), [(401, 4), (404, 1), (500, 75)])
async def test_an_answer_of_any_kind_is_the_submits_business(a_job: Job, status: int, code: int) -> None:
    """A page for the balance is no promise of the vendor's: whatever it answers, the submit decides."""
    async with answering(status) as port:
        assert (await a_job.run(f"http://127.0.0.1:{port}")).exit_code == code
