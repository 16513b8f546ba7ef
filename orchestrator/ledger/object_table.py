"""The ledger's record of the job's files in a bucket: which object is the file at a path, of all that ever were put.

Objects are named by path and hash and never change, so that a put that is repeated, or comes late from a run that was
given up, harms nothing: what this table does not name does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.ledger.connection import marks
from orchestrator.records import StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.ledger.connection import Connection

_NOTE = (
    "INSERT INTO objects (path, sha256, size_bytes) VALUES (?, ?, ?) "
    "ON CONFLICT (path) DO UPDATE SET sha256 = excluded.sha256, size_bytes = excluded.size_bytes"
)
_FORGET = "DELETE FROM objects WHERE path = ?"
_BELOW = "SELECT path, sha256, size_bytes FROM objects WHERE substr(path, 1, ?) = ? ORDER BY path"
_AT_ONCE = 500
"""Paths in one statement."""


class ObjectTable:
    """The files in the bucket, by path from the job's directory. Changing methods may be called only in a commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, files: Iterable[StoredFile]) -> None:
        """Note which objects the files are from now on."""
        self._connection.run_many(_NOTE, files)

    def forget(self, paths: Iterable[str]) -> None:
        """Note that there is no file at these paths any more."""
        self._connection.run_many(_FORGET, ((path,) for path in paths))

    def at(self, paths: Sequence[str]) -> list[StoredFile]:
        """Return those of the files that are in the bucket."""
        batches = (paths[first : first + _AT_ONCE] for first in range(0, len(paths), _AT_ONCE))
        return [
            StoredFile(*row)
            for batch in batches
            for row in self._connection.rows(
                f"SELECT path, sha256, size_bytes FROM objects WHERE path IN ({marks(batch)})", batch
            )
        ]

    def below(self, *tops: str) -> Iterator[StoredFile]:
        """Yield the files whose paths begin with one of `tops`, such as `chunks/`; "" stands for all."""
        return (StoredFile(*row) for top in tops for row in self._connection.rows(_BELOW, (len(top), top)))
