"""What vendors said of their balance, before runs and behind doubts, and what their tasks had cost by then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.ledger.run_table import moment
from orchestrator.records import BalanceLook

if TYPE_CHECKING:
    from orchestrator.ledger.connection import Connection

_NOTE = (
    "INSERT INTO balances (vendor, event, at, balance_nano, spent_nano, doubts) "
    "VALUES (?, (SELECT coalesce(max(seq), 0) FROM events), ?, ?, ?, ?) ON CONFLICT (vendor, event) DO UPDATE "
    "SET at = excluded.at, balance_nano = excluded.balance_nano, spent_nano = excluded.spent_nano"
)
_LOOKS = "SELECT at, balance_nano, spent_nano, doubts FROM balances WHERE vendor = ? ORDER BY event"


class BalanceTable:
    """The looks at balances, by vendor. `note` may be called only inside a commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, vendor: str, look: BalanceLook) -> None:
        """Note a look; one at which nothing had happened since the last one takes its place."""
        doubts = json.dumps(dict(look.doubts), sort_keys=True)
        self._connection.run(_NOTE, (vendor, look.at, look.balance_nano, look.spent_nano, doubts))

    def looks(self, vendor: str) -> list[BalanceLook]:
        """Return all looks at a vendor's balance, in their order."""
        rows = list(self._connection.rows(_LOOKS, (vendor,)))
        with self._connection.understood():
            return [
                BalanceLook(moment(at), balance, spent, dict(json.loads(doubts))) for at, balance, spent, doubts in rows
            ]
