"""One look at a task: ask for its status, note it, decide when to look again or what comes next."""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from orchestrator.dispatch.pace import leave
from orchestrator.dispatch.poll_times import Progress, next_poll_s, worked_s
from orchestrator.errors import DeniedError, RefusedError, TemporaryError
from orchestrator.tasks import State
from orchestrator.vendor_api.answers import KNOWN_STATUSES
from orchestrator.vendor_api.dialects import is_task_id
from orchestrator.vendor_api.hosts import MAX_LINK_CHARS

if TYPE_CHECKING:
    from orchestrator.dispatch.context import RunContext
    from orchestrator.dispatch.platform_run import PlatformRun, Watch
    from orchestrator.vendor_api.answers import TaskReport
    from orchestrator.vendor_api.client import Leave

log = structlog.get_logger()

IN_A_ROW = 5
"""So many calls in a row that bring nothing say something about the task, and not only about the vendor's health."""
SECONDS_AN_HOUR = 3600.0


class Poller:
    """Polls tasks."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    async def poll(self, platform: PlatformRun, watch: Watch, turn: Leave) -> None:
        """Ask once. Afterwards the watch waits for its next look or its download, or its task has ended."""
        calls, began = 0, self._context.now

        async def counted() -> None:
            nonlocal calls
            await turn()
            calls += 1  # the vendor may charge for it; the HTTP library repeats one that met a closing connection

        try:
            report = await platform.vendor.client.status(platform.settings, watch.task_id, leave=counted)
        except TemporaryError as error:
            await self._count(watch, calls)
            await self._failed(platform, watch, error)
        except DeniedError as error:
            await self._count(watch, calls)
            await self._denied(platform, watch, error, began)
        except RefusedError as error:
            await self._count(watch, calls)
            await self._gone(platform, watch, error)
        else:
            await self._answered(platform, watch, report, calls)

    async def ask(self, platform: PlatformRun, turn: Leave) -> None:
        """Ask the vendor what is free to ask: nothing is submitted before it has answered anything in this run."""
        vendor = platform.vendor
        try:
            await vendor.client.ask(platform.settings, leave=turn)
        except TemporaryError as error:
            vendor.asked += 1
            if error.throttled:
                self._context.throttled(vendor, str(error), error.retry_after_s)
            else:
                self._context.ill(vendor, str(error))
            wait_s = max(error.retry_after_s or 0.0, self._context.delay_s(vendor.asked))
            vendor.ask_at = self._context.now + wait_s
            log.warning("no_answer_yet", vendor=vendor.name, reason=str(error), again_after_s=round(wait_s, 3))
        else:
            self._context.well(vendor)

    async def _answered(self, platform: PlatformRun, watch: Watch, report: TaskReport, calls: int) -> None:
        context, at = self._context, self._context.clock()
        context.well(platform.vendor)
        watch.failures = watch.gone = 0
        watch.success = report.success
        progressed = await context.ledger.record(
            lambda ledger: ledger.look(
                watch.key, status=report.status, total=report.total, success=report.success, at=at, calls=calls
            )
        )
        if progressed:
            watch.progress_at = context.now
        self._tell_oddities(watch, report)
        if report.status == "failed":
            await self.fail(platform, watch, "the vendor reports the task as failed")
        elif report.status == "exported" and report.result_url:
            await self._linked(platform, watch, report.result_url)
        elif not await self.gave_up(platform, watch):
            self.poll_later(platform, watch, done=_share_done(report, watch.rows))

    async def _linked(self, platform: PlatformRun, watch: Watch, url: str) -> None:
        """Follow the link, unless it names another task of ours.

        That one's file may hold the right numbers, with the verdicts of another platform.
        """
        names = () if is_named(watch.task_id, url) else names_in(url)
        other = (
            await self._context.ledger.record(lambda it: it.owner_of(watch.key, *names, once=True, anywhere=True))
            if names
            else None
        )
        if other is None:
            self._exported(platform, watch, url)
            return
        log.warning("link_of_another", task=str(watch.key), other=str(other))
        if not await self.gave_up(platform, watch):
            self.poll_later(platform, watch, done=1.0)

    def _exported(self, platform: PlatformRun, watch: Watch, url: str) -> None:
        if watch.exported_at is None:
            platform.exported(watch, self._context.now)
        watch.result_url = url
        platform.ready.put(watch, self._context.now)

    def poll_later(self, platform: PlatformRun, watch: Watch, *, done: float) -> None:
        """Put the watch among those to look at, when a look makes sense; `done` is the share of its rows."""
        now = self._context.now
        progress = Progress(now - watch.submitted_at, now - watch.progress_at, done, watch.since, watch.worked_s)
        if watch.since[1] <= 0.0:  # a wait in a queue is no part of the task's speed
            watch.since = (progress.age_s, done)
        watch.polled_s, watch.worked_s = progress.age_s, worked_s(progress)
        draw = self._context.random.random()
        polling, floor_s = self._context.polling, platform.poll_floor_s()
        wait_s = next_poll_s(progress, platform.experience, polling, floor_s=floor_s, draw=draw)
        platform.polls.put(watch, now + wait_s)

    async def gave_up(self, platform: PlatformRun, watch: Watch, *, in_vain: int = IN_A_ROW) -> bool:
        """Hold the task if it stood still for too long; one that is held already had its one look of this run.

        `in_vain` counts the calls in a row that brought nothing: a single one says nothing about a task, even if the
        last run was days ago.
        """
        give_up_after_h = self._context.polling.give_up_after_h
        standstill_s = self._context.now - watch.progress_at
        if in_vain < IN_A_ROW or (not watch.stalled and standstill_s < give_up_after_h * SECONDS_AN_HOUR):
            return False
        await self.stall(platform, watch, f"no progress for {give_up_after_h:g} hours")
        return True

    async def _failed(self, platform: PlatformRun, watch: Watch, error: TemporaryError) -> None:
        if error.throttled:
            self._context.throttled(platform.vendor, str(error), error.retry_after_s)
        else:
            self._context.ill(platform.vendor, str(error))
        watch.failures += 1
        wait_s = max(error.retry_after_s or 0.0, self._context.delay_s(watch.failures))
        log.warning("poll_failed", task=str(watch.key), reason=str(error), again_after_s=round(wait_s, 3))
        if not await self.gave_up(platform, watch, in_vain=watch.failures):
            platform.polls.put(watch, self._context.now + wait_s)

    async def _denied(self, platform: PlatformRun, watch: Watch, error: DeniedError, began: float) -> None:
        """Believe a denial of the key or the balance, unless a gateway may have said it, for the first time.

        Any other is about this task or this platform.
        """
        vendor = platform.vendor
        if error.status == HTTPStatus.FORBIDDEN:
            await self._gone(platform, watch, error)
        elif error.sure or vendor.doubtful_at <= began:
            vendor.poll_denied = vendor.denied = str(error)
            log.error("vendor_says_stop", vendor=vendor.name, status=error.status, reason=str(error))
        else:
            vendor.doubtful_at = min(vendor.doubtful_at, self._context.now)
            await self._failed(platform, watch, TemporaryError(str(error)))

    async def _gone(self, platform: PlatformRun, watch: Watch, error: RefusedError | DeniedError) -> None:
        """Ask a few times more, then hold it: a gateway that is set up wrongly for a while does not know it either.

        Where the vendor has answered nothing else, a denial is no matter of this task.
        """
        self._context.there(platform.vendor)
        watch.gone += 1
        log.warning("poll_refused", task=str(watch.key), status=error.status, reason=str(error))
        if watch.gone < IN_A_ROW:
            wait_s = max(self._context.polling.min_interval_s, self._context.backoff.base_delay_s)
            platform.polls.put(watch, self._context.now + wait_s * 2.0**watch.gone)
        elif isinstance(error, RefusedError):
            await self.stall(platform, watch, f"the vendor does not know the task any more ({error})")
        elif platform.vendor.answered or await self._answers(platform):
            await self.stall(platform, watch, f"the vendor does not let us see the task ({error})")
        else:
            platform.poll_denied = platform.denied = str(error)
            log.error("vendor_says_stop", platform=platform.name, status=error.status, reason=str(error))

    async def _answers(self, platform: PlatformRun) -> bool:
        await self.ask(platform, partial(leave, platform.pace, platform.vendor.pace))
        return platform.vendor.answered

    async def fail(self, platform: PlatformRun, watch: Watch, reason: str) -> None:
        """Record that the task came to nothing."""
        at = self._context.clock()
        if not watch.has_result or platform.caution.awaits_canary:
            platform.caution.result_lost()
        state = await self._context.note(platform, lambda ledger: ledger.fail(watch.key, reason, at=at))
        platform.ended(watch)
        if state is State.DONE:
            log.warning("fetched_in_vain", task=str(watch.key), reason=reason)
            return
        log.error("failed", task=str(watch.key), task_id=watch.task_id, reason=reason)
        platform.say_if_stopped()

    async def stall(self, platform: PlatformRun, watch: Watch, reason: str) -> None:
        """Hold the task; every later run looks once more."""
        platform.ended(watch)
        platform.caution.result_held()
        if watch.stalled:
            return
        at = self._context.clock()
        state = await self._context.ledger.record(lambda ledger: ledger.stall(watch.key, reason, at=at))
        if state is State.DONE:
            log.warning("fetched_in_vain", task=str(watch.key), reason=reason)
            return
        log.error("held", task=str(watch.key), task_id=watch.task_id, reason=reason)

    async def _count(self, watch: Watch, calls: int) -> None:
        await self._context.ledger.record(lambda ledger: ledger.count_status_calls(watch.key.platform, calls))

    def _tell_oddities(self, watch: Watch, report: TaskReport) -> None:
        """Log once a task what the vendor does not document; none of it is a reason to stop."""
        if report.status not in KNOWN_STATUSES | {"failed"} and report.status not in watch.told:
            watch.told.add(report.status)
            log.warning("unknown_status", task=str(watch.key), status=report.status)
        if report.total not in (0, watch.rows) and "total" not in watch.told:
            watch.told.add("total")
            log.warning("total_differs", task=str(watch.key), sent=watch.rows, total=report.total)


LONG = 8
"""So many characters of an id don't stand in a link by chance."""
_DATE = re.compile(r"/(?:19|20)\d\d[/-]\d\d?(?:[/-]\d\d?)?(?=/)")
_WORD = re.compile(r"[A-Za-z0-9]+")
_ASKED = re.compile(r"[?&](?:task_?id|task|id)=([^&#]*)", re.IGNORECASE)


def is_named(task_id: str, url: str) -> bool:
    """Whether a link names a task: a long id anywhere, a short one as a word of its own, and not as part of a date."""
    if len(task_id) >= LONG:
        return task_id in url
    path = url.partition("?")[0]
    return task_id in (*_WORD.findall(_DATE.sub("", path)), *names_in(url))


def names_in(url: str) -> tuple[str, ...]:
    """Return what in a link may be a task id: each segment of its path, with and without its ending, and `?task_id=…`.

    A date is none, nor what stands beyond `MAX_LINK_CHARS`: nobody follows such a link.
    """
    url = url[:MAX_LINK_CHARS]
    segments = (*_DATE.sub("", url.partition("?")[0]).split("/"), *_ASKED.findall(url))
    names = (name for segment in segments for name in (segment, segment.partition(".")[0]))
    return tuple(dict.fromkeys(name for name in names if is_task_id(name)))


def _share_done(report: TaskReport, rows: int) -> float:
    if report.status == "pending":
        return 0.0
    return (report.success + report.failure) / (report.total or rows)
