"""The connection to a PostgreSQL server: one transaction is one trip, and whether it happened is always said.

All statements of a transaction leave together, its COMMIT with them. What comes back is their rows; or an error after
which nothing of it has happened; or, where the connection was lost, `LineLostError`: then nobody knows, and whoever
sent it has to look. Nothing of a session outlives its transaction, so a pooler may hand each one to another backend.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.ledger.database import conninfo, psycopg
from orchestrator.ledger.postgres_schema import LOST_LEASE, SPENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.ledger.database import Database

Statement = tuple[str, "Sequence[Any]"]

CONNECT_S: Final = 10
SILENCE_S: Final = 30
"""A server that answers nothing for so long is out of reach."""
LOCK_S: Final = 5
LOCK_NOT_HAD: Final = "55P03"
PASSING: Final = (LOCK_NOT_HAD, "40P01", "40001", "57014")
"""What the same transaction need not meet again: a lock that another one had, and a person who cancelled it."""
WORK_S: Final = 300.0
"""What a server may take for a statement that goes through a whole table, or waits for all that do."""
WATCH_S: Final = 1.0
"""How often it is looked whether an answer is overdue."""
IDLE_S: Final = 15
"""How long the server waits for the rest of a transaction whose coordinator was frozen in its middle."""
_AGAIN: Final = "run the same command again"
_REACH: Final = "see that the server can be reached, and run the same command again"
_WAYS_OUT: Final = {
    (LOCK_NOT_HAD,): (
        "another transaction there holds what this one needs; end it (pg_stat_activity shows it), and run the same "
        "command again"
    ),
    ("25006",): "have the server take changes, and run the same command again",
    ("42501", "28000", "28P01"): "see orchestrator help postgres for what its role needs",
    ("53100", "53200"): "give the server more room, and run the same command again",
}

_REFUSALS: Final = {
    ("authentication", "password"): (
        "put the password into the environment variable PGPASSWORD, or name a file that holds it with [ledger] "
        "password_file"
    ),
    ("statement pooling",): "set pool_mode of the pooler to transaction, or session, and run the same command again",
    ("startup parameter",): (
        "leave it out of [ledger] url and of the environment (PGOPTIONS, PGGEQO), or name it in the pooler's "
        "ignore_startup_parameters, and run the same command again"
    ),
}
"""What no repetition mends, by words of it: a code comes with none of these."""

_LIMITS: Final = (
    "SELECT set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true), "
    "set_config('statement_timeout', '0', true), set_config('tcp_keepalives_idle', '10', true), "
    "set_config('tcp_keepalives_interval', '5', true), set_config('tcp_keepalives_count', '3', true), "
    "set_config('array_nulls', 'on', true), set_config('extra_float_digits', '1', true), "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') "
    "WHEN 'off' THEN 'on' WHEN 'local' THEN 'on' ELSE current_setting('synchronous_commit') END, true)"
)
"""What server, database or role may have set otherwise; without two of these, other values arrive than were sent.

