"""`resolve`: a person's decisions on tasks, written into the ledger for the next run to act on.

Which state takes which decision stands in `tasks.DECISIONS`. As long as nothing has come of a decision, a new one takes
its place: it counts as if the earlier one had never been made.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, assert_never

import numpy as np

from orchestrator.config import read_key
from orchestrator.dispatch.fetching import most_bytes
from orchestrator.dispatch.pace import Pace, wait_to_leave
from orchestrator.dispatch.result_links import names_in
from orchestrator.dispatch.result_versions import check_of, files_of, note_result, raw_results
from orchestrator.errors import CallError, DamagedResultError, OrchestratorError, PieceDiedError, UsageError
from orchestrator.files import make_private_directory, replacing
from orchestrator.job.access import opened
from orchestrator.job.budget import cost_again
from orchestrator.job.pages import renew_page
from orchestrator.job.platform_names import with_former_names
from orchestrator.job.repair import repair_chunks
from orchestrator.job.scratch import job_files
from orchestrator.job.shared import fingerprints, vendor_pace
from orchestrator.job.target import named_file
from orchestrator.job.vendors import vendor_clients
from orchestrator.jobdir.arrays import unpack_places
from orchestrator.jobdir.layout import LOG, rows_path
from orchestrator.jobdir.list_rows import rows_of_chunks
from orchestrator.jobdir.row_files import read_rows
from orchestrator.records import NANO
from orchestrator.report import streams
from orchestrator.report.log import logging_to
from orchestrator.report.streams import redacted
from orchestrator.results import check_limits, take_results
from orchestrator.results.byhand import look_into
from orchestrator.results.check import MISSING_PERCENT
from orchestrator.tasks import DECISIONS, HELD, Event, IllegalTransitionError, State, TaskKey
from orchestrator.vendor_api.dialects import is_task_id
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.job.world import World
    from orchestrator.ledger import Ledger
    from orchestrator.records import StoredFile, Task
    from orchestrator.results import ResultCheck, ResultReport
    from orchestrator.results.byhand import BroughtFile
    from orchestrator.settings import Settings

OPTIONS = {
    Event.RESUBMIT: "--resubmit",
    Event.ADOPT: "--adopt TASK_ID",
    Event.FINISH: "--result FILE",
    Event.GIVE_UP: "--give-up",
    Event.REFETCH: "--refetch",
}
"""How a person says what happens to the task."""

_PLACEHOLDERS: Final = frozenset({"task_id", "task-id", "taskid", "task id", "id"})
"""What stands for an id in a command that is to be copied, and in what people make of it."""

LOOK_S: Final = 15.0
"""So long the vendor is waited for that is asked for the rows of a task."""

_NOTHING_TO_DECIDE = {
    State.PLANNED: "it is planned, and the next run sends it: there is nothing to decide",
    State.SKIPPED: "it was skipped, since its chunk is below the platform's min_rows: there is nothing to decide",
    State.RETRIED: "retry planned its numbers again, in a later task: decide on that one",
}


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Send it again: it is known not to exist, or paying twice is accepted."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """The task exists at the vendor under this id; `partial` takes one with another number of rows, too."""

    task_id: str
    partial: bool = False


@dataclass(frozen=True, slots=True)
class UseResult:
    """The result file was fetched by hand; `partial` takes one that lacks numbers, too."""

    path: Path
    partial: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do without: its cells say `failed`."""


@dataclass(frozen=True, slots=True)
class Refetch:
    """Fetch its result again, under the id that is known."""


@dataclass(frozen=True, slots=True)
class Undo:
    """Take the last decision back."""


Decision = Resubmit | Adopt | UseResult | GiveUp | Refetch | Undo

_EVENTS: dict[type[Decision], Event] = {
    Resubmit: Event.RESUBMIT,
    Adopt: Event.ADOPT,
    UseResult: Event.FINISH,
    GiveUp: Event.GIVE_UP,
    Refetch: Event.REFETCH,
}


