"""The durable record of chunks, tasks and events; the only SQL of the program."""

from orchestrator.jobdir.layout import ledger_path
from orchestrator.ledger.connection import Turn
from orchestrator.ledger.database import Database, connection_options
from orchestrator.ledger.filesystem import refuse_foreign
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.lock import job_lock
from orchestrator.ledger.place import LedgerPlace
from orchestrator.ledger.quarantine_table import ALTERED, Version
from orchestrator.ledger.writer import LedgerWriter

__all__ = [
    "ALTERED",
    "Database",
    "Ledger",
    "LedgerPlace",
    "LedgerWriter",
    "Turn",
    "Version",
    "connection_options",
    "job_lock",
    "ledger_path",
    "refuse_foreign",
]
