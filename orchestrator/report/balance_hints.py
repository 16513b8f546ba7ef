"""Whether a task in doubt was charged: what the vendor's balance before and behind it hints at. Pure, but for reading.

It is a hint, and nothing acts on it: others may use the same account, and a vendor may take its money late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.report.cost_ledger import usd
from orchestrator.report.printed import money, plural
from orchestrator.report.summary import utc
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.ledger import Ledger
    from orchestrator.records import BalanceLook
    from orchestrator.settings import PlatformSettings
    from orchestrator.tasks import TaskKey

_CLOSE: Final = 4
"""A balance may be rounded: what is off by less than this part of what is at stake tells all the same."""


def doubts_of(ledger: Ledger, platforms: Iterable[str]) -> dict[str, int]:
    """Return what tasks in doubt may have cost, in 1e-9 USD, by name and by when they were sent."""
    return {_name(key, released_at): nano for key, released_at, nano in _in_doubt(ledger, platforms)}


def balance_hints(ledger: Ledger, platforms: Mapping[str, PlatformSettings]) -> dict[TaskKey, str]:
    """Return, of tasks in doubt, what the vendor's balance tells, where it told one before and behind them."""
    hints: dict[TaskKey, str] = {}
    standings = ledger.platforms.standing()
    for vendor in dict.fromkeys(platform.vendor for platform in platforms.values()):
        names = [name for name, platform in platforms.items() if platform.vendor == vendor and name in standings]
        if any(standings[name].other_currencies for name in names):
            continue  # what tasks cost there is not known in the balance's currency
        looks = ledger.balances.looks(vendor)
        for key, released_at, _ in _in_doubt(ledger, names):
            name = _name(key, released_at)
            behind = next((place for place, look in enumerate(looks) if name in look.doubts), 0)
            if behind and (hint := told_by(vendor, looks[behind - 1], looks[behind])):
                hints[key] = hint
    return hints


def told_by(vendor: str, before: BalanceLook, behind: BalanceLook) -> str:
    """Say what became of the balance between two looks, and whether the doubts of that time seem to be in it."""
    doubts = [nano for name, nano in behind.doubts.items() if name not in before.doubts]
    at_stake, fell = sum(doubts), before.balance_nano - behind.balance_nano
    if not at_stake:
        return ""
    others = behind.spent_nano - before.spent_nano - at_stake
    whose = "this" if len(doubts) == 1 else f"these {plural(len(doubts), 'doubt')}"
    if abs(fell - others - at_stake) * _CLOSE <= at_stake:
        hint = f"as if {whose} had been charged"
    elif abs(fell - others) * _CLOSE <= at_stake:
        hint = f"as if {whose} had not been charged, unless the vendor takes its money late"
    else:
        hint = f"which does not tell whether {whose} was charged"
    changed = f"fell by {money(usd(fell))}" if fell >= 0 else f"rose by {money(usd(-fell))}"
    return (
        f"the balance of {vendor} {changed} between {utc(before.at)} and {utc(behind.at)}, of which other tasks cost "
        f"{money(usd(others))}: {hint}"
    )


def _in_doubt(ledger: Ledger, platforms: Iterable[str]) -> list[tuple[TaskKey, float, int]]:
    tasks = [task for name in platforms for task in ledger.tasks.select(State.IN_DOUBT, platform=name)]
    return [(task.key, task.released_at, task.cost_nano) for task in tasks if task.released_at is not None]


def _name(key: TaskKey, released_at: float) -> str:
    return f"{key} {released_at!r}"
