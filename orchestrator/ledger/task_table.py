"""The tasks as they stand, and the events that led there: reading only. `transitions` changes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orchestrator.jobdir.verdict_words import ALARM
from orchestrator.ledger.connection import ALL, marks
from orchestrator.ledger.run_table import moment
from orchestrator.records import Passage, PastResult, Task
from orchestrator.tasks import MAX_CHUNK_DIGITS, State, TaskKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.ledger.connection import Connection

_COLUMNS = """tasks.platform, tasks.chunk, tasks.state, tasks.rows, chunks.sha256, tasks.task_id, tasks.cost_nano,
    tasks.submitted_at, tasks.progress_at, tasks.total, tasks.success, tasks.reason, tasks.evidence IS NOT NULL,
    tasks.sent_name, tasks.released_at, tasks.decided"""
_TASKS = f"SELECT {_COLUMNS} FROM tasks JOIN chunks USING (chunk)"
_ONE = f"{_TASKS} WHERE platform = ? AND chunk = ?"
_PLANNED = f"{_TASKS} WHERE platform = ? AND state = ? AND chunk > ? ORDER BY chunk LIMIT ?"
_DECIDED = f"{_TASKS} WHERE decided IS NOT NULL ORDER BY platform, chunk"
_SIZES = "SELECT rows, count(*) FROM tasks WHERE platform = ? AND state = ? AND chunk <= ? GROUP BY rows"
_ALL_SIZES = "SELECT rows, count(*) FROM tasks WHERE platform = ? AND state <> ? GROUP BY rows"
_QUOTED = (
    "SELECT rows, quoted_nano, count(*) FROM tasks WHERE platform = ? AND quoted_nano > 0 GROUP BY rows, quoted_nano"
)
_DURATIONS = (
    "SELECT count(*), sum(rows), sum(progress_at - submitted_at) FROM tasks "
    "WHERE platform = ? AND state = ? AND progress_at > submitted_at"
)
_RETRIES = (
    "SELECT generation, chunk, state FROM chunks JOIN tasks USING (chunk) "
    "WHERE only_platform = ? AND platform = ? ORDER BY generation, chunk"
)
_PAST = (
    "SELECT chunk, evidence, reason FROM tasks WHERE platform = ? AND state = ? AND evidence IS NOT NULL "
    "ORDER BY chunk DESC LIMIT ?"
)
_EVIDENCE_OF = "SELECT evidence FROM tasks WHERE platform = ? AND chunk = ?"
_CHECKED_AT = "SELECT released_at, submitted_at FROM tasks WHERE platform = ? AND chunk = ?"
_EVIDENCE = (
    "SELECT platform, chunk, task_id, sha256, evidence FROM tasks JOIN chunks USING (chunk) "
    "WHERE state = ? ORDER BY platform, chunk"
)
_EVENTS = "SELECT seq, at, serial, platform, chunk, event, origin, target, task_id, detail FROM events ORDER BY seq"
_NAMED_FOR = (
    "SELECT o.platform, o.chunk FROM events JOIN tasks o USING (platform, chunk) JOIN tasks t ON o.vendor = t.vendor "
    "WHERE events.event = 'accept' AND events.task_id = ? AND t.platform = ? AND t.chunk = ? "
    "AND (o.platform, o.chunk) <> (t.platform, t.chunk) LIMIT 1"
)
_COURSE = """
SELECT min(at), max(at),
    count(CASE WHEN event = 'release' THEN 1 END)
        - count(CASE WHEN origin = 'released' AND event IN ('put_off', 'refuse') THEN 1 END),
    count(CASE WHEN target IN ('released', 'submitted') THEN 1 END)
        - count(CASE WHEN origin IN ('released', 'submitted') THEN 1 END),
    count(CASE WHEN target = 'done' THEN 1 END) - count(CASE WHEN origin = 'done' THEN 1 END),
    count(CASE WHEN event = 'put_off' THEN 1 END)
