"""A person's decisions on held tasks, written into the ledger for the next run to act on."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, assert_never

from orchestrator.dispatch.settling import results_folder
from orchestrator.errors import DamagedResultError, PieceDiedError, UsageError
from orchestrator.files import make_private_directory, replacing
from orchestrator.intake import chunk_path
from orchestrator.job.opening import opened
from orchestrator.ledger import Ledger
from orchestrator.report.streams import redacted
from orchestrator.results import ResultCheck, check_limits, take_results, verdict_path
from orchestrator.tasks import HELD, Event, IllegalTransitionError, State, TaskKey, origins
from orchestrator.vendor.dialects import is_task_id
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.job.world import World
    from orchestrator.ledger import Task
    from orchestrator.settings import Settings


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Send it again: it is known not to exist, or paying twice is accepted."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """The task exists at the vendor under this id."""

    task_id: str


@dataclass(frozen=True, slots=True)
class UseResult:
    """The result file was fetched by hand."""

    path: Path


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do without: its cells say `failed`."""


Decision = Resubmit | Adopt | UseResult | GiveUp

_EVENTS = {Resubmit: Event.RESUBMIT, Adopt: Event.ADOPT, UseResult: Event.FINISH, GiveUp: Event.GIVE_UP}


async def resolve(settings: Settings, decision: Decision, names: Sequence[str] | None, world: World) -> tuple[str, ...]:
    """Settle the named tasks, or every held one when `names` is None, and return their names.

    All or none: raises `UsageError` when a task does not exist, does not wait for this decision, or when the id or
    file does not fit.
    """
    with opened(settings, create=False) as ledger:
        _hold_what_was_cut_off(ledger, world.clock())
        tasks = ledger.tasks(*HELD) if names is None else [_named(ledger, name) for name in names]
        if len(tasks) != 1 and isinstance(decision, Adopt | UseResult):
            raise UsageError("a task id or a result file belongs to exactly one task; name that one")
        for task in tasks:
            _check(task, decision)
        change = await _change(settings, decision, tasks, world)
        if tasks:
            ledger.change(change)
        return tuple(str(task.key) for task in tasks)


def _hold_what_was_cut_off(ledger: Ledger, at: float) -> None:
    """Hold submits that a killed run left without an answer: nobody else is running, so none will come."""
    for task in ledger.tasks(State.RELEASED):
        ledger.change(partial(Ledger.doubt, key=task.key, reason="the run ended between release and answer", at=at))


def _named(ledger: Ledger, name: str) -> Task:
    try:
        key = TaskKey.parse(name)
    except ValueError as error:
        raise UsageError(f"{error}; see status --held") from error
    task = ledger.task(key)
    if task is None:
        raise UsageError(f"{name}: the job has no such task; see status --held")
    return task


def _check(task: Task, decision: Decision) -> None:
    event = _EVENTS[type(decision)]
    if task.state not in origins(event):
        held = "" if task.state in HELD else ", not held"
        raise UsageError(f"{task.key}: it is {task.state}{held}, and can't take this decision")


async def _change(
    settings: Settings, decision: Decision, tasks: Sequence[Task], world: World
) -> Callable[[Ledger], None]:
    at = world.clock()
    match decision:
        case Resubmit():
            return partial(_each, tasks, lambda ledger, key: ledger.resubmit(key, at=at))
        case GiveUp():
            return partial(_each, tasks, lambda ledger, key: ledger.give_up(key, at=at))
        case Adopt(task_id):
            if not is_task_id(task_id) or redacted(task_id) != task_id:
                raise UsageError("--adopt: this can't be a task id of the vendor; copy it anew from there")
            return partial(_each, tasks, lambda ledger, key: ledger.adopt(key, task_id, at=at))
        case UseResult(path):
            return await _take_result(settings, path, tasks[0], at)
        case _:
            assert_never(decision)


def _each(tasks: Sequence[Task], settle: Callable[[Ledger, TaskKey], None], ledger: Ledger) -> None:
    for task in tasks:
        try:
            settle(ledger, task.key)
        except IllegalTransitionError as error:
            raise UsageError(f"{task.key}: {error}") from error


async def _take_result(settings: Settings, path: Path, task: Task, at: float) -> Callable[[Ledger], None]:
    directory, key = settings.job.directory, task.key
    platform = settings.platforms.get(key.platform)
    if platform is None:
        raise UsageError(f"{key}: [platforms.{key.platform}] is not in {settings.source}; put it back for this")
    kept = results_folder(directory, key.platform) / f"{key.chunk:06d}.part"
    _copy(path, kept)
    verdicts = verdict_path(directory, key.platform, key.chunk)
    make_private_directory(verdicts.parent)
    check = ResultCheck(
        result=kept,
        chunk=chunk_path(directory, key.chunk),
        verdicts=verdicts,
        platform=key.platform,
        columns=platform.result_columns,
        task_id=task.task_id or "",
        success=None,
    )
    try:
        async with Workers(1) as workers:
            (report,) = await workers.run(take_results, (check,), limits=check_limits(task.rows))
            if isinstance(report, Exception):
                raise report
    except (DamagedResultError, PieceDiedError) as error:
        kept.unlink(missing_ok=True)
        raise UsageError(f"{path}: this is no result of {key}: {error}") from error
    detail = {"by": "decision", "result": report.result_sha256, "verdicts": report.verdicts_sha256}
    return lambda ledger: ledger.finish(key, report.counts, at=at, detail=detail)


def _copy(source: Path, target: Path) -> None:
    make_private_directory(target.parent)
    try:
        file = source.open("rb")
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror or error}") from error
    with file, replacing(target) as copy:
        shutil.copyfileobj(file, copy)
