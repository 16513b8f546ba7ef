"""What happens to tasks: every transition a compare-and-set, and a row of the append-only table of events.

Rules:

- A task changes its state by an event that `tasks.TRANSITIONS` allows.
- A person's decision can be taken back as long as nothing has come of it: until the task's next event.
- What a submit may cost is reserved in the transaction that releases it; only an answer that says "no task was made"
  gives it back. What the vendor says that a task costs counts in its place.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from orchestrator.errors import BudgetError, UsageError
from orchestrator.records import Money
from orchestrator.tasks import Event, IllegalTransitionError, State, TaskKey, state_after, undone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.ledger.connection import Connection
    from orchestrator.ledger.platform_table import PlatformTable
    from orchestrator.ledger.run_table import RunTable
    from orchestrator.ledger.task_table import TaskTable

_COURSE: Final = ("", "pending", "?", "processing", "completed", "exported", "failed")
"""A vendor's statuses, in the order in which a task has them; one that we don't know lies at the question mark."""

_BEFORE: Final = (
    "evidence",
    "state",
    "task_id",
    "cost_nano",
    "quoted_nano",
    "estimated_nano",
    "actual_nano",
    "earlier_nano",
    "doubted_nano",
    "submitted_at",
    "progress_at",
    "vendor_status",
    "total",
    "success",
    "reason",
)
"""What a decision may change."""

_KEPT: Final = ("result", "verdicts", "result_columns", "extra_columns")
SETTLE: Final = "settle"
"""The event in which the vendor told what a task costs: it changes no state, so the table does not have it."""

_COUNT_FAILURE = "UPDATE tasks SET failures = failures + 1 WHERE platform = ? AND chunk = ? RETURNING failures"
_NOTE_PROGRESS = (
    "UPDATE tasks SET vendor_status = ?, total = ?, success = ?, progress_at = ? WHERE platform = ? AND chunk = ?"
)
_GIVE_ID_BACK = "UPDATE tasks SET task_id = ? WHERE platform = ? AND chunk = ?"
_COSTS_NOTHING = "UPDATE tasks SET cost_nano = 0, quoted_nano = 0 WHERE platform = ? AND chunk = ?"
_SETTLE = "UPDATE tasks SET cost_nano = ?, estimated_nano = ?, actual_nano = ? WHERE platform = ? AND chunk = ?"
_ADD_EVENT = (
    "INSERT INTO events (at, serial, platform, chunk, event, origin, target, task_id, detail) "
    "SELECT ?, job.serial, platform, chunk, ?, ?, ?, task_id, ? FROM tasks, job WHERE platform = ? AND chunk = ?"
)


class Transitions:
    """What the program and its user do with tasks. Its methods may be called only inside a commit."""

    def __init__(self, connection: Connection, platforms: PlatformTable, runs: RunTable, tasks: TaskTable) -> None:
        self._connection = connection
        self._platforms = platforms
        self._runs = runs
        self._tasks = tasks

    # --- a submit ----------------------------------------------------------------------------------------------------

    def release(
        self, key: TaskKey, *, cost_nano: int, max_cost_nano: int | None, at: float, sent_name: str = ""
    ) -> None:
        """Reserve the cost and note that the last bytes of a submit, a file called `sent_name`, are about to leave.

        `cost_nano` is what the price gives. Where the vendor has told more so far, accordingly more is reserved: else
        what it tells of the last tasks would exceed the budget.

        Raises `BudgetError` when the cost does not fit any more, with what other jobs have spent of it. With
        `max_cost_nano` None nothing is checked: for the embedded vendor, without a limit, and for a task that the
        vendor has made already.
        """
        quoted_nano = cost_nano
        cost_nano = sum(self._platforms.money(key.platform).values(), Money()).expected(quoted_nano)
        if max_cost_nano is not None:
            others_nano, room_nano = self._connection.others_nano, self._connection.room_nano
            left_nano = max_cost_nano - self._platforms.spent_nano() - cost_nano
            if others_nano > left_nano:
                self._connection.others_in_question |= left_nano >= 0
                shared = f", of which other jobs have spent {others_nano / 1e9:g}" if others_nano else ""
                raise BudgetError(f"{key}: sending it would exceed max_cost of {max_cost_nano / 1e9:g} USD{shared}")
            self._connection.room_nano = left_nano if room_nano is None else min(left_nano, room_nano)
        sent: dict[str, Any] = {
            "cost_nano": cost_nano,
            "quoted_nano": quoted_nano,
            "sent_name": sent_name,
            "released_at": at,
        }
        self._take(key, Event.RELEASE, at=at, detail={"cost_nano": cost_nano}, **sent)
        self._platforms.charge(key.platform, submits=1, cost_nano=cost_nano)
        self._runs.begin_job(at=at)

    def put_off(self, key: TaskKey, reason: str, *, at: float) -> None:
        """Note that the vendor made no task; it will be submitted again."""
        self._take(key, Event.PUT_OFF, at=at, reason=reason)
        self._refund(key)

    def vendor_failed(self, key: TaskKey, reason: str, *, at: float, most: int) -> State:
        """Note that the vendor failed and says that it made no task, which is believed fewer than `most` times."""
        failures = self._connection.value(_COUNT_FAILURE, (key.platform, key.chunk))
        if failures >= most:
            return self.doubt(key, f"{failures} times {reason}", at=at)
        self.put_off(key, reason, at=at)
        return State.PLANNED

    def accept(self, key: TaskKey, task_id: str, *, total: int, at: float) -> State:
        """Note the vendor's task id. An id that another task already has proves nothing: then the task is in doubt."""
        if taken := self._tasks.owner_of(key, task_id, once=True):
            return self.doubt(key, f"the vendor named the task id of {taken} once more", at=at)
        return self._take(key, Event.ACCEPT, at=at, task_id=task_id, submitted_at=at, progress_at=at, total=total)

    def refuse(self, key: TaskKey, reason: str, *, at: float) -> None:
        """Note that the vendor will never take this file; a refusal is free."""
        (state,) = self._of(key, "state")
        self._take(key, Event.REFUSE, at=at, reason=reason)
        if state == State.RELEASED:
            self._refund(key)

    def doubt(self, key: TaskKey, reason: str, *, at: float) -> State:
        """Note that nobody knows whether a released task exists."""
        return self._take(key, Event.DOUBT, at=at, reason=reason)

    def _refund(self, key: TaskKey) -> None:
        (cost,) = self._of(key, "cost_nano")
        self._connection.run(_COSTS_NOTHING, (key.platform, key.chunk))
        self._platforms.charge(key.platform, submits=-1, cost_nano=-cost)

    def settle(
        self, key: TaskKey, *, estimated_nano: int | None = None, actual_nano: int | None = None, at: float
    ) -> None:
        """Count what the vendor says that a task costs in the place of what was reserved for it.

        Both in 1e-9 USD: what it expects, and what it has charged, which counts where both are known; None is not told.
        Until it has charged, no less than the price counts: too low an estimate would let the budget be exceeded.
        """
        state, cost, quoted, *before = self._of(
            key, "state", "cost_nano", "quoted_nano", "estimated_nano", "actual_nano"
        )
        told = [b if new is None else new for new, b in zip((estimated_nano, actual_nano), before, strict=True)]
        if told == before:
            return
        estimated, actual = told
        now = max(quoted, estimated or 0) if actual is None else actual
        self._connection.run(_SETTLE, (now, *told, key.platform, key.chunk))
        self._platforms.charge(key.platform, cost_nano=now - cost)
        detail = {"estimated_nano": told[0], "actual_nano": told[1], "change_nano": now - cost}
        self._connection.run(_ADD_EVENT, (at, SETTLE, state, state, json.dumps(detail), key.platform, key.chunk))

    # --- at the vendor -----------------------------------------------------------------------------------------------

    def note_status(self, key: TaskKey, *, status: str, total: int, success: int, at: float, calls: int = 1) -> bool:
        """Count status calls and note what the last one said; return whether that is progress since the ones before.

        What was seen before is no progress: a task that goes to and fro must not be waited for without end. So the
        furthest status and the highest counts are what is kept.
        """

        def rank(told: str) -> int:
            return _COURSE.index(told if told in _COURSE else "?")

        self._platforms.charge(key.platform, status_calls=calls)
        row = self._of(key, "vendor_status", "total", "success")
        best = (max(row[0], status, key=rank), max(row[1], total), max(row[2], success))
        if best == row:
            return False
        self._connection.run(_NOTE_PROGRESS, (*best, at, key.platform, key.chunk))
        return True

    def finish(
        self,
        key: TaskKey,
        verdicts: Mapping[str, int],
        *,
        at: float,
        detail: Mapping[str, object],
        finding: str = "",
        decided: bool = False,
    ) -> None:
        """Note that the task's verdicts are written and synced; `verdicts` counts them by word.

        `result` and `verdicts` in `detail` are the hashes of the two files, `result_columns` or `extra_columns` those
        by which the first was read. They are kept with the task, for whoever reads the files again. `finding` says
        what is odd about the result, `decided` that a person brought it, which can be taken back.
        """
        told = dict(detail)
        kept = {name: told.pop(name) for name in _KEPT if name in told}
        evidence = json.dumps(kept | {"counts": dict(verdicts), "finding": finding})
        self._uncount(key)
        self._take(key, Event.FINISH, at=at, reason=finding, detail=told, decided=decided, evidence=evidence)
        self._runs.begin_job(at=at)
        self._platforms.count_verdicts(key.platform, verdicts)

    def fail(self, key: TaskKey, reason: str, *, at: float) -> State:
        """Note that the vendor's task, or its result, is of no use; return where that leads, see `refetch`."""
        return self._end_in_vain(key, Event.FAIL, reason, at=at)

    def stall(self, key: TaskKey, reason: str, *, at: float) -> State:
        """Note that the task made no progress for too long; return where that leads, see `refetch`."""
        return self._end_in_vain(key, Event.STALL, reason, at=at)

    def refetch(self, key: TaskKey, *, at: float, lost: bool = False, decided: bool = False) -> None:
        """Have the result of a task fetched again, under the id that is known.

        A task that was done is done as before if nothing comes of it, unless its files are `lost`. `UsageError`
        without an id. `decided` says that a person wished it, which can be taken back.
        """
        state, task_id = self._of(key, "state", "task_id")
        state_after(State(state), Event.REFETCH)
        if task_id is None:
            raise UsageError(
                f"{key}: no task id of the vendor is known, so there is nothing to fetch; --adopt TASK_ID names one, "
                "--result FILE takes its result file"
            )
        self._uncount(key)
        fresh: dict[str, Any] = {"vendor_status": "", "total": 0, "success": 0, "progress_at": at}
        fresh |= {"evidence": None} if lost else {}
        self._take(key, Event.REFETCH, at=at, decided=decided, **fresh)

    def _end_in_vain(self, key: TaskKey, event: Event, reason: str, *, at: float) -> State:
        """Let a task come to nothing; one that was done before it was fetched again is done as it was."""
        (state,) = self._of(key, "state")
        evidence = self._tasks.evidence_of(key)
        task_id = evidence.pop("task_id", None)  # of the result that it has, if it was given another since
        is_gone = task_id is not None and (not task_id or self._tasks.owner_of(key, task_id) is not None)
        if state == State.DONE or not evidence or is_gone:
            self._uncount(key)
            return self._take(key, event, at=at, reason=reason, evidence=None)
        if task_id is not None:
            self._connection.run(_GIVE_ID_BACK, (task_id, key.platform, key.chunk))
        detail = {"fetched_in_vain": reason, **evidence}
        counts, finding = detail.pop("counts", {}), str(detail.pop("finding", ""))
        self.finish(key, counts, at=at, detail=detail, finding=finding)
        return State.DONE

    def _uncount(self, key: TaskKey, *, sign: int = -1) -> None:
        """Take the verdicts of a task that is done out of the sums. Those of an earlier version were not noted.

        With a `sign` of 1 they come back into them.
        """
        (state,) = self._of(key, "state")
        if state == State.DONE:
            counts = self._tasks.evidence_of(key).get("counts", {})
            self._platforms.count_verdicts(key.platform, {word: sign * rows for word, rows in counts.items()})

    # --- decisions ---------------------------------------------------------------------------------------------------

    def resubmit(self, key: TaskKey, *, at: float) -> None:
        """Plan a held task again, on a person's decision; what the first submit may have cost stays counted."""
        state, task_id, cost, earlier, doubted = self._of(
            key, "state", "task_id", "cost_nano", "earlier_nano", "doubted_nano"
        )
        fresh: dict[str, Any] = {"vendor_status": "", "total": 0, "success": 0, "failures": 0}
        # The next submit is quoted anew, and the job's quote counts a task once.
        fresh |= {"cost_nano": 0, "quoted_nano": 0, "estimated_nano": None, "actual_nano": None}
        is_doubtful = state == State.IN_DOUBT or task_id is None
        fresh |= {"doubted_nano": doubted + cost} if is_doubtful else {"earlier_nano": earlier + cost}
        self._take(key, Event.RESUBMIT, at=at, decided=True, task_id=None, **fresh)

    def adopt(self, key: TaskKey, task_id: str, *, at: float) -> None:
        """Give a task the vendor's task id that a person found; `UsageError` when another has it.

        One that was done is done as before, under its earlier id, if nothing better comes of it.
        """
        if taken := self._tasks.owner_of(key, task_id):
            raise UsageError(
                f"{key}: the task id {task_id} belongs to {taken}; look at the vendor for the right one, and if "
                f"{taken} has it by mistake, name the right one there first"
            )
        self._uncount(key)
        fresh: dict[str, Any] = {"vendor_status": "", "total": 0, "success": 0}
        state, before = self._of(key, "state", "task_id")
        if state == State.DONE:
            fresh["evidence"] = json.dumps(self._tasks.evidence_of(key) | {"task_id": before or ""})
        fresh |= {"task_id": task_id, "submitted_at": at, "progress_at": at}
        self._take(key, Event.ADOPT, at=at, decided=True, **fresh)
        self._runs.begin_job(at=at)

    def give_up(self, key: TaskKey, *, at: float) -> None:
        """End a task as failed, on a person's decision; its task id, if it has one, stays known.

        One that was done before it was fetched again is done as it was.
        """
        reason = "given up by decision"
        (state,) = self._of(key, "state")
        if state == State.SUBMITTED and self._tasks.evidence_of(key):
            self._end_in_vain(key, Event.GIVE_UP, reason, at=at)
        else:
            self._take(key, Event.GIVE_UP, at=at, reason=reason, decided=True)

    def retry(self, key: TaskKey, *, at: float) -> None:
        """Note that a failed task's numbers are planned again, in a further generation."""
        self._take(key, Event.RETRY, at=at)

    def withdraw(self, key: TaskKey, reason: str, *, at: float) -> None:
        """Let a retry that was not sent yet come to nothing; `retry` plans what its numbers still lack."""
        self._take(key, Event.WITHDRAW, at=at, reason=reason)

    def undo(self, key: TaskKey, *, at: float, replaced: bool = False) -> None:
        """Make a task what it was before a decision of which nothing has come; `UsageError` when its id has gone.

        A decision that is to be `replaced` by another one at once may leave it without its id.
        """
        state, decision = self._of(key, "state", "decided")
        if decision is None:
            raise IllegalTransitionError(f"{key}: there is no decision that could be taken back")
        with self._connection.understood():
            columns: dict[str, Any] = dict(json.loads(decision))
        event, _ = Event(columns.pop("event")), columns.pop("serial")
        undone(State(columns["state"]), event, State(state))
        task_id = columns["task_id"]
        if task_id is not None and (taken := self._tasks.owner_of(key, task_id)):
            if not replaced:
                raise UsageError(f"{key}: its task id {task_id} was given to {taken} since; decide on that one first")
            columns["task_id"] = None
        self._uncount(key)
        self._move(key, Event.UNDO, State(state), at=at, detail={"undone": event}, columns=columns | {"decided": None})
        self._uncount(key, sign=1)

    # --- every transition --------------------------------------------------------------------------------------------

    def _of(self, key: TaskKey, *columns: str) -> tuple[Any, ...]:
        """Return columns of a task's row."""
        row = self._connection.row(
            f"SELECT {', '.join(columns)} FROM tasks WHERE platform = ? AND chunk = ?", (key.platform, key.chunk)
        )
        if row is None:
            raise IllegalTransitionError(f"{key} is not in the plan")
        return row

    def _take(
        self,
        key: TaskKey,
        event: Event,
        *,
        at: float,
        reason: str = "",
        detail: Mapping[str, object] | None = None,
        decided: bool = False,
        **columns: object,
    ) -> State:
        """Take a task through the table; of what a person `decided`, note what it was before, to be taken back."""
        row = self._of(key, *_BEFORE)
        before = dict(zip(_BEFORE, row, strict=True))
        origin = State(before["state"])
        note = json.dumps(before | {"serial": self._runs.serial, "event": event}) if decided else None
        columns = {"decided": note, **columns, "state": state_after(origin, event), "reason": reason}
        told = dict(detail or {}) | ({"reason": reason} if reason else {})
        return self._move(key, event, origin, at=at, detail=told, columns=columns)

    def _move(
        self,
        key: TaskKey,
        event: Event,
        origin: State,
        *,
        at: float,
        detail: Mapping[str, object],
        columns: Mapping[str, object],
    ) -> State:
        """Change a task's row if it is still in `origin`, and add the event."""
        if not self._connection.in_transaction:
            raise IllegalTransitionError(f"{event} of {key} outside of a commit would be half done after a crash")
        target = State(str(columns["state"]))
        assignments = ", ".join(f"{name} = ?" for name in columns)
        changed = self._connection.run(
            f"UPDATE tasks SET {assignments} WHERE platform = ? AND chunk = ? AND state = ?",
            (*columns.values(), key.platform, key.chunk, origin),
        )
        # Another process can't have changed it, for the job is locked: this notices errors of the program.
        if changed != 1:
            raise IllegalTransitionError(f"{key} is no longer {origin}")
        self._connection.run(_ADD_EVENT, (at, event, origin, target, json.dumps(detail), key.platform, key.chunk))
        if origin is State.FAILED:  # nothing but a decision leads on from there
            self._platforms.begin_anew(key.platform)
        elif event is Event.REFETCH:  # what it lost before may be had after all
            lasting = self._platforms.lasting_caution(key.platform)
            self._platforms.note_caution(key.platform, replace(lasting, losses=0))
        return target
