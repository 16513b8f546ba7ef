"""The ledger's record of the job: its runs, its list, and the chunks and tasks that were planned for it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ExitCode
from orchestrator.files import without_hashes
from orchestrator.ledger.database import Database
from orchestrator.records import Chunk, InputFile, ListCounts, Listed, Plan, PlannedPlatform, RunRecord, Token
from orchestrator.settings import SANDBOX
from orchestrator.tasks import IllegalTransitionError, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_IDS = {"job_id", "task_id"}
"""Columns of names that come from no number."""
_CHUNK = "chunk, first_row, rows, sha256, generation, only_platform, columns_sha256, places"


class JobRecord(Database):
    """What the ledger says of the job as a whole. Changing methods may be called only inside `commit`."""

    # --- runs --------------------------------------------------------------------------------------------------------

    def end_run(self, serial: int, *, at: float, exit_code: int, reason: str) -> None:
        """Note how a run ended."""
        self._sql.execute(
            "UPDATE runs SET ended_at = ?, exit_code = ?, reason = ? WHERE serial = ?", (at, exit_code, reason, serial)
        )

    def last_run(self) -> RunRecord | None:
        """Return the newest run."""
        row = self._row(
            "SELECT serial, started_at, ended_at, exit_code, reason, host, pid FROM runs ORDER BY serial DESC LIMIT 1"
        )
        with self._understood():
            return _run_record(*row) if row else None

    @property
    def job_id(self) -> str:
        """The job's random name, made with the ledger."""
        return str(self._of_job("job_id"))

    @property
    def serial(self) -> int:
        """How many runs the job has seen."""
        return int(self._of_job("serial"))

    @property
    def token(self) -> Token:
        """How far the ledger has come."""
        return Token(self.serial, int(self._of_job("position")))

    @property
    def begun(self) -> bool:
        """Whether anything was ever released, which fixes the job."""
        return self._of_job("begun_at") is not None

    @property
    def closed(self) -> bool:
        """Whether the job was purged: then nothing may be sent any more."""
        return self._of_job("closed_at") is not None

    def close_job(self, *, at: float) -> None:
        """Close the job for good."""
        self._sql.execute("UPDATE job SET closed_at = ifnull(closed_at, ?)", (at,))

    def forget_hashes(self) -> None:
        """Blank the hashes of files, wherever they stand in the records of a closed job.

        A chunk may hold one number, and that is found from its hash within seconds. A name as sent ends with a part of
        it, and what the vendor said may repeat either. `compact` takes them off the disk.
        """
        self._sql.create_function("without_hashes", 1, lambda text: text and without_hashes(text))
        self._sql.execute("DELETE FROM quarantine")
        for (table,) in list(self._rows("SELECT name FROM sqlite_schema WHERE type = 'table'")):
            for _, column, kind, _, _, key in list(self._rows(f"PRAGMA table_info({table})")):
                if kind == "TEXT" and not key and column not in _IDS:
                    self._sql.execute(
                        f"UPDATE {table} SET {column} = without_hashes({column}) "
                        f"WHERE {column} <> without_hashes({column})"
                    )

    def made_up(self) -> frozenset[str]:
        """Return the platforms that the embedded vendor answers, whatever the configuration says by now."""
        return frozenset(name for name, fixed in self.fixed().items() if fixed.get("base_url") == SANDBOX)

    # --- other names for platforms -----------------------------------------------------------------------------------

    def rename_platforms(self, names: Mapping[str, str]) -> None:
        """Give platforms (`names`: old → new) other names, at once, so that two may swap theirs.

        Until `moved` is told otherwise their files count as being on the way from the old names to the new ones.
        """
        self._sql.execute("PRAGMA defer_foreign_keys = ON")
        columns = list(
            self._rows(
                "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' "
                "AND (c.name IN ('platform', 'only_platform') OR (m.name, c.name) = ('platforms', 'name'))"
            )
        )
        for platform, chunk, sha256, path in list(self._rows("SELECT platform, chunk, sha256, path FROM quarantine")):
            if platform in names:  # the file's name begins with the platform's
                new_path = re.sub(rf"(?<![^/]){re.escape(platform)}-(?=[0-9]+\.)", f"{names[platform]}-", path)
                self._sql.execute(
                    "UPDATE quarantine SET path = ? WHERE (platform, chunk, sha256) = (?, ?, ?)",
                    (new_path, platform, chunk, sha256),
                )
        former = self.former_names()
        self._sql.executemany(
            "UPDATE platforms SET former = ? WHERE name = ?",
            ((json.dumps([*(name for name in former[old] if name != old), old]), old) for old in names),
        )
        for steps in ([(old, f"{new}:") for old, new in names.items()], [(f"{new}:", new) for new in names.values()]):
            for table, column in columns:
                self._sql.executemany(
                    f"UPDATE {table} SET {column} = ? WHERE {column} = ?", ((to, at) for at, to in steps)
                )
        self._sql.execute("UPDATE job SET moving = ?", (json.dumps({"names": dict(names), "gathered": False}),))

    def former_names(self) -> dict[str, tuple[str, ...]]:
        """Return by platform what else it was called in this job, the earliest first."""
        with self._understood():
            return {
                name: tuple(json.loads(former)) for name, former in self._rows("SELECT name, former FROM platforms")
            }

    def moving(self) -> tuple[dict[str, str], bool]:
        """Return whose files are on the way (old name → new name), and whether all have left their old places."""
        with self._understood():
            moving = json.loads(self._of_job("moving") or '{"names": {}, "gathered": false}')
            return dict(moving["names"]), bool(moving["gathered"])

    def moved(self, *, gathered: bool) -> None:
        """Note that the files on the way have left their old places (`gathered`), or are in their new ones."""
        if gathered:
            self._sql.execute("UPDATE job SET moving = json_set(moving, '$.gathered', json('true'))")
        else:
            self._sql.execute("UPDATE job SET moving = ''")

    def respell_platform(self, platform: PlannedPlatform) -> None:
        """Note another spelling of what a platform asks."""
        self._sql.execute(
            "UPDATE platforms SET vendor = ?, fixed = ? WHERE name = ?",
            (platform.vendor, json.dumps(platform.fixed, sort_keys=True), platform.name),
        )
        self._sql.execute(
            # An id that two spellings share stays with both.
            "UPDATE OR IGNORE tasks SET vendor = ? WHERE platform = ? AND vendor <> ?",
            (platform.vendor, platform.name, platform.vendor),
        )

    def forget_platform(self, platform: str) -> None:
        """Take a platform out of the plan of whose tasks none can be at the vendor."""
        for table, column in (("tasks", "platform"), ("tally", "platform"), ("platforms", "name")):
            self._sql.execute(f"DELETE FROM {table} WHERE {column} = ?", (platform,))

    def has_history(self, platform: str) -> bool:
        """Whether a task of the platform may be, or have been, at the vendor: what it refused or put off is not."""
        row = self._row(
            "SELECT 1 FROM platforms WHERE name = ? AND (submits > 0 OR EXISTS (SELECT 1 FROM tasks "
            "WHERE platform = name AND (task_id IS NOT NULL OR state NOT IN (?, ?, ?))))",
            (platform, State.PLANNED, State.SKIPPED, State.FAILED),
        )
        return row is not None

    def _of_job(self, column: str) -> Any:
        row = self._row(f"SELECT {column} FROM job")
        if row is None:
            raise self._damaged("the job's record is missing")
        return row[0]

    # --- the plan ----------------------------------------------------------------------------------------------------

    def replace_plan(self, plan: Plan) -> None:
        """Put `plan` in the place of an earlier one; only a job that has not begun may do that."""
        if self.begun:
            raise IllegalTransitionError("a begun job keeps its plan")
        for table in ("tasks", "chunks", "platforms", "tally"):
            self._sql.execute(f"DELETE FROM {table}")
        self._sql.execute("UPDATE job SET name = ?, reading = ?", (plan.name, json.dumps(plan.reading, sort_keys=True)))
        self._note_list(plan.listed)
        self._add_chunks(plan.chunks)
        for platform in plan.platforms:
            self.plan_platform(platform)

    def extend_plan(self, listed: Listed, chunks: Sequence[Chunk], platforms: Sequence[PlannedPlatform]) -> None:
        """Put a longer list in the place of the planned one; `chunks` are those of the numbers that came with it."""
        self._note_list(listed)
        self._add_chunks(chunks)
        for platform in platforms:
            self.plan_platform(platform)

    def plan_platform(self, platform: PlannedPlatform) -> None:
        """Plan a task on the platform for every chunk that is for all platforms and has none there yet."""
        self._sql.execute(
            "INSERT INTO platforms (name, vendor, fixed) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (platform.name, platform.vendor, json.dumps(platform.fixed, sort_keys=True)),
        )
        self._sql.execute(
            "INSERT INTO tasks (platform, chunk, vendor, state, rows) "
            "SELECT ?, chunk, ?, iif(rows < ?, ?, ?), rows FROM chunks WHERE only_platform IS NULL "
            "AND chunk NOT IN (SELECT chunk FROM tasks WHERE platform = ?)",
            (platform.name, platform.vendor, platform.min_rows, State.SKIPPED, State.PLANNED, platform.name),
        )

    def _note_list(self, listed: Listed) -> None:
        self._sql.execute("DELETE FROM inputs")
        self._sql.executemany(
            "INSERT INTO inputs VALUES (?, ?, ?, ?)",
            ((position, _as_text(i.path), i.sha256, i.size_bytes) for position, i in enumerate(listed.inputs)),
        )
        self._sql.execute("UPDATE job SET counts = ?, list_order = ?", (_counts_to_json(listed.counts), listed.order))
        self.note_lists(listed.lists)

    def note_lists(self, lists: Mapping[str, str]) -> None:
        """Note the hashes of rejected.csv and duplicates.csv."""
        self._sql.execute("UPDATE job SET lists = ?", (json.dumps(dict(lists)),))

    def note_columns(self, names: Sequence[str], keep: Mapping[str, object], hashes: Mapping[int, str]) -> None:
        """Note the names of kept columns, the setting that `keep` is of, and the hashes of chunks' files of them."""
        counts = replace(self.counts(), columns=tuple(names))
        reading = json.dumps({**self.reading(), **keep}, sort_keys=True)
        self._sql.execute("UPDATE job SET counts = ?, reading = ?", (_counts_to_json(counts), reading))
        self._sql.executemany(
            "UPDATE chunks SET columns_sha256 = ? WHERE chunk = ?",
            ((sha256, chunk) for chunk, sha256 in hashes.items()),
        )

    def _add_chunks(self, chunks: Sequence[Chunk]) -> None:
        self._sql.executemany(
            f"INSERT INTO chunks ({_CHUNK}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (c.chunk, c.first_row, c.rows, c.sha256, c.generation, c.only, c.columns_sha256, c.places)
                for c in chunks
            ),
        )

    def reading(self) -> dict[str, object]:
        """Return how the planned list was read; empty before the first plan."""
        with self._understood():
            return dict(json.loads(self._of_job("reading")))

    def inputs(self) -> tuple[InputFile, ...]:
        """Return the input files of the plan, in their order."""
        return tuple(
            InputFile(*row) for row in self._rows("SELECT path, sha256, size_bytes FROM inputs ORDER BY position")
        )

    def listed(self) -> Listed:
        """Return what is known of the list's files."""
        with self._understood():
            lists = {str(name): str(sha256) for name, sha256 in json.loads(self._of_job("lists")).items()}
        return Listed(self.inputs(), self.counts(), lists, self._of_job("list_order"))

    def counts(self) -> ListCounts:
        """Return how the lines of the planned list were read."""
        with self._understood():
            return _counts_from_json(self._of_job("counts"))

    def fixed(self) -> dict[str, dict[str, str]]:
        """Return, per platform that was ever planned, what may not change."""
        with self._understood():
            return {name: dict(json.loads(fixed)) for name, fixed in self._rows("SELECT name, fixed FROM platforms")}

    def vendors(self) -> dict[str, str]:
        """Return, per platform that was ever planned, within what its task ids are unique."""
        return dict(self._rows("SELECT name, vendor FROM platforms"))

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks in order; those that are for all platforms cover the accepted list, in its order."""
        return (Chunk(*row) for row in self._rows(f"SELECT {_CHUNK} FROM chunks ORDER BY chunk"))

    def check_chunks(self) -> None:
        """Raise `StorageError` when chunks of the accepted list are lost."""
        rows = self._value("SELECT ifnull(sum(rows), 0) FROM chunks WHERE only_platform IS NULL")
        accepted = self.counts().accepted
        if rows < accepted:
            raise self._damaged(f"the chunks have {rows:,} numbers, the list {accepted:,}")

    def chunk_numbers(self, *, retried: bool = False) -> list[int]:
        """Return the numbers of the chunks that cover the list, in order, or of those of `retry`."""
        which = "NOT NULL" if retried else "NULL"
        rows = self._rows(f"SELECT chunk FROM chunks WHERE only_platform IS {which} ORDER BY chunk")
        return [chunk for (chunk,) in rows]

    def position(self) -> dict[str, int]:
        """Return how far the ledger has come: with another position, what was made from it may be out of date."""
        return {
            "events": int(self._value("SELECT ifnull(max(seq), 0) FROM events")),
            "tasks": int(self._value("SELECT ifnull(sum(tasks), 0) FROM tally")),
        }

    def next_chunk(self) -> tuple[int, int]:
        """Return the generation and the chunk number with which the next generation begins."""
        row = self._row("SELECT max(generation) + 1, max(chunk) + 1 FROM chunks")
        return (1, 1) if row is None or row[0] is None else (int(row[0]), int(row[1]))


def _run_record(serial: int, started_at: float, ended_at: float | None, exit_code: int | None, *rest: Any) -> RunRecord:
    code = None if exit_code is None else ExitCode(exit_code)
    return RunRecord(serial, moment(started_at), None if ended_at is None else moment(ended_at), code, *rest)


def _as_text(path: str) -> str:
    """Spell out the bytes of a name that are no UTF-8: a database can't keep them."""
    return path.encode(errors="backslashreplace").decode()


def moment(at: float) -> float:
    """Return a time that can be shown; raises `ValueError` or `OverflowError` for one that no calendar has."""
    datetime.fromtimestamp(at, UTC)
    return at


def _counts_from_json(text: str) -> ListCounts:
    counts = json.loads(text)
    columns = tuple(map(str, counts.pop("columns", ())))
    reasons = {reason: int(lines) for reason, lines in counts.pop("rejected_by_reason", {}).items()}
    numbers = {name: int(number) for name, number in counts.items()}
    return ListCounts(**numbers, rejected_by_reason=reasons, columns=columns)


def _counts_to_json(counts: ListCounts) -> str:
    return json.dumps({name: getattr(counts, name) for name in ListCounts.__dataclass_fields__}, default=dict)