@dataclass(frozen=True, slots=True)
class Settled:
    """What was decided on one task. Costs are in USD.

    `cost` is what the decision itself may cost, None where no price is known; `paid` is what earlier submits may have
    cost. `replaced` is the decision that it took the place of, "" for none.
    """

    task: str
    decision: Event
    cost: float | None
    paid: float
    task_id: str | None
    replaced: str = ""
    missing: int = 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A task that `--all` passed over, and the way out."""

    task: str
    task_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class ResolveReport:
    """What `resolve` did; `decided` is how many decisions since the last run can be taken back now.

    `withdrawn` are retries that were planned and not sent: a result that comes first may answer their numbers.
    `unchecked` says why the vendor did not tell how many rows an adopted task has, "" where it did.
    """

    settled: tuple[Settled, ...]
    left_out: tuple[LeftOut, ...] = ()
    decided: int = 0
    withdrawn: tuple[str, ...] = ()
    unchecked: str = ""


class _Brought(NamedTuple):
    """What a result file says that a person brought, how many of the chunk's numbers it lacks, and its objects."""

    check: ResultCheck
    report: ResultReport
    missing: int
    stored: Sequence[StoredFile]


async def resolve_tasks(
    settings: Settings, decision: Decision, names: Sequence[str] | None, world: World
) -> ResolveReport:
    """Decide on the named tasks, or on every held one when `names` is None.

    All or none: raises `UsageError` when a task does not exist, does not take this decision, or when the id or file
    does not fit.
    """
    at = world.clock()
    with (
        opened(settings, create=False) as ledger,
        logging_to(world.stderr, settings.job.directory / LOG, clock=world.clock, environ=world.environ),
    ):
        settings = with_former_names(ledger, settings)
        ledger.change(lambda it: it.doubt_unanswered(at=at))
        tasks, left_out = _chosen(ledger, decision, names)
        if len(tasks) != 1 and isinstance(decision, Adopt | UseResult):
            raise UsageError("a task id or a result file belongs to exactly one task; name that one")
        for task in tasks:
            _check(task, decision)
        brought, unchecked = None, ""
        if isinstance(decision, Adopt):
            _check_id(ledger, decision.task_id, tasks[0].key)
            unchecked = await _check_total(settings, ledger, decision, tasks[0], world)
        if isinstance(decision, UseResult):
            brought = await _take_result(settings, ledger, decision, tasks[0], world)
        retries: list[TaskKey] = []
        if tasks:
            if isinstance(decision, Refetch | Adopt | UseResult):
                retries = _retries_of(ledger, settings.job.directory, [task.key for task in tasks])
            change = partial(_decide, tasks=tasks, decision=decision, brought=brought, retries=retries, at=at)
            ledger.change(change)
            await renew_page(settings, world)
        missing = brought.missing if brought else 0
        return ResolveReport(
            tuple(_settled(settings, task, decision, missing) for task in tasks),
            tuple(left_out),
            len(ledger.tasks.decided(serial=ledger.runs.serial)),
            tuple(map(str, retries)),
            unchecked,
        )


def _decide(
    ledger: Ledger,
    tasks: Sequence[Task],
    decision: Decision,
    brought: _Brought | None,
    retries: Sequence[TaskKey],
    *,
    at: float,
) -> None:
    """Decide on each task, in the place of an earlier decision of which nothing has come, and withdraw `retries`."""
    transitions = ledger.transitions
    for task in tasks:
        try:
            if (
                task.decided is not None
                and type(decision) in _EVENTS
                and _EVENTS[type(decision)] in _taken_before(task)
            ):
                transitions.undo(task.key, at=at, replaced=True)
            match decision:
                case Undo():
                    transitions.undo(task.key, at=at)
                case Resubmit():
                    transitions.resubmit(task.key, at=at)
                case GiveUp():
                    transitions.give_up(task.key, at=at)
                case Refetch():
                    transitions.refetch(task.key, at=at, decided=True)
                case Adopt(task_id, _):
                    transitions.adopt(task.key, task_id, at=at)
                case UseResult():
                    if brought is not None:
                        note_result(
                            ledger, brought.check, task.key, brought.report, brought.stored, at=at, decided=True
                        )
                case _:
                    assert_never(decision)
        except IllegalTransitionError as error:
            raise UsageError(f"{task.key}: {error}") from error
    for key in retries:
        reason = f"withdrawn, since {', '.join(str(task.key) for task in tasks)} may answer it"
        transitions.withdraw(key, reason, at=at)


