"""A job whose ledger is in a PostgreSQL database, and whose directory may be in a bucket, in virtual time.

The server is a real one, and so is what speaks to it: a trip there is a part of one turn of the loop, for which time
stands still. The lease runs by the database's own clock, so that one is virtual, too: a function of ours stands before
the system's on the search path. The thread with which a coordinator renews its lease is a timer of its process.

The bucket is a real store of the program's own library, in memory. It can lose, keep back and mix up what it was given.

A process that was killed says nothing more to either, whatever its code still does.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch
from weakref import WeakSet

from orchestrator.bucket import Bucket, FoundObject, NoObjectError
from orchestrator.errors import StorageError
from orchestrator.ledger import Database, Ledger
from orchestrator.ledger.line import Line, LineLostError, Statement
from orchestrator.ledger.postgres import PostgreSQL
from orchestrator.staging import object_name
from tests.postgres import ROLE, Server
from tests.simulation.faults import OF_ANY_CALL, OF_CALL, OF_GET, OF_LINE, OF_PUT, Mischief
from tests.simulation.gateway import Note
from tests.simulation.loop import LIFE, VirtualLoop
from tests.simulation.promises import promise

JOB: Final = "sim"
URL: Final = "s3://bucket/sim"
NAME: Final = "simulated"
"""The database in which simulated jobs have their ledgers, one after the other."""

_NOW: Final = "SELECT set_config('clock.now', %s, false)"
_CLOCK: Final = """
CREATE SCHEMA clock;
GRANT USAGE ON SCHEMA clock TO PUBLIC;
CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT to_timestamp(current_setting('clock.now')::float8) $$;
"""
_POSITION: Final = (
    "SELECT lease.position, epoch, ended FROM numbercheck.lease JOIN numbercheck.job USING (job) WHERE lease.name = %s"
)


class VirtualDatabase:
    """A database on a real server, for one simulated job at a time, whose clock is that of the simulation."""

    def __init__(self, server: Server) -> None:
        import psycopg  # noqa: PLC0415 - its extra may be missing

        server.sql(f"CREATE DATABASE {NAME}")
        server.sql(f"ALTER DATABASE {NAME} SET search_path = clock, pg_catalog")
        server.sql(f"{_CLOCK} GRANT CREATE ON DATABASE {NAME} TO {ROLE}", database=NAME)
        self.url = server.url(database=NAME)
        self._connection = psycopg.connect(server.url("postgres", NAME), autocommit=True)
        self._connection.execute("SET session_replication_role = replica")  # or its events could not be taken away

    def empty(self) -> None:
        """Take every job away."""
        if self.has_tables:
            self._connection.execute("TRUNCATE numbercheck.lease, numbercheck.turns, numbercheck.spending CASCADE")

    @property
    def has_tables(self) -> bool:
        row = self._connection.execute("SELECT to_regclass('numbercheck.lease') IS NOT NULL").fetchone()
        return row is not None and bool(row[0])

    def position(self) -> tuple[int, int, bool] | None:
        """Return how far the job's ledger has come, and its lease's epoch and end; None where there is no ledger."""
        return self._connection.execute(_POSITION, (JOB,)).fetchone() if self.has_tables else None

    def close(self) -> None:
        self._connection.close()


class Elsewhere:
    """The database and the bucket of one seed, as its processes see them.

    `clock` is the world's, which goes on while a machine sleeps. Troubles strike only what is done in a process while
    `troubled`. `passed` is told of each trip to the database and each call of the store, before it and behind it.
    """

    def __init__(
        self, database: VirtualDatabase, loop: VirtualLoop, mischief: Mischief, note: Note, clock: Callable[[], float]
    ) -> None:
        from obstore.store import MemoryStore  # noqa: PLC0415 - its extra may be missing

        self.database = database
        self.loop = loop
        self.mischief = mischief
        self.clock = clock
        self.troubled = False
        self.passed: Callable[[str], None] = lambda _: None
        self.spared: Callable[[str], bool] = lambda _: False
        self._note = note
        self._keepers: set[_Keeper] = set()
        self._lines: WeakSet[Line] = WeakSet()
        self._away_until = {"line": 0.0, "store": 0.0}
        self._read: tuple[tuple[int, int, bool], Ledger] | None = None
        self.memory = MemoryStore()
        self.forgotten: set[str] = set()
        """What the store has lost by itself."""
        self.earlier: dict[str, list[bytes]] = defaultdict(list)
        """What had the names in the bucket before: only those of files for people ever change what they mean."""

    @contextmanager
    def known(self) -> Iterator[None]:
        """Have the program find database, bucket and clocks."""
        self.database.empty()
        self.past = Bucket(URL, self.memory)
        keeper = SimpleNamespace(Thread=self._keeper, Lock=threading.Lock, Event=threading.Event)
        with ExitStack() as stack:
            stack.enter_context(patch("orchestrator.ledger.postgres._clock", self.clock))
            stack.enter_context(patch("orchestrator.ledger.postgres.threading", keeper))
            here = SimpleNamespace(sleep=self._sleep, monotonic=self.clock)
            for module in ("postgres", "lease"):
                stack.enter_context(patch(f"orchestrator.ledger.{module}.time", here))
            for name, watched in (("open", self._open), ("transact", self._transact), ("_plainly", self._plainly)):
                stack.enter_context(patch.object(Line, name, watched(getattr(Line, name))))
            stack.enter_context(patch.object(Bucket, "open", lambda url, _: VirtualBucket(url, self)))
            stack.enter_context(patch("orchestrator.job.purge.remove_versions", lambda *_: ()))
            threads = _InTurn(2)
            stack.enter_context(patch("orchestrator.staging._pool", lambda: threads))
            # A slow hash, so that nobody guesses a key: here it would be what all runs do.
            stack.enter_context(patch("orchestrator.ledger.sharing.fingerprint", lambda url, *_: url))
            yield
        if self._read is not None:
            self._read[1].close()

    # --- looking past the program ------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        found = self.database.position()
        return found[1] if found else 0

    @property
    def is_held(self) -> bool:
        found = self.database.position()
        return found is not None and not found[2]

    def read(self, look: Callable[[Ledger], Any], without: Any) -> Any:
        """Look into the ledger; what was read before is good for as long as nothing was committed."""
        return Context().run(self._looked, look, without)

    def _looked(self, look: Callable[[Ledger], Any], without: Any) -> Any:
        found = self.database.position()
        if found is None:
            return without
        if self._read is None or self._read[0] != found:
            if self._read is not None:
                self._read[1].close()
            self._read = found, Ledger(PostgreSQL.open_to_read(Database(self.database.url, JOB)))
        return look(self._read[1])

    def objects(self) -> dict[str, bytes]:
        """Return all that lies in the bucket."""
        return {name: self.past.read(name) for name, _ in self.past.names()}

    def show(self, directory: Path) -> None:
        """Lay out the job's files: those that the ledger says there are, and those that lie there for people."""
        there = self.objects()
        counted = self.read(lambda ledger: {file.path: object_name(file) for file in ledger.objects.below("")}, {})
        named = {name: name for name in there if not name.startswith("objects/")}
        lacking = set(counted.values()) - set(there) - self.forgotten
        promise(not lacking, f"the ledger relies on what was never in the bucket: {sorted(lacking)[:3]}")
        for path, name in (counted | named).items():
            if name in there:
                (directory / path).parent.mkdir(parents=True, exist_ok=True)
                (directory / path).write_bytes(there[name])

    def follow(self, directory: Path, path: Path) -> None:
        """Have it in the bucket as somebody has it in the directory: a file is gone, or is another one.

        What lies there for people they may alter as they like. Its object is only ever compared by its size.
        """
        name = path.relative_to(directory).as_posix()
        stored = self.read(lambda ledger: ledger.objects.at([name]), [])
        is_as_long = path.exists() and self.past.size_of(name) == path.stat().st_size
        for one in (*(() if is_as_long else map(object_name, stored)), name):
            if self.past.size_of(one) is not None:
                if path.exists():
                    self.past.put(one, path.read_bytes())
                else:
                    self.past.delete([one])
                    self.forgotten.add(one)

    # --- time --------------------------------------------------------------------------------------------------------

    def _keeper(self, *, target: Callable[[], None], name: str, daemon: bool) -> _Keeper:
        del name, daemon
        keeper = _Keeper(self, target.__self__)  # type: ignore[attr-defined]  # a bound method
        self._keepers.add(keeper)
        return keeper

    def ended(self, keeper: _Keeper) -> None:
        self._keepers.discard(keeper)

    def _sleep(self, seconds: float) -> None:
        """Let a thread sleep: the loop stands still meanwhile, and the threads that renew leases do not."""
        until = self.loop.time() + seconds
        while due := [keeper for keeper in self._keepers if keeper.due_at <= until and keeper.lives]:
            first = min(due, key=lambda keeper: keeper.due_at)
            self.loop.pass_time(first.due_at)
            first.tick()
        self.loop.pass_time(until)

    # --- the line to the database ------------------------------------------------------------------------------------

    def lose_connections(self) -> None:
        for line in list(self._lines):
            line.cut()

    def _trip(self, line: Line) -> str:
        """Say what befalls a trip; raises where the process is gone, or nobody is there."""
        life = LIFE.get()
        if life is not None and life.killed:
            line.close()
            raise StorageError("this process was killed")
        self._pass("trip")
        fault = self._drawn(OF_LINE)
        if fault == "line: away":
            self._away_until["line"] = self.loop.time() + self.mischief.between(0.1, 120.0)
        if self._is_away("line"):
            line.close()
            raise LineLostError("nobody is there")
        if fault == "line: cut":
            line.cut()
        return fault

    def _pass(self, kind: str) -> None:
        if LIFE.get() is not None:  # or it is the operator who looks
            self.passed(kind)

    def _is_away(self, what: str) -> bool:
        if not self.troubled or LIFE.get() is None or self.mischief.healed:  # the operator's own looks find it
            return False
        return self.loop.time() < self._away_until[what]

    def _drawn(self, faults: Sequence[str]) -> str:
        life = LIFE.get()
        fault = self.mischief.draw(faults) if self.troubled and life is not None else ""
        if fault:
            self._note("fault", fault=fault)
        return fault

    def _open(self, open_: Callable[[Line], Any]) -> Callable[[Line], Any]:
        def watched(line: Line) -> Any:
            self._trip(line)
            where = open_(line)
            self._lines.add(line)
            return where

        return watched

    def _plainly(self, plainly: Callable[..., Any]) -> Callable[..., Any]:
        def watched(line: Line, statement: str, values: Sequence[Any] = (), **options: Any) -> Any:
            self._trip(line)
            plainly(line, _NOW, (str(self.clock()),), **options)
            found = plainly(line, statement, values, **options)
            self._pass("trip")
            return found

        return watched

    def _transact(self, transact: Callable[..., Any]) -> Callable[..., Any]:
        def watched(line: Line, statements: Sequence[Statement], **options: Any) -> Any:
            fault = self._trip(line)
            _, *found = transact(line, [(_NOW, (str(self.clock()),)), *statements], **options)
            self._pass("trip")
            if fault == "line: answer lost":
                line.cut()
                line.plainly("SELECT 1")  # which finds that out
            return found

        return watched

    # --- the bucket --------------------------------------------------------------------------------------------------

    def call(self, name: str, faults: Sequence[str]) -> str:
        """Say what befalls a call of the store; raises where the process is gone, or the store does not answer."""
        life = LIFE.get()
        if life is not None and life.killed:
            raise StorageError("this process was killed")
        self._pass("object")
        fault = "" if self.spared(name) else self._drawn((*faults, *OF_ANY_CALL))
        if fault == "store: slow":
            self._sleep(self.mischief.between(0.0, 120.0))
        if fault == "store: away":
            self._away_until["store"] = self.loop.time() + self.mischief.between(0.1, 600.0)
        away = self._is_away("store")
        if away or fault.endswith(": fails"):
            raise self.silent(name)
        return fault

    def behind(self, name: str, fault: str) -> None:
        self._pass("object")
        if fault.endswith(": answer lost"):
            raise self.silent(name)

    @staticmethod
    def silent(name: str) -> StorageError:
        return StorageError(f"{URL}/{name}: the store can't be used (it does not answer); run the same command again")


