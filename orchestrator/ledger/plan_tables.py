"""The plan in the ledger: the list as it was read, its chunks, and a task for each of them on each platform."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from orchestrator.ledger.run_table import of_job
from orchestrator.records import (
    Chunk,
    Condition,
    InputAccount,
    InputFile,
    ListCounts,
    Listed,
    Plan,
    PlannedPlatform,
    ReusedSums,
    Unread,
)
from orchestrator.tasks import IllegalTransitionError, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.ledger.connection import Connection
    from orchestrator.ledger.platform_table import PlatformTable
    from orchestrator.records import Selection

_CHUNK = "chunk, first_row, rows, sha256, generation, only_platform, columns_sha256, places, is_trial"
_ADD_CHUNK = f"INSERT INTO chunks ({_CHUNK}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_CHUNKS = f"SELECT {_CHUNK} FROM chunks ORDER BY chunk"
_CHUNK_NUMBERS = "SELECT chunk FROM chunks WHERE only_platform IS NULL ORDER BY chunk"
_RETRIED_CHUNK_NUMBERS = "SELECT chunk FROM chunks WHERE only_platform IS NOT NULL ORDER BY chunk"
_ROWS_OF_CHUNKS = "SELECT coalesce(sum(rows), 0) FROM chunks WHERE only_platform IS NULL"
_GENERATIONS = "SELECT min(chunk) FROM chunks GROUP BY generation ORDER BY generation"
_NEXT_CHUNK = "SELECT max(generation) + 1, max(chunk) + 1 FROM chunks"
_NOTE_PLAN = "UPDATE job SET name = ?, reading = ?"
_ADD_INPUT = "INSERT INTO inputs (position, path, sha256, size_bytes) VALUES (?, ?, ?, ?)"
_INPUTS = "SELECT path, sha256, size_bytes FROM inputs ORDER BY position"
_NOTE_COUNTS = "UPDATE job SET counts = ?, list_order = ?"
_TRIAL_OF = "SELECT min(chunk) FROM chunks WHERE is_trial <> 0 AND only_platform = ?"
_ADD_SKIPPED = (
    "INSERT INTO tasks (platform, chunk, vendor, state, rows) SELECT ?, chunk, ?, ?, rows FROM chunks WHERE chunk = ?"
)
_ADD_REUSED = "INSERT INTO reused (platform, chunk, cells) VALUES (?, ?, ?)"
_REUSED_CELLS = "SELECT cells FROM reused WHERE platform = ? AND chunk = ?"
_CONDITIONS = "SELECT platform, other, word, followed, too_few, generations FROM conditions ORDER BY platform"
_NOTE_CONDITION = (
    "INSERT INTO conditions (platform, other, word) VALUES (?, ?, ?) ON CONFLICT (platform) DO UPDATE SET followed = -1"
)
_NOTE_FOLLOWED = "UPDATE conditions SET followed = ?, too_few = ?, generations = ? WHERE platform = ?"
_LAST_EVENT = "SELECT seq FROM events WHERE platform = ? ORDER BY seq DESC LIMIT 1"
_WITHOUT_TASK = (
    "SELECT chunk FROM chunks WHERE only_platform IS NULL "
    "AND chunk NOT IN (SELECT chunk FROM tasks WHERE platform = ?) ORDER BY chunk"
)
_TRIAL = "SELECT rows FROM chunks WHERE chunk = 1 AND only_platform IS NULL AND places IS NOT NULL"
_NOTE_QUOTE_KEY = "UPDATE job SET quote_key = ?"
_NOTE_LISTS = "UPDATE job SET lists = ?"
_NOTE_COLUMNS = "UPDATE job SET counts = ?, reading = ?"
_NOTE_COLUMNS_OF_CHUNK = "UPDATE chunks SET columns_sha256 = ? WHERE chunk = ?"
_ADD_TASKS = (
    "INSERT INTO tasks (platform, chunk, vendor, state, rows) "
    "SELECT ?, chunk, ?, CASE WHEN rows < ? THEN ? ELSE ? END, rows FROM chunks WHERE only_platform IS NULL "
    "AND chunk NOT IN (SELECT chunk FROM tasks WHERE platform = ?)"
)
_ADD_TASK = "INSERT INTO tasks (platform, chunk, vendor, state, rows) VALUES (?, ?, ?, ?, ?)"
_CHUNKS_FOR = "SELECT count(*) FROM chunks WHERE only_platform IS NULL OR only_platform = ?"
_TASKS_ON = "SELECT sum(tasks) FROM tally WHERE platform = ?"


class PlanTables:
    """What was planned. Changing methods may be called only inside a commit."""

    def __init__(self, connection: Connection, platforms: PlatformTable) -> None:
        self._connection = connection
        self._platforms = platforms

    def replace(self, plan: Plan) -> None:
        """Put `plan` in the place of an earlier one; only a job that has not begun may do that."""
        if of_job(self._connection, "begun_at") is not None:
            raise IllegalTransitionError("a begun job keeps its plan")
        for table in ("tasks", "chunks", "platforms", "tally", "money", "reused", "conditions"):
            self._connection.run(f"DELETE FROM {table}")
        self._connection.run(_NOTE_PLAN, (plan.name, json.dumps(plan.reading, sort_keys=True)))
        self.extend(plan.listed, plan.chunks, plan.platforms, plan.selections)

    def extend(
        self,
        listed: Listed,
        chunks: Sequence[Chunk],
        platforms: Sequence[PlannedPlatform],
        selections: Iterable[Selection] = (),
    ) -> None:
        """Put a longer list in the place of the planned one; `chunks` are those of the numbers that came with it.

        `selections` are of `platforms` that are not asked for all of these.
        """
        self._connection.run("DELETE FROM inputs")
        # Spelt out are the bytes of a name that are no UTF-8: no database can keep them.
        paths = (i.path.encode(errors="backslashreplace").decode() for i in listed.inputs)
        inputs = zip(paths, listed.inputs, strict=True)
        self._connection.run_many(
            _ADD_INPUT, ((position, path, i.sha256, i.size_bytes) for position, (path, i) in enumerate(inputs))
        )
        self._connection.run(_NOTE_COUNTS, (_counts_to_json(listed.counts), listed.order))
        self.note_lists(listed.lists)
        self.add_chunks(chunks)
        for selection in selections:
            self.select(selection)
        for platform in platforms:
            self.add_platform(platform)

    def select(self, selection: Selection) -> None:
        """Plan for a platform what is left of some chunks behind what was taken from earlier jobs."""
        platform = selection.platform
        self._platforms.add(platform)
        sums = ReusedSums()
        for its in selection.reused:
            self._connection.run(_ADD_SKIPPED, (platform.name, platform.vendor, State.SKIPPED, its.chunk))
            self._connection.run(_ADD_REUSED, (platform.name, its.chunk, its.cells))
            sums += its.sums
        self._platforms.note_reused(platform.name, sums)
        self.add_retry(platform, selection.chunks)
        if selection.condition is not None:
            self._connection.run(_NOTE_CONDITION, (platform.name, *selection.condition))

    def follow(self, platform: PlannedPlatform, chunks: Sequence[Chunk], *, too_few: int) -> None:
        """Note for which numbers a platform with a condition is asked by what its other one has said so far."""
        condition = self.conditions()[platform.name]
        self.add_retry(platform, chunks)
        generations = json.dumps([*condition.generations, *sorted({chunk.generation for chunk in chunks})])
        self._connection.run(_NOTE_FOLLOWED, (self.last_event(condition.other), too_few, generations, platform.name))

    def add_platform(self, platform: PlannedPlatform) -> None:
        """Plan a task on the platform for every chunk that is for all platforms and has none there yet."""
        self._platforms.add(platform)
        name, states = platform.name, (State.SKIPPED, State.PLANNED)
        self._connection.run(_ADD_TASKS, (name, platform.vendor, platform.min_rows, *states, name))

    def add_chunks(self, chunks: Sequence[Chunk]) -> None:
        """Note chunks; they have no tasks yet."""
        self._connection.run_many(
            _ADD_CHUNK,
            (
                (
                    *(c.chunk, c.first_row, c.rows, c.sha256, c.generation, c.only, c.columns_sha256, c.places),
                    int(c.is_trial),
                )
                for c in chunks
            ),
        )

    def add_retry(self, platform: PlannedPlatform, chunks: Sequence[Chunk]) -> None:
        """Note chunks that are for one platform only, and plan its tasks for them."""
        self.add_chunks(chunks)
        tasks = ((platform.name, c.chunk, platform.vendor, State.PLANNED, c.rows) for c in chunks)
        self._connection.run_many(_ADD_TASK, tasks)

    def note_lists(self, lists: Mapping[str, str]) -> None:
        """Note the hashes of rejected.csv and duplicates.csv."""
        self._connection.run(_NOTE_LISTS, (json.dumps(dict(lists)),))

    def note_columns(self, names: Sequence[str], keep: Mapping[str, object], hashes: Mapping[int, str]) -> None:
        """Note the names of kept columns, the setting that `keep` is of, and the hashes of chunks' files of them."""
        counts = replace(self.counts(), columns=tuple(names))
        reading = json.dumps({**self.reading(), **keep}, sort_keys=True)
        self._connection.run(_NOTE_COLUMNS, (_counts_to_json(counts), reading))
        self._connection.run_many(_NOTE_COLUMNS_OF_CHUNK, ((sha256, chunk) for chunk, sha256 in hashes.items()))

    # --- reading -----------------------------------------------------------------------------------------------------

    def reading(self) -> dict[str, object]:
        """Return how the planned list was read; empty before the first plan."""
        with self._connection.understood():
            return dict(json.loads(of_job(self._connection, "reading")))

    def inputs(self) -> tuple[InputFile, ...]:
        return tuple(InputFile(*row) for row in self._connection.rows(_INPUTS))

    def listed(self) -> Listed:
        with self._connection.understood():
            noted = json.loads(of_job(self._connection, "lists"))
            lists = {str(name): str(sha256) for name, sha256 in noted.items()}
        return Listed(self.inputs(), self.counts(), lists, of_job(self._connection, "list_order"))

    def counts(self) -> ListCounts:
        with self._connection.understood():
            counts = json.loads(of_job(self._connection, "counts"))
            columns = tuple(map(str, counts.pop("columns", ())))
            inputs = tuple(map(_account, counts.pop("inputs", ())))
            reasons = {reason: int(lines) for reason, lines in counts.pop("rejected_by_reason", {}).items()}
            numbers = {name: int(number) for name, number in counts.items()}
            return ListCounts(**numbers, rejected_by_reason=reasons, columns=columns, inputs=inputs)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks in order; those that are for all platforms cover the accepted list, in its order."""
        return (_chunk(*row) for row in self._connection.rows(_CHUNKS))

    def without_task(self, platform: str) -> list[int]:
        """Return the chunks for all platforms for which one has no task yet, in order."""
        return [chunk for (chunk,) in self._connection.rows(_WITHOUT_TASK, (platform,))]

    def reused_cells(self, platform: str, chunk: int) -> bytes | None:
        """Return what was taken from earlier jobs for a chunk, packed; None where nothing was looked for."""
        row = self._connection.row(_REUSED_CELLS, (platform, chunk))
        return None if row is None else bytes(row[0])

    def conditions(self) -> dict[str, Condition]:
        """Return the conditions of the platforms that have one."""
        with self._connection.understood():
            return {
                platform: Condition(other, word, followed, too_few, tuple(json.loads(generations)))
                for platform, other, word, followed, too_few, generations in self._connection.rows(_CONDITIONS)
            }

    def last_event(self, platform: str) -> int:
        """Return the number of a platform's last event, 0 where there is none."""
        return int(self._connection.value(_LAST_EVENT, (platform,)) or 0)

    def due(self) -> frozenset[str]:
        """Return the platforms with a condition of which more numbers may have come to fit since they were picked."""
        return frozenset(name for name, its in self.conditions().items() if self.last_event(its.other) != its.followed)

    def trial_of(self, platform: str) -> int:
        """Return the chunk that is a platform's trial; 0 where it has none."""
        if not self.trial_rows():
            return 0
        own = self._connection.value(_TRIAL_OF, (platform,))
        return int(own or (0 if self.reused_cells(platform, 1) is not None else 1))

    def trial_rows(self) -> int:
        """Return how many rows the trial has, 0 for a job without one."""
        row = self._connection.row(_TRIAL)
        return int(row[0]) if row else 0

    def quote_key(self) -> str:
        """Return the key of this job's quotes, "" while none was made."""
        return str(of_job(self._connection, "quote_key"))

    def note_quote_key(self, key: str) -> None:
        """Note the key of this job's quotes."""
        self._connection.run(_NOTE_QUOTE_KEY, (key,))

    def chunk_numbers(self, *, retried: bool = False) -> list[int]:
        """Return the numbers of the chunks that cover the list, in order, or of those of `retry`."""
        return [chunk for (chunk,) in self._connection.rows(_RETRIED_CHUNK_NUMBERS if retried else _CHUNK_NUMBERS)]

    def check_chunks(self) -> None:
        """Raise `StorageError` when chunks of the accepted list are lost."""
        rows = int(self._connection.value(_ROWS_OF_CHUNKS))
        accepted = self.counts().accepted
        if rows < accepted:
            raise self._connection.damaged(f"the chunks have {rows:,} numbers, the list {accepted:,}")

    def generation_begins(self) -> list[int]:
        """Return the first chunk of each generation, in order."""
        return [int(chunk) for (chunk,) in self._connection.rows(_GENERATIONS)]

    def next_chunk(self) -> tuple[int, int]:
        """Return the generation and the chunk number with which the next generation begins."""
        row = self._connection.row(_NEXT_CHUNK)
        # Without chunks the row is there, and empty.
        return (1, 1) if row is None or row[0] is None else (int(row[0]), int(row[1]))

    def is_complete(self, platform: str) -> bool:
        """Tell whether a platform has its task for every chunk: not for what came while it was not configured."""
        chunks = self._connection.value(_CHUNKS_FOR, (platform,))
        return bool(chunks == self._connection.value(_TASKS_ON, (platform,)))


def _chunk(chunk: int, first_row: int, rows: int, sha256: str, *rest: Any) -> Chunk:
    *further, is_trial = rest
    return replace(Chunk(chunk, first_row, rows, sha256, *further), is_trial=bool(is_trial))


def _account(content: dict[str, Any]) -> InputAccount:
    unread = tuple(Unread(**one) for one in content.pop("unread"))
    parts, columns = tuple(map(_account, content.pop("parts"))), tuple(content.pop("columns", ()))
    return InputAccount(**content | {"unread": unread, "parts": parts, "columns": columns})


def _counts_to_json(counts: ListCounts) -> str:
    content = {name: getattr(counts, name) for name in ListCounts.__dataclass_fields__}
    return json.dumps(content | {"inputs": [asdict(account) for account in counts.inputs]}, default=dict)
