"""Who may write a job's ledger in PostgreSQL: the holder of a lease, by the database's own clock and no other.

A lease has an epoch that rises each time somebody takes it, and every transaction that changes anything begins with the
fence: it fails unless epoch and position are what its sender believes. So one that was frozen, cut off or replaced can
commit nothing, whenever it wakes.

A holder that ends in order says so. Of one that does not, the lease runs out once the database has not heard of it for
the time that it has promised; whoever is next waits for that, and ends the holder's transaction if it was frozen in
the middle of one.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.errors import LockedError, StorageError
from orchestrator.ledger.line import LOCK_NOT_HAD, DatabaseError, lease_lost
from orchestrator.ledger.postgres_schema import MAKING, SCHEMA
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.ledger.database import Database
    from orchestrator.ledger.line import Line, Statement

LOOK_S: Final = 0.5
"""Between two looks at a lease that is another one's."""
TAKE_LOCK_S: Final = 2.0
TAKE_TRIES: Final = 15
"""How often the lock of a lease's row is tried for that is nobody's: some transaction has it that does not end."""

_LOOK: Final = (
    "SELECT job, epoch, holder, renewed_at::text, extract(epoch FROM clock_timestamp() - renewed_at)::float8, lease_s, "
    f"ended, position, server, timeline FROM {SCHEMA}.lease WHERE name = %s"
)
_ADD: Final = f"INSERT INTO {SCHEMA}.lease (name) VALUES (%s) ON CONFLICT (name) DO NOTHING"
_TAKE: Final = (
    f"UPDATE {SCHEMA}.lease SET epoch = epoch + 1, holder = %s, renewed_at = clock_timestamp(), lease_s = %s, "
    "ended = false, backend = pg_backend_pid(), server = %s, timeline = %s, token = %s "
    "WHERE job = %s AND epoch = %s AND (ended OR clock_timestamp() - renewed_at > lease_s * interval '1 second') "
    "RETURNING epoch, position"
)
_RENEW: Final = f"UPDATE {SCHEMA}.lease SET renewed_at = clock_timestamp() WHERE job = %s AND epoch = %s RETURNING 1"
_NOT_LATER: Final = (
    f"UPDATE {SCHEMA}.lease SET renewed_at = clock_timestamp() WHERE job = %s AND renewed_at > clock_timestamp()"
)
"""The server's clock was put back: the lease runs from now on, or a dead holder would be waited for by so much."""
_END: Final = f"UPDATE {SCHEMA}.lease SET ended = true WHERE job = %s AND epoch = %s"
_REST: Final = f"""
UPDATE {SCHEMA}.spenders SET ended = true WHERE job = %s AND EXISTS (
    SELECT 1 FROM {SCHEMA}.lease WHERE lease.job = spenders.job AND epoch = %s
) AND NOT EXISTS (
    SELECT 1 FROM {SCHEMA}.tally WHERE tally.job = spenders.job AND tasks > 0 AND state <> ALL (%s)
)
"""
"""Nothing is left of the job that could still cost something: what it has spent is no matter of those that come."""
_SETTLE: Final = f"SELECT position FROM {SCHEMA}.lease WHERE job = %s FOR UPDATE"
_RAISE: Final = (
    f"UPDATE {SCHEMA}.lease SET epoch = epoch + 1, renewed_at = clock_timestamp() WHERE job = %s AND token = %s "
    "RETURNING epoch, position"
)
_FENCE: Final = f"SELECT {SCHEMA}.fence(%s, %s, %s, %s)"
_END_FROZEN: Final = """
SELECT pg_terminate_backend(activity.pid) FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid)
WHERE held.locktype = 'advisory' AND held.classid = %s AND held.objid = %s AND held.granted
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (activity.state LIKE 'idle in transaction%%' OR activity.wait_event_type = 'Client')
    AND clock_timestamp() - activity.state_change > interval '1 second'
"""
"""One that waits for its coordinator in the middle of a transaction, or of what it was sent: for that the server has no
limit. One that is at work ends by itself."""


class Seen(NamedTuple):
    """A lease as the database has it."""

    job: int
    epoch: int
    holder: str
    renewed_at: str
    age_s: float
    lease_s: float
    ended: bool
    position: int
    server: str
    timeline: int

    @property
    def is_free(self) -> bool:
        return self.ended or self.age_s > self.lease_s


class Lease(NamedTuple):
    """One that this coordinator has taken; `token` says so, whatever its epoch by now."""

    job: int
    epoch: int
    position: int
    server: str
    timeline: int
    token: str

    def fence(self, after: int) -> Statement:
        """Return what every transaction begins with that brings the ledger from its position to the one `after` it."""
        return _FENCE, (self.job, self.epoch, self.position, after)


def look(line: Line, name: str) -> Seen | None:
    """Return the lease of the job called `name`, None where the database knows no such job."""
    rows = line.plainly(_LOOK, (name,))
    return Seen(*rows[0]) if rows else None


