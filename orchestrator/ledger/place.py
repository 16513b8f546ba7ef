"""Where a job's ledger is, for those that open it: they know no paths."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.jobdir.layout import ledger_path
from orchestrator.ledger.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """The ledger of the job in a directory, a file there. Another process that is given this opens it for itself."""

    directory: Path

    def __str__(self) -> str:
        return str(ledger_path(self.directory))

    def exists(self) -> bool:
        return ledger_path(self.directory).exists()

    def create(self) -> Ledger:
        """Make an empty ledger, with a name for the job; see `Ledger.create`."""
        return Ledger.create(ledger_path(self.directory), uuid.uuid4().hex)

    def open(self) -> Ledger:
        """Open it for writing; the caller holds the job's lock. See `Ledger.open`."""
        return Ledger.open(ledger_path(self.directory))

    def open_to_read(self) -> Ledger:
        """Open it beside a run that may be writing to it; see `Ledger.open_to_read`."""
        return Ledger.open_to_read(ledger_path(self.directory))
