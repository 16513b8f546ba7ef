"""What vendors say of their balances, which is free to ask: before anything is sent that costs, and at the end of one.

A name that does not exist or a certificate of somebody else is a typing error far more often than an outage, and a job
that has not begun can still be mended: it ends at once instead of trying for `give_up_after_s`. Every other trouble is
the dispatcher's business, which repeats its calls; here it is only told early.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from orchestrator.dispatch.pace import wait_to_leave
from orchestrator.errors import CallError, CertificateError, NoSuchHostError, UsageError
from orchestrator.job.budget import shortfall
from orchestrator.logger import log
from orchestrator.records import NANO, BalanceLook
from orchestrator.report.balance_hints import doubts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.dispatch.platform_run import PlatformRun, VendorRun
    from orchestrator.job.budget import PlannedCost
    from orchestrator.ledger import Ledger, LedgerWriter
    from orchestrator.settings import Settings

LOOK_S: Final = 15.0
"""So long a vendor is waited for at the end of a run, whose balance is wanted behind a doubt."""


async def ask_for_balances(vendors: Iterable[VendorRun], settings: Settings, *, begun: bool) -> None:
    """Ask each real vendor that something is to be sent to for its balance, once.

    Raises `UsageError` when a job that has not `begun` can't have the right address.
    """
    for vendor in dict.fromkeys(vendors):
        if settings.vendors[vendor.name].is_sandbox:
            continue
        try:
            vendor.balance_usd = await vendor.client.balance(leave=partial(wait_to_leave, vendor.pace))
            vendor.has_answered = vendor.balance_usd is not None
        except CallError as error:
            if isinstance(error, NoSuchHostError | CertificateError) and not begun:
                raise UsageError(check_the_address(vendor.name, error, settings)) from None
            log.warning(
                "no_balance_from_vendor",
                vendor=vendor.name,
                reason=str(error),
                give_up_after_s=settings.backoff.give_up_after_s,
            )


async def note_balances(writer: LedgerWriter, vendors: Iterable[VendorRun], *, at: float) -> None:
    """Keep what vendors have just said of their balance: behind a doubt it hints at whether that was charged.

    Only where nothing is on its way to them: what the balance lacks is what the ledger knows by then.
    """
    told = [vendor for vendor in dict.fromkeys(vendors) if vendor.balance_usd is not None]

    def note(ledger: Ledger) -> None:
        standings = ledger.platforms.standing()
        for vendor in told:
            names = [platform.name for platform in vendor.platforms]
            look = BalanceLook(
                at=at,
                balance_nano=round((vendor.balance_usd or 0.0) * NANO),
                spent_nano=sum(standings[name].cost_nano for name in names),
                doubts=doubts_of(ledger, names),
            )
            ledger.balances.note(vendor.name, look)

    if told:
        await writer.do(note)


async def without_look(writer: LedgerWriter, vendors: Iterable[VendorRun]) -> list[VendorRun]:
    """Return the vendors with doubts behind which nobody has looked at the balance yet."""

    def lacking(ledger: Ledger) -> list[VendorRun]:
        return [
            vendor
            for vendor in dict.fromkeys(vendors)
            if doubts_of(ledger, [platform.name for platform in vendor.platforms]).keys()
            - {name for look in ledger.balances.looks(vendor.name)[-1:] for name in look.doubts}
        ]

    return await writer.do(lacking)


async def look_behind_doubts(
    writer: LedgerWriter, vendors: Iterable[VendorRun], settings: Settings, *, at: float
) -> None:
    """Ask vendors for their balance behind the doubts of a run that is over."""
    lacking = await without_look(writer, vendors)
    for vendor in lacking:
        if vendor.unreachable or vendor.poll_denial or settings.vendors[vendor.name].is_sandbox:
            continue
        with suppress(CallError, TimeoutError):
            async with asyncio.timeout(LOOK_S):
                vendor.balance_usd = await vendor.client.balance(leave=partial(wait_to_leave, vendor.pace))
            await note_balances(writer, [vendor], at=at)


def check_the_address(vendor: str, error: CallError, settings: Settings) -> str:
    """Say what to do about an address that can't be right."""
    proxy = " and proxy" if settings.vendors[vendor].proxy else ""
    way_out = f"check base_url{proxy}"
    if isinstance(error, CertificateError):
        way_out += ", or name a file with your company's own certificates in the environment variable SSL_CERT_FILE"
    return f"{settings.source}: [vendors.{vendor}] base_url: {error}; {way_out}"


def pause_the_short(platforms: Sequence[PlatformRun], costs: Sequence[PlannedCost]) -> None:
    """Send nothing to a vendor whose balance does not cover what is left for it; what is there is collected."""
    for vendor in dict.fromkeys(platform.vendor for platform in platforms):
        if lacking := shortfall(vendor.balance_usd, _of_vendor(vendor, costs)):
            vendor.denial = lacking
            log.error("balance_too_low", vendor=vendor.name, reason=lacking)


async def say_what_is_missing(platforms: Sequence[PlatformRun], costs: Sequence[PlannedCost]) -> None:
    """Ask a vendor that found the balance used up for it: whoever tops it up wants to know by how much."""
    for vendor in dict.fromkeys(platform.vendor for platform in platforms):
        if vendor.out_of_funds:
            with suppress(CallError):
                balance_usd = await vendor.client.balance(leave=partial(wait_to_leave, vendor.pace))
                if lacking := shortfall(balance_usd, _of_vendor(vendor, costs)):
                    vendor.denial += f": {lacking}"


def _of_vendor(vendor: VendorRun, costs: Sequence[PlannedCost]) -> list[PlannedCost]:
    names = {platform.name for platform in vendor.platforms}
    return [cost for cost in costs if cost.platform in names]
