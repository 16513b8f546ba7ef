"""The cost ledger as summary.json has it: what a job and its platforms cost, in USD. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from orchestrator.records import Money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.records import Standing


class Sums(TypedDict):
    """Sums of `records.Money`; reserved, charged and in doubt together are what counts against the budget."""

    quoted: float
    reserved: float
    charged: float
    in_doubt: float
    refunded: float
    told_by_vendor: float


class CostLedger(Sums):
    """The sums with what is still to be sent, and what all will have cost then; None without a price.

    `not_in_usd` are the currencies of amounts that the vendor told and that were not added.
    """

    planned: float | None
    expected: float | None
    not_in_usd: list[str]


class JobMoney(CostLedger):
    """The cost ledger of a job; `warning` says by how much the end will be dearer than planned, "" if it won't."""

    warning: str


class PlatformMoney(CostLedger):
    """The cost ledger of a platform, with the sums of each generation of which anything was sent."""

    generations: dict[str, Sums]


def job_money(
    standings: Sequence[Standing], removed: Sequence[Standing], planned_usd: Mapping[str, float | None], warning: str
) -> JobMoney:
    """Add up the platforms; `planned_usd` is what is still to be sent of each will cost, of `removed` ones nothing."""
    planned = [planned_usd.get(standing.platform) for standing in standings]
    known = [one for one in planned if one is not None]
    paid = (*standings, *removed)
    total = sum((standing.money for standing in paid), Money())
    currencies = tuple(dict.fromkeys(currency for one in paid for currency in one.other_currencies))
    return {**_ledger(total, sum(known) if len(known) == len(planned) else None, currencies), "warning": warning}


def platform_money(standing: Standing, planned_usd: float | None) -> PlatformMoney:
    """Return what a platform costs."""
    generations = {str(generation): _sums(money) for generation, money in standing.generations.items()}
    return {**_ledger(standing.money, planned_usd, standing.other_currencies), "generations": generations}


def usd(nano: int) -> float:
    """Turn 1e-9 USD into USD, to nine digits."""
    return round(nano / 1e9, 9)


def _ledger(money: Money, planned_usd: float | None, currencies: tuple[str, ...]) -> CostLedger:
    planned = None if planned_usd is None else round(planned_usd, 9)
    return {
        **_sums(money),
        "planned": planned,
        "expected": None if planned is None else round(usd(money.spent) + planned, 9),
        "not_in_usd": list(currencies),
    }


def _sums(money: Money) -> Sums:
    return {
        "quoted": usd(money.quoted),
        "reserved": usd(money.reserved),
        "charged": usd(money.charged),
        "in_doubt": usd(money.in_doubt),
        "refunded": usd(money.refunded),
        "told_by_vendor": usd(money.told),
    }
