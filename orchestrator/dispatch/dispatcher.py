"""The loop that brings every task from planned to its end: asks the schedule what to do next, and does it.

It ends when nothing more can be done in this run: everything has ended, or what is left waits for a person, for money
or for a vendor that is out of reach. Told to stop, it releases nothing more, gives answers on their way a few seconds,
and cuts off the rest.
"""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from orchestrator.dispatch.fetching import Fetcher
from orchestrator.dispatch.polling import Poller
from orchestrator.dispatch.schedule import Ask, Download, Poll, Schedule, Submit, Wait
from orchestrator.dispatch.submitting import Submitter
from orchestrator.dispatch.watching import Watch, Watcher
from orchestrator.logger import log
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.dispatch.context import RunContext
    from orchestrator.dispatch.platform_run import PlatformRun
    from orchestrator.ledger import Ledger
    from orchestrator.records import Task

GRACE_S: Final = 4.0
"""How long answers on their way are waited for. A CI system on cancel kills 10 s after its first signal: the rest is
for the ledger, the master and the summary."""
WINDOW: Final = 64
"""So many planned tasks of a platform are in memory: one look into the ledger for each such batch."""
TURNS_WITHOUT_REST: Final = 100
TICK_S: Final = 0.0001


class Dispatcher:
    """Dispatches the tasks of some platforms. One instance serves one run."""

    def __init__(self, context: RunContext, platforms: Sequence[PlatformRun], *, downloads: int) -> None:
        self._context = context
        self._platforms = list(platforms)
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
        for platform in self._platforms:
            await self._take_over(platform)
        stopping = asyncio.create_task(self._context.stopping.wait())
        stopping.add_done_callback(lambda _: self._changed.set())
        try:
            await self._work(submit_only=submit_only)
        finally:
            stopping.cancel()
            try:
                if self._on_their_way:
                    log.info("waiting_for_answers", calls=len(self._on_their_way), at_most_s=GRACE_S)
                    await asyncio.wait(self._on_their_way, timeout=GRACE_S)
            finally:
                # Cut off, and then awaited: every submit says what is known about it, and that is recorded.
                cut = list(self._on_their_way)
                for task in cut:
                    task.cancel()
                await asyncio.gather(*cut, return_exceptions=True)
                await self._fetcher.close()
        if self._failure is not None:
            raise self._failure

    async def _take_over(self, platform: PlatformRun) -> None:
        """Take up what earlier runs left at the vendor; the pace spreads these first polls."""
        tasks = await self._context.ledger.do(
            lambda ledger: ledger.tasks.select(State.SUBMITTED, State.STALLED, platform=platform.name)
        )
        now, wall = self._context.now, self._context.clock()
        for task in tasks:
            if task.task_id is None:
                raise AssertionError(f"{task.key} is {task.state} without a task id")
            # From the wall clock's times to the loop's. A clock that was set back must not make a task older.
            submitted_at, progress_at = (
                now - max(0.0, wall - at) if at is not None else now for at in (task.submitted_at, task.progress_at)
            )
            watch = Watch(
                task.key,
                task.task_id,
                task.rows,
                submitted_at,
                progress_at,
                platform.at_vendor.begin(),
                stalled=task.state is State.STALLED,
                success=task.success,
                chunk_sha256=task.sha256,
                has_result=task.has_result,
            )
            platform.polls.put(watch, now)
        if tasks:
            platform.caution.submitted_before()

    async def _work(self, *, submit_only: bool) -> None:
        turns = 0
        while not self._context.stopping.is_set() and self._failure is None:
            for platform in self._platforms:
                if platform.wants_tasks:
                    planned = partial(_next_tasks, platform=platform.name, after_chunk=platform.cursor)
                    tasks = await self._context.ledger.do_small(planned)
                    if platform.last_chunk is not None:
                        tasks = [task for task in tasks if task.key.chunk <= platform.last_chunk]
                    platform.upcoming.extend(tasks)
                    platform.exhausted = len(tasks) < WINDOW
                    platform.cursor = tasks[-1].key.chunk if tasks else platform.cursor
            if submit_only and all(it.drained and not it.submits.count for it in self._platforms):
                return
            step = self._schedule.next_step(self._context.now)
            if not isinstance(step, Wait):
                task = asyncio.create_task(self._do(step), name=type(step).__name__.lower())
                self._on_their_way[task] = None
                task.add_done_callback(self._ended)
                turns += 1
                if turns % TURNS_WITHOUT_REST == 0:
                    await asyncio.sleep(0)  # what was begun has not run yet, and answers wait to be read
            elif step.until == math.inf and not self._on_their_way:
                return
            else:
                self._changed.clear()
                if self._context.stopping.is_set():  # it may have been set, and its waking cleared, just now
                    return
                try:
                    # A tick late: a timer may fire a tick early, and the schedule would send us back here at once.
                    async with asyncio.timeout_at(None if step.until == math.inf else step.until + TICK_S):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    async def _do(self, step: Download | Poll | Submit | Ask) -> None:
        try:
            match step:
                case Download(platform, watch, place):
                    with place:
                        await self._fetcher.fetch(platform, watch)
                case Poll(platform, watch, call):
                    with call:
                        await self._poller.poll(platform, watch, call.leave)
                case Submit(platform, task, call, place):
                    with call, place:
                        await self._submitter.submit(platform, task, call.leave, place)
                case Ask(platform, call):
                    with call:
                        await self._poller.ask(platform, call.leave)
                case _:
                    assert_never(step)
        except Exception as error:  # noqa: BLE001 - `run` raises it again
            # Noted before anything else can begin. The others are not cancelled at once: an answer that is on its way
            # names a task that was paid for. But what was not released yet stays.
            self._failure = self._failure or error
            self._context.stopping.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._on_their_way.pop(task, None)
        self._changed.set()


def _next_tasks(ledger: Ledger, platform: str, after_chunk: int) -> list[Task]:
    return ledger.tasks.planned(platform, after_chunk=after_chunk, limit=WINDOW)