def _chosen(
    ledger: Ledger, decision: Decision, names: Sequence[str] | None
) -> tuple[Sequence[Task], Sequence[LeftOut]]:
    """Return the tasks that are meant, and what `--all` passes over because of their ids."""
    if names is not None:
        tasks = []
        for name in dict.fromkeys(names):
            try:
                task = ledger.tasks.get(TaskKey.parse(name))
            except ValueError as error:
                raise UsageError(f"{error}; see status --held") from error
            if task is None:
                raise UsageError(f"{name}: the job has no such task; see status --held")
            tasks.append(task)
        return tasks, ()
    if isinstance(decision, Undo):
        return ledger.tasks.decided(serial=ledger.runs.serial), ()
    held = ledger.tasks.select(*HELD)
    unknown, known = [t for t in held if t.task_id is None], [t for t in held if t.task_id is not None]
    match decision:
        case Refetch():
            failed = [task for task in ledger.tasks.select(State.FAILED) if task.task_id is not None]
            # As `retry` names them: what was settled with a result that says nothing may be another on another day.
            keys = {key for name in ledger.platforms.fixed() for key in ledger.quarantine.to_refetch(name)}
            settled = [task for task in ledger.tasks.findings() if task.key in keys]
            return [*known, *failed, *settled], [LeftOut(str(task.key), None, _NO_ID) for task in unknown]
        case Resubmit():
            return unknown, [LeftOut(str(task.key), task.task_id, _PAID_FOR) for task in known]
    return held, ()


_NO_ID = "no task id of the vendor is known, so there is nothing to fetch; --adopt TASK_ID names one"
_PAID_FOR = (
    "it has a task id, so it was paid for; every run looks at it once more, --refetch fetches it again, and to pay for "
    "it twice name it"
)


def before(task: Task) -> tuple[State, str | None, str]:
    """Return state and task id of a task before the decision that can be taken back, and that decision, or ""."""
    if task.decided is None:
        return task.state, task.task_id, ""
    note: dict[str, Any] = json.loads(task.decided)
    return State(note["state"]), note["task_id"], OPTIONS[Event(note["event"])].partition(" ")[0]


def _takes(state: State, task_id: str | None) -> tuple[Event, ...]:
    return tuple(it for it in DECISIONS.get(state, ()) if it is not Event.REFETCH or task_id is not None)


def _taken_before(task: Task) -> tuple[Event, ...]:
    """Return what a task took before the decision that can be taken back: each of these takes its place."""
    state, task_id, _ = before(task)
    return _takes(state, task_id)


def _check(task: Task, decision: Decision) -> None:
    """Raise `UsageError` unless the task takes the decision; the message says which ones it takes."""
    state, task_id, earlier = before(task)
    if isinstance(decision, Undo):
        if not earlier:
            raise UsageError(f"{task.key}: there is no decision to take back, or something has come of it already")
        return
    # One that was given up while it was at the vendor has failed, and is shown so, with its ways out.
    given_up = _takes(task.state, task.task_id) if task.state is State.FAILED else ()
    takes = [*dict.fromkeys((*_taken_before(task), *given_up))]
    event = _EVENTS[type(decision)]
    if event in takes:
        return
    if not takes:
        raise UsageError(f"{task.key}: {_NOTHING_TO_DECIDE[state]}")
    if event is Event.REFETCH and task_id is None:
        reason = "no task id of the vendor is known, so there is nothing to fetch"
    else:
        said = {
            State.SUBMITTED: f"at the vendor under the task id {task.task_id}, where the next run looks for it",
            State.IN_DOUBT: "in doubt",
        }.get(state, state.value)
        reason = f"it is {said}, so {OPTIONS[event].partition(' ')[0]} makes no sense"
    *others, last = (OPTIONS[event] for event in takes)
    options = f"{', '.join(others)} or {last}" if others else last
    raise UsageError(f"{task.key}: {reason}; it takes {options}")


