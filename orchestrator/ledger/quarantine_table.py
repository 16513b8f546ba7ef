"""The ledger's record of results that are kept though nobody could read or believe them so far.

A version of a task's result is known by its hash; `path` is where it lies, from the job's directory on, and `read_by`
the reader that tried it last: the program's version, and what it looked for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.jobdir.verdict_words import UNANSWERED
from orchestrator.tasks import Event, State, TaskKey

if TYPE_CHECKING:
    from orchestrator.ledger.connection import Connection

ALTERED = "altered"
"""Stands in `read_by` for a file that is not as it was fetched: it is kept, and never believed."""

_VERSIONS = "SELECT sha256, path FROM quarantine WHERE platform = ? AND chunk = ? AND read_by <> ?"
_SET_ASIDE = (
    "INSERT INTO quarantine (platform, chunk, sha256, path, read_by) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (platform, chunk, sha256) DO UPDATE SET path = excluded.path, read_by = excluded.read_by"
)
_TAKE_OUT = "DELETE FROM quarantine WHERE platform = ? AND chunk = ? AND sha256 = ?"
_HAS_VERSIONS = "SELECT 1 FROM quarantine WHERE platform = ? AND chunk = ? LIMIT 1"
_FAILED_WITH_VERSIONS = (
    "SELECT DISTINCT platform, chunk FROM quarantine JOIN tasks USING (platform, chunk) "
    "WHERE platform = ? AND state = ? AND read_by NOT IN (?, ?) ORDER BY chunk"
)
_NEVER_REFETCHED = (
    "SELECT platform, chunk FROM tasks WHERE platform = ? AND state = ? AND task_id IS NOT NULL "
    "AND vendor_status <> 'failed' AND (platform, chunk) NOT IN "
    "(SELECT platform, chunk FROM events WHERE event = ?) ORDER BY chunk"
)
_SETTLED_FOR = (
    "SELECT platform, chunk, evidence FROM tasks WHERE platform = ? AND state = ? AND reason <> '' "
    "AND task_id IS NOT NULL AND evidence IS NOT NULL AND (platform, chunk) NOT IN "
    "(SELECT platform, chunk FROM events WHERE event = ?) ORDER BY chunk"
)
_READ_IN_VAIN = "UPDATE quarantine SET read_by = ? WHERE platform = ? AND chunk = ? AND read_by <> ?"


class Version(NamedTuple):
    """A result as it was fetched once."""

    sha256: str
    path: str


class QuarantineTable:
    """What the ledger says of the quarantine. Changing methods may be called only inside a commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def versions(self, key: TaskKey) -> list[Version]:
        return [Version(*row) for row in self._connection.rows(_VERSIONS, (key.platform, key.chunk, ALTERED))]

    def set_aside(self, key: TaskKey, version: Version, *, read_by: str) -> None:
        self._connection.run(_SET_ASIDE, (key.platform, key.chunk, *version, read_by))

    def taken_out(self, key: TaskKey, sha256: str) -> None:
        """Note that a version is the task's result now, and lies with the others."""
        self._connection.run(_TAKE_OUT, (key.platform, key.chunk, sha256))

    def has_versions(self, key: TaskKey) -> bool:
        return self._connection.row(_HAS_VERSIONS, (key.platform, key.chunk)) is not None

    def quarantined(self, platform: str, *, unless_read_by: str = ALTERED) -> list[TaskKey]:
        """Return the failed tasks of a platform with a version in quarantine that another reader tried last."""
        rows = self._connection.rows(_FAILED_WITH_VERSIONS, (platform, State.FAILED, ALTERED, unless_read_by))
        return [TaskKey(*row) for row in rows]

    def to_refetch(self, platform: str) -> list[TaskKey]:
        """Return the tasks of a platform of which the vendor may have a result, and nobody has looked again.

        They have failed, or were settled with a result that says nothing of any number of theirs.
        """
        failed = [
            TaskKey(*row) for row in self._connection.rows(_NEVER_REFETCHED, (platform, State.FAILED, Event.REFETCH))
        ]
        settled = list(self._connection.rows(_SETTLED_FOR, (platform, State.DONE, Event.REFETCH)))
        with self._connection.understood():
            in_vain = [
                TaskKey(name, chunk) for name, chunk, text in settled if {*json.loads(text)["counts"]} <= {UNANSWERED}
            ]
        return failed + in_vain

    def read_in_vain(self, key: TaskKey, read_by: str) -> None:
        """Note that this reader can't read what a task has in quarantine either."""
        self._connection.run(_READ_IN_VAIN, (read_by, key.platform, key.chunk, ALTERED))
