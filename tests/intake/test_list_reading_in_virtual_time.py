from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from orchestrator.intake import ChunkLimits, Planned, read_list, rebuild
from orchestrator.jobdir.layout import chunk_path
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from .conftest import MakeJob, Write

pytestmark = pytest.mark.looptime


async def test_reading_takes_no_virtual_time(make_job: MakeJob, write: Write) -> None:
    """Reading and rebuilding go through executors that virtual time waits for: no time-out fires meanwhile."""
    write("a.txt", "+41798284651\n+41798284652\n")
    job = make_job("a.txt")
    async with Workers(1) as workers, asyncio.timeout(60):
        plan = await read_list(job, lambda _total: ChunkLimits(1, 1, 10), workers)
        chunk_path(job.directory, 2).unlink()
        await rebuild(job, workers, Planned(plan.chunks))
    assert chunk_path(job.directory, 2).read_text() == "+41798284652\n"
