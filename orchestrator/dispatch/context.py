"""What every call of one run shares, and how a call's end is told to its vendor's health and pace."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from orchestrator.dispatch.backoff import delay_s
from orchestrator.logger import log
from orchestrator.staging import JobFiles

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.bucket import Bucket
    from orchestrator.dispatch.platform_run import PlatformRun, VendorRun
    from orchestrator.dispatch.receipts import Seal
    from orchestrator.errors import TemporaryError
    from orchestrator.ledger import Ledger, LedgerWriter
    from orchestrator.settings import BackoffSettings, PollingSettings
    from orchestrator.tasks import TaskKey
    from orchestrator.vendor_api.meanings import Charge
    from orchestrator.workers import Workers

T = TypeVar("T")

USD: Final = "USD"


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run's means. `clock` is the wall clock (epoch seconds); everything else is timed by the event loop.

    `max_cost_nano` is in 1e-9 USD, None without a limit. Once `stopping` is set nothing more is released. `seal` makes
    the checks of receipts.
    """

    job_name: str
    directory: Path
    ledger: LedgerWriter
    workers: Workers
    polling: PollingSettings
    backoff: BackoffSettings
    max_cost_nano: int | None
    clock: Callable[[], float]
    random: random.Random
    stopping: asyncio.Event
    seal: Seal
    bucket: Bucket | None = None

    @property
    def files(self) -> JobFiles:
        return JobFiles(self.directory, self.bucket)

    @property
    def now(self) -> float:
        """The event loop's time."""
        return asyncio.get_running_loop().time()

    def delay_s(self, attempt: int) -> float:
        """Draw the wait before repeat `attempt`, from 1."""
        return delay_s(attempt, self.backoff, self.random.random())

    async def note(self, platform: PlatformRun, change: Callable[[Ledger], T]) -> T:
        """Record a small change, and with it what is to outlive this run of the platform's caution."""
        lasting = platform.caution.unsaved()

        def both(ledger: Ledger) -> T:
            if lasting is not None:
                ledger.platforms.note_caution(platform.name, lasting)
            return change(ledger)

        return await self.ledger.do_small(both)

    def settled(self, platform: PlatformRun, key: TaskKey, charge: Charge) -> Callable[[Ledger], None]:
        """Return the change that counts what the vendor says that a task costs.

        Only USD is added, for nobody knows at which rate the vendor would turn another currency into it: that is told,
        once a run.
        """
        amounts = [amount for amount in (charge.estimated, charge.actual) if amount is not None]
        other = {amount.currency or "an untold currency" for amount in amounts} - {USD}
        for currency in sorted(other - platform.other_currencies):
            log.warning("amounts_not_in_usd", platform=platform.name, currency=currency, help="they are not added")
        platform.other_currencies |= other
        nano = [
            None if amount is None or amount.currency != USD else amount.nano
            for amount in (charge.estimated, charge.actual)
        ]
        at = self.clock()

        def settle(ledger: Ledger) -> None:
            for currency in sorted(other):
                ledger.platforms.note_currency(platform.name, currency)
            if nano != [None, None]:
                ledger.transitions.settle(key, estimated_nano=nano[0], actual_nano=nano[1], at=at)

        return settle

    def vendor_answered(self, vendor: VendorRun) -> None:
        """Note that a vendor answered sensibly."""
        vendor.has_answered = True
        vendor.doubtful_at = math.inf
        self.somebody_answered(vendor)

    def somebody_answered(self, vendor: VendorRun) -> None:
        """Note that somebody answered, be it the vendor or a gateway."""
        vendor.health.succeeded()
        vendor.pace.speed_up()

    def call_failed(self, vendor: VendorRun, error: TemporaryError) -> None:
        """Note that a call that is safe to repeat failed."""
        if error.throttled:
            self.throttled(vendor, str(error), error.retry_after_s)
        else:
            self.vendor_unwell(vendor, str(error))

    def vendor_unwell(self, vendor: VendorRun, reason: str) -> None:
        """Note that a vendor did not answer, or could not."""
        vendor.health.failed(self.now, self.random.random())
        self._give_up_if_out_of_reach(vendor, reason)

    def throttled(self, vendor: VendorRun, reason: str, retry_after_s: float | None) -> None:
        """Note that a vendor found us too fast: no failure, but no success either, and slower from now on."""
        vendor.pace.slow_down(self.now, retry_after_s)
        vendor.health.throttled(self.now)
        log.warning("slowed_down", vendor=vendor.name, interval_s=round(vendor.pace.interval_s, 3))
        self._give_up_if_out_of_reach(vendor, reason)

    def _give_up_if_out_of_reach(self, vendor: VendorRun, reason: str) -> None:
        if vendor.health.out_of_reach(self.now) and not vendor.unreachable:
            vendor.unreachable = True
            vendor.trouble = reason
            log.error("vendor_out_of_reach", vendor=vendor.name, reason=reason)
