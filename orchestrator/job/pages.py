"""report.html of a job, renewed by whatever changes where the job stands. It never changes how a command ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from orchestrator.errors import OrchestratorError, PieceDiedError
from orchestrator.job.access import ledger_place
from orchestrator.logger import log
from orchestrator.report.page import PageOrder, write_page
from orchestrator.report.streams import as_argument, job_arguments
from orchestrator.workers import PieceLimits, Workers

if TYPE_CHECKING:
    from orchestrator.job.world import World
    from orchestrator.settings import Settings

INTERVAL_S: Final = 60.0
AT_MOST: Final = 0.05
"""The share of a run's time in which its page is being written, at most."""
LIMITS: Final = PieceLimits(cpu_s=120.0)


async def renew_page(settings: Settings, world: World, workers: Workers | None = None) -> None:
    """Write report.html anew, in one of the `workers` or one of its own; whatever fails is a line in the log."""
    order = PageOrder(
        place=ledger_place(settings),
        job=settings.job.name,
        config=as_argument(settings.source),
        arguments=job_arguments(settings),
        platforms=settings.platforms,
        max_cost=None if settings.is_sandbox else settings.budget.max_cost,
        at=world.clock(),
    )
    try:
        if workers is not None:
            await workers.run(write_page, order, limits=LIMITS)
            return
        async with Workers(1) as own:
            await own.run(write_page, order, limits=LIMITS)
    except (OrchestratorError, PieceDiedError) as error:
        log.warning("report_not_written", reason=str(error))
    except Exception:  # noqa: BLE001 - it is logged, and a page is never a reason to end otherwise
        log.exception("report_not_written")


async def keep_page(settings: Settings, world: World, workers: Workers) -> None:
    """Renew the page until cancelled; the longer it takes, the less often."""
    loop = asyncio.get_running_loop()
    wait_s = INTERVAL_S
    while True:
        await asyncio.sleep(wait_s)
        began = loop.time()
        await renew_page(settings, world, workers)
        wait_s = max(INTERVAL_S, (loop.time() - began) / AT_MOST)
