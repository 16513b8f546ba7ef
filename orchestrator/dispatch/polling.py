"""One poll of a task: ask for its status, note it, and decide what comes next.

The vendor is also asked here what is free to ask: nothing is submitted before it has answered anything in a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from orchestrator.dispatch.pace import wait_to_leave
from orchestrator.dispatch.result_links import is_named, names_in
from orchestrator.dispatch.watching import CALLS_IN_VAIN, Hold, InVain, PollAgain, PollWhenDue, WatchStep
from orchestrator.errors import CallError, DeniedError, RefusedError, TemporaryError
from orchestrator.logger import log
from orchestrator.vendor_api.meanings import KNOWN_STATUSES

if TYPE_CHECKING:
    from orchestrator.dispatch.context import RunContext
    from orchestrator.dispatch.platform_run import PlatformRun
    from orchestrator.dispatch.watching import Watch, Watcher
    from orchestrator.ledger import Ledger
    from orchestrator.vendor_api.client import Leave
    from orchestrator.vendor_api.meanings import TaskReport


@dataclass(frozen=True, slots=True)
class _Follow:
    """Fetch what is behind the link, unless the link names another task of ours."""

    url: str


@dataclass(frozen=True, slots=True)
class _FindOutWhoDenies:
    """Hold the task, or stop the platform: it depends on whether the vendor answers anything else."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Stay:
    """The vendor is not called any more in this run; the task stays where it is."""


_AfterPoll = WatchStep | _Follow | _FindOutWhoDenies | _Stay


