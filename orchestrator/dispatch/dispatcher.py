"""The loop that brings every task from planned to its end: asks the schedule what to do next, and does it.

It ends when nothing more can be done in this run: everything has ended, or what is left waits for a person, for money
or for a vendor that is out of reach. Told to stop, it releases nothing more, gives answers on their way a few seconds,
and cuts off the rest.
"""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING, assert_never

import structlog

from orchestrator.dispatch.fetching import Fetcher
from orchestrator.dispatch.polling import Poller
from orchestrator.dispatch.schedule import Ask, Download, Poll, Schedule, Step, Submit, Wait
from orchestrator.dispatch.submitting import Submitter
from orchestrator.dispatch.watching import Watch, Watcher
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.dispatch.context import RunContext
    from orchestrator.dispatch.platform_run import PlatformRun
    from orchestrator.ledger import Ledger
    from orchestrator.records import Task

log = structlog.get_logger()

GRACE_S = 4.0
WINDOW = 64
TURNS_WITHOUT_REST = 100
TICK_S = 0.0001


class Dispatcher:
    """Dispatches the tasks of some platforms. One instance serves one run."""

    def __init__(self, context: RunContext, platforms: Sequence[PlatformRun], *, downloads: int) -> None:
        self._context = context
        self._lanes = list(platforms)
        self._changed = asyncio.Event()
        self._schedule = Schedule(platforms, self._changed.set, downloads=downloads)
        watcher = Watcher(context)
        self._poller = Poller(context, watcher)
        self._submitter = Submitter(context, watcher)
        self._fetcher = Fetcher(context, watcher)
        self._on_their_way: dict[asyncio.Task[None], None] = {}  # a set, in the order of their beginning
        self._failure: Exception | None = None

    async def run(self, *, submit_only: bool = False) -> None:
        """Work until nothing is left for this run, or `context.stopping` is set.

        Raises `StorageError` when disk or ledger failed; answers that were on their way have been logged then.
        """
        await self._take_over()
        stopping = asyncio.create_task(self._context.stopping.wait())
        stopping.add_done_callback(lambda _: self._changed.set())
        try:
            await self._work(submit_only=submit_only)
        finally:
            stopping.cancel()
            await self._wind_down()
        if self._failure is not None:
            raise self._failure

    async def _take_over(self) -> None:
        """Take up what earlier runs left at the vendor; the pace spreads these first looks."""
        for platform in self._lanes:
            tasks = await self._context.ledger.do(partial(_at_vendor, platform=platform.name))
            for task in tasks:
                platform.polls.put(self._watch(platform, task), self._context.now)
            if tasks:
                platform.caution.submitted_before()

    def _watch(self, platform: PlatformRun, task: Task) -> Watch:
        """Translate wall-clock times into the loop's; a clock that was set back must not make a task older."""
        now, wall = self._context.now, self._context.clock()
        submitted_at, progress_at = (
            now - max(0.0, wall - at) if at is not None else now for at in (task.submitted_at, task.progress_at)
        )
        if task.task_id is None:
            raise AssertionError(f"{task.key} is {task.state} without a task id")
        stalled = task.state is State.STALLED
        return Watch(
            task.key,
            task.task_id,
            task.rows,
            submitted_at,
            progress_at,
            platform.at_vendor.take(),
            stalled=stalled,
            success=task.success,
            chunk_sha256=task.sha256,
            has_result=task.has_result,
        )

    async def _work(self, *, submit_only: bool) -> None:
        turns = 0
        while not self._context.stopping.is_set() and self._failure is None:
            await self._fill_windows()
            if submit_only and self._all_submitted():
                return
            step = self._schedule.next_step(self._context.now)
            if not isinstance(step, Wait):
                self._begin(step)
                turns += 1
                if turns % TURNS_WITHOUT_REST == 0:
                    await asyncio.sleep(0)
            elif step.until == math.inf and not self._on_their_way:
                return
            else:
                await self._rest(step.until)

    def _all_submitted(self) -> bool:
        return all(platform.drained and not platform.submits.count for platform in self._lanes)

    async def _fill_windows(self) -> None:
        for platform in self._lanes:
            if not platform.wants_tasks:
                continue
            tasks = await self._context.ledger.record(
                partial(_planned, platform=platform.name, after_chunk=platform.cursor)
            )
            platform.upcoming.extend(tasks)
            platform.exhausted = len(tasks) < WINDOW
            if tasks:
                platform.cursor = tasks[-1].key.chunk

    async def _rest(self, until: float) -> None:
        """Wait until `until`, or until something ends."""
        self._changed.clear()
        if self._context.stopping.is_set():
            return
        try:
            # A tick late, since a timer may fire a tick early, and the schedule would send us back here at once.
            async with asyncio.timeout_at(None if until == math.inf else until + TICK_S):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _begin(self, step: Download | Poll | Submit | Ask) -> None:
        task = asyncio.create_task(self._do(step), name=type(step).__name__.lower())
        self._on_their_way[task] = None
        task.add_done_callback(self._ended)

    async def _do(self, step: Step) -> None:
        try:
            await self._carry_out(step)
        except Exception as error:  # noqa: BLE001 - `run` raises it again
            # Noted before anything else can begin. The others are not cancelled at once: an answer that is on its way
            # names a task that was paid for. But what was not released yet stays.
            self._failure = self._failure or error
            self._context.stopping.set()

    async def _carry_out(self, step: Step) -> None:
        match step:
            case Download(platform, watch, place):
                with place:
                    await self._fetcher.fetch(platform, watch)
            case Poll(platform, watch, turn):
                with turn:
                    await self._poller.poll(platform, watch, turn.leave)
            case Submit(platform, task, turn, place):
                with turn, place:
                    await self._submitter.submit(platform, task, turn.leave, place)
            case Ask(platform, turn):
                with turn:
                    await self._poller.ask(platform, turn.leave)
            case Wait():
                raise AssertionError("waiting is not done by a task of its own")
            case _:
                assert_never(step)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._on_their_way.pop(task, None)
        self._changed.set()

    async def _wind_down(self) -> None:
        """Give answers on their way a few seconds, then cut off; every submit says what is known about it."""
        if self._on_their_way:
            log.info("waiting_for_answers", calls=len(self._on_their_way), at_most_s=GRACE_S)
            await asyncio.wait(self._on_their_way, timeout=GRACE_S)
        cut = list(self._on_their_way)
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)
        await self._fetcher.close()


def _at_vendor(ledger: Ledger, platform: str) -> list[Task]:
    return ledger.tasks(State.SUBMITTED, State.STALLED, platform=platform)


def _planned(ledger: Ledger, platform: str, after_chunk: int) -> list[Task]:
    return ledger.planned(platform, after_chunk=after_chunk, limit=WINDOW)