def _retries_of(ledger: Ledger, directory: Path, keys: Sequence[TaskKey]) -> list[TaskKey]:
    """Return the retries that ask for numbers of `keys` once more, and are not sent: they would be paid twice."""
    chunks = {chunk.chunk: chunk for chunk in ledger.plan.chunks()}
    list_rows = rows_of_chunks(chunks.values())

    def rows_of(key: TaskKey) -> NDArray[np.int64]:
        chunk = chunks[key.chunk]
        if chunk.only is None:
            return list_rows.of_chunk(chunk)
        if chunk.places is None:  # planned by an earlier version
            return read_rows(rows_path(directory, chunk.chunk))
        return unpack_places(chunk.places)

    found: set[TaskKey] = set()
    for platform in {key.platform for key in keys}:
        planned = (task.key for task in ledger.tasks.select(State.PLANNED, platform=platform))
        waiting = {retry: rows_of(retry) for retry in planned if chunks[retry.chunk].only is not None}
        for key in keys if waiting else ():
            if key.platform == platform:
                rows = rows_of(key)
                found |= {it for it, asked in waiting.items() if np.isin(asked, rows, assume_unique=True).any()}
    return sorted(found)


def _settled(settings: Settings, task: Task, decision: Decision, missing: int) -> Settled:
    """Say what was decided, of a task as it was before."""
    _, task_id, earlier = before(task)
    event = Event.UNDO if isinstance(decision, Undo) else _EVENTS[type(decision)]
    return Settled(
        task=str(task.key),
        decision=event,
        cost=cost_again(settings, task) if event is Event.RESUBMIT else 0.0,
        paid=task.cost_nano / NANO,
        task_id=decision.task_id if isinstance(decision, Adopt) else task_id,
        replaced=earlier,
        missing=missing,
    )


def _check_id(ledger: Ledger, task_id: str, key: TaskKey) -> None:
    """Raise `UsageError` for what is no id of the vendor's, or one that it has named for another task."""
    if task_id.strip("<>[]{}$").casefold() in _PLACEHOLDERS:
        raise UsageError(f"--adopt {task_id}: put the id that the vendor shows for the task in the place of this word")
    if not is_task_id(task_id) or redacted(task_id) != task_id:
        raise UsageError("--adopt: this can't be a task id of the vendor; copy it anew from there")
    owner = ledger.tasks.named_for(key, task_id)
    # That one may have lost it since. If it has it still, it may be by a person's mistake: then the ledger says how
    # that is mended.
    if owner is not None and ledger.tasks.owner_of(key, task_id) is None:
        raise UsageError(
            f"{key}: the vendor has named the task id {task_id} for {owner}; look at the vendor for the right one"
        )


async def _check_total(settings: Settings, ledger: Ledger, decision: Adopt, task: Task, world: World) -> str:
    """Ask the vendor how many rows the task has that is to be adopted; `UsageError` when it can't be this one.

    Returns why it did not tell, "" when it did. Nothing hangs on it: the result is compared with the chunk, whatever
    was adopted. But that comes after hours, and a slip is mended best at once.
    """
    key, task_id = task.key, decision.task_id
    platform = settings.platforms.get(key.platform)
    if platform is None:
        return f"[platforms.{key.platform}] is not in {settings.source}"
    if settings.vendors[platform.vendor].is_sandbox:
        return ""  # it is there while a run lasts, and its tasks cost nothing
    calls = 0

    async def leave() -> None:
        nonlocal calls
        await wait_to_leave(*paces)
        calls += 1  # the vendor may charge for it

    try:
        vendor = settings.vendors[platform.vendor]
        now = asyncio.get_running_loop().time()
        keys = {platform.vendor: read_key(vendor, world.environ)}
        mark = fingerprints(ledger, settings, keys)[platform.vendor]
        paces = (Pace(platform.requests_per_second, now=now), vendor_pace(vendor, mark, ledger, now=now))
        streams.hide(*keys.values())
        async with asyncio.timeout(LOOK_S), vendor_clients(settings, keys, world) as clients:
            report = await clients[platform.vendor].status(platform, task_id, leave=leave)
    except TimeoutError:
        return f"the vendor did not answer within {LOOK_S:g} s"
    except (OrchestratorError, CallError) as error:
        return redacted(str(error))
    finally:
        ledger.change(lambda changed: changed.platforms.count_status_calls(key.platform, calls))
    if not decision.partial and report.total and abs(report.total - task.rows) * 100 > task.rows * MISSING_PERCENT:
        sent = f" that was sent as {task.sent_name}" if task.sent_name else " of this chunk"
        raise UsageError(
            f"{key}: the task {task_id} has {report.total:,} rows at the vendor, and the chunk {task.rows:,}; look "
            f"there for the one{sent}, or, if it is this one all the same, take it with --partial"
        )
    return "" if report.total else "the vendor does not tell the total"


