"""Where a job's ledger is, for those that open it: they know no paths, and no databases."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.jobdir.layout import ledger_path
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.postgres import PostgreSQL, has_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.ledger.database import Database


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """The ledger of the job in a directory: a file there, or in a database.

    Another process that is given this opens it for itself.
    """

    directory: Path
    database: Database | None = None

    def __str__(self) -> str:
        return str(self.database or ledger_path(self.directory))

    def exists(self) -> bool:
        """Whether there is a ledger; `StorageError` when its database is out of reach."""
        return ledger_path(self.directory).exists() if self.database is None else has_job(self.database)

    def create(self, tell: Callable[[str], None] = lambda _: None) -> Ledger:
        """Make an empty ledger, with a name for the job; see `SQLite.create`, or `PostgreSQL.create` with `tell`."""
        job_id = uuid.uuid4().hex
        if self.database is None:
            return Ledger.create(ledger_path(self.directory), job_id)
        return Ledger(PostgreSQL.create(self.database, job_id, tell))

    def open(self, tell: Callable[[str], None] = lambda _: None) -> Ledger:
        """Open it for writing; the caller holds the directory's lock. See `Ledger.open`, or `PostgreSQL.open`."""
        if self.database is None:
            return Ledger.open(ledger_path(self.directory))
        return Ledger(PostgreSQL.open(self.database, tell))

    def open_to_read(self) -> Ledger:
        """Open it beside a run that may be writing to it; see `Ledger.open_to_read`, or `PostgreSQL.open_to_read`."""
        if self.database is None:
            return Ledger.open_to_read(ledger_path(self.directory))
        return Ledger(PostgreSQL.open_to_read(self.database))
