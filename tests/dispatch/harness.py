"""A job on its way: a ledger with a plan, platforms over real clients, and a vendor that does what a test says."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from orchestrator.dispatch.backoff import Health
from orchestrator.dispatch.caution import Caution
from orchestrator.dispatch.context import RunContext
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.platform_run import PlatformRun, VendorRun
from orchestrator.dispatch.receipts import Seal
from orchestrator.errors import StorageError
from orchestrator.jobdir.layout import chunk_path
from orchestrator.ledger import Ledger, LedgerWriter, ledger_path
from orchestrator.records import Chunk, ListCounts, Listed, Plan, PlannedPlatform, Standing, Task
from orchestrator.settings import BackoffSettings, PlatformSettings, PollingSettings, Style, VendorSettings
from orchestrator.tasks import State, TaskKey
from orchestrator.vendor_api.client import VendorClient
from orchestrator.workers import PieceLimits, Workers

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp.typedefs import Handler

T = TypeVar("T")

EPOCH = 1_763_740_000.0
INSTAGRAM = PlatformSettings(
    vendor="main",
    style=Style.SIMPLE,
    path="/ins/api/simple/tasks",
    price_per_10000=1.0,
    result_columns=("instagram",),
    requests_per_second=float("inf"),
    canary=False,
)
AMAZON = PlatformSettings(
    vendor="main",
    style=Style.V1,
    path="/v1/tasks",
    task_type="amazon",
    price_per_10000=2.0,
    result_columns=("amazon",),
    requests_per_second=float("inf"),
    canary=False,
)
VENDOR = VendorSettings(base_url="http://127.0.0.1", requests_per_second=float("inf"))


def clock() -> float:
    """Give a wall clock that goes with the loop's."""
    return EPOCH + asyncio.get_running_loop().time()


class InThreads(Workers):
    """The same pieces without the seconds that processes take to start; `Workers` has tests of its own."""

    async def run(self, piece: Callable[..., T], *args: object, limits: PieceLimits | None = None) -> T:
        del limits
        return await asyncio.get_running_loop().run_in_executor(None, partial(piece, *args))


class Interrupted(LedgerWriter):
    """A ledger whose disk fails at the `at`-th commit, counted from 1; `kept` says whether that one is still kept."""

    def __init__(self, ledger: Ledger, *, at: int, kept: bool) -> None:
        super().__init__(ledger)
        self.changes = 0
        self._at, self._kept = at, kept
        seal = ledger.seal

        def failing() -> None:
            self.changes += 1
            if self.changes < self._at:
                seal()
                return
            if self.changes == self._at and self._kept:
                seal()
            raise StorageError("the disk failed")

        setattr(ledger, "seal", failing)  # noqa: B010 - below the writer, where disks fail


class Slow(LedgerWriter):
    """A ledger whose disk takes `takes_s` to say that a commit from the `at`-th on is durable."""

    def __init__(self, ledger: Ledger, *, at: int, takes_s: float) -> None:
        super().__init__(ledger)
        self.changes = 0
        self._at, self._takes_s = at, takes_s

    async def _ask(self, change: Callable[[Ledger], T], *, small: bool) -> T:
        self.changes += 1
        slow = self.changes == self._at
        outcome = await super()._ask(change, small=small)
        await asyncio.sleep(self._takes_s if slow else 0.0)
        return outcome