def take(line: Line, database: Database, where: tuple[str, int], tell: Callable[[str], None]) -> Lease:
    """Take the lease of a job, which is added when the database has none; wait for one that is running out.

    Raises `LockedError` when its holder is alive: while this one waits, the database has heard of it.
    """
    if look(line, database.job) is None:  # else this would wait for whoever has the row, with no end
        line.transact([(_ADD, (database.job,))])
    first: Seen | None = None
    tries_left = TAKE_TRIES
    while True:
        seen = look(line, database.job)
        if seen is None:
            raise StorageError(f"{database}: its lease is gone; restore the database")
        if seen.age_s < 0:
            line.transact([_claim(seen.job), (_NOT_LATER, (seen.job,))])
        elif seen.is_free:
            _same_server(seen, database, where)
            if seen.ended and seen.timeline and where[1] and where != (seen.server, seen.timeline):
                tell(
                    f"{database}: this is not the server, or its timeline, with which the last run ended; behind a "
                    "failover nothing is lacking, but if it was restored from a backup, stop, and name that run's "
                    "token with --after"
                )
            try:
                if (lease := _taken(line, database, seen, where)) is not None:
                    return lease
            except DatabaseError as error:
                tries_left -= 1
                if error.code != LOCK_NOT_HAD or not tries_left:
                    raise
                end_frozen(line, seen.job)
        elif first is None:
            first = seen
            tell(f"waiting for up to {seen.lease_s - seen.age_s:.0f} s: {seen.holder} has not ended")
        elif (seen.epoch, seen.renewed_at) != (first.epoch, first.renewed_at):
            raise LockedError(
                f"{database}: another run holds this job ({seen.holder}); wait for its end, or stop it first"
            )
        else:
            time.sleep(min(LOOK_S, max(seen.lease_s - seen.age_s, 0.05)))


def _taken(line: Line, database: Database, seen: Seen, where: tuple[str, int]) -> Lease | None:
    """Take a lease that was seen to be free; None where somebody else has."""
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    token = uuid.uuid4().hex
    values = (holder, database.lease_s, *where, token, seen.job, seen.epoch)
    _, rows = line.transact([_claim(seen.job), (_TAKE, values)], lock_s=TAKE_LOCK_S)
    if not rows:
        return None
    epoch, position = rows[0]
    return Lease(seen.job, epoch, position, *where, token)


def _claim(job: int) -> Statement:
    """Return what comes before a change of the lease, as in the fence: by this lock `end_frozen` finds who began it."""
    return "SELECT pg_advisory_xact_lock(%s::integer, %s::integer)", (MAKING, job)


def end_frozen(line: Line, job: int) -> None:
    """End the transaction of a coordinator that was frozen in its middle: until then nobody else can commit."""
    line.plainly(_END_FROZEN, (MAKING, job))


def _same_server(seen: Seen, database: Database, where: tuple[str, int]) -> None:
    """Raise `StorageError` when the database has failed over under a run that has not ended.

    The copy that took its place may lack what was committed last: submits may have left of which this ledger knows
    nothing. A run that has ended in order is whole, for its end was committed last.
    """
    if seen.ended or not seen.timeline or where == (seen.server, seen.timeline) or where[1] == database.timeline:
        return
    raise StorageError(failed_over(database, seen.timeline, where))


def failed_over(database: Database, before: int, where: tuple[str, int]) -> str:
    """Say what a failover means, and the way out."""
    return (
        f"{database}: the database has failed over in the middle of a run (timeline {before} → {where[1]}), and may "
        "lack what was committed last; look at the vendor, and into the run's log, for tasks that orchestrator status "
        f"does not know. --set ledger.timeline={where[1]} behind the next command says that you have: behind "
        "orchestrator resolve --adopt-log LOG, which gives them back, or behind run"
    )


def renew(line: Line, lease: Lease, database: Database) -> None:
    """Tell the database that this coordinator lives; raises `LeaseLostError` when another one has the lease."""
    _, renewed = line.transact([_claim(lease.job), (_RENEW, (lease.job, lease.epoch))])
    if not renewed:
        raise lease_lost(database)


def end(line: Line, lease: Lease) -> None:
    """Give the lease back, so that nobody has to wait for it."""
    over = [State.DONE, State.FAILED, State.RETRIED, State.SKIPPED]
    held = (lease.job, lease.epoch)
    line.transact([_claim(lease.job), (_REST, (*held, over)), (_END, held)])


def settle(line: Line, lease: Lease, database: Database, after: int) -> tuple[Lease, bool]:
    """Find out, on a new connection, whether the commit that led to the position `after` has happened.

    The row is locked first, which waits for a backend that may still be at it; and the epoch is raised, so that what
    may still be on its way to the server comes too late. Of this, too, the answer may be lost: then the epoch has
    risen, and the lease is this coordinator's all the same.

    A `DatabaseError` says nothing of it: nobody knows, and it has to be tried again from the beginning.
    """
    try:
        _, (seen,), raised = line.transact(
            [_claim(lease.job), (_SETTLE, (lease.job,)), (_RAISE, (lease.job, lease.token))]
        )
    except DatabaseError as error:
        if error.code == LOCK_NOT_HAD:
            end_frozen(line, lease.job)
        raise
    except ValueError:
        raise lease_lost(database) from None
    if not raised:
        raise lease_lost(database)
    (position,) = seen
    if position not in (lease.position, after):
        raise StorageError(
            f"{database}: the ledger stands at {position}, not at {lease.position}; restore the database"
        )
    return lease._replace(epoch=raised[0][0], position=position), position == after
