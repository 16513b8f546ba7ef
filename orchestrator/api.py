"""The program for other programs: what the commands do, as typed calls on the caller's own event loop.

Names, arguments and results here are stable: what the commands print is made from them. Calls raise what
`orchestrator.errors` has, each with its exit code, when they could not begin; every later end is a result. They take no
signals, change no logger and write nothing to the caller's streams: `run.jsonl` in the job's directory has the log.
Settings name files and hold no key; that comes from the environment, or from a file that they name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, cast

from orchestrator.config import load, secrets_in
from orchestrator.errors import ExitCode
from orchestrator.job import plan, run, status
from orchestrator.job.budget import cost_again
from orchestrator.job.plan import PlanReport
from orchestrator.job.run import RunOptions, StopWish
from orchestrator.job.scratch import on_scratch
from orchestrator.job.world import World, of_another_program
from orchestrator.records import Token
from orchestrator.report import events, streams, summary
from orchestrator.report.summary import Summary
from orchestrator.report.ways_out import DecidedTask, WaitingTask, decided_task, waiting_task
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from os import PathLike

__all__ = [
    "ExitCode",
    "Hear",
    "PlanReport",
    "RunOptions",
    "Settings",
    "Status",
    "Summary",
    "Token",
    "World",
    "job_status",
    "load_settings",
    "plan_job",
    "run_job",
]

Hear = Callable[[dict[str, Any]], object]
"""Takes an event: `v`, `event`, `at`, and the fields of its kind."""


class Status(Summary):
    """What summary.json has, as the ledger knows it now, and the tasks on which a person may decide."""

    held_tasks: NotRequired[list[WaitingTask]]
    failed_tasks: NotRequired[list[WaitingTask]]
    decided_tasks: NotRequired[list[DecidedTask]]


def load_settings(path: str | PathLike[str], overrides: Sequence[str] = ()) -> Settings:
    """Return the settings of the TOML file at `path`, with `overrides` of the form key=value, as `--set` takes them.

    The paths in it become absolute; no key and no list is read. Raises `UsageError` with every problem found.
    """
    return load(Path(path), overrides)


async def plan_job(settings: Settings, *, out: Path | None = None, world: World | None = None) -> PlanReport:
    """Read the list for real, write the chunk files, look at key, balance, disk and clock; send nothing that costs.

    `out` is where the quote is written that a run may be held to.

    Raises `UsageError`, `LockedError`, `StorageError`.
    """
    with on_scratch(settings) as staged:
        return await plan.plan_job(staged, _private(settings, world), out=out)


async def run_job(
    settings: Settings,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    *,
    hear: Hear | None = None,
    world: World | None = None,
) -> Summary:
    """Do the whole job, or go on with a begun one; the one call that sends paid requests.

    Returns what summary.json has, in which `exit_code` says how it ended. A caller that is cancelled stops the job in
    good order, as a signal stops the command, with up to four seconds for answers on their way; then the cancellation
    goes on. A second one cuts the job off, as a kill would: the next run finds what was cut off. `hear` is called with
    each event (`orchestrator help programs`), between two steps of the job: it should return soon.

    Raises `UsageError`, `LockedError`, `StorageError` when the job could not be opened.
    """

    def hear_public(name: str, said: Mapping[str, Any]) -> None:
        if hear is not None and (event := events.public(name, said)):
            hear(event)

    stop, context = StopWish(), copy_context()
    told = None if hear is None else hear_public

    async def work() -> run.RunReport:
        with on_scratch(settings) as staged:
            return await run.run_job(staged, options, _private(settings, world), stop=stop, hear=told)

    task = asyncio.get_running_loop().create_task(work(), context=context)
    try:
        return (await asyncio.shield(task)).summary
    except asyncio.CancelledError:
        context.run(stop.wish, "its caller")
        await _ended(task)
        raise


async def job_status(settings: Settings, *, tasks: bool = True) -> Status:
    """Say where the job stands, also while it runs; with `tasks` also what is held, has failed, and was decided.

    Raises `UsageError` when there is no job yet.
    """
    report = await asyncio.to_thread(status.job_status, settings)
    last, job = report.last, streams.job_arguments(settings)
    left = summary.left_by_run(settings.job.directory, report.job_id, report.token)
    facts = summary.RunFacts(
        job=settings.job.name,
        job_id=report.job_id,
        serial=report.serial,
        config=streams.as_argument(settings.source),
        arguments=job,
        token=report.token,
        needs_after=not settings.ledger.url,
        sandbox=report.sandbox,
        started_at=last.started_at if last else None,
        ended_at=last.ended_at if last else None,
        exit_code=None if last is None or last.exit_code is None else ExitCode(last.exit_code),
        reason=last.reason if last else "",
        again_after_s=left.get("again_after_s"),
        max_cost=settings.budget.max_cost,
        needed_usd=report.needed_usd,
        others_usd=report.others_usd,
        planned_usd=report.planned_usd,
        warning=report.warning,
        decided=bool(report.decided),
        again=summary.with_config(summary.command_in(left.get("next", "")), streams.as_argument(settings.source)),
    )
    built = summary.build(
        facts, report.counts, report.standings, report.held, findings=report.findings, removed=report.removed
    )
    built["master"] = left.get("master", [])
    if left.get("master_of_earlier_run"):
        built["master_of_earlier_run"] = True
    content = cast("Status", {**built, **summary.CLOSED} if report.closed else {**built})
    if tasks:
        content["held_tasks"] = [
            waiting_task(it, job, again_usd=cost_again(settings, it), balance=report.balances.get(it.key))
            for it in report.held
        ]
        content["failed_tasks"] = [waiting_task(it, job, again_usd=cost_again(settings, it)) for it in report.failed]
        content["decided_tasks"] = [decided_task(it, job) for it in report.decided]
    return content


def _private(settings: Settings, world: World | None) -> World:
    """Return the world of a call, with the keys hidden in whatever it may write."""
    given = world or of_another_program()
    streams.hide(*secrets_in(settings, given.environ))
    return given


async def _ended(task: asyncio.Task[Any]) -> None:
    """Wait for `task` to end by itself; when that is cancelled too, cut it off."""
    try:
        await asyncio.wait((task,))
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def __dir__() -> list[str]:
    """Return what is stable, and nothing of what this module is made of."""
    return sorted(__all__)
