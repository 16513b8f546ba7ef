"""The ledger in one SQLite file with one writing connection.

A change is durable when the commit returns: WAL with `synchronous=FULL`. NORMAL may lose the last commits on power
loss, which here means paying twice.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from orchestrator.errors import StorageError
from orchestrator.files import FILE_MODE, PART_SUFFIX, disk_errors, make_private_directory, sync_directory
from orchestrator.ledger import sqlite_schema
from orchestrator.ledger.connection import RESTORE, Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

VERSION: Final = f"SQLite {sqlite3.sqlite_version}"

_ERRORS_OF_A_CHANGE = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
"""A violated constraint says nothing about the disk; every other error of SQLite fails the transaction as a whole."""

_CLOSE_PATIENCE_MS = 500
"""A reader in the middle of reading keeps the log from the file: an end must not wait for it for long."""

_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


class SQLite(Connection):
    """An open ledger file. Made by `create`, `open` or `open_to_read`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, writes: bool) -> None:
        super().__init__(str(path))
        self._sql = connection
        self._writes = writes
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
            # A log without its main file counts too: it would be replayed into the new one.
            for remains in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))):
                if remains.exists():
                    raise StorageError(
                        f"{remains}: the job has a ledger already; restore its directory from its last run"
                    )
            part.unlink(missing_ok=True)
            os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))
        made = cls(_connect(part, "rw"), part, writes=True)
        with closing(made), _Errors(part):
            made._sql.executescript(f"BEGIN; {sqlite_schema.CREATE}")
            made._sql.execute(
                "INSERT INTO job (only_row, job_id, name, reading, counts) VALUES (1, ?, '', '{}', '{}')", (job_id,)
            )
            made._sql.execute("COMMIT")
        with disk_errors(path):
            part.replace(path)
            sync_directory(path.parent)
            sync_directory(path.parent.parent)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing ledger for writing; the caller holds the job's lock. `StorageError` when it is not ours."""
        opened = cls(_connect(path, "rw"), path, writes=True)
        opened._begin_use()
        return opened

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open an existing ledger beside a run that may be writing to it; works in a read-only directory too.

        Only what a power loss cut off in its middle, while the ledger was being opened or closed, has to be taken back
        in the file before anybody can read it.
        """
        opened = cls(_connect(path, "ro"), path, writes=False)
        if opened._is_cut_off():
            opened._roll_back_what_was_cut_off()
        opened._begin_use()
        return opened

    @classmethod
    def mirror(cls, name: str) -> Self:
        """Make an empty one that ends with this process: in memory, and in a file without a name where it grows."""
        made = cls(sqlite3.connect("", isolation_level=None, check_same_thread=False), Path(name), writes=True)
        made._sql.execute("PRAGMA synchronous = OFF")
        made._sql.executescript(sqlite_schema.CREATE)
        return made

    @contextmanager
    def filled(self) -> Iterator[Callable[[str, Iterable[Sequence[object]]], None]]:
        """Take rows as they stand elsewhere, without what triggers make of them; then begin to keep the references."""
        triggers = list(self.rows("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"))
        self.begin()
        for name, _ in triggers:
            self.run(f"DROP TRIGGER {name}")
        yield self.run_many
        for _, statement in triggers:
            self.run(statement)
        self.commit()
        self._sql.execute("PRAGMA foreign_keys = ON")

    def _begin_use(self) -> None:
        try:
            with _Errors(self.path):
                version = self._check_identity()
                if self._writes:
                    self._to_wal()
                if version < sqlite_schema.SCHEMA_VERSION:
                    self._bring_up_to_date(version)
        except BaseException:
            self._sql.close()
            raise

    def _to_wal(self) -> None:
        if self.value("PRAGMA journal_mode = WAL") != "wal":
            raise StorageError(f"{self.path}: this file system can't hold a ledger; use a directory on a local disk")
        # NORMAL is the usual choice beside WAL, and loses the last commits when the power goes.
        self._sql.execute("PRAGMA synchronous = FULL")
        self._sql.execute("PRAGMA foreign_keys = ON")

    def _check_identity(self) -> int:
        """Return the ledger's version, which may be an earlier one that `STEPS` leads on from."""
        application_id = self.value("PRAGMA application_id")
        version = self.value("PRAGMA user_version")
        if application_id != sqlite_schema.APPLICATION_ID:
            raise StorageError(f"{self.path}: this is no ledger of ours; {RESTORE}")
        if version not in (*sqlite_schema.STEPS, sqlite_schema.SCHEMA_VERSION):
            raise StorageError(
                f"{self.path}: the ledger has version {version}, this program knows {sqlite_schema.SCHEMA_VERSION}; "
                "go on with the release that ran the job last"
            )
        return int(version)

    def _bring_up_to_date(self, version: int) -> None:
        """Take the steps from an earlier version, all or none; one who only reads takes them in a copy in memory.

        The copy is of the whole ledger: memory that only the first look at an old job takes, until its next run.
        """
        if not self._writes:
            old, self._sql = self._sql, sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            with closing(old):
                old.backup(self._sql)
        steps = "".join(sqlite_schema.STEPS[step] for step in range(version, sqlite_schema.SCHEMA_VERSION))
        self._sql.executescript(
            f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {sqlite_schema.SCHEMA_VERSION}; COMMIT"
        )

    def _is_cut_off(self) -> bool:
        try:
            self._sql.execute("PRAGMA application_id").fetchone()
        except sqlite3.Error as error:
            return _code(error) == sqlite3.SQLITE_READONLY_ROLLBACK
        return False

    def _roll_back_what_was_cut_off(self) -> None:
        """Let SQLite take back an unfinished change, which it does at the first look of somebody who may write."""
        self._sql.close()
        self._sql = _connect(self.path, "rw")
        try:
            self.value("PRAGMA application_id")
        finally:
            self._sql.close()
        self._sql = _connect(self.path, "ro")

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

    # --- statements --------------------------------------------------------------------------------------------------

    def run(self, statement: str, values: Sequence[object] = ()) -> int:
        try:
            return self._sql.execute(statement, values).rowcount
        except _ERRORS_OF_A_CHANGE:
            raise
        except sqlite3.Error as error:
            raise _failed(self.path, error) from error

    def run_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        try:
            self._sql.executemany(statement, rows)
        except _ERRORS_OF_A_CHANGE:
            raise
        except sqlite3.Error as error:
            raise _failed(self.path, error) from error

    def row(self, statement: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        with _Errors(self.path):
            row: tuple[Any, ...] | None = self._sql.execute(statement, values).fetchone()
        return row

    def rows(self, statement: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        with _Errors(self.path):
            for row in self._sql.execute(statement, values):  # noqa: UP028 - `yield from` would close it once more
                yield row

    def begin(self) -> None:
        # The lock is taken now: a plain BEGIN takes it at the first change, which may then fail for another writer.
        self.run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        with _Errors(self.path):
            self._sql.execute("COMMIT")

    @property
    def in_transaction(self) -> bool:
        return self._sql.in_transaction

    @property
    def changed_rows(self) -> int:
        return self._sql.total_changes

    # --- the whole of it ---------------------------------------------------------------------------------------------

    def defer_references(self) -> None:
        self._sql.execute("PRAGMA defer_foreign_keys = ON")

    def rewrite_texts(self, rewrite: Callable[[str], str], *, leave: Container[str]) -> None:
        self._sql.create_function("rewritten", 1, lambda text: text and rewrite(text))
        for (table,) in list(self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")):
            for _, column, kind, _, _, key in list(self.rows(f"PRAGMA table_info({table})")):
                if kind == "TEXT" and not key and column not in leave:
                    self.run(f"UPDATE {table} SET {column} = rewritten({column}) WHERE {column} <> rewritten({column})")

    def compact(self) -> None:
        """Write the file anew, so that nothing is left of what was changed: no page that is free, and no log.

        Raises `StorageError`, also while somebody reads: then the log has to stay.
        """
        try:
            mode = self.value("PRAGMA journal_mode = DELETE")
        except StorageError:
            mode = ""
        if mode != "delete":
            raise StorageError(f"{self.path}: another program is reading the ledger; end it, then purge again")
        self.run("VACUUM")


class _Errors:
    """Turns errors of SQLite into `StorageError`; around every reading, so cheaper than a generator."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.ProgrammingError):
            raise _failed(self._path, error) from error


def _failed(path: Path, error: sqlite3.Error) -> StorageError:
    damaged = _code(error) & 0xFF in _DAMAGED  # the low byte is the kind, without its variety
    return StorageError(f"{path}: {error}; {RESTORE if damaged else 'repair the disk and run the same command again'}")


def _code(error: sqlite3.Error) -> int:
    # Python finds text that is no UTF-8 by itself, and gives no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise StorageError(f"{path}: {error}; is the job's directory complete?") from error
    # One who only reads holds a writer up for a moment, when the log goes into the file; and the other way round.
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection
