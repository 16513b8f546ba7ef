"""One SQLite file with one writing connection: opening, transactions, closing.

A change is durable when `commit` returns: WAL with `synchronous=FULL`. NORMAL may lose the last commits on power loss,
which here means paying twice.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Self

from orchestrator.errors import StorageError
from orchestrator.files import FILE_MODE, PART_SUFFIX, disk_errors, make_private_directory, sync_directory
from orchestrator.ledger import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_ERRORS_OF_A_CHANGE = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
"""A violated constraint says nothing about the disk; every other error of SQLite fails the transaction as a whole."""

_CLOSE_PATIENCE_MS = 500

_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_RESTORE = "restore the job's directory from its last run"
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What comes of values that this program never wrote."""


class Database:
    """An open ledger file. Made by `create`, `open` or `open_to_read`; a context manager that closes it."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, writes: bool) -> None:
        self._sql = connection
        self._writes = writes
        self._changes_before = 0
        self.path = path

    # --- opening and closing -----------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, job_id: str) -> Self:
        """Make an empty ledger for a job without a plan. A crash leaves either none or a whole one.

        `StorageError` when there is one already, or what is left of one: a ledger begun anew would pay twice.
        """
        make_private_directory(path.parent)
        part = path.with_name(path.name + PART_SUFFIX)
        with disk_errors(path):
            _refuse_remains(path)
            part.unlink(missing_ok=True)
            os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))
        database = cls(_connect(part, "rw"), part, writes=True)
        with database, database._errors():
            database._sql.executescript(f"BEGIN; {schema.CREATE}")
            database._sql.execute(
                "INSERT INTO job (only_row, job_id, name, reading, counts) VALUES (1, ?, '', '{}', '{}')",
                (job_id,),
            )
            database._sql.execute("COMMIT")
        with disk_errors(path):
            part.replace(path)
            sync_directory(path.parent)
            sync_directory(path.parent.parent)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing ledger for writing; the caller holds the job's lock. `StorageError` when it is not ours."""
        ledger = cls(_connect(path, "rw"), path, writes=True)
        ledger._begin_use()
        return ledger

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open an existing ledger beside a run that may be writing to it; works in a read-only directory too.

        Only what a power loss cut off in its middle, while the ledger was being opened or closed, has to be taken back
        in the file before anybody can read it.
        """
        ledger = cls(_connect(path, "ro"), path, writes=False)
        if ledger._is_cut_off():
            ledger._take_back()
        ledger._begin_use()
        return ledger

    def _bring_up_to_date(self, version: int) -> None:
        """Take the steps from an earlier version, all or none; one who only reads takes them in a copy in memory.

        The copy is of the whole ledger: memory that only the first look at an old job takes, until its next run.
        """
        if not self._writes:
            old, self._sql = self._sql, sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            with closing(old):
                old.backup(self._sql)
        steps = "".join(schema.STEPS[step] for step in range(version, schema.SCHEMA_VERSION))
        self._sql.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {schema.SCHEMA_VERSION}; COMMIT")

    def _is_cut_off(self) -> bool:
        try:
            self._sql.execute("PRAGMA application_id").fetchone()
        except sqlite3.Error as error:
            return _code(error) == sqlite3.SQLITE_READONLY_ROLLBACK
        return False

    def _take_back(self) -> None:
        """Let SQLite take back an unfinished change, which it does at the first look of somebody who may write."""
        self._sql.close()
        self._sql = _connect(self.path, "rw")
        try:
            self._value("PRAGMA application_id")
        finally:
            self._sql.close()
        self._sql = _connect(self.path, "ro")

    def _begin_use(self) -> None:
        try:
            with self._errors():
                version = self._check_identity()
                if self._writes:
                    self._to_wal()
                if version < schema.SCHEMA_VERSION:
                    self._bring_up_to_date(version)
        except BaseException:
            self._sql.close()
            raise

    def close(self) -> None:
        """Close; the writer leaves one file behind, without `-wal` and `-shm`.

        While a reader is looking the log has to stay, but whatever is in it goes into the main file if that is
        possible: then a copy of that one file is whole.
        """
        try:
            if self._writes:
                self._sql.execute(f"PRAGMA busy_timeout = {_CLOSE_PATIENCE_MS}")
                self._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._sql.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error:
            pass  # what was committed is in the log, which is as durable; and closing must not hide why we close
        finally:
            self._sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _to_wal(self) -> None:
        if self._value("PRAGMA journal_mode = WAL") != "wal":
            raise StorageError(f"{self.path}: this file system can't hold a ledger; use a directory on a local disk")
        self._sql.execute("PRAGMA synchronous = FULL")
        self._sql.execute("PRAGMA foreign_keys = ON")

    def _check_identity(self) -> int:
        """Return the ledger's version, which may be an earlier one that `schema.STEPS` leads on from."""
        application_id = self._value("PRAGMA application_id")
        version = self._value("PRAGMA user_version")
        if application_id != schema.APPLICATION_ID:
            raise StorageError(f"{self.path}: this is no ledger of ours; {_RESTORE}")
        if version not in (*schema.STEPS, schema.SCHEMA_VERSION):
            raise StorageError(
                f"{self.path}: the ledger has version {version}, this program knows {schema.SCHEMA_VERSION}; "
                "go on with the release that ran the job last"
            )
        return int(version)

    # --- transactions ------------------------------------------------------------------------------------------------

    def _errors(self) -> _Errors:
        return _Errors(self.path)

    def _damaged(self, what: str) -> StorageError:
        return StorageError(f"{self.path}: {what}; {_RESTORE}")

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Turn what comes of values that make no sense into `StorageError`: SQLite guards their types alone."""
        try:
            yield
        except _NONSENSE as error:
            raise self._damaged(f"a record is damaged ({type(error).__name__})") from error

    def commit(self, changes: Sequence[Callable[[Self], Any]]) -> list[Any]:
        """Run every change in one durable transaction; return each one's result, or the exception that undid it.

        Raises `StorageError` when the transaction as a whole failed; then none of them happened.
        """
        outcomes = self.apply(changes)
        self.seal()
        return outcomes

    def apply(self, changes: Sequence[Callable[[Self], Any]]) -> list[Any]:
        """Do the first half of `commit`, all but the sync: `seal` must follow, and nothing may come in between."""
        with self._errors():
            self._sql.execute("BEGIN IMMEDIATE")
            self._changes_before = self._sql.total_changes
            try:
                outcomes = [self._attempt(change) for change in changes]
                if self.unsealed:
                    self._sql.execute("UPDATE job SET position = position + 1")
            except BaseException:
                self._roll_back()
                raise
        return outcomes

    @property
    def unsealed(self) -> bool:
        """Whether `seal` has anything to make durable, and will wait for the disk."""
        return self._sql.total_changes != self._changes_before

    def seal(self) -> None:
        """Make durable what was applied; raises as `commit` does."""
        with self._errors():
            try:
                self._sql.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._sql.in_transaction:
            self._sql.execute("ROLLBACK")

    def _attempt(self, change: Callable[[Self], Any]) -> Any:
        self._sql.execute("SAVEPOINT change")
        before = self._sql.total_changes
        try:
            outcome = change(self)
        except Exception as error:
            if isinstance(error, (sqlite3.Error, StorageError)) and not isinstance(error, _ERRORS_OF_A_CHANGE):
                raise
            self._sql.execute("ROLLBACK TO change")
            self._changes_before += self._sql.total_changes - before  # they count although they are undone
            outcome = error  # handed to the one who asked for this change
        self._sql.execute("RELEASE change")
        return outcome

    def change(self, change: Callable[[Self], Any]) -> Any:
        """Run one change in a transaction of its own and return its result, or raise its exception."""
        (outcome,) = self.commit([change])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def compact(self) -> None:
        """Write the file anew, so that nothing is left of what was changed: no page that is free, and no log.

        Raises `StorageError`, also while somebody reads: then the log has to stay.
        """
        with self._errors():
            try:
                mode = self._value("PRAGMA journal_mode = DELETE")
            except StorageError:
                mode = ""
            if mode != "delete":
                raise StorageError(f"{self.path}: another program is reading the ledger; end it, then purge again")
            self._sql.execute("VACUUM")

    def _row(self, statement: str, values: tuple[object, ...] = ()) -> tuple[Any, ...] | None:
        with self._errors():
            row: tuple[Any, ...] | None = self._sql.execute(statement, values).fetchone()
        return row

    def _rows(self, statement: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        with self._errors():
            for row in self._sql.execute(statement, values):  # noqa: UP028 - `yield from` would close it once more
                yield row

    def _value(self, statement: str, values: tuple[object, ...] = ()) -> Any:
        row = self._row(statement, values)
        return None if row is None else row[0]


class _Errors:
    """Turns errors of SQLite into `StorageError`; around every statement, so cheaper than a generator."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.ProgrammingError):
            damaged = _code(error) & 0xFF in _DAMAGED  # the low byte is the kind, without its variety
            way_out = _RESTORE if damaged else "mend the disk and run the same command again"
            raise StorageError(f"{self._path}: {error}; {way_out}") from error


def _code(error: sqlite3.Error) -> int:
    # Python finds text that is no UTF-8 by itself, and gives no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)


def _refuse_remains(path: Path) -> None:
    # A log without its main file counts too: it would be replayed into the new one.
    for remains in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))):
        if remains.exists():
            raise StorageError(f"{remains}: the job has a ledger already; restore its directory from its last run")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise StorageError(f"{path}: {error}; is the job's directory complete?") from error
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection
