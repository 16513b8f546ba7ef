"""What jobs share that call a vendor with the same key and have their ledgers in one database."""

from __future__ import annotations

import math
import uuid
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.dispatch.pace import Pace, Turns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.ledger import Ledger, LedgerWriter
    from orchestrator.settings import Settings, VendorSettings


def fingerprints(ledger: Ledger, settings: Settings, keys: Mapping[str, str]) -> dict[str, str]:
    """Return by what name other jobs know each vendor, "" for one that is this job's alone."""
    return {
        name: "" if vendor.is_sandbox else ledger.connection.fingerprint(vendor.base_url, key)
        for name, key in keys.items()
        for vendor in (settings.vendors[name],)
    }


def share_budget(ledger: Ledger, settings: Settings, marks: Mapping[str, str]) -> None:
    """Count what is spent from here on together with jobs that call the same vendors; `marks` are fingerprints."""
    shared: dict[str, list[str]] = {}
    for name, platform in settings.platforms.items():
        if mark := marks.get(platform.vendor, ""):
            shared.setdefault(mark, []).append(name)
    if shared and settings.budget.shared:
        ledger.connection.share(shared)


def others_spent(ledger: Ledger, settings: Settings, marks: Mapping[str, str] | None = None) -> int:
    """Return what other jobs have spent, in 1e-9 USD, of the budget of one that goes on now.

    With `marks`, the vendors' fingerprints, it is known of a job that was never run, too.
    """
    if not settings.budget.shared:
        return 0
    return ledger.connection.others_spent(None if marks is None else sorted({mark for mark in marks.values() if mark}))


def vendor_pace(vendor: VendorSettings, mark: str, asked: Ledger | LedgerWriter, *, now: float) -> Pace:
    """Return the pace of a vendor, by turns where others may call it too."""
    if not mark or math.isinf(vendor.requests_per_second):
        return Pace(vendor.requests_per_second, now=now)
    turns = Turns(partial(asked.turn, mark, uuid.uuid4().hex))
    return Pace(vendor.requests_per_second, now=now, turns=turns)