FROM events WHERE seq > ? AND seq <= ?
"""


MAX_CHUNK = 10**MAX_CHUNK_DIGITS


class TaskTable:
    """The tasks of the job, by name, by state, by id."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, key: TaskKey) -> Task | None:
        row = self._connection.row(_ONE, (key.platform, key.chunk))
        return self._read([row])[0] if row else None

    def select(self, *states: State, platform: str | None = None, most: int = ALL) -> list[Task]:
        """Return all tasks in `states`, or the first `most` of them, by platform and chunk."""
        # Without the hint SQLite walks all tasks of a platform, for the order's sake; and the index begins with the
        # platform, so all of these are named where none is asked for.
        rows = self._connection.rows(
            f"SELECT {_COLUMNS} FROM tasks INDEXED BY tasks_by_state JOIN chunks USING (chunk) "
            "WHERE platform IN (SELECT name FROM platforms WHERE name = coalesce(?, name)) "
            f"AND state IN ({marks(states)}) ORDER BY platform, chunk LIMIT ?",
            (platform, *states, most),
        )
        return self._read(rows)

    def planned(self, platform: str, *, after_chunk: int, limit: int) -> list[Task]:
        """Return the next tasks to submit, in the order of their chunks."""
        return self._read(self._connection.rows(_PLANNED, (platform, State.PLANNED, after_chunk, limit)))

    def planned_sizes(self, platform: str, *, last_chunk: int | None = None) -> dict[int, int]:
        """Return how many planned tasks there are, up to `last_chunk` if one is given, by their number of rows."""
        last = MAX_CHUNK if last_chunk is None else last_chunk
        return {rows: tasks for rows, tasks in self._connection.rows(_SIZES, (platform, State.PLANNED, last))}  # noqa: C416 - dict() of Any

    def sizes(self, platform: str, *, generations: Sequence[int] | None = None) -> dict[int, int]:
        """Return how many tasks there are that are not skipped, by their number of rows, whatever became of them.

        With `generations` those of these alone.
        """
        if generations is None:
            rows = self._connection.rows(_ALL_SIZES, (platform, State.SKIPPED))
        else:
            rows = self._connection.rows(
                "SELECT tasks.rows, count(*) FROM tasks JOIN chunks USING (chunk) WHERE platform = ? AND state <> ? "
                f"AND generation IN ({marks(generations)}) GROUP BY tasks.rows",
                (platform, State.SKIPPED, *generations),
            )
        return {rows: tasks for rows, tasks in rows}  # noqa: C416 - dict() of Any

    def quoted(self, platform: str) -> list[tuple[int, int, int]]:
        """Return rows, what the price gave when they were sent, in 1e-9 USD, and how many such tasks there are."""
        return [(rows, nano, tasks) for rows, nano, tasks in self._connection.rows(_QUOTED, (platform,))]

    def durations(self, platform: str) -> tuple[int, int, float]:
        """Return how many tasks of a platform are done, with how many rows, and how long they took together, in s."""
        row = self._connection.row(_DURATIONS, (platform, State.DONE))
        return (int(row[0]), int(row[1] or 0), float(row[2] or 0.0)) if row else (0, 0, 0.0)

    def findings(self, *, most: int = ALL) -> list[Task]:
        """Return the tasks that are done and whose results are odd, or `most` of them; `reason` says how."""
        rows = self._connection.rows(
            f"SELECT {_COLUMNS} FROM tasks INDEXED BY findings JOIN chunks USING (chunk) "
            "WHERE state = 'done' AND reason <> '' ORDER BY platform, chunk LIMIT ?",
            (most,),
        )
        return self._read(rows)

    def alarms(self, platform: str) -> tuple[int, int]:
        """Return how many tasks of a platform are done with an alarm, and how many numbers they have."""
        row = self._connection.row(
            "SELECT count(*), coalesce(sum(rows), 0) FROM tasks INDEXED BY findings "
            "WHERE state = 'done' AND reason <> '' AND platform = ? AND substr(reason, 1, ?) = ?",
            (platform, len(ALARM), ALARM),
        )
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def decided(self, *, serial: int) -> list[Task]:
        """Return the tasks that were decided on since run `serial` began, and of which nothing has come yet."""
        tasks = self._read(self._connection.rows(_DECIDED))
        with self._connection.understood():
            return [task for task in tasks if json.loads(task.decided or "{}")["serial"] >= serial]

    def owner_of(self, key: TaskKey, *task_ids: str, once: bool = False, anywhere: bool = False) -> TaskKey | None:
        """Return another task that has one of `task_ids`, of those whose ids the vendor counts with those of `key`.

        `once` also finds one that had it before it was sent again or given another: only stalled, failed and given-up
        tasks can lose theirs, and the events in which they became so still name it. `anywhere` looks at all tasks.
        """
        # All vendors are named, though it says nothing: the index of ids begins with the vendor.
        had = (
            "SELECT platform, chunk, vendor FROM tasks WHERE vendor IN (SELECT vendor FROM platforms) "
            f"AND task_id IN ({marks(task_ids)})"
        )
        if once:
            # The words stand in the statement, and are no values of it: so the index of just these events is taken.
            had += (
                " UNION ALL SELECT platform, chunk, vendor FROM events JOIN tasks USING (platform, chunk) "
                f"WHERE event IN ('stall', 'fail', 'give_up') AND events.task_id IN ({marks(task_ids)})"
            )
        row = self._connection.row(
            f"SELECT o.platform, o.chunk FROM ({had}) o "
            f"JOIN tasks t ON t.platform = ? AND t.chunk = ? {'' if anywhere else 'AND o.vendor = t.vendor '}"
            "WHERE (o.platform, o.chunk) <> (t.platform, t.chunk) LIMIT 1",
            (*task_ids, *(task_ids if once else ()), key.platform, key.chunk),
        )
        return TaskKey(*row) if row else None

    def named_for(self, key: TaskKey, task_id: str) -> TaskKey | None:
        """Return another task of the same vendor for which the vendor itself has named `task_id`, whatever came then.

        It reads all events, of which no index tells this: it is for what a person does.
        """
        row = self._connection.row(_NAMED_FOR, (task_id, key.platform, key.chunk))
        return TaskKey(*row) if row else None

    def states_by_chunk(self, platforms: Sequence[str]) -> Iterator[tuple[int, dict[str, State]]]:
        """Yield, chunk by chunk of those that cover the list, the states of its tasks on `platforms`, where planned."""
        # A look-up each, in the order of the chunks: grouping the tasks would sort all of them first.
        state = "(SELECT state FROM tasks WHERE platform = ? AND tasks.chunk = chunks.chunk)"
        rows = self._connection.rows(
            f"SELECT {', '.join(('chunk', *[state] * len(platforms)))} FROM chunks "
            "WHERE only_platform IS NULL ORDER BY chunk",
            tuple(platforms),
        )
        for chunk, *states in rows:
            yield chunk, {name: State(state) for name, state in zip(platforms, states, strict=True) if state}

    def retry_states(self, platform: str) -> Iterator[tuple[int, int, State]]:
        """Yield generation, chunk and state of the tasks that `retry` planned on a platform, in that order."""
        rows = self._connection.rows(_RETRIES, (platform, platform))
        return ((generation, chunk, State(state)) for generation, chunk, state in rows)

    def past_results(self, platform: str, *, most: int) -> list[PastResult]:
        """Return what the last `most` chunks' tasks that are done have said, in the order of their chunks."""
        rows = list(self._connection.rows(_PAST, (platform, State.DONE, most)))
        with self._connection.understood():
            return [PastResult(chunk, json.loads(text).get("counts", {}), reason) for chunk, text, reason in rows[::-1]]

    def evidence_of(self, key: TaskKey) -> dict[str, Any]:
        """Return what is known of the files that a task's last end left; empty when there are none."""
        text = self._connection.value(_EVIDENCE_OF, (key.platform, key.chunk))
        with self._connection.understood():
            return dict(json.loads(text or "{}"))

    def result_sha256(self, key: TaskKey) -> str:
        """Return the hash of the result that a task was done with, "" when there is none."""
        return str(self.evidence_of(key).get("result", ""))

    def checked_at(self, key: TaskKey) -> float | None:
        """Return the moment from which on a task's verdicts are no older; None when nobody knows it."""
        row = self._connection.row(_CHECKED_AT, (key.platform, key.chunk))
        moments = [moment(at) for at in row or () if at is not None]
        return min(moments, default=None)

    def finding_of(self, key: TaskKey) -> str:
        """Return what was odd about the result that a task was done with, "" for nothing."""
        return str(self.evidence_of(key).get("finding", ""))

    def evidence(self) -> Iterator[tuple[TaskKey, str | None, str, str, str]]:
        """Yield name, task id, and the hashes of chunk, verdicts and result, of every task that is done."""
        for platform, chunk, task_id, sha256, text in self._connection.rows(_EVIDENCE, (State.DONE,)):
            with self._connection.understood():
                detail = json.loads(text)
                hashes = str(detail["verdicts"]), str(detail["result"])
            yield TaskKey(platform, chunk), task_id, sha256, *hashes

    def events(self) -> Iterator[tuple[int, float, int, str, str, str, str, str | None, str]]:
        """Yield seq, at, serial, task, event, origin, target, task id and detail of every transition."""
        for seq, at, serial, platform, chunk, *rest in self._connection.rows(_EVENTS):
            yield (seq, at, serial, str(TaskKey(platform, chunk)), *rest)

    def course(self, parts: int) -> list[Passage]:
        """Return what happened to the tasks so far, in as many `parts` of about as many events each, in their order.

        Parts of one length in time would need an index, or all events sorted; and most of them would be empty.
        """
        last = int(self._connection.value("SELECT coalesce(max(seq), 0) FROM events"))
        ends = [last * part // parts for part in range(parts + 1)]
        rows = (self._connection.row(_COURSE, ends[part : part + 2]) for part in range(parts))
        with self._connection.understood():
            return [Passage(moment(row[0]), moment(row[1]), *row[2:]) for row in rows if row and row[0] is not None]

    def position(self) -> dict[str, int]:
        """Return how far the tasks have come: with another position, what was made of them may be out of date."""
        return {
            "events": int(self._connection.value("SELECT coalesce(max(seq), 0) FROM events")),
            "tasks": int(self._connection.value("SELECT coalesce(sum(tasks), 0) FROM tally")),
        }

    def _read(self, rows: Iterable[tuple[Any, ...]]) -> list[Task]:
        tasks = []
        with self._connection.understood():
            for platform, chunk, state, *rest in rows:
                task = Task(TaskKey(platform, chunk), State(state), *rest)
                for at in filter(None, (task.submitted_at, task.released_at)):
                    moment(at)
                tasks.append(task)
        return tasks
