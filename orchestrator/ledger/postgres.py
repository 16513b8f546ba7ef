"""The ledger in a PostgreSQL database, by way of a mirror of it on this machine.

What the ledger says is said to the mirror, an SQLite database that only this process sees and that ends with it: so no
statement waits for a network, and the rules are those of any other ledger. A commit sends the rows that were changed,
as they are now, in one trip behind the fence of the lease, and lets the mirror commit once the database has. Nobody
but the holder of the lease writes, and the fence compares the position that every commit raises: so the mirror is what
the database has, and what does not happen there does not happen here.

A commit whose answer is lost is looked up, on a new connection, before anything else leaves; one that has not happened
is sent again. Whoever opens the ledger makes the mirror anew.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.interrupts import interruptible
from orchestrator.ledger import lease as leases
from orchestrator.ledger import postgres_schema as schema
from orchestrator.ledger import sharing
from orchestrator.ledger.connection import ApplyAgainError, Connection, Turn, marks
from orchestrator.ledger.line import IDLE_S, PASSING, WORK_S, DatabaseError, Line, LineLostError, OthersSpentError
from orchestrator.ledger.sqlite import SQLite

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from orchestrator.ledger.database import Database
    from orchestrator.ledger.lease import Lease
    from orchestrator.ledger.line import Statement
    from orchestrator.ledger.postgres_schema import Table

T = TypeVar("T")

ROWS_A_STATEMENT: Final = 5_000
PAUSE_S: Final = 0.2
"""Between two attempts to reach a server that is out of reach."""
READ_TRIES: Final = 3
PATIENCE_LEASES: Final = 2
"""For how many times the lease's length a server may be out of reach before the run ends."""

_RESTORE: Final = "restore the database from its last backup, and name the last run's token with --after"
_NO_HURRY: Final = (
    "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true), "
    f"set_config('idle_in_transaction_session_timeout', '{IDLE_S * 1000}', true)"
)
_SNAPSHOT: Final = f"BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; {_NO_HURRY}"
_MAKING: Final = f"BEGIN; {_NO_HURRY}"
"""What a role is told of times would end a transaction of several trips: so that is said in the first."""
_HAS_TABLES: Final = f"SELECT to_regclass('{schema.SCHEMA}.schema_version') IS NOT NULL"
_HAS_JOB: Final = f"SELECT 1 FROM {schema.SCHEMA}.lease JOIN {schema.SCHEMA}.job USING (job) WHERE lease.name = %s"
_HAS_SCHEMA: Final = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
_VERSION: Final = f"SELECT version, shape FROM {schema.SCHEMA}.schema_version"
_COLUMNS: Final = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s"


