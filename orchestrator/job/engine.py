"""The workers of a job, on the engine that `[workers]` names."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.jobdir.layout import MEETING
from orchestrator.settings import EngineKind
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from orchestrator.settings import Settings
    from orchestrator.workers import Engine


@asynccontextmanager
async def workers_of(settings: Settings) -> AsyncGenerator[Workers, None]:
    """Have the workers of a job; raises `UsageError` for an engine that can't do its pieces, `EngineError`."""
    engine = None
    if settings.workers.kind is EngineKind.DASK:
        engine = await asyncio.to_thread(_dask_cluster, settings)  # an import of half a second
    async with Workers(settings.workers.count, engine=engine) as workers:
        yield workers


def _dask_cluster(settings: Settings) -> Engine:
    try:
        from orchestrator.engines.dask_cluster import DaskCluster  # noqa: PLC0415 - an extra, which few have
    except ImportError as error:
        raise UsageError(
            f'{settings.source}: [workers] kind = "dask" needs what is not installed ({error.name}): run '
            "`pip install 'numbercheck-orchestrator[dask]'`, here and wherever the scheduler and its workers run, or "
            'set kind = "local"'
        ) from error
    bucket = (settings.url, settings.storage) if settings.url else None
    return DaskCluster(settings.workers.address, settings.job.directory / MEETING, bucket)
