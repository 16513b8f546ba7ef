"""The program's commands as its command line gives them: each in a folder of its own where the job is in a bucket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from orchestrator.job import access, merge, plan, purge, resolve, retry, run, status, verify
from orchestrator.job.scratch import on_scratch
from orchestrator.job.status import StatusReport
from orchestrator.ledger import Ledger
from orchestrator.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


def _staged(command: Callable[Concatenate[Settings, P], Awaitable[T]]) -> Callable[Concatenate[Settings, P], Any]:
    async def staged(settings: Settings, *args: P.args, **options: P.kwargs) -> T:
        with on_scratch(settings) as here:
            return await command(here, *args, **options)

    return wraps(command)(staged)  # type: ignore[return-value]  # wrapped, it takes what it took


run_job = _staged(run.run_job)
plan_job = _staged(plan.plan_job)
merge_job = _staged(merge.merge_job)
verify_job = _staged(verify.verify_job)
retry_job = _staged(retry.retry_job)
resolve_tasks = _staged(resolve.resolve_tasks)
purge_job = _staged(purge.purge_job)


def job_status(settings: Settings) -> StatusReport:
    with on_scratch(settings) as here:
        return status.job_status(here)


@contextmanager
def opened(settings: Settings) -> Iterator[Ledger]:
    with on_scratch(settings) as here, access.opened(here) as ledger:
        yield ledger
