"""The ledger: tasks on top of the job's record; every transition a compare-and-set.

Rules:

- A task changes its state by an event that `tasks.TRANSITIONS` allows, and every transition is also a row of the
  append-only table `events`.
- A person's decision can be taken back as long as nothing has come of it: until the task's next event.
- What a submit may cost is reserved in the transaction that releases it; only an answer that says "no task was made"
  gives it back.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.errors import BudgetError, UsageError
from orchestrator.ledger.job_record import moment
from orchestrator.ledger.quarantine import KeptRecord
from orchestrator.records import Chunk, Memory, PlannedPlatform, Standing, Task
from orchestrator.settings import SANDBOX
from orchestrator.tasks import Event, IllegalTransitionError, State, TaskKey, after, undone

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence


_COURSE = ("", "pending", "?", "processing", "completed", "exported", "failed")

_BEFORE = (
    "evidence",
    "state",
    "task_id",
    "cost_nano",
    "submitted_at",
    "progress_at",
    "vendor_status",
    "total",
    "success",
    "reason",
)
"""What a decision may change."""

_TASK_COLUMNS = """tasks.platform, tasks.chunk, tasks.state, tasks.rows, chunks.sha256, tasks.task_id, tasks.cost_nano,
    tasks.submitted_at, tasks.progress_at, tasks.total, tasks.success, tasks.reason, tasks.evidence IS NOT NULL,
    tasks.sent_name, tasks.released_at, tasks.decided"""


class Ledger(KeptRecord):
    """The job's record. Changing methods may be called only inside `commit`.

    Reading ones may be called at any time, but from another thread than `commit` they would see what is not yet
    durable, and wait for its sync: beside a `LedgerWriter` reads go through `LedgerWriter.do` as well.
    """

    # --- on several tasks at once ------------------------------------------------------------------------------------

    def begin_run(self, *, at: float, host: str, pid: int) -> int:
        """Count a run and return its serial. Submits without an answer from an earlier run become doubts."""
        serial = int(self._value("UPDATE job SET serial = serial + 1 RETURNING serial"))
        self._sql.execute(
            "INSERT INTO runs (serial, started_at, host, pid) VALUES (?, ?, ?, ?)", (serial, at, host, pid)
        )
        for task in self.tasks(State.RELEASED):
            self.doubt(task.key, "the run ended between release and answer", at=at)
        return serial

    def plan_retry(
        self,
        platform: PlannedPlatform,
        chunks: Sequence[Chunk],
        *,
        at: float,
        left_out: Container[TaskKey] = frozenset(),
    ) -> None:
        """Plan `chunks`, which are this platform's only, and settle its failed tasks, save those that are `left_out`.

        The numbers of the others are in the chunks.
        """
        self._add_chunks(chunks)
        self._sql.executemany(
            "INSERT INTO tasks (platform, chunk, vendor, state, rows) VALUES (?, ?, ?, ?, ?)",
            ((platform.name, chunk.chunk, platform.vendor, State.PLANNED, chunk.rows) for chunk in chunks),
        )
        for task in self.tasks(State.FAILED, platform=platform.name):
            if task.key not in left_out:
                self.retried(task.key, at=at)
        self._forget(platform.name)

    # --- tasks: reading ----------------------------------------------------------------------------------------------

    def task(self, key: TaskKey) -> Task | None:
        """Return one task, or None when the plan has none of that name."""
        row = self._row(
            f"SELECT {_TASK_COLUMNS} FROM tasks JOIN chunks USING (chunk) WHERE platform = ? AND chunk = ?",
            (key.platform, key.chunk),
        )
        return self._tasks([row])[0] if row else None

    def tasks(self, *states: State, platform: str | None = None, most: int = -1) -> list[Task]:
        """Return all tasks in `states`, or the first `most` of them, by platform and chunk."""
        marks = ", ".join("?" * len(states))
        rows = self._rows(  # without the hint SQLite walks all tasks of a platform, for the order's sake
            f"SELECT {_TASK_COLUMNS} FROM tasks INDEXED BY tasks_by_state JOIN chunks USING (chunk) "
            f"WHERE platform IN (SELECT name FROM platforms WHERE name = ifnull(?, name)) AND state IN ({marks}) "
            "ORDER BY platform, chunk LIMIT ?",
            (platform, *states, most),
        )
        return self._tasks(rows)

    def owner_of(self, key: TaskKey, *task_ids: str, once: bool = False, anywhere: bool = False) -> TaskKey | None:
        """Return another task that has one of `task_ids`, of those whose ids the vendor counts with those of `key`.

        `once` also finds one that had it before it was sent again or given another: only stalled, failed and given-up
        tasks can lose theirs, and the events in which they became so still name it. `anywhere` looks at all tasks.
        """
        marks = ", ".join("?" * len(task_ids))
        held = (
            "SELECT platform, chunk, vendor FROM tasks WHERE vendor IN (SELECT vendor FROM platforms) "
            f"AND task_id IN ({marks})"
        )
        lost = (
            "SELECT platform, chunk, vendor FROM events JOIN tasks USING (platform, chunk) "
            f"WHERE event IN ('stall', 'fail', 'give_up') AND events.task_id IN ({marks})"
        )
        row = self._row(
            f"SELECT o.platform, o.chunk FROM ({held}{f' UNION ALL {lost}' if once else ''}) o "
            f"JOIN tasks t ON t.platform = ? AND t.chunk = ? {'' if anywhere else 'AND o.vendor = t.vendor '}"
            "WHERE (o.platform, o.chunk) <> (t.platform, t.chunk) LIMIT 1",
            (*task_ids, *(task_ids if once else ()), key.platform, key.chunk),
        )
        return TaskKey(*row) if row else None

    def planned(self, platform: str, *, after_chunk: int, limit: int) -> list[Task]:
        """Return the next tasks to submit, in the order of their chunks."""
        rows = self._rows(
            f"SELECT {_TASK_COLUMNS} FROM tasks JOIN chunks USING (chunk) "
            "WHERE platform = ? AND state = ? AND chunk > ? ORDER BY chunk LIMIT ?",
            (platform, State.PLANNED, after_chunk, limit),
        )
        return self._tasks(rows)

    def _tasks(self, rows: Iterable[tuple[Any, ...]]) -> list[Task]:
        with self._understood():
            return [_task(row) for row in rows]

    def planned_sizes(self, platform: str) -> dict[int, int]:
        """Return how many planned tasks there are, by their number of rows."""
        statement = "SELECT rows, count(*) FROM tasks WHERE platform = ? AND state = ? GROUP BY rows"
        return {rows: tasks for rows, tasks in self._rows(statement, (platform, State.PLANNED))}  # noqa: C416 - dict() of Any

    def is_all_planned(self, platform: str) -> bool:
        """Tell whether a platform has its task for every chunk: not for what came while it was not configured."""
        counts = self._row(
            "SELECT (SELECT count(*) FROM chunks WHERE only_platform IS NULL OR only_platform = ?), "
            "(SELECT sum(tasks) FROM tally WHERE platform = ?)",
            (platform, platform),
        )
        return counts is not None and counts[0] == counts[1]

    def states_by_chunk(self, platforms: Sequence[str]) -> Iterator[tuple[int, dict[str, State]]]:
        """Yield, chunk by chunk, the state of its task on each of `platforms`."""
        marks = ", ".join("?" * len(platforms))
        rows = self._rows(  # from the chunks, which stand in order: grouping the tasks would sort all of them
            "SELECT chunks.chunk, json_group_object(platform, state) FROM chunks CROSS JOIN tasks USING (chunk) "
            f"WHERE only_platform IS NULL AND platform IN ({marks}) GROUP BY chunks.chunk ORDER BY chunks.chunk",
            tuple(platforms),
        )
        for chunk, states in rows:
            yield chunk, {platform: State(state) for platform, state in json.loads(states).items()}

    def retry_states(self, platform: str) -> Iterator[tuple[int, int, State]]:
        """Yield generation, chunk and state of the tasks that `retry` planned on a platform, in that order."""
        rows = self._rows(
            "SELECT generation, chunk, state FROM chunks JOIN tasks USING (chunk) "
            "WHERE only_platform = ? AND platform = ? ORDER BY generation, chunk",
            (platform, platform),
        )
        return ((generation, chunk, State(state)) for generation, chunk, state in rows)

    def standing(self) -> dict[str, Standing]:
        """Return where every platform stands; costs the same for ten tasks and for a million."""
        standings = {}
        for name, submits, status_calls, cost in self._rows(
            "SELECT name, submits, status_calls, cost_nano FROM platforms"
        ):
            tally = list(self._rows("SELECT state, tasks, rows FROM tally WHERE platform = ?", (name,)))
            words = self._rows("SELECT word, rows FROM verdicts WHERE platform = ?", (name,))
            with self._understood():
                standings[name] = Standing(
                    platform=name,
                    tasks_by_state={State(state): tasks for state, tasks, _ in tally},
                    rows_by_state={State(state): rows for state, _, rows in tally},
                    verdicts=dict(words),
                    submits=submits,
                    status_calls=status_calls,
                    cost_nano=cost,
                )
        return standings

    def memory(self, platform: str) -> Memory:
        """Return what earlier runs remember of a platform's caution."""
        row = self._row("SELECT refusals, losses, unread, slowest_s FROM platforms WHERE name = ?", (platform,))
        return Memory(row[0], row[1], bool(row[2]), row[3]) if row else Memory()

    def spent_nano(self) -> int:
        """Return what all submits may have cost so far, in 1e-9 USD; those to the embedded vendor cost nothing."""
        real = "ifnull(json_extract(fixed, '$.base_url'), '') <> ?"
        return int(self._value(f"SELECT ifnull(sum(cost_nano), 0) FROM platforms WHERE {real}", (SANDBOX,)))

    # --- tasks: changing ---------------------------------------------------------------------------------------------

    def release(
        self, key: TaskKey, *, cost_nano: int, max_cost_nano: int | None, at: float, sent_name: str = ""
    ) -> None:
        """Reserve the cost and note that the last bytes of a submit, a file called `sent_name`, are about to leave.

        Raises `BudgetError` when the cost does not fit any more; `max_cost_nano` None is for the embedded vendor.
        """
        if max_cost_nano is not None and self.spent_nano() + cost_nano > max_cost_nano:
            raise BudgetError(f"{key}: sending it would exceed max_cost of {max_cost_nano / 1e9:g} USD")
        sent = {"cost_nano": cost_nano, "sent_name": sent_name, "released_at": at}
        self._transition(key, Event.RELEASE, at=at, reason="", detail={"cost_nano": cost_nano}, **sent)
        self._charge(key.platform, submits=1, cost_nano=cost_nano)
        self._begin(at)

    def put_off(self, key: TaskKey, reason: str, *, at: float) -> None:
        """Note that the vendor made no task; it will be submitted again."""
        self._transition(key, Event.PUT_OFF, at=at, reason=reason)
        self._refund(key)

    def vendor_failed(self, key: TaskKey, reason: str, *, at: float, most: int) -> State:
        """Note that the vendor failed and says that it made no task, which is believed fewer than `most` times."""
        count = "UPDATE tasks SET failures = failures + 1 WHERE platform = ? AND chunk = ? RETURNING failures"
        failures = self._value(count, (key.platform, key.chunk))
        if failures >= most:
            return self.doubt(key, f"{failures} times {reason}", at=at)
        self.put_off(key, reason, at=at)
        return State.PLANNED

    def accept(self, key: TaskKey, task_id: str, *, total: int, at: float) -> State:
        """Note the vendor's task id. An id that another task already has proves nothing: then the task is in doubt."""
        if taken := self.owner_of(key, task_id, once=True):
            return self.doubt(key, f"the vendor named the task id of {taken} once more", at=at)
        return self._transition(
            key, Event.ACCEPT, at=at, reason="", task_id=task_id, submitted_at=at, progress_at=at, total=total
        )

    def refuse(self, key: TaskKey, reason: str, *, at: float) -> None:
        """Note that the vendor will never take this file; a refusal is free."""
        released = self._state(key) is State.RELEASED
        self._transition(key, Event.REFUSE, at=at, reason=reason)
        if released:
            self._refund(key)

    def doubt(self, key: TaskKey, reason: str, *, at: float) -> State:
        """Note that nobody knows whether a released task exists."""
        return self._transition(key, Event.DOUBT, at=at, reason=reason)

    def look(self, key: TaskKey, *, status: str, total: int, success: int, at: float, calls: int = 1) -> bool:
        """Count status calls and note what the last one said; return whether that is progress since the ones before.

        What was seen before is no progress: a task that goes to and fro must not be waited for without end. So the
        furthest status and the highest counts are what is kept.
        """
        self._charge(key.platform, status_calls=calls)
        place = (key.platform, key.chunk)
        row = self._row("SELECT vendor_status, total, success FROM tasks WHERE platform = ? AND chunk = ?", place)
        if row is None:
            raise IllegalTransitionError(f"{key} is not in the plan")
        best = (max(row[0], status, key=_place_in_course), max(row[1], total), max(row[2], success))
        if best == row:
            return False
        self._sql.execute(
            "UPDATE tasks SET vendor_status = ?, total = ?, success = ?, progress_at = ? "
            "WHERE platform = ? AND chunk = ?",
            (*best, at, *place),
        )
        return True

    def count_status_calls(self, platform: str, calls: int) -> None:
        """Count status calls that told nothing."""
        self._charge(platform, status_calls=calls)

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

        `result` and `verdicts` in `detail` are the hashes of the two files. They are kept with the task, and whoever
        reads the files compares them. `finding` says what is odd about the result, `decided` that a person brought it,
        which can be taken back.
        """
        told = dict(detail)
        hashes = {name: told.pop(name) for name in ("result", "verdicts") if name in told}
        evidence = json.dumps(hashes | {"counts": dict(verdicts), "finding": finding})
        self._uncount(key)
        move = self._decide if decided else self._transition
        move(key, Event.FINISH, at=at, reason=finding, detail=told, evidence=evidence)
        self._begin(at)
        self._count_verdicts(key.platform, verdicts)

    def fail(self, key: TaskKey, reason: str, *, at: float) -> State:
        """Note that the vendor's task, or its result, is of no use; return where that leads, see `refetch`."""
        return self._end_in_vain(key, Event.FAIL, reason, at=at)

    def stall(self, key: TaskKey, reason: str, *, at: float) -> State:
        """Note that the task made no progress for too long; return where that leads, see `refetch`."""
        return self._end_in_vain(key, Event.STALL, reason, at=at)

    def refetch(self, key: TaskKey, *, at: float, lost: bool = False, decided: bool = False) -> None:
        """Have the result of a task fetched again, under the id that is known.

        A task that was done is done as before if nothing comes of it, save when its files are `lost`. `UsageError`
        without an id. `decided` says that a person wished it, which can be taken back.
        """
        after(self._state(key), Event.REFETCH)
        if self._value("SELECT task_id FROM tasks WHERE platform = ? AND chunk = ?", (key.platform, key.chunk)) is None:
            raise UsageError(
                f"{key}: no task id of the vendor is known, so there is nothing to fetch; --adopt TASK_ID names one, "
                "--result FILE takes its result file"
            )
        self._uncount(key)
        fresh: dict[str, Any] = {"vendor_status": "", "total": 0, "success": 0, "progress_at": at}
        fresh |= {"evidence": None} if lost else {}
        (self._decide if decided else self._transition)(key, Event.REFETCH, at=at, reason="", **fresh)

    def _end_in_vain(self, key: TaskKey, event: Event, reason: str, *, at: float) -> State:
        """Let a task come to nothing; one that was done before it was fetched again is done as it was."""
        state, evidence = self._state(key), self._evidence(key)
        task_id = evidence.pop("task_id", None)  # of the result that it has, if it was given another since
        if state is State.DONE or not evidence or (task_id is not None and self._is_gone(key, task_id)):
            self._uncount(key)
            return self._transition(key, event, at=at, reason=reason, evidence=None)
        if task_id is not None:
            self._sql.execute(
                "UPDATE tasks SET task_id = ? WHERE platform = ? AND chunk = ?", (task_id, key.platform, key.chunk)
            )
        detail = {"fetched_in_vain": reason, **evidence}
        counts, finding = detail.pop("counts", {}), str(detail.pop("finding", ""))
        self.finish(key, counts, at=at, detail=detail, finding=finding)
        return State.DONE

    def _is_gone(self, key: TaskKey, task_id: str) -> bool:
        """Whether an id that a task had before cannot be its own again."""
        return not task_id or self.owner_of(key, task_id) is not None

    def result_sha256(self, key: TaskKey) -> str:
        """Return the hash of the result that a task was done with, "" when there is none."""
        return str(self._evidence(key).get("result", ""))

    def findings(self, *, most: int = -1) -> list[Task]:
        """Return the tasks that are done and whose results are odd, or `most` of them; `reason` says how."""
        return self._tasks(
            self._rows(
                f"SELECT {_TASK_COLUMNS} FROM tasks INDEXED BY findings JOIN chunks USING (chunk) "
                "WHERE state = 'done' AND reason <> '' ORDER BY platform, chunk LIMIT ?",
                (most,),
            )
        )

    def _evidence(self, key: TaskKey) -> dict[str, Any]:
        """Return what is known of the files that a task's last end left; empty when there are none."""
        text = self._value("SELECT evidence FROM tasks WHERE platform = ? AND chunk = ?", (key.platform, key.chunk))
        with self._understood():
            return dict(json.loads(text or "{}"))

    def _uncount(self, key: TaskKey, *, sign: int = -1) -> None:
        """Take the verdicts of a task that is done out of the sums. Those of an earlier version were not noted.

        With a `sign` of 1 they come back into them.
        """
        if self._state(key) is State.DONE:
            counts = self._evidence(key).get("counts", {})
            self._count_verdicts(key.platform, {word: sign * rows for word, rows in counts.items()})

    def resubmit(self, key: TaskKey, *, at: float) -> None:
        """Plan a held task again, on a person's decision; what the first submit may have cost stays counted."""
        fresh: dict[str, Any] = {"vendor_status": "", "total": 0, "success": 0, "failures": 0}
        self._decide(key, Event.RESUBMIT, at=at, reason="", task_id=None, cost_nano=0, **fresh)

    def adopt(self, key: TaskKey, task_id: str, *, at: float) -> None:
        """Give a task the vendor's task id that a person found; `UsageError` when another has it.

        One that was done is done as before, under its earlier id, if nothing better comes of it.
        """
        if taken := self.owner_of(key, task_id):
            raise UsageError(
                f"{key}: the task id {task_id} belongs to {taken}; look at the vendor for the right one, and if "
                f"{taken} has it by mistake, name the right one there first"
            )
        self._uncount(key)
        fresh: dict[str, Any] = {"vendor_status": "", "total": 0, "success": 0}
        if self._state(key) is State.DONE:
            before = self._value(
                "SELECT task_id FROM tasks WHERE platform = ? AND chunk = ?", (key.platform, key.chunk)
            )
            fresh["evidence"] = json.dumps(self._evidence(key) | {"task_id": before or ""})
        self._decide(key, Event.ADOPT, at=at, reason="", task_id=task_id, submitted_at=at, progress_at=at, **fresh)
        self._begin(at)

    def give_up(self, key: TaskKey, *, at: float) -> None:
        """Settle a task as failed, on a person's decision; its task id, if it has one, stays known.

        One that was done before it was fetched again is done as it was.
        """
        reason = "given up by decision"
        if self._state(key) is State.SUBMITTED and self._evidence(key):
            self._end_in_vain(key, Event.GIVE_UP, reason, at=at)
        else:
            self._decide(key, Event.GIVE_UP, at=at, reason=reason)

    def undo(self, key: TaskKey, *, at: float, replaced: bool = False) -> None:
        """Make a task what it was before a decision of which nothing has come; `UsageError` when its id has gone.

        A decision that is to be `replaced` by another one at once may leave it without its id.
        """
        state, columns = self._state(key), self._decision_on(key)
        event, _ = Event(columns.pop("event")), columns.pop("serial")
        undone(State(columns["state"]), event, state)
        task_id = columns["task_id"]
        if task_id is not None and (taken := self.owner_of(key, task_id)):
            if not replaced:
                raise UsageError(f"{key}: its task id {task_id} was given to {taken} since; settle that one first")
            columns["task_id"] = None
        self._uncount(key)
        self._move(key, Event.UNDO, state, at=at, detail={"undone": event}, columns=columns | {"decided": None})
        self._uncount(key, sign=1)

    def decided(self, *, serial: int) -> list[Task]:
        """Return the tasks that were decided on since run `serial` began, and of which nothing has come yet."""
        rows = self._rows(
            f"SELECT {_TASK_COLUMNS} FROM tasks JOIN chunks USING (chunk) "
            "WHERE decided IS NOT NULL AND json_extract(decided, '$.serial') >= ? ORDER BY platform, chunk",
            (serial,),
        )
        return self._tasks(rows)

    def retried(self, key: TaskKey, *, at: float) -> None:
        """Note that a failed task's numbers are planned again, in a further generation."""
        self._transition(key, Event.RETRY, at=at, reason="")

    def evidence(self) -> Iterator[tuple[TaskKey, str | None, str, str, str]]:
        """Yield name, task id, and the hashes of chunk, verdicts and result, of every task that is done."""
        rows = self._rows(
            "SELECT platform, chunk, task_id, sha256, evidence FROM tasks JOIN chunks USING (chunk) "
            "WHERE state = ? ORDER BY platform, chunk",
            (State.DONE,),
        )
        for platform, chunk, task_id, sha256, text in rows:
            with self._understood():
                detail = json.loads(text)
                hashes = str(detail["verdicts"]), str(detail["result"])
            yield TaskKey(platform, chunk), task_id, sha256, *hashes

    def events(self) -> Iterator[tuple[int, float, int, str, str, str, str, str | None, str]]:
        """Yield seq, at, serial, task, event, origin, target, task id and detail of every transition."""
        rows = self._rows(
            "SELECT seq, at, serial, platform, chunk, event, origin, target, task_id, detail FROM events ORDER BY seq"
        )
        for seq, at, serial, platform, chunk, *rest in rows:
            yield (seq, at, serial, str(TaskKey(platform, chunk)), *rest)

    # --- caution -----------------------------------------------------------------------------------------------------

    def agree(self, platform: str, terms: str) -> Memory:
        """Note under which settings a platform is asked from now on; with others its caution begins anew."""
        before = self._value("SELECT terms FROM platforms WHERE name = ?", (platform,))
        if before not in ("", terms):
            self._forget(platform)
        if before != terms:
            self._sql.execute("UPDATE platforms SET terms = ? WHERE name = ?", (terms, platform))
        return self.memory(platform)

    def remember(self, platform: str, memory: Memory) -> None:
        """Note what is to outlive this run of a platform's caution."""
        self._sql.execute(
            "UPDATE platforms SET refusals = ?, losses = ?, unread = ?, slowest_s = ? WHERE name = ?",
            (memory.refusals, memory.losses, memory.unread, memory.slowest_s, platform),
        )

    def _forget(self, platform: str) -> None:
        self.remember(platform, Memory(slowest_s=self.memory(platform).slowest_s))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _transition(
        self,
        key: TaskKey,
        event: Event,
        *,
        at: float,
        reason: str,
        detail: Mapping[str, object] | None = None,
        **columns: object,
    ) -> State:
        origin = self._state(key)
        columns = {"decided": None, **columns, "state": after(origin, event), "reason": reason}
        note = dict(detail or {}) | ({"reason": reason} if reason else {})
        return self._move(key, event, origin, at=at, detail=note, columns=columns)

    def _decide(
        self,
        key: TaskKey,
        event: Event,
        *,
        at: float,
        reason: str,
        detail: Mapping[str, object] | None = None,
        **columns: object,
    ) -> State:
        """Do what a person decided, and note what the task was before, so that it can be taken back."""
        row = self._row(
            f"SELECT {', '.join(_BEFORE)}, (SELECT serial FROM job) FROM tasks WHERE platform = ? AND chunk = ?",
            (key.platform, key.chunk),
        )
        if row is None:
            raise IllegalTransitionError(f"{key} is not in the plan")
        before = dict(zip((*_BEFORE, "serial"), row, strict=True)) | {"event": event}
        columns |= {"decided": json.dumps(before)}
        return self._transition(key, event, at=at, reason=reason, detail=detail, **columns)

    def _decision_on(self, key: TaskKey) -> dict[str, Any]:
        text = self._value("SELECT decided FROM tasks WHERE platform = ? AND chunk = ?", (key.platform, key.chunk))
        if text is None:
            raise IllegalTransitionError(f"{key}: there is no decision that could be taken back")
        with self._understood():
            return dict(json.loads(text))

    def _count_verdicts(self, platform: str, verdicts: Mapping[str, int]) -> None:
        self._sql.executemany(
            "INSERT INTO verdicts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows",
            ((platform, word, rows) for word, rows in verdicts.items()),
        )

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
        if not self._sql.in_transaction:
            raise IllegalTransitionError(f"{event} of {key} outside of a commit would be half done after a crash")
        target = State(str(columns["state"]))
        assignments = ", ".join(f"{name} = ?" for name in columns)
        updated = self._sql.execute(
            f"UPDATE tasks SET {assignments} WHERE platform = ? AND chunk = ? AND state = ?",
            (*columns.values(), key.platform, key.chunk, origin),
        )
        if updated.rowcount != 1:
            raise IllegalTransitionError(f"{key} is no longer {origin}")
        self._sql.execute(
            "INSERT INTO events (at, serial, platform, chunk, event, origin, target, task_id, detail) "
            "SELECT ?, job.serial, platform, chunk, ?, ?, ?, task_id, ? FROM tasks, job "
            "WHERE platform = ? AND chunk = ?",
            (at, event, origin, target, json.dumps(detail), key.platform, key.chunk),
        )
        if origin is State.FAILED:  # nothing but a decision leads on from there
            self._forget(key.platform)
        elif event is Event.REFETCH:
            self.remember(key.platform, replace(self.memory(key.platform), losses=0))
        return target

    def _begin(self, at: float) -> None:
        """Fix the plan: from here on a task of it may exist at the vendor."""
        self._sql.execute("UPDATE job SET begun_at = ? WHERE begun_at IS NULL", (at,))

    def _state(self, key: TaskKey) -> State:
        state = self._value("SELECT state FROM tasks WHERE platform = ? AND chunk = ?", (key.platform, key.chunk))
        if state is None:
            raise IllegalTransitionError(f"{key} is not in the plan")
        return State(state)

    def _refund(self, key: TaskKey) -> None:
        cost = self._value("SELECT cost_nano FROM tasks WHERE platform = ? AND chunk = ?", (key.platform, key.chunk))
        self._sql.execute("UPDATE tasks SET cost_nano = 0 WHERE platform = ? AND chunk = ?", (key.platform, key.chunk))
        self._charge(key.platform, submits=-1, cost_nano=-cost)

    def _charge(self, platform: str, *, submits: int = 0, status_calls: int = 0, cost_nano: int = 0) -> None:
        self._sql.execute(
            "UPDATE platforms SET submits = submits + ?, status_calls = status_calls + ?, cost_nano = cost_nano + ? "
            "WHERE name = ?",
            (submits, status_calls, cost_nano, platform),
        )


def _place_in_course(status: str) -> int:
    """Return how far along a vendor's status is; one that we don't know lies between waiting and working."""
    return _COURSE.index(status if status in _COURSE else "?")


def _task(row: tuple[Any, ...]) -> Task:
    platform, chunk, state, *rest = row
    task = Task(TaskKey(platform, chunk), State(state), *rest)
    for at in filter(None, (task.submitted_at, task.released_at)):
        moment(at)
    return task