@dataclass
class Bench:
    """One job in one directory, and how it is to be dispatched; `run` may be called again and again."""

    directory: Path
    platforms: dict[str, PlatformSettings] = field(default_factory=lambda: {"instagram": INSTAGRAM})
    vendors: dict[str, VendorSettings] = field(default_factory=lambda: {"main": VENDOR})
    polling: PollingSettings = field(default_factory=PollingSettings)
    backoff: BackoffSettings = field(default_factory=BackoffSettings)
    max_cost_nano: int | None = None
    seed: int = 1
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    writer: Callable[[Ledger], LedgerWriter] = LedgerWriter
    clock_offset_s: float = 0.0
    broken: bool = False
    deadline_s: float = math.inf

    def platform(self, name: str, **changes: Any) -> None:
        self.platforms[name] = replace(self.platforms[name], **changes)

    def plan(self, chunks: int, rows: int = 3) -> None:
        """Write a list of `chunks` files with `rows` numbers each, and its plan."""
        found = self.write_chunks(range(1, chunks + 1), rows)
        platforms = tuple(
            PlannedPlatform(name, self.vendors[p.vendor].base_url + p.vendor, self._call(p), p.min_rows)
            for name, p in self.platforms.items()
        )
        plan = Plan("bench", {}, Listed((), ListCounts(accepted=chunks * rows)), tuple(found), platforms)
        with Ledger.create(ledger_path(self.directory), "bench") as ledger:
            ledger.change(lambda ledger: ledger.plan.replace(plan=plan))

    def _call(self, platform: PlatformSettings) -> dict[str, str]:
        base_url = self.vendors[platform.vendor].base_url
        return {
            "base_url": base_url,
            "style": platform.style.value,
            "path": platform.path,
            "task_type": platform.task_type,
        }

    def write_chunks(self, chunks: Iterable[int], rows: int) -> list[Chunk]:
        """Write chunk files with `rows` numbers each."""
        found = []
        for chunk in chunks:
            path = chunk_path(self.directory, chunk)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{number}\n" for number in numbers_of(chunk, rows)))
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            found.append(Chunk(chunk, (chunk - 1) * rows, rows, sha256))
        return found

    async def run(self, *base_urls: str, submit_only: bool = False) -> list[PlatformRun]:
        """Do one run against the vendors at `base_urls`, in the order of `vendors`; return what it left in memory."""
        self.stopping = asyncio.Event()
        async with AsyncExitStack() as stack:
            ledger = stack.enter_context(Ledger.open(ledger_path(self.directory)))
            ledger.change(lambda ledger: ledger.begin_run(at=clock(), host="here", pid=1))
            vendors = {}
            for (name, vendor), base_url in zip(self.vendors.items(), base_urls, strict=True):
                client = await stack.enter_async_context(VendorClient(vendor, base_url, "key", version="0"))
                pace = Pace(vendor.requests_per_second, now=asyncio.get_running_loop().time())
                vendors[name] = VendorRun(name, client, pace, Health(self.backoff))
            platforms = [
                self._platform_run(name, settings, vendors, ledger) for name, settings in self.platforms.items()
            ]
            writer = self.writer(ledger)
            stack.push_async_callback(writer.close)
            workers = await stack.enter_async_context(InThreads(1))
            dispatcher = Dispatcher(self._context(writer, workers), platforms, downloads=4)
            await dispatcher.run(submit_only=submit_only)
            assert not dispatcher._on_their_way
            return platforms

    def _platform_run(
        self, name: str, settings: PlatformSettings, vendors: dict[str, VendorRun], ledger: Ledger
    ) -> PlatformRun:
        now = asyncio.get_running_loop().time()
        waiting = ledger.platforms.standing()[name].tasks(State.IN_DOUBT)
        caution = Caution(ledger.platforms.lasting_caution(name), canary=settings.canary, waiting=waiting)
        pace = Pace(settings.requests_per_second, now=now)
        return PlatformRun(name, settings, vendors[settings.vendor], pace, caution, deadline_at=now + self.deadline_s)

    def _context(self, writer: LedgerWriter, workers: Workers) -> RunContext:
        return RunContext(
            job_name="bench",
            directory=self.directory,
            ledger=writer,
            workers=workers,
            polling=self.polling,
            backoff=self.backoff,
            max_cost_nano=self.max_cost_nano,
            clock=self._clock,
            random=random.Random(self.seed),  # noqa: S311 - jitter is no secret
            stopping=self.stopping,
            seal=Seal(b"", 0),
        )

    def _clock(self) -> float:
        if self.broken:
            raise ZeroDivisionError
        return clock() + self.clock_offset_s

    def states(self, platform: str = "instagram") -> list[State]:
        """Return the states of a platform's tasks by chunk."""
        return [task.state for task in self.tasks(platform)]

    def tasks(self, platform: str = "instagram") -> list[Task]:
        with Ledger.open_to_read(ledger_path(self.directory)) as ledger:
            return ledger.tasks.select(*State, platform=platform)

    def task(self, chunk: int = 1, platform: str = "instagram") -> Task:
        with Ledger.open_to_read(ledger_path(self.directory)) as ledger:
            task = ledger.tasks.get(TaskKey(platform, chunk))
        assert task is not None
        return task

    def change(self, change: Callable[[Ledger], Any]) -> None:
        with Ledger.open(ledger_path(self.directory)) as ledger:
            ledger.change(change)

    def standing(self, platform: str = "instagram") -> Standing:
        with Ledger.open_to_read(ledger_path(self.directory)) as ledger:
            return ledger.platforms.standing()[platform]

    def findings(self) -> list[Task]:
        with Ledger.open_to_read(ledger_path(self.directory)) as ledger:
            return ledger.tasks.findings()

    def events(self) -> list[tuple[Any, ...]]:
        with Ledger.open_to_read(ledger_path(self.directory)) as ledger:
            return list(ledger.tasks.events())

    def spent_nano(self) -> int:
        with Ledger.open_to_read(ledger_path(self.directory)) as ledger:
            return ledger.platforms.spent_nano()


