"""The job's one record and its runs: who it is, when it began and was closed, how far it has come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ExitCode
from orchestrator.records import RunRecord, Token

if TYPE_CHECKING:
    from orchestrator.ledger.connection import Connection

_BEGIN = "UPDATE job SET begun_at = ? WHERE begun_at IS NULL"
_CLOSE = "UPDATE job SET closed_at = coalesce(closed_at, ?)"
_NEXT_SERIAL = "UPDATE job SET serial = serial + 1 RETURNING serial"
_ADD_RUN = "INSERT INTO runs (serial, started_at, host, pid) VALUES (?, ?, ?, ?)"
_END_RUN = "UPDATE runs SET ended_at = ?, exit_code = ?, reason = ? WHERE serial = ?"
_LAST_DONE = f"SELECT max(ended_at) FROM runs WHERE exit_code = {int(ExitCode.DONE)}"
_LAST_RUNS = "SELECT serial, started_at, ended_at, exit_code, reason, host, pid FROM runs ORDER BY serial DESC LIMIT ?"


def of_job(connection: Connection, column: str) -> Any:
    """Return a column of the job's record; `StorageError` when that is lost."""
    row = connection.row(f"SELECT {column} FROM job")
    if row is None:
        raise connection.damaged("the job's record is missing")
    return row[0]


def moment(at: float) -> float:
    """Return a time that can be shown; raises `ValueError` or `OverflowError` for one that no calendar has."""
    datetime.fromtimestamp(at, UTC)
    return at


class RunTable:
    """The job's record, and one row for each call of `run`. Changing methods may be called only inside a commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def job_id(self) -> str:
        """The job's random name, made with the ledger."""
        return str(of_job(self._connection, "job_id"))

    @property
    def serial(self) -> int:
        """How many runs the job has seen."""
        return int(of_job(self._connection, "serial"))

    @property
    def token(self) -> Token:
        """How far the ledger has come."""
        return Token(self.serial, int(of_job(self._connection, "position")))

    @property
    def begun(self) -> bool:
        """Whether anything was ever released, which fixes the job."""
        return of_job(self._connection, "begun_at") is not None

    @property
    def closed(self) -> bool:
        """Whether the job was purged: then nothing may be sent any more."""
        return of_job(self._connection, "closed_at") is not None

    def begin_job(self, *, at: float) -> None:
        """Fix the plan, the first time: from here on a task of it may exist at the vendor."""
        self._connection.run(_BEGIN, (at,))

    def close_job(self, *, at: float) -> None:
        self._connection.run(_CLOSE, (at,))

    def add(self, *, at: float, host: str, pid: int) -> int:
        serial = int(self._connection.value(_NEXT_SERIAL))
        self._connection.run(_ADD_RUN, (serial, at, host, pid))
        return serial

    def end(self, serial: int, *, at: float, exit_code: int, reason: str) -> None:
        self._connection.run(_END_RUN, (at, exit_code, reason, serial))

    def last_done_at(self) -> float | None:
        """When a run last ended with 0, in seconds since the epoch."""
        row = self._connection.row(_LAST_DONE)
        return None if row is None or row[0] is None else float(row[0])

    def last(self) -> RunRecord | None:
        return next(iter(self.latest(1)), None)

    def latest(self, most: int) -> list[RunRecord]:
        """Return the last `most` runs, the last one first."""
        runs = []
        for serial, started_at, ended_at, exit_code, *rest in self._connection.rows(_LAST_RUNS, (most,)):
            with self._connection.understood():
                code = None if exit_code is None else ExitCode(exit_code)
                end = None if ended_at is None else moment(ended_at)
                runs.append(RunRecord(serial, moment(started_at), end, code, *rest))
        return runs