def _clock() -> float:
    """Return a time that runs on while the machine sleeps, where the system has one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def has_job(database: Database) -> bool:
    """Whether the database has a ledger for the job; `StorageError` when it is out of reach."""
    line = _opened(database)[0]
    try:
        return bool(line.plainly(_HAS_TABLES)[0][0]) and bool(line.plainly(_HAS_JOB, (database.job,)))
    except LineLostError as error:
        raise _out_of_reach(database, error) from None
    finally:
        line.close()


class PostgreSQL(Connection):
    """An open ledger in a database. Made by `create`, `open` or `open_to_read`."""

    restore = _RESTORE

    def __init__(self, database: Database, line: Line, mirror: SQLite) -> None:
        super().__init__(str(database))
        self.mirror = mirror
        self._database = database
        self._line = line
        self._tables = schema.tables_of(mirror)
        self._changed: list[Table] = []
        self._how_much = "SELECT " + ", ".join(
            f"(SELECT {which}(much) FROM {table.log})" for table in self._tables for which in ("min", "max")
        )
        self._shared: dict[str, Sequence[str]] = {}
        self._spent: list[int] = []
        self._others_seen = 0
        self._lease: Lease | None = None
        self._broken: StorageError | None = None
        self._lock = threading.Lock()
        self._heard_at = 0.0
        self._closing = threading.Event()
        self._keeper: threading.Thread | None = None

    # --- opening and closing -----------------------------------------------------------------------------------------

    @classmethod
    def create(cls, database: Database, job_id: str, tell: Callable[[str], None] = lambda _: None) -> Self:
        """Make an empty ledger for a job without a plan, and the tables of all jobs where there are none.

        `tell` hears what is waited for. `StorageError` when there is one already: begun anew it would pay twice.
        """
        made = cls.open(database, tell)
        try:
            if made.value("SELECT 1 FROM job") is not None:
                raise StorageError(f"{database}: the job has a ledger already; run the same command again")
            made.begin()
            made.run(
                "INSERT INTO job (only_row, job_id, name, reading, counts, position) VALUES (1, ?, '', '{}', '{}', 1)",
                (job_id,),
            )
            made.commit()
        except BaseException:
            made.close()
            raise
        return made

    @classmethod
    def open(cls, database: Database, tell: Callable[[str], None] = lambda _: None) -> Self:
        """Open a ledger for writing: wait for its lease, and hold that until `close`; raises `LockedError`."""
        line, where = _opened(database)
        opened = cls(database, line, SQLite.mirror(str(database)))
        with opened._closed_on_failure():
            opened._bring_up_to_date()
            with interruptible():  # it may take as long as a CI system lets a cancelled job live
                opened._lease = leases.take(line, database, where, tell)
            opened._heard_at = _clock()
            opened._load()
            opened._follow_changes()
            opened._keeper = threading.Thread(target=opened._keep, name="lease", daemon=True)
            opened._keeper.start()
        return opened

    @classmethod
    def open_to_read(cls, database: Database) -> Self:
        """Open an existing ledger beside a run that may be writing to it: as it stands at this moment."""
        for tries_left in reversed(range(READ_TRIES)):
            line = Line(database)
            opened = cls(database, line, SQLite.mirror(str(database)))
            with opened._closed_on_failure():
                try:
                    with interruptible():
                        line.open()
                    opened._load()
                except LineLostError:  # which is no reason to end what the reading is for
                    if not tries_left:
                        raise
                    opened.close()
                    continue
            line.close()
            return opened
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        try:
            yield
        except LineLostError as error:
            self.close()
            raise _out_of_reach(self._database, error) from None
        except BaseException:
            self.close()
            raise

    def _bring_up_to_date(self) -> None:
        """Make the tables, or add what those of an earlier release lack; one program at a time."""

        def is_current() -> bool:
            if not self._line.plainly(_HAS_TABLES)[0][0]:
                return False
            version, shape = next(iter(self._line.plainly(_VERSION)), (0, ""))
            if version > schema.VERSION:
                raise StorageError(
                    f"{self.name}: the ledgers there have version {version}, this program knows {schema.VERSION}; go "
                    "on with the release that ran a job there last"
                )
            return bool((version, shape) == (schema.VERSION, expected))

        expected = schema.shape(self._tables)
        if is_current():
            return
        self._line.plainly(_MAKING)
        self._line.plainly(f"SELECT pg_advisory_xact_lock({schema.MAKING}, 0)", work_s=WORK_S)
        if not is_current():
            if not self._line.plainly(_HAS_SCHEMA, (schema.SCHEMA,)):
                self._line.plainly(f"CREATE SCHEMA {schema.SCHEMA}")
            if self._line.plainly(_HAS_TABLES)[0][0]:
                there: dict[str, set[str]] = {}
                for table, column in self._line.plainly(_COLUMNS, (schema.SCHEMA,)):
                    there.setdefault(table, set()).add(column)
                self._line.plainly(schema.additions(self._tables, there), work_s=WORK_S)
                self._line.plainly(f"DELETE FROM {schema.SCHEMA}.schema_version")
            elif foreign := self._line.plainly(_COLUMNS, (schema.SCHEMA,)):
                raise StorageError(
                    f"{self.name}: a schema {schema.SCHEMA} is there that is not of this program, with a table "
                    f"{foreign[0][0]}; name another database"
                )
            else:
                self._line.plainly(schema.creation(self._tables))
            note = f"INSERT INTO {schema.SCHEMA}.schema_version VALUES (%s, %s)"
            self._line.plainly(note, (schema.VERSION, expected))
        self._line.plainly("COMMIT")

    def _load(self) -> None:
        """Fill the mirror with what the database has at this moment."""
        line = self._line
        line.plainly(_SNAPSHOT)
        seen = leases.look(line, self._database.job)
        if seen is None:
            raise StorageError(f"{self.name}: there is no such job in the database")
        with self.mirror.filled() as fill:
            for table in self._tables if seen.position else ():  # nothing was ever committed
                names = ", ".join(column.name for column in table.columns)
                marks = ", ".join("?" * len(table.columns))
                rows = line.copied(table.read(seen.job), table.types())
                fill(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows)
        self._others_seen = int(line.plainly(sharing.SEEN, (seen.job, seen.job, None, None))[0][0])
        line.plainly("COMMIT")

    def close(self) -> None:
        self._closing.set()
        if self._keeper is not None:
            self._keeper.join()
        try:
            if self._lease is not None and self._broken is None and self._line.is_open:
                leases.end(self._line, self._lease)
        except (LineLostError, StorageError):
            pass  # then it runs out
        finally:
            self._line.close()
            self.mirror.close()

    # --- the mirror --------------------------------------------------------------------------------------------------

    def run(self, statement: str, values: Sequence[object] = ()) -> int:
        return self.mirror.run(statement, _without_nul(values))

    def run_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        self.mirror.run_many(statement, map(_without_nul, rows))

    def row(self, statement: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        return self.mirror.row(statement, _without_nul(values))

    def rows(self, statement: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        return self.mirror.rows(statement, _without_nul(values))

    def begin(self) -> None:
        self.mirror.begin()

    @property
    def in_transaction(self) -> bool:
        return self.mirror.in_transaction

    @property
    def changed_rows(self) -> int:
        return self.mirror.changed_rows

    def defer_references(self) -> None:
        self.mirror.defer_references()

    def rewrite_texts(self, rewrite: Callable[[str], str], *, leave: Container[str]) -> None:
        self.mirror.rewrite_texts(rewrite, leave=leave)

    def compact(self) -> None:
        """Let the server overwrite what was changed: its log and its backups keep it for as long as they are kept."""
        with self._lock:
            try:
                for table in self._tables:
                    self._line.plainly(f"VACUUM {schema.SCHEMA}.{table.name}", work_s=WORK_S)
            except LineLostError as error:
                raise _out_of_reach(self._database, error) from None
            except DatabaseError as error:
                if error.code not in PASSING:  # else the server does it by itself, later
                    raise

    # --- commits -----------------------------------------------------------------------------------------------------

    @property
    def holds(self) -> bool:
        """Whether nobody else can have taken the lease by now, however long this process was asleep.

        The time is counted from when the database was last asked, so before it has answered. It only ever says no
        too early: what binds is the fence.
        """
        return self._broken is None and _clock() - self._heard_at < self._database.lease_s

    def commit(self) -> None:
        """Make the transaction durable in the database, then in the mirror; raises `StorageError`."""
        if self._lease is not None:
            if self.others_in_question:
                self._ask_for_others(self._lease.job)
            self._changed.clear()
            if statements := list(self._changes(self._lease.job)):
                spent = self._spent_at(self._shared)
                if spent != self._spent:  # last, for other jobs wait for these rows
                    statements.append(sharing.charge(self._lease.job, self._shared, spent, self.room_nano))
                try:
                    with self._lock:
                        self._lease = self._send(statements)
                except OthersSpentError as error:
                    self.others_nano = error.nano
                    raise ApplyAgainError from None
                self._spent = spent
        try:
            for table in self._changed:
                self.mirror.run(f"DELETE FROM {table.log}")
            self.mirror.commit()
        except StorageError as error:  # it is behind the database: nothing may follow that is made of what it says
            self._broken = self._broken or error
            raise

    def _send(self, statements: Sequence[Statement]) -> Lease:
        """Commit in the database; return the lease as it is behind that."""
        after = int(self.mirror.value("SELECT position FROM job"))
        if self._broken is not None:
            raise self._broken
        try:
            lease = self._persistently(partial(self._attempt, statements, after))
        except BaseException as error:
            # Refused, nothing of it has happened.
            if self._broken is None and not isinstance(error, DatabaseError):
                # Whether it has happened nobody here will find out: no position that comes after it says so.
                cut_off = StorageError(f"{self.name}: a commit was cut off; run the same command again")
                self._broken = error if isinstance(error, StorageError) else cut_off
                self._line.close()
            raise
        return lease._replace(position=after)

    def _persistently(self, attempt: Callable[[], T]) -> T:
        """Make attempts, for as long as a server may be out of reach or fails by what the next need not meet."""
        until = math.inf
        while True:
            try:
                return attempt()
            except (LineLostError, DatabaseError) as error:
                # From here on: what took long before may have been lost late.
                until = min(until, _clock() + PATIENCE_LEASES * self._database.lease_s)
                is_patient = _clock() < until
                if isinstance(error, DatabaseError):
                    if error.code not in PASSING or not is_patient:
                        raise
                elif not is_patient:
                    raise _out_of_reach(self._database, error) from None
                else:
                    time.sleep(PAUSE_S)

    def _attempt(self, statements: Sequence[Statement], after: int) -> Lease:
        """Commit, unless that turns out to have happened; return the lease by which it has."""
        if (lease := self._lease) is None:
            raise AssertionError("a commit without a lease")
        asked, happened = _clock(), False
        if not self._line.is_open:
            lease, happened = self._reconnected(lease, after)
        if not happened:
            said = self._line.transact([lease.fence(after), *statements])
            if statements[-1][0] == sharing.CHARGE:
                self.others_nano = int(said[-1][0][0])
        self._heard_at = asked
        return lease

    def _reconnected(self, lease: Lease, after: int) -> tuple[Lease, bool]:
        """Connect anew and find out whether the commit that led to `after` has happened.

        On another timeline nothing can be found out: there the database may lack what it had said to be committed.
        """
        where = self._line.open()
        try:
            if where != (lease.server, lease.timeline):
                raise StorageError(leases.failed_over(self._database, lease.timeline, where))
            self._lease, happened = leases.settle(self._line, lease, self._database, after)
        except DatabaseError as error:  # it is not the commit that was refused
            self._line.close()
            raise LineLostError(error.said, error.way_out) from None
        except StorageError as error:
            self._broken = error
            raise
        return self._lease, happened

    # --- what jobs share ---------------------------------------------------------------------------------------------

    def fingerprint(self, base_url: str, key: str) -> str:
        ((salt,),) = self._patiently(lambda line: line.plainly(sharing.SALT))
        return sharing.fingerprint(base_url, key, salt)

    def share(self, vendors: Mapping[str, Sequence[str]]) -> None:
        if self._lease is None:
            return
        shared = dict(sorted(vendors.items()))
        spent, job = self._spent_at(shared), self._lease.job
        rows = self._patiently(lambda line: line.transact(sharing.begin(job, shared, spent)))
        self._shared, self._spent, self.others_nano = shared, spent, int(rows[-1][0][0])

    def others_spent(self, vendors: Sequence[str] | None = None) -> int:
        if vendors is None or self._lease is None:
            return self._others_seen
        values = (self._lease.job, self._lease.job, list(vendors), list(vendors))
        return int(self._patiently(lambda line: line.plainly(sharing.SEEN, values))[0][0])

    def turn(self, vendor: str, holder: str, *, places: int, spacing_s: float, slack_s: float) -> Turn:
        values = (vendor, holder, places, spacing_s, slack_s)
        return Turn(*self._patiently(lambda line: line.transact([(sharing.TURN, values)]))[0][0])

    def _ask_for_others(self, job: int) -> None:
        """See whether others have got something back; raises `ApplyAgainError` if so."""
        before, self.others_in_question = self.others_nano, False
        values = (job, list(self._shared))
        self.others_nano = int(self._patiently(lambda line: line.plainly(sharing.OTHERS, values))[0][0])
        if self.others_nano < before:
            raise ApplyAgainError

    def _spent_at(self, shared: Mapping[str, Sequence[str]]) -> list[int]:
        costs = "SELECT coalesce(sum(cost_nano), 0) FROM platforms WHERE name IN ({})"
        return [int(self.mirror.value(costs.format(marks(names)), names)) for names in shared.values()]

    def _patiently(self, do: Callable[[Line], T]) -> T:
        """Do what may be done twice, also where the connection has to be made anew for it."""

        def attempt() -> T:
            if self._broken is not None or self._lease is None or self._closing.is_set():
                raise self._broken or StorageError(f"{self.name}: not open for writing")
            if not self._line.is_open:
                self._reconnected(self._lease, self._lease.position)
            return do(self._line)

        with self._lock:
            return self._persistently(attempt)

    def _changes(self, job: int) -> Iterator[Statement]:
        """Return the statements that make the database's rows what the mirror's are since the last commit."""
        found = self.mirror.row(self._how_much) or ()
        for table, least, most in zip(self._tables, found[::2], found[1::2], strict=True):
            if most is None:
                continue
            if most == schema.GONE:
                yield from ((table.remove, (job, *batch)) for batch in _batches(self.mirror.rows(table.gone)))
            if most > schema.SMALL or not table.has_large:
                kept = self.mirror.rows(table.kept(whole=True))
                yield from ((table.put_whole, (job, *batch)) for batch in _batches(kept))
            if least == schema.SMALL and table.has_large:
                kept = self.mirror.rows(table.kept(whole=False))
                yield from ((table.put_small, (job, *batch)) for batch in _batches(kept))
            self._changed.append(table)

    def _follow_changes(self) -> None:
        """Have the mirror note the keys of rows that change, and whether something large of them does."""
        for table in self._tables:
            for statement in table.watch():
                self.mirror.run(statement)

    def _keep(self) -> None:
        """Tell the database, on a thread of its own, that this coordinator lives."""
        wait_s = self._database.lease_s / 3
        while not self._closing.wait(wait_s):
            wait_s = self._look_after()

    def _look_after(self) -> float:
        """Renew the lease, unless a commit does; return when to come again."""
        if self._broken is None and self._lock.acquire(blocking=False):
            try:
                self._renew()
            finally:
                self._lock.release()
        # What has found the connection lost has not renewed the lease.
        return self._database.lease_s / (3 if self._line.is_open else 30)

    def _renew(self) -> None:
        if self._lease is None:
            return
        asked = _clock()
        try:
            if not self._line.is_open:
                self._reconnected(self._lease, self._lease.position)
            leases.renew(self._line, self._lease, self._database)
        except LeaseLostError as error:
            self._broken = error
        except (LineLostError, StorageError):
            pass  # the next commit, or the next of these, tries again
        else:
            self._heard_at = asked


def _opened(database: Database) -> tuple[Line, tuple[str, int]]:
    line = Line(database)
    try:
        with interruptible():
            return line, line.open()
    except LineLostError as error:
        raise _out_of_reach(database, error) from None


def _out_of_reach(database: Database, error: LineLostError) -> StorageError:
    return StorageError(f"{database}: out of reach: {error}; {error.way_out}")


def _batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[list[Any]]]:
    """Yield some rows at a time, as a list for each of their columns."""
    left = iter(rows)
    while batch := list(islice(left, ROWS_A_STATEMENT)):
        yield [list(column) for column in zip(*batch, strict=True)]


def _without_nul(values: Sequence[object]) -> Sequence[object]:
    """Put a sign for unreadable ones in the place of NUL, which no text of PostgreSQL can hold."""
    if any(isinstance(value, str) and "\0" in value for value in values):
        return [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in values]
    return values
