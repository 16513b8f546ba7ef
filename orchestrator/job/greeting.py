"""A first look at each vendor, before anything is sent that costs: its balance, which is free to ask.

A name that does not exist or a certificate of somebody else is a typing error far more often than an outage, and a job
that has not begun can still be mended: it ends at once instead of trying for `give_up_after_s`. Every other trouble is
the dispatcher's business, which repeats its calls; here it is only told early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from orchestrator.dispatch.pace import leave
from orchestrator.errors import CallError, CertificateError, NoSuchHostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.dispatch.lanes import Lane, Side
    from orchestrator.ledger import Ledger
    from orchestrator.settings import Settings

log = structlog.get_logger()


async def greet(lanes: Sequence[Lane], ledger: Ledger, settings: Settings) -> None:
    """Ask each real vendor that something is to be sent to for its balance, once.

    Raises `UsageError` when a job that has not begun can't have the right address.
    """
    due = [lane.side for lane in lanes if not lane.blocked and ledger.planned_sizes(lane.name)]
    for side in dict.fromkeys(due):
        if not settings.vendors[side.name].is_sandbox:
            await _greet(side, ledger, settings)


async def _greet(side: Side, ledger: Ledger, settings: Settings) -> None:
    try:
        await side.client.balance(leave=lambda: leave(side.pace))
    except (NoSuchHostError, CertificateError) as error:
        if not ledger.begun:
            raise UsageError(_check_the_address(side.name, error, settings)) from None
        _tell(side, error, settings)
    except CallError as error:
        _tell(side, error, settings)


def _tell(side: Side, error: CallError, settings: Settings) -> None:
    log.warning(
        "no_balance_from_vendor", vendor=side.name, reason=str(error), give_up_after_s=settings.backoff.give_up_after_s
    )


def _check_the_address(vendor: str, error: NoSuchHostError | CertificateError, settings: Settings) -> str:
    proxy = " and proxy" if settings.vendors[vendor].proxy else ""
    way_out = f"check base_url{proxy}"
    if isinstance(error, CertificateError):
        way_out += ", or name a file with your company's own certificates in the environment variable SSL_CERT_FILE"
    return f"{settings.source}: [vendors.{vendor}] base_url: {error}; {way_out} (nothing was sent)"