async def _take_result(settings: Settings, ledger: Ledger, decision: UseResult, task: Task, world: World) -> _Brought:
    """Read a result file that a person brought, keep it, and write its verdicts; `UsageError` when it does not fit."""
    directory, key, path = settings.job.directory, task.key, decision.path
    platform = settings.platforms.get(key.platform)
    if platform is None:
        raise UsageError(f"{key}: [platforms.{key.platform}] is not in {settings.source}; put it back for this")
    others = {name: (name, *other.result_columns) for name, other in settings.platforms.items() if name != key.platform}
    _, task_id, _ = before(task)
    check = check_of(directory, key, platform, task_id=task_id or "", chunk_sha256=task.sha256, success=None)
    for file in (check.result, check.verdicts):
        make_private_directory(file.parent)
    files = job_files(settings)
    files.bring_now(ledger, check.chunk, *raw_results(directory, key))
    with named_file(path) as source:
        size, most = os.fstat(source.fileno()).st_size, most_bytes(task.rows)
        if size > most:
            raise UsageError(f"{path}: {size:,} bytes are more than a result of this task may have ({most:,})")
        with replacing(check.result) as copy:
            shutil.copyfileobj(source, copy)
    try:
        async with Workers(1) as workers:
            if not check.chunk.exists():  # on a machine where the job never ran
                await repair_chunks(ledger, settings, workers, world)
            found = await workers.run(look_into, check, others, limits=check_limits(task.rows))
            _check_fit(ledger, decision, task, found)
            (report,) = await workers.run(take_results, (check,), limits=check_limits(task.rows))
            if isinstance(report, Exception):
                raise report
    except (DamagedResultError, PieceDiedError) as error:
        check.result.unlink(missing_ok=True)
        raise UsageError(f"{path}: this is no result of {key}: {error}") from error
    except UsageError:
        check.result.unlink(missing_ok=True)
        raise
    stored = await files.put(*files_of(directory, key, report))
    return _Brought(check, report, found.rows - found.matched, stored)


def _check_fit(ledger: Ledger, decision: UseResult, task: Task, found: BroughtFile) -> None:
    """Raise `UsageError` when a file with numbers of the chunk seems to be of another task, or not all of it."""
    path, key = decision.path, task.key
    if found.other:
        raise UsageError(
            f"{path}: its column is named after {found.other}, and {key} asks for {key.platform}; if it is "
            f"{key.platform} all the same, name the column {key.platform}"
        )
    names = dict.fromkeys(name for member in (path.name, *found.members) for name in names_in(member))
    if (
        names
        and before(task)[1] not in names
        and (owner := ledger.tasks.owner_of(key, *names, once=True, anywhere=True))
    ):
        raise UsageError(
            f"{path}: its name, or one inside of it, is the task id of {owner}; if it is the result of {key} all the "
            "same, give it another name"
        )
    missing = found.rows - found.matched
    if missing * 100 > found.rows * MISSING_PERCENT and not decision.partial:
        raise UsageError(
            f"{path}: it has {found.matched:,} of the {found.rows:,} numbers of {key}; see whether it is whole, or "
            f"take it with --partial: the other {missing:,} become unanswered"
        )