@dataclass(frozen=True, slots=True)
class _Given(FoundObject):
    """An object as the store gives it."""

    content: bytes

    def blocks(self) -> Iterator[bytes]:
        yield self.content


class VirtualBucket(Bucket):
    """A bucket in memory, whose store may fail, be slow, or forget."""

    def __init__(self, url: str, elsewhere: Elsewhere) -> None:
        super().__init__(url, elsewhere.memory)
        self._elsewhere = elsewhere

    def _remember(self, name: str) -> None:
        if not name.startswith("objects/") and self._elsewhere.past.size_of(name) is not None:
            self._elsewhere.earlier[name].append(self._elsewhere.past.read(name))

    def put(self, name: str, content: bytes | Path) -> None:
        fault = self._elsewhere.call(name, OF_PUT)
        self._remember(name)
        super().put(name, content)
        if fault == "put: forgotten":
            super().delete([name])
            self._elsewhere.forgotten.add(name)
        self._elsewhere.behind(name, fault)

    def read(self, name: str) -> bytes:
        return b"".join(self.found(name).blocks())

    def found(self, name: str) -> FoundObject:
        fault = self._elsewhere.call(name, OF_GET)
        if fault == "get: gone":
            raise NoObjectError(f"{self.url}/{name}: not in the bucket")
        content = b"".join(super().found(name).blocks())
        if fault == "get: altered":
            content = content[: len(content) // 2]
        if fault == "get: as before" and self._elsewhere.earlier[name]:
            content = self._elsewhere.earlier[name][-1]
        self._elsewhere.behind(name, "")
        return _Given(self, name, len(content), "", content)

    def copy(self, source: str, target: str, size_bytes: int) -> bool:
        fault = self._elsewhere.call(target, OF_CALL)
        self._remember(target)
        is_copied = super().copy(source, target, size_bytes)
        self._elsewhere.behind(target, fault)
        return is_copied

    def names(self, below: str = "") -> Iterator[tuple[str, int]]:
        self._elsewhere.call(below, OF_CALL[:1])
        yield from super().names(below)

    def delete(self, names: Iterable[str]) -> None:
        fault = self._elsewhere.call("", OF_CALL)
        super().delete(names)
        self._elsewhere.behind("", fault)


class _InTurn(ThreadPoolExecutor):
    """Threads of which each does its work in the turn in which it was asked for."""

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Iterator[Any]:
        return iter([fn(*args) for args in zip(*iterables, strict=True)])


class _Keeper:
    """The thread with which a coordinator renews its lease, as a timer of its process."""

    def __init__(self, elsewhere: Elsewhere, connection: PostgreSQL) -> None:
        self._elsewhere, self._connection = elsewhere, connection
        self._context, self._life = copy_context(), LIFE.get()

    @property
    def lives(self) -> bool:
        return self._life is None or not (self._life.frozen or self._life.killed)

    def start(self) -> None:
        self._come_again(self._connection._database.lease_s / 3)

    def _come_again(self, wait_s: float) -> None:
        loop = self._elsewhere.loop
        self.due_at = loop.time() + wait_s
        self._timer = loop.call_at(self.due_at, self._turn, context=self._context)

    def tick(self) -> None:
        """Do now what is due, in the process whose thread this is."""
        self._timer.cancel()
        self._context.run(self._turn)

    def _turn(self) -> None:
        self._come_again(self._connection._look_after())

    def join(self) -> None:
        self._timer.cancel()
        self._elsewhere.ended(self)
