"""`merge`: build the master from what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.job.access import opened
from orchestrator.job.enrich import enrich_inputs, enriched_files
from orchestrator.job.extras import workers_for_extras
from orchestrator.job.lost_files import changed_inputs, restore
from orchestrator.job.pages import renew_page
from orchestrator.job.platform_names import with_former_names
from orchestrator.job.repair import repair_directly
from orchestrator.job.scratch import job_files
from orchestrator.job.sheet import behind_a_master, build_master, made_of, order_master, planned_standing
from orchestrator.jobdir.layout import LOG, REPLACED_BY_A_MASTER
from orchestrator.ledger import LedgerWriter
from orchestrator.report import summary
from orchestrator.report.log import logging_to
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from orchestrator.job.world import World
    from orchestrator.master import MasterReport
    from orchestrator.settings import Settings


async def merge_job(settings: Settings, world: World) -> MasterReport:
    """Build the master from what is there, partial while cells are pending; `UsageError` without a ledger.

    Lost files of the list are made anew while the list is there, as are those of other columns than before. The last
    run's summary names the master from then on, so that `verify` compares what is there.
    """
    with (
        opened(settings, create=False) as ledger,
        logging_to(world.stderr, settings.job.directory / LOG, clock=world.clock, environ=world.environ),
    ):
        settings = with_former_names(ledger, settings)
        planned_standing(ledger, settings)
        async with Workers(workers_for_extras(settings)) as workers:
            if ledger.runs.begun:
                try:
                    present = not changed_inputs(ledger.plan.inputs(), settings)
                except UsageError:
                    present = False
                writer = LedgerWriter(ledger)
                try:
                    await restore(writer, settings, workers, inputs_present=present, stdin=world.stdin)
                finally:
                    await writer.close()
            await repair_directly(ledger, settings, workers, world)
            files = job_files(settings)
            files.bring_all(ledger, *behind_a_master(settings))
            order = order_master(ledger, settings)
            report = await build_master(order, workers)
            reports = await enrich_inputs(order, settings, workers) if settings.output.enrich else []
            if not order.pending:
                ledger.change(lambda it: files.drop_stale(it, *REPLACED_BY_A_MASTER))
            enriched = enriched_files(reports, settings.job.directory)
            summary.renew_master(settings.job.directory, report, made_of(ledger, settings), enriched)
            await renew_page(settings, world, workers)
    return report
