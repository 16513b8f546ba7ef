"""One SQLite file with one writing connection: opening, transactions, closing.

A change is durable when `commit` returns: WAL with `synchronous=FULL`. NORMAL may lose the last commits on power loss,
which here means paying twice.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from orchestrator.errors import StorageError
from orchestrator.files import FILE_MODE, PART_SUFFIX, disk_errors, make_private_directory, sync_directory
from orchestrator.ledger import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")


class Database:
    """An open ledger file. Made by `create`, `open` or `open_to_read`; a context manager that closes it."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._sql = connection
        self.path = path

    # --- opening and closing -----------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, job_id: str) -> Self:
        """Make an empty ledger for a job without a plan. A crash leaves either none or a whole one."""
        make_private_directory(path.parent)
        part = path.with_name(path.name + PART_SUFFIX)
        with disk_errors(path):
            part.unlink(missing_ok=True)
            os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))
        database = cls(_connect(part, "rw"), part)
        with database, database._errors():
            database._sql.executescript(schema.CREATE)
            database._sql.execute(
                "INSERT INTO job (only_row, job_id, name, sandbox, reading, counts) VALUES (1, ?, '', 0, '{}', '{}')",
                (job_id,),
            )
        with disk_errors(path):
            part.replace(path)
            sync_directory(path.parent)
            sync_directory(path.parent.parent)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing ledger for writing; the caller holds the job's lock. `StorageError` when it is not ours."""
        ledger = cls(_connect(path, "rw"), path)
        with ledger._errors():
            ledger._check_identity()
            ledger._to_wal()
        return ledger

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open an existing ledger beside a run that may be writing to it."""
        ledger = cls(_connect(path, "ro"), path)
        with ledger._errors():
            ledger._check_identity()
        return ledger

    def close(self) -> None:
        """Close; the last writer leaves one file behind, without `-wal` and `-shm`."""
        try:
            self._sql.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError:
            pass  # opened to read, or a reader is looking: then the log stays, which is as durable
        finally:
            self._sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _to_wal(self) -> None:
        self._sql.execute("PRAGMA journal_mode = WAL")
        self._sql.execute("PRAGMA synchronous = FULL")
        self._sql.execute("PRAGMA foreign_keys = ON")

    def _check_identity(self) -> None:
        application_id = self._value("PRAGMA application_id")
        version = self._value("PRAGMA user_version")
        if application_id != schema.APPLICATION_ID:
            raise StorageError(f"{self.path}: this is no ledger of ours; restore the job's directory from its last run")
        if version != schema.SCHEMA_VERSION:
            raise StorageError(
                f"{self.path}: the ledger has version {version}, this program knows {schema.SCHEMA_VERSION}; "
                "go on with the release that began the job"
            )

    # --- transactions ------------------------------------------------------------------------------------------------

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: {error}; mend the disk and run the same command again") from error

    def commit(self, changes: Sequence[Callable[[Self], Any]]) -> list[Any]:
        """Run every change in one durable transaction; return each one's result, or the exception that undid it.

        Raises `StorageError` when the transaction as a whole failed; then none of them happened.
        """
        with self._errors():
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                outcomes = [self._attempt(change) for change in changes]
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise
        return outcomes

    def _attempt(self, change: Callable[[Self], Any]) -> Any:
        self._sql.execute("SAVEPOINT change")
        try:
            outcome = change(self)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - handed to the one who asked for this change
            self._sql.execute("ROLLBACK TO change")
            outcome = error
        self._sql.execute("RELEASE change")
        return outcome

    def change(self, change: Callable[[Self], Any]) -> Any:
        """Run one change in a transaction of its own and return its result, or raise its exception."""
        (outcome,) = self.commit([change])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _row(self, statement: str, values: tuple[object, ...] = ()) -> tuple[Any, ...] | None:
        with self._errors():
            row: tuple[Any, ...] | None = self._sql.execute(statement, values).fetchone()
        return row

    def _value(self, statement: str, values: tuple[object, ...] = ()) -> Any:
        row = self._row(statement, values)
        return None if row is None else row[0]


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise StorageError(f"{path}: {error}; is the job's directory complete?") from error
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection
