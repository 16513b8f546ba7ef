"""One submit, from its first byte to a recorded answer.

The order of things is the program's central promise:

1. All but the last bytes leave. Until here the task provably does not exist at the vendor.
2. The ledger commits, synced, that the task is released and its cost reserved.
3. The last bytes leave.
4. The answer is logged to standard error, so that a CI log has it even if the disk is gone, then committed, and the
   release of the next one with it.

Whatever cuts this off after 2 leaves the task in doubt; it is never sent again by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, assert_never

from orchestrator.dispatch.caution import DOUBTS, SubmitOutcome
from orchestrator.dispatch.places import NotNowError
from orchestrator.dispatch.watching import PollWhenDue, Watch
from orchestrator.errors import BudgetError, LeaseLostError, StorageError
from orchestrator.jobdir.layout import chunk_path
from orchestrator.logger import log
from orchestrator.tasks import State
from orchestrator.vendor_api.meanings import Accepted, Cause, Denied, InDoubt, PutOff, Refused, SubmitAnswer

if TYPE_CHECKING:
    from orchestrator.dispatch.context import RunContext
    from orchestrator.dispatch.places import SubmitPlace
    from orchestrator.dispatch.platform_run import PlatformRun
    from orchestrator.dispatch.watching import Watcher
    from orchestrator.ledger import Ledger
    from orchestrator.records import Task
    from orchestrator.vendor_api.client import Leave

REFUSED_S = 1.0
FAILURES = 5
"""So many times the vendor may say for one chunk that it failed and made no task, over all runs."""


@dataclass(slots=True)
class Attempt:
    """How far one submit has come. `cost_nano` is what it reserves, in 1e-9 USD, `sent_name` its file at the vendor."""

    platform: PlatformRun
    task: Task
    place: SubmitPlace
    cost_nano: int
    sent_name: str
    began: float
    release_asked: bool = False
    released_at: float | None = None

    @property
    def released(self) -> bool:
        """Whether the ledger knows that the last bytes may leave."""
        return self.released_at is not None


class Submitter:
    """Sends chunks."""

    def __init__(self, context: RunContext, watcher: Watcher) -> None:
        self._context = context
        self._watcher = watcher
        self._put_offs: dict[Task, int] = {}

    async def submit(self, platform: PlatformRun, task: Task, leave: Leave, place: SubmitPlace) -> None:
        """Send one task and record what came of it. `StorageError` when chunk file or ledger fails."""
        sent_name = task.key.file_name(self._context.job_name, task.sha256)
        chunk_file = chunk_path(self._context.directory, task.key.chunk)
        attempt = Attempt(platform, task, place, platform.settings.cost_nano(task.rows), sent_name, self._context.now)

        async def ready(sha256: str) -> None:
            # The hash of what was sent: the file may have been altered after any look at it.
            if sha256 != task.sha256:
                raise StorageError(
                    f"{chunk_file}: this is not the file that was planned; remove it, and the next run builds it anew "
                    "from the list"
                )
            await place.wait_for_release(now=self._context.now)

        async def release(_sha256: str) -> None:
            await self._release(attempt)

        await self._context.files.bring_chunk(self._context.ledger, chunk_file)
        try:
            answer = await platform.vendor.client.submit(
                platform.settings,
                chunk_file,
                sent_name,
                leave=leave,
                ready=ready,
                release=release,
                last_look=partial(self._look_at_lease, attempt),
            )
            await self._record(attempt, answer)
        except NotNowError:
            # Before all others; if not in this run, then in the next. What the ledger has refused waits for a moment:
            # whatever the reason, nobody may send the same file again and again.
            wait_s = REFUSED_S if attempt.release_asked else 0.0
            platform.again.put(task, self._context.now + wait_s)
        except BudgetError as error:
            platform.over_budget = True
            log.error("over_budget", task=str(task.key), reason=str(error))
        except BaseException:
            # Cancelled after the grace, or the ledger is broken: say what is known, then let it escape.
            await self._cut_off(attempt)
            raise

    async def _release(self, attempt: Attempt) -> None:
        """Commit that the task is released, and its cost; until this returns, its last bytes are held back."""
        platform, task = attempt.platform, attempt.task
        # Looked at after the wait for a place: any of it may have come meanwhile.
        if self._context.stopping.is_set() or platform.why_not_sent or platform.is_too_late(self._context.now):
            raise NotNowError
        at, cost, max_cost_nano = self._context.clock(), attempt.cost_nano, self._context.max_cost_nano
        name = attempt.sent_name
        attempt.release_asked = True

        def release(ledger: Ledger) -> None:
            # In the very commit: the one that has handed its place on may have become a doubt meanwhile.
            if ledger.platforms.unsure(platform.name) >= DOUBTS:
                raise NotNowError
            ledger.transitions.release(task.key, cost_nano=cost, max_cost_nano=max_cost_nano, at=at, sent_name=name)

        await self._context.ledger.do_small(release)
        attempt.released_at = self._context.now

    def _look_at_lease(self, attempt: Attempt) -> None:
        """Stop the last bytes of a run that was frozen behind the release for longer than its lease.

        Another coordinator may hold this task by now.
        """
        if not self._context.ledger.holds:
            attempt.released_at = None
            raise LeaseLostError(f"{attempt.task.key}: this run was asleep for too long; run the same command again")

    async def _record(self, attempt: Attempt, answer: SubmitAnswer) -> None:
        platform, key = attempt.platform, attempt.task.key
        if attempt.released_at is not None and not isinstance(answer, InDoubt):
            platform.caution.answer_took(self._context.now - attempt.released_at)
        if not isinstance(answer, PutOff | Denied):
            platform.doubtful_at = math.inf
            self._put_offs.pop(attempt.task, None)
        if isinstance(answer, Accepted):
            await self._accepted(attempt, answer)
            return
        at = self._context.clock()
        match answer:
            case PutOff(cause=Cause.FAILED) if attempt.released:
                # Believed a few times, over all runs; after that nobody knows whether there are tasks.
                state = await self._context.note(
                    platform, lambda ledger: ledger.transitions.vendor_failed(key, answer.reason, at=at, most=FAILURES)
                )
                if state is State.IN_DOUBT:
                    self._context.vendor_unwell(platform.vendor, answer.reason)
                    self._doubted(attempt, f"{FAILURES} times {answer.reason}")
                else:
                    self._again(attempt, answer)
            case PutOff() | Denied():
                if attempt.released:
                    await self._context.note(
                        platform, lambda ledger: ledger.transitions.put_off(key, answer.reason, at=at)
                    )
                if isinstance(answer, PutOff):
                    self._again(attempt, answer)
                else:
                    self._denied(attempt, answer)
            case Refused():
                platform.caution.submit_ended(SubmitOutcome.REFUSED)
                await self._context.note(platform, lambda ledger: ledger.transitions.refuse(key, answer.reason, at=at))
                self._context.vendor_answered(platform.vendor)
                log.error("refused", task=str(key), status=answer.status, reason=answer.reason)
                platform.say_if_stopped()
            case InDoubt(reason):
                await self._context.note(platform, lambda ledger: ledger.transitions.doubt(key, reason, at=at))
                self._context.vendor_unwell(platform.vendor, reason)
                self._doubted(attempt, reason)
            case _:
                assert_never(answer)

    async def _accepted(self, attempt: Attempt, answer: Accepted) -> None:
        platform, task = attempt.platform, attempt.task
        key = task.key
        # Before all else that could fail, so that a log has it even if the disk is gone.
        check = self._context.seal.check(key, task.sha256, answer.task_id)
        log.info("accepted", platform=key.platform, chunk=f"{key.chunk:06d}", check=check, task_id=answer.task_id)
        at = self._context.clock()
        settle = self._context.settled(platform, key, answer.charge)

        def accept(ledger: Ledger) -> State:
            if not attempt.released:  # the vendor answered before it had the whole body, and says that it has it
                cost, name = attempt.cost_nano, attempt.sent_name
                ledger.transitions.release(key, cost_nano=cost, max_cost_nano=None, at=at, sent_name=name)
            state = ledger.transitions.accept(key, answer.task_id, total=answer.total or 0, at=at)
            if state is not State.IN_DOUBT:
                settle(ledger)
            return state

        attempt.place.hand_on()
        state = await self._context.note(platform, accept)
        if state is State.IN_DOUBT:
            self._doubted(attempt, "the vendor named the task id of another task")
            return
        self._context.vendor_answered(platform.vendor)
        platform.caution.submit_ended(SubmitOutcome.ACCEPTED)
        now, place = self._context.now, platform.at_vendor.begin()
        watch = Watch(key, answer.task_id, task.rows, now, now, place, chunk_sha256=task.sha256)
        await self._watcher.carry_out(platform, watch, PollWhenDue(0.0))

    def _again(self, attempt: Attempt, answer: PutOff) -> None:
        """Send it once more later."""
        platform, task = attempt.platform, attempt.task
        if answer.cause is Cause.THROTTLED:
            self._context.throttled(platform.vendor, answer.reason, answer.retry_after_s)
        else:
            self._context.vendor_unwell(platform.vendor, answer.reason)
        platform.caution.submit_ended(SubmitOutcome.PUT_OFF)
        repeat = self._put_offs[task] = self._put_offs.get(task, 0) + 1
        wait_s = max(answer.retry_after_s or 0.0, self._context.delay_s(repeat))
        platform.again.put(task, self._context.now + wait_s)
        log.warning("put_off", task=str(task.key), reason=answer.reason, again_after_s=round(wait_s, 3))

    def _denied(self, attempt: Attempt, answer: Denied) -> None:
        """Stop the vendor, or the platform alone: unless a gateway may have said it, for the first time."""
        platform = attempt.platform
        if not answer.sure and attempt.began < platform.doubtful_at:
            platform.doubtful_at = min(platform.doubtful_at, self._context.now)
            self._again(attempt, PutOff(answer.reason))
        elif answer.status == HTTPStatus.FORBIDDEN:
            platform.denial = answer.reason
            log.error("vendor_says_stop", platform=platform.name, status=answer.status, reason=answer.reason)
        else:
            platform.vendor.denial = answer.reason
            platform.vendor.out_of_funds = answer.status == HTTPStatus.PAYMENT_REQUIRED
            log.error("vendor_says_stop", vendor=platform.vendor.name, status=answer.status, reason=answer.reason)

    def _doubted(self, attempt: Attempt, reason: str) -> None:
        log.error("in_doubt", task=str(attempt.task.key), reason=reason)
        attempt.platform.caution.submit_ended(SubmitOutcome.DOUBTED)
        attempt.platform.say_if_stopped()

    async def _cut_off(self, attempt: Attempt) -> None:
        """Record what is known of a submit that is cut off: its last bytes were sent, or provably not."""
        if not attempt.release_asked:
            return
        key, at = attempt.task.key, self._context.clock()

        def tell_what_is_known(ledger: Ledger) -> None:
            task = ledger.tasks.get(key)
            if task is None or task.state is not State.RELEASED:
                return
            if attempt.released:
                ledger.transitions.doubt(key, "the run ended between release and answer", at=at)
            else:
                ledger.transitions.put_off(key, "the run ended before the last bytes left", at=at)

        try:
            await self._context.ledger.do_small(tell_what_is_known)
        except StorageError as error:
            log.error("not_recorded", task=str(key), reason=str(error))
