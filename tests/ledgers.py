"""What tests need of a ledger below its surface."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from orchestrator.ledger import Database, Ledger
from orchestrator.ledger.postgres import PostgreSQL
from orchestrator.ledger.sqlite import SQLite
from orchestrator.tasks import State, TaskKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.records import Plan
    from tests.postgres import Server

_NAMES = count(1)


def sqlite_of(ledger: Ledger) -> SQLite:
    """Return what a ledger's statements run on: the connection of a file, or of the mirror of a database."""
    if isinstance(ledger.connection, PostgreSQL):
        return ledger.connection.mirror
    assert isinstance(ledger.connection, SQLite)
    return ledger.connection


def postgres_of(ledger: Ledger) -> PostgreSQL:
    """Return the connection of a ledger that lies in a database."""
    assert isinstance(ledger.connection, PostgreSQL)
    return ledger.connection


def reader_of(ledger: Ledger) -> Ledger:
    """Open the same ledger once more, to read."""
    if isinstance(ledger.connection, PostgreSQL):
        return Ledger(PostgreSQL.open_to_read(ledger.connection._database))
    return Ledger.open_to_read(sqlite_of(ledger).path)


def everything(ledger: Ledger) -> list[str]:
    """Return all that a ledger holds, as statements, in an order of their own: that of platforms says nothing."""
    return sorted(sqlite_of(ledger)._sql.iterdump())


def new_job(server: Server, lease_s: float = 30.0) -> Database:
    """Name a job that nobody has used in this server's database."""
    return Database(server.url(), f"job-{next(_NAMES)}", lease_s=lease_s)


def planned_job(server: Server, plan: Plan, lease_s: float = 30.0) -> Database:
    """Plan a job in this server's database; its lease is free."""
    database = new_job(server, lease_s)
    with Ledger(PostgreSQL.create(database, "job-1")) as ledger:
        ledger.change(lambda it: it.plan.replace(plan))
    return database


def release(chunk: int) -> Callable[[Ledger], None]:
    """Return the change that releases a chunk for instagram."""
    key = TaskKey("instagram", chunk)
    return lambda it: it.transitions.release(key, cost_nano=1, max_cost_nano=None, at=1.0)


def released(ledger: Ledger) -> list[int]:
    return [task.key.chunk for task in ledger.tasks.select(State.RELEASED)]