def numbers_of(chunk: int, rows: int) -> list[str]:
    """Give the numbers of a chunk; no two chunks share one."""
    return [f"+4179{chunk * 10_000 + row:07d}" for row in range(rows)]


@dataclass
class Made:
    """A task as the scripted vendor made it."""

    task_id: str
    platform: str
    chunk: int
    rows: int
    numbers: list[str]
    at: float
    looks: list[float] = field(default_factory=list)
    downloads: list[float] = field(default_factory=list)


Answer = web.StreamResponse


@dataclass
class Script:
    """A vendor of both styles. What the `on_` functions return is answered; None means: as a good vendor does.

    `takes_s` is how long a task works. `submits` and `arrived` note every submit's chunk and time, answered or not.
    `most_at_once` counts submits that are here whole, `most_begun` those too that hold back their last bytes.
    """

    takes_s: float = 10.0
    on_ask: Callable[[], Awaitable[Answer | None]] | None = None
    on_submit: Callable[[int, int], Awaitable[Answer | None]] | None = None  # chunk, nth submit from 1
    on_made: Callable[[Made], Awaitable[Answer | None]] | None = None
    on_status: Callable[[Made], Awaitable[Answer | None]] | None = None
    on_result: Callable[[Made], Awaitable[Answer | None]] | None = None
    tasks: dict[str, Made] = field(default_factory=dict)
    submits: list[int] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    most_at_once: int = 0
    most_begun: int = 0
    base_url: str = ""
    _at_once: int = 0
    _begun: int = 0

    def of(self, chunk: int) -> Made:
        """Return the one task of a chunk."""
        (made,) = (made for made in self.tasks.values() if made.chunk == chunk)
        return made

    def charged(self) -> Counter[tuple[str, int]]:
        return Counter((made.platform, made.chunk) for made in self.tasks.values())

    async def balance(self, _request: web.Request) -> Answer:
        self.arrived.append(asyncio.get_running_loop().time())
        answer = await self.on_ask() if self.on_ask else None
        return web.json_response({"balance": 100.0}) if answer is None else answer

    async def submit(self, request: web.Request) -> Answer:
        self.arrived.append(asyncio.get_running_loop().time())
        self._begun += 1
        self.most_begun = max(self.most_begun, self._begun)
        try:
            body = await request.read()
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            try:
                return await self._submit(body)
            finally:
                self._at_once -= 1
        finally:
            self._begun -= 1

    async def _submit(self, body: bytes) -> Answer:
        file_name, content = file_of(body)
        numbers = content.split()
        found = re.fullmatch(r".+-(\w+)-(\d{6})-[0-9a-f]{8}\.txt", file_name)
        assert found is not None
        platform, chunk = found[1], int(found[2])
        self.submits.append(chunk)
        if self.on_submit and (answer := await self.on_submit(chunk, len(self.submits))) is not None:
            return answer
        made = Made(
            f"t{len(self.tasks) + 1}", platform, chunk, len(numbers), numbers, asyncio.get_running_loop().time()
        )
        self.tasks[made.task_id] = made
        if self.on_made and (answer := await self.on_made(made)) is not None:
            return answer
        return accepted(made)

    async def status(self, request: web.Request) -> Answer:
        now = asyncio.get_running_loop().time()
        self.arrived.append(now)
        task_id = request.match_info.get("task_id") or str((await request.post())["task_id"])
        if task_id not in self.tasks:
            unknown = Made(task_id, "", 0, 0, [], now)
            return (await self.on_status(unknown) if self.on_status else None) or error(404)
        made = self.tasks[task_id]
        made.looks.append(now)
        if self.on_status and (answer := await self.on_status(made)) is not None:
            return answer
        return self.standing(made)

    def standing(self, made: Made, **changes: Any) -> Answer:
        """Say where a task stands, as a good vendor does."""
        share = min(1.0, (asyncio.get_running_loop().time() - made.at) / self.takes_s) if self.takes_s else 1.0
        content: dict[str, Any] = {
            "task_id": made.task_id,
            "status": "exported" if share >= 1.0 else "processing",
            "total": made.rows,
            "success": int(made.rows * share),
            "failure": 0,
        }
        if share >= 1.0:
            content["result_url"] = self.link(made)
        return web.json_response(content | changes)

    def link(self, made: Made) -> str:
        return f"{self.base_url}/results/{made.task_id}"

    async def result(self, request: web.Request) -> Answer:
        made = self.tasks[request.match_info["task_id"]]
        made.downloads.append(asyncio.get_running_loop().time())
        if self.on_result and (answer := await self.on_result(made)) is not None:
            return answer
        return result(made)


