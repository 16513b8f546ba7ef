"""What tests need of a ledger below its surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.ledger.sqlite import SQLite

if TYPE_CHECKING:
    from orchestrator.ledger import Ledger


def sqlite_of(ledger: Ledger) -> SQLite:
    """Return the connection of a ledger that lies in a file."""
    assert isinstance(ledger.connection, SQLite)
    return ledger.connection
