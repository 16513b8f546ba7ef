"""Tasks at the vendor, each watched until it ends: what comes next is decided as a value, and then done here.

Poller and fetcher decide, by what they were answered; every way for a task to end in a run (done, failed, held for a
decision) is in this file, with all that is given back then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from orchestrator.dispatch.poll_times import PollProgress, next_poll_s, worked_s
from orchestrator.dispatch.result_versions import ODDITIES, detail_of, files_of, note_files
from orchestrator.logger import log
from orchestrator.tasks import State

if TYPE_CHECKING:
    from orchestrator.dispatch.context import RunContext
    from orchestrator.dispatch.places import VendorPlace
    from orchestrator.dispatch.platform_run import PlatformRun
    from orchestrator.ledger import Ledger
    from orchestrator.results import ResultReport
    from orchestrator.tasks import TaskKey

CALLS_IN_VAIN: Final = 5
"""So many calls in a row that bring nothing say something about the task, and not only about the vendor's health."""
SECONDS_AN_HOUR: Final = 3600.0


@dataclass(slots=True, eq=False)
class Watch:
    """A task at the vendor. Times are the event loop's.

    `has_result` says that it was done before, and is fetched again. `refusals` counts polls in a row to which the
    vendor said that it does not know the task, or does not let us see it, and `failures` those without an answer.
    `since`, `polled_s` and `worked_s` are what `poll_times` was told and said at the last poll, as ages.
    """

    key: TaskKey
    task_id: str
    rows: int
    submitted_at: float
    progress_at: float
    place: VendorPlace
    stalled: bool = False
    exported_at: float | None = None
    result_url: str = ""
    success: int = 0
    failures: int = 0
    fetches: int = 0
    refusals: int = 0
    damages: int = 0
    chunk_sha256: str = ""
    has_result: bool = False
    suspect: bool = False
    since: tuple[float, float] = (0.0, 0.0)
    polled_s: float | None = None
    worked_s: float | None = None
    told: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class PollAgain:
    """Poll the task again after `wait_s`."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class PollWhenDue:
    """Poll it again when that makes sense by its progress; `done` is the share of its rows."""

    done: float


@dataclass(frozen=True, slots=True)
class FetchAgain:
    """Try the same link again after `wait_s`."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class InVain:
    """The task came to nothing: it has failed, or is done with the result that it had before."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """The task waits for a decision; every later run polls it once more."""

    reason: str


WatchStep = PollAgain | PollWhenDue | FetchAgain | InVain | Hold


class Watcher:
    """Does what was decided on a task at the vendor."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def standstill(self, watch: Watch, *, in_vain: int | None = None) -> Hold | None:
        """Return that a task is to be held which stood still for too long; one that was held had its one poll by now.

        `in_vain` counts the calls in a row that brought nothing, None after one that did: a single one says nothing
        about a task, even if the last run was days ago.
        """
        hours = self._context.polling.give_up_after_h
        still_s = self._context.now - watch.progress_at
        few = in_vain is not None and in_vain < CALLS_IN_VAIN
        if few or (not watch.stalled and still_s < hours * SECONDS_AN_HOUR):
            return None
        return Hold(f"no progress for {hours:g} hours")

    async def carry_out(self, platform: PlatformRun, watch: Watch, step: WatchStep) -> None:
        """Do what was decided. Afterwards the watch waits for its next poll or its download, or its task has ended."""
        now = self._context.now
        match step:
            case PollAgain(wait_s):
                platform.polls.put(watch, now + wait_s)
            case PollWhenDue(done):
                progress = PollProgress(
                    now - watch.submitted_at, now - watch.progress_at, done, watch.since, watch.worked_s
                )
                if watch.since[1] <= 0.0:  # a wait in a queue is no part of the task's speed
                    watch.since = (progress.age_s, done)
                watch.polled_s, watch.worked_s = progress.age_s, worked_s(progress)
                draw, polling, floor_s = self._context.random.random(), self._context.polling, platform.poll_floor_s()
                wait_s = next_poll_s(progress, platform.experience, polling, floor_s=floor_s, draw=draw)
                platform.polls.put(watch, now + wait_s)
            case FetchAgain(wait_s):
                platform.ready.put(watch, now + wait_s)
            case InVain(reason):
                await self._end_in_vain(platform, watch, reason)
            case Hold(reason):
                await self._hold(platform, watch, reason)
            case _:
                assert_never(step)

    async def done(self, platform: PlatformRun, watch: Watch, report: ResultReport, *, recorded: bool = False) -> None:
        """End a task with the verdicts that are written; `recorded` says that the ledger knows it already."""
        # What was settled for is a finding already, and fetched again is what was looked at before.
        alarm = None if recorded else platform.usual.judge(watch.key.chunk, report.counts)
        finding = "" if alarm is None else alarm.text
        # Counted before it is recorded, so that the platform's caution is committed along with it.
        platform.caution.result_read(report.answered / watch.rows, one_word=alarm is not None and alarm.one_word)
        at, detail = self._context.clock(), detail_of(report)
        stored = (
            [] if recorded else await self._context.files.put(*files_of(self._context.directory, watch.key, report))
        )

        def finish(ledger: Ledger) -> None:
            if not recorded:
                note_files(ledger, watch.key, stored)
                ledger.transitions.finish(watch.key, report.counts, at=at, detail=detail, finding=finding)

        await self._context.note(platform, finish)
        platform.over(watch)
        seen = {name: count for name in ODDITIES if (count := getattr(report, name))}
        log.info("done", task=str(watch.key), rows=watch.rows, verdicts=report.counts, **seen)
        if finding:
            log.warning("alarm", task=str(watch.key), reason=finding)
        platform.say_if_stopped()

    async def _end_in_vain(self, platform: PlatformRun, watch: Watch, reason: str) -> None:
        at = self._context.clock()
        if not watch.has_result or platform.caution.awaits_canary:
            platform.caution.result_lost()
        state = await self._context.note(platform, lambda ledger: ledger.transitions.fail(watch.key, reason, at=at))
        platform.over(watch)
        if state is State.DONE:  # with the result that it had before
            log.warning("fetched_in_vain", task=str(watch.key), reason=reason)
            return
        log.error("failed", task=str(watch.key), task_id=watch.task_id, reason=reason)
        platform.say_if_stopped()

    async def _hold(self, platform: PlatformRun, watch: Watch, reason: str) -> None:
        platform.over(watch)
        platform.caution.result_held()
        if watch.stalled:  # it was held before this run, with a reason of its own
            return
        at = self._context.clock()
        state = await self._context.ledger.do_small(lambda ledger: ledger.transitions.stall(watch.key, reason, at=at))
        if state is State.DONE:
            log.warning("fetched_in_vain", task=str(watch.key), reason=reason)
            return
        log.error("stalled", task=str(watch.key), task_id=watch.task_id, reason=reason)