def file_of(body: bytes) -> tuple[str, str]:
    """Return name and content of the one file in a form (aiohttp's own way leaves files behind when cut off)."""
    found = re.search(rb'filename="([^"]+)"(?:.*?)\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
    assert found is not None
    return found[1].decode(), found[2].decode()


def accepted(made: Made, **changes: Any) -> Answer:
    return web.json_response({"task_id": made.task_id, "status": "pending", "total": made.rows} | changes)


def result(made: Made, *, rows: int | None = None) -> Answer:
    """Answer with a result of the task's first `rows` numbers."""
    lines = [f"{number},yes" for number in made.numbers[:rows]]
    return web.Response(text="\n".join([f"Number,{made.platform}", *lines, ""]), content_type="text/csv")


RESET = web.Response()
"""Instead of an answer: the connection breaks off."""


@web.middleware
async def broken_off(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        answer = await handler(request)
    except ConnectionError:  # we were cut off ourselves
        return web.Response()
    if answer is RESET and request.transport is not None:
        request.transport.abort()
        return web.Response()
    return answer


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Script]:
    """Serve a script on this loop."""
    app = web.Application(middlewares=[broken_off])
    for path in ("/ins/api/simple/tasks", "/v1/tasks"):
        app.router.add_post(path, script.submit)
    app.router.add_get("/ins/api/simple/tasks/{task_id}", script.status)
    app.router.add_post("/v1/gettasks", script.status)
    app.router.add_get("/v1/balance", script.balance)
    app.router.add_get("/results/{task_id}", script.result)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        script.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield script
    finally:
        await runner.cleanup()


def error(status: int, *, content: object = None, **headers: str) -> Answer:
    """Answer with an error and a JSON body."""
    body = {"error": "some_error", "message": "some words"} if content is None else content
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(body, status=status, headers=named)
