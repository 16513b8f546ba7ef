"""The ledger: tables of one database that share a connection, and their transactions."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from orchestrator.errors import StorageError
from orchestrator.files import without_hashes
from orchestrator.ledger.balance_table import BalanceTable
from orchestrator.ledger.connection import ApplyAgainError
from orchestrator.ledger.object_table import ObjectTable
from orchestrator.ledger.plan_tables import PlanTables
from orchestrator.ledger.platform_table import PlatformTable
from orchestrator.ledger.quarantine_table import QuarantineTable
from orchestrator.ledger.run_table import RunTable
from orchestrator.ledger.sqlite import SQLite
from orchestrator.ledger.task_table import TaskTable
from orchestrator.ledger.transitions import Transitions
from orchestrator.tasks import State, TaskKey

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from pathlib import Path

    from orchestrator.ledger.connection import Connection, Turn
    from orchestrator.records import Chunk, PlannedPlatform

_IDS = {"job_id", "task_id"}
"""Columns of names that come from no number."""


class Ledger:
    """The job's record. What changes it may be called only inside `commit`.

    What reads it may be called at any time, but from another thread than `commit` it would see what is not yet
    durable, and wait for its sync: beside a `LedgerWriter` readings go through `LedgerWriter.do` as well.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.runs = RunTable(connection)
        self.platforms = PlatformTable(connection)
        self.plan = PlanTables(connection, self.platforms)
        self.tasks = TaskTable(connection)
        self.transitions = Transitions(connection, self.platforms, self.runs, self.tasks)
        self.quarantine = QuarantineTable(connection)
        self.objects = ObjectTable(connection)
        self.balances = BalanceTable(connection)
        self._changed_before = 0

    @classmethod
    def create(cls, path: Path, job_id: str) -> Self:
        """Make an empty ledger for a job without a plan, see `SQLite.create`."""
        return cls(SQLite.create(path, job_id))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing ledger for writing; the caller holds the job's lock. `StorageError` when it is not ours."""
        return cls(SQLite.open(path))

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open an existing ledger beside a run that may be writing to it, see `SQLite.open_to_read`."""
        return cls(SQLite.open_to_read(path))

    def close(self) -> None:
        """Close it: an orderly end leaves all that was committed in its place."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- transactions ------------------------------------------------------------------------------------------------

    def commit(self, changes: Sequence[Callable[[Self], Any]]) -> list[Any]:
        """Run every change in one durable transaction; return each one's result, or the exception that undid it.

        Raises `StorageError` when the transaction as a whole failed; then none of them happened.
        """
        while True:
            outcomes = self.apply(changes)
            with suppress(ApplyAgainError):
                self.seal()
                return outcomes

    def apply(self, changes: Sequence[Callable[[Self], Any]]) -> list[Any]:
        """Do the first half of `commit`, all but the sync: `seal` must follow, and nothing may come in between."""
        self.connection.begin()
        self.connection.room_nano, self.connection.others_in_question = None, False
        self._changed_before = self.connection.changed_rows
        try:
            outcomes = [self._attempt(change) for change in changes]
            if self.unsealed:
                # In the same commit, so that no two states of a ledger have one position: an older copy is told by it.
                self.connection.run("UPDATE job SET position = position + 1")
        except BaseException:
            self._roll_back()
            raise
        return outcomes

    @property
    def unsealed(self) -> bool:
        """Whether `seal` has anything to make durable, or to find out, and will wait for that."""
        return self.connection.changed_rows != self._changed_before or self.connection.others_in_question

    def seal(self) -> None:
        """Make durable what was applied; raises as `commit` does, and `ApplyAgainError`."""
        try:
            self.connection.commit()
        except BaseException:
            self._roll_back()
            raise

    def change(self, change: Callable[[Self], Any]) -> Any:
        """Run one change in a transaction of its own and return its result, or raise its exception."""
        (outcome,) = self.commit([change])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _roll_back(self) -> None:
        if self.connection.in_transaction:
            self.connection.run("ROLLBACK")

    def _attempt(self, change: Callable[[Self], Any]) -> Any:
        self.connection.run("SAVEPOINT change")
        before = self.connection.changed_rows
        try:
            outcome = change(self)
        except StorageError:  # nothing can be trusted any more: all of the transaction fails
            raise
        except Exception as error:  # noqa: BLE001 - it is the asker's, and is handed to the asker
            self.connection.run("ROLLBACK TO change")
            self._changed_before += self.connection.changed_rows - before  # they count although they are undone
            outcome = error
        self.connection.run("RELEASE change")
        return outcome

    async def turn(self, vendor: str, holder: str, *, places: int, spacing_s: float, slack_s: float) -> Turn:
        """Do `Connection.turn`, where nothing else is to be done meanwhile."""
        return self.connection.turn(vendor, holder, places=places, spacing_s=spacing_s, slack_s=slack_s)

    # --- changes of several tables -----------------------------------------------------------------------------------

    def begin_run(self, *, at: float, host: str, pid: int) -> int:
        """Count a run and return its serial. Submits without an answer from an earlier run become doubts."""
        serial = self.runs.add(at=at, host=host, pid=pid)
        self.doubt_unanswered(at=at)
        return serial

    def doubt_unanswered(self, *, at: float) -> None:
        """Make doubts of what a killed run has released: nobody else runs, so no answer will come."""
        for task in self.tasks.select(State.RELEASED):
            self.transitions.doubt(task.key, "the run ended between release and answer", at=at)

    def plan_retry(
        self,
        platform: PlannedPlatform,
        chunks: Sequence[Chunk],
        *,
        at: float,
        left_out: Container[TaskKey] = frozenset(),
    ) -> None:
        """Plan `chunks`, which are this platform's only, in the place of its failed tasks, except those `left_out`.

        The numbers of the others are in the chunks.
        """
        self.plan.add_retry(platform, chunks)
        for task in self.tasks.select(State.FAILED, platform=platform.name):
            if task.key not in left_out:
                self.transitions.retry(task.key, at=at)
        self.platforms.begin_anew(platform.name)

    def forget_hashes(self) -> None:
        """Blank the hashes of files, wherever they stand in the records of a closed job.

        A chunk may hold one number, and that is found from its hash within seconds. A name as sent ends with a part of
        it, and what the vendor said may repeat either. `Connection.compact` takes them off the disk.
        """
        self.connection.run("DELETE FROM quarantine")
        self.connection.run("DELETE FROM objects")
        self.connection.rewrite_texts(without_hashes, leave=_IDS)