class Poller:
    """Polls tasks."""

    def __init__(self, context: RunContext, watcher: Watcher) -> None:
        self._context = context
        self._watcher = watcher

    async def poll(self, platform: PlatformRun, watch: Watch, leave: Leave) -> None:
        """Ask once. Afterwards the watch waits for its next poll or its download, or its task has ended."""
        calls, began = 0, self._context.now

        async def counted() -> None:
            nonlocal calls
            await leave()
            calls += 1  # the vendor may charge for it; the HTTP library repeats one that met a closing connection

        try:
            report = await platform.vendor.client.status(platform.settings, watch.task_id, leave=counted)
        except CallError as error:
            await self._context.ledger.do_small(lambda it: it.platforms.count_status_calls(watch.key.platform, calls))
            step: _AfterPoll = self._after_error(platform, watch, error, began)
        else:
            at, heard = self._context.clock(), report
            settle = self._context.settled(platform, watch.key, heard.charge)

            def note(ledger: Ledger) -> bool:
                settle(ledger)
                return ledger.transitions.note_status(
                    watch.key, status=heard.status, total=heard.total, success=heard.success, at=at, calls=calls
                )

            progressed = await self._context.ledger.do_small(note)
            step = self._after_report(platform, watch, report, progressed=progressed)
        match step:
            case _Follow(url):
                await self._follow(platform, watch, url)
            case _FindOutWhoDenies(reason):
                # Where the vendor answers nothing else, the denial is no matter of this task.
                if not platform.vendor.has_answered:
                    await self.ask(platform, partial(wait_to_leave, platform.pace, platform.vendor.pace))
                if platform.vendor.has_answered:
                    hold = Hold(f"the vendor does not let us see the task ({reason})")
                    await self._watcher.carry_out(platform, watch, hold)
                else:
                    platform.poll_denial = platform.denial = reason
                    status = HTTPStatus.FORBIDDEN.value
                    log.error("vendor_says_stop", platform=platform.name, status=status, reason=reason)
            case _Stay():
                pass
            case _:
                await self._watcher.carry_out(platform, watch, step)

    async def ask(self, platform: PlatformRun, leave: Leave) -> None:
        """Ask the vendor what is free to ask: nothing is submitted before it has answered anything in this run."""
        vendor = platform.vendor
        try:
            await vendor.client.ask(platform.settings, leave=leave)
        except TemporaryError as error:
            vendor.asks += 1
            self._context.call_failed(vendor, error)
            wait_s = max(error.retry_after_s or 0.0, self._context.delay_s(vendor.asks))
            vendor.ask_at = self._context.now + wait_s
            log.warning("no_answer_yet", vendor=vendor.name, reason=str(error), again_after_s=round(wait_s, 3))
        else:
            self._context.vendor_answered(vendor)

    def _after_report(
        self, platform: PlatformRun, watch: Watch, report: TaskReport, *, progressed: bool
    ) -> WatchStep | _Follow:
        """Decide what comes after the vendor's word on a task."""
        self._context.vendor_answered(platform.vendor)
        watch.failures = watch.refusals = 0
        watch.success = report.success
        if progressed:
            watch.progress_at = self._context.now
        # Told once a task, since none of it is a reason to stop: the vendor does not document all that it says.
        if report.status not in KNOWN_STATUSES | {"failed"} and report.status not in watch.told:
            watch.told.add(report.status)
            log.warning("unknown_status", task=str(watch.key), status=report.status)
        if report.total not in (0, watch.rows) and "total" not in watch.told:
            watch.told.add("total")
            log.warning("total_differs", task=str(watch.key), sent=watch.rows, total=report.total)
        if report.status == "failed":
            return InVain("the vendor reports the task as failed")
        if report.status == "exported" and report.result_url:
            return _Follow(report.result_url)
        pending = report.status == "pending"  # what it counts then is of no task that works
        done = 0.0 if pending else (report.success + report.failure) / (report.total or watch.rows)
        return self._watcher.standstill(watch) or PollWhenDue(done)

    def _after_error(
        self, platform: PlatformRun, watch: Watch, error: CallError, began: float
    ) -> WatchStep | _FindOutWhoDenies | _Stay:
        """Decide what comes after a poll that told nothing of the task.

        A denial of the key or the balance is believed, unless a gateway may have said it, for the first time. Any other
        is about this task or this platform.
        """
        vendor = platform.vendor
        if isinstance(error, RefusedError) or (isinstance(error, DeniedError) and error.status == HTTPStatus.FORBIDDEN):
            return self._after_refusal(platform, watch, error)
        if isinstance(error, DeniedError):
            if error.sure or vendor.doubtful_at <= began:
                vendor.poll_denial = vendor.denial = str(error)
                log.error("vendor_says_stop", vendor=vendor.name, status=error.status, reason=str(error))
                return _Stay()
            vendor.doubtful_at = min(vendor.doubtful_at, self._context.now)
        temporary = error if isinstance(error, TemporaryError) else TemporaryError(str(error))
        self._context.call_failed(vendor, temporary)
        watch.failures += 1
        wait_s = max(temporary.retry_after_s or 0.0, self._context.delay_s(watch.failures))
        log.warning("poll_failed", task=str(watch.key), reason=str(error), again_after_s=round(wait_s, 3))
        return self._watcher.standstill(watch, in_vain=watch.failures) or PollAgain(wait_s)

    def _after_refusal(
        self, platform: PlatformRun, watch: Watch, error: RefusedError | DeniedError
    ) -> PollAgain | Hold | _FindOutWhoDenies:
        """Ask a few times more, then hold it: a gateway that is set up wrongly for a while does not know it either."""
        self._context.somebody_answered(platform.vendor)
        watch.refusals += 1
        log.warning("poll_refused", task=str(watch.key), status=error.status, reason=str(error))
        if watch.refusals < CALLS_IN_VAIN:
            wait_s = max(self._context.polling.min_interval_s, self._context.backoff.base_delay_s)
            return PollAgain(wait_s * 2.0**watch.refusals)
        if isinstance(error, RefusedError):
            return Hold(f"the vendor does not know the task any more ({error})")
        return _FindOutWhoDenies(str(error))

    async def _follow(self, platform: PlatformRun, watch: Watch, url: str) -> None:
        """Have the link followed, unless it names another task of ours.

        That one's file may hold the right numbers, with the verdicts of another platform.
        """
        names = () if is_named(watch.task_id, url) else names_in(url)
        other = None
        if names:
            other = await self._context.ledger.do_small(
                lambda it: it.tasks.owner_of(watch.key, *names, once=True, anywhere=True)
            )
        if other is None:
            platform.exported(watch, self._context.now)
            watch.result_url = url
            platform.ready.put(watch, self._context.now)
            return
        log.warning("link_of_another", task=str(watch.key), other=str(other))
        await self._watcher.carry_out(platform, watch, self._watcher.standstill(watch) or PollWhenDue(1.0))