A server that has got half of a transaction waits for the rest without a limit of its own: where the machine that sent
it has vanished, the rows would be kept from all other jobs for the two hours of TCP.
"""
_KIND: Final = "SELECT pg_is_in_recovery(), current_setting('server_encoding')"
_HIDDEN: Final = ("42", "0A", "55")
"""The classes of errors by which some hosted servers hide which one they are: rights, features, states."""
_SERVER: Final = (
    "SELECT (SELECT system_identifier::text FROM pg_control_system()), "
    "('x' || lpad(substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), 16, '0'))::bit(64)::bigint"
)


class LineLostError(Exception):
    """The connection was lost, or said nothing that helps; whether the transaction on it has happened is not known."""

    def __init__(self, said: str, way_out: str = _REACH) -> None:
        super().__init__(said)
        self.way_out = way_out


class Line:
    """A connection that is open, or is not. Only one thread at a time may use it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._psycopg = psycopg()
        self._connection: Any = None
        self._closed = threading.Event()
        self._late_at = math.inf
        self._is_silent = False

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def open(self) -> tuple[str, int]:
        """Connect; return which server answers, and its timeline. `StorageError` for what no repetition mends."""
        self.close()
        self._is_silent = False
        settings = conninfo(
            self._database,
            connect_timeout=CONNECT_S,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=SILENCE_S * 1000,
            target_session_attrs="primary",  # of several hosts, the one that takes changes
            application_name=f"orchestrator {self._database.job}"[:60],
        )
        try:
            # No statement is prepared: behind a pooler the next one may reach another backend.
            self._connection = self._psycopg.connect(settings, autocommit=True, prepare_threshold=None)
        except self._psycopg.OperationalError as error:
            raise self._lost(_words(error)) from None
        self._closed = threading.Event()
        threading.Thread(target=self._watch, args=(self._closed,), name="line", daemon=True).start()
        try:
            ((in_recovery, encoding),) = self._plainly(_KIND, most_s=CONNECT_S)
            if in_recovery:
                raise LineLostError("this server is a copy that takes no changes")
            if encoding != "UTF8":  # the vendor's words may be in any script, and none may be lost
                raise StorageError(
                    f"{self._database}: the database has the encoding {encoding}, which can't hold every text; "
                    "name one that was made with ENCODING 'UTF8'"
                )
            try:
                ((server, timeline),) = self._plainly(_SERVER, most_s=CONNECT_S)
            except DatabaseError as error:
                if error.code[:2] not in _HIDDEN or error.code in PASSING:
                    raise
                return "", 0  # then a failover is not noticed
        except DatabaseError as error:  # which says nothing of what was sent before
            self.close()
            raise LineLostError(error.said, error.way_out) from None
        except BaseException:
            self.close()
            raise
        return str(server), int(timeline)

    def close(self) -> None:
        """Close it, whatever is on its way."""
        self._closed.set()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(self._psycopg.Error, OSError):
                connection.close()

    def cut(self) -> None:
        """Break off what another thread waits for without end."""
        connection = self._connection
        with (
            suppress(self._psycopg.Error, OSError, AttributeError),
            socket.socket(fileno=os.dup(connection.fileno())) as there,
        ):
            there.shutdown(socket.SHUT_RDWR)

    def transact(self, statements: Sequence[Statement], *, lock_s: float = LOCK_S) -> list[list[tuple[Any, ...]]]:
        """Run statements as one transaction in one trip; return the rows of each."""
        if not self.is_open:
            raise LineLostError("there is no connection")
        connection = self._connection
        limits = (f"{lock_s * 1000:.0f}", f"{IDLE_S * 1000}")
        # Each of them may wait for a lock, or have thousands of rows.
        with self._trip(SILENCE_S + LOCK_S * len(statements)), connection.pipeline():
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            connection.execute(_LIMITS, limits)
            cursors = [connection.execute(statement, values) for statement, values in statements]
            connection.execute("COMMIT")
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]

    def copied(self, statement: str, types: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a COPY in a transaction that was begun before, however long it takes while some come."""
        with self._trip(SILENCE_S), self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in copy.rows():
                self._late_at = time.monotonic() + SILENCE_S
                yield row

    def plainly(self, statement: str, values: Sequence[Any] = (), *, work_s: float = 0.0) -> list[tuple[Any, ...]]:
        """Run one statement by itself, for which the server may need `work_s`; return its rows."""
        if not self.is_open:
            raise LineLostError("there is no connection")
        return self._plainly(statement, values, most_s=SILENCE_S + work_s)

    def _plainly(self, statement: str, values: Sequence[Any] = (), *, most_s: float) -> list[tuple[Any, ...]]:
        with self._trip(most_s):
            cursor = self._connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def _trip(self, most_s: float) -> Iterator[None]:
        """Break off what takes longer, and say what errors mean.

        What lies between here and the server may swallow a question, or its answer, without a word.
        """
        self._late_at = time.monotonic() + most_s
        try:
            yield
        except self._psycopg.Error as error:
            raise self._understood(error) from None
        except OSError as error:
            self.close()
            raise self._lost(str(error)) from None
        finally:
            self._late_at = math.inf

    def _watch(self, closed: threading.Event) -> None:
        """Look after all trips of one connection; a thread for each trip would cost as much as the trip."""
        while not closed.wait(WATCH_S):
            if time.monotonic() > self._late_at:
                self._is_silent = True
                self.cut()

    def _understood(self, error: Exception) -> Exception:
        """Return what an error means; after it the connection is usable or closed, and no transaction is open."""
        connection = self._connection
        self._late_at = time.monotonic() + SILENCE_S
        with suppress(self._psycopg.Error, OSError):
            if not connection.closed and connection.info.transaction_status.name in ("INERROR", "INTRANS", "ACTIVE"):
                connection.execute("ROLLBACK")
        if connection.closed or connection.broken:
            self.close()
            return self._lost(_words(error))
        code, said = getattr(error, "sqlstate", None), _words(error)
        if code == LOST_LEASE:
            return lease_lost(self._database)
        if code == SPENT:
            return OthersSpentError(self._database, int(said))
        return DatabaseError(self._database, said, code or "")

    def _lost(self, said: str) -> Exception:
        """Return what it means that there is no connection, by what was said at its end."""
        for words, way_out in _REFUSALS.items():
            if any(word in said for word in words):
                return StorageError(f"{self._database}: {said}; {way_out}")
        return LineLostError("it answers nothing" if self._is_silent else said)


class DatabaseError(StorageError):
    """What the server has refused, with its SQLSTATE: nothing of the transaction has happened."""

    def __init__(self, database: Database, said: str, code: str) -> None:
        self.said, self.code = said, code
        self.way_out = next((words for codes, words in _WAYS_OUT.items() if code in codes), _AGAIN)
        super().__init__(f"{database}: {said}; {self.way_out}")


class OthersSpentError(DatabaseError):
    """Other jobs have spent so much, `nano`, that what the transaction releases does not fit the budget any more."""

    def __init__(self, database: Database, nano: int) -> None:
        super().__init__(database, f"other jobs have spent {nano / 1e9:g} USD of the budget", SPENT)
        self.nano = nano


def lease_lost(database: Database) -> LeaseLostError:
    return LeaseLostError(f"{database}: another coordinator has taken this job over; this one sends nothing more")


def _words(error: Exception) -> str:
    """Return what an error says, on one line."""
    diagnosed = getattr(getattr(error, "diag", None), "message_primary", None)
    return " ".join(str(diagnosed or error).split()) or type(error).__name__
