"""The master of a job: wires ledger, chunk files and verdict files to what writes the sheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.files import lies_at
from orchestrator.job.access import ledger_place
from orchestrator.job.extras import ExtraOrders, WantedExtras, make_extras, order_extras
from orchestrator.job.lost_files import kept_columns
from orchestrator.jobdir.arrays import unpack_places
from orchestrator.jobdir.layout import (
    DUPLICATES,
    LISTS,
    REJECTED,
    RESULT_FILES,
    chunk_path,
    columns_path,
    extras_path,
    rows_path,
    verdict_path,
)
from orchestrator.jobdir.reused_cells import moment_text
from orchestrator.jobdir.verdict_words import ALARM, UNANSWERED
from orchestrator.master import ExtraFile, MasterChunk, MasterReport, MasterRequest, Overlay, RejectSheet, write_master
from orchestrator.master.number_index import RUN_ROWS, build_index
from orchestrator.master.resolved import Waiting
from orchestrator.records import NANO, Money, ReusedSums
from orchestrator.report.printed import money
from orchestrator.settings import CsvStyle, PlatformSettings
from orchestrator.tasks import HELD, UNFINISHED, State, TaskKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orchestrator.ledger import Ledger, LedgerPlace
    from orchestrator.master.number_index import NumberIndex
    from orchestrator.records import Standing
    from orchestrator.settings import Settings
    from orchestrator.workers import Workers

Answers = Mapping[str, PlatformSettings]

SANDBOX_BANNER = "These verdicts come from the embedded vendor: they are made up and say nothing about anybody."


def made_of(ledger: Ledger, settings: Settings) -> dict[str, object]:
    """Return what decides the cells of a master that is written now; with anything else, an earlier one is older."""
    return {
        **ledger.tasks.position(),
        "job": settings.job.name,
        "platforms": list(settings.platforms),
        "columns": list(kept_columns(ledger.plan.counts(), settings)),
        **(
            {"extras": extras}
            if any(extras := [list(its.extra_columns) for its in settings.platforms.values()])
            else {}
        ),
        **({"checked_at": True} if settings.reuse.jobs else {}),
        **({"csv": settings.output.csv.value} if settings.output.csv is not CsvStyle.PLAIN else {}),
    }


def planned_standing(ledger: Ledger, settings: Settings) -> dict[str, Standing]:
    """Return where every platform stands; `UsageError` when one was never planned: there is nothing to say about it.

    `StorageError` when chunks are lost: what is made of the others would look whole.
    """
    ledger.plan.check_chunks()
    standing = ledger.platforms.standing()
    if unplanned := [name for name in settings.platforms if name not in standing]:
        raise UsageError(f"{', '.join(unplanned)}: nothing is planned yet; see orchestrator plan")
    return standing


@dataclass(frozen=True, slots=True)
class MasterOrder:
    """A master to be written: what is asked for, where its cells come from, and whether some are pending.

    `extras` are the extra files that must be there before, None when nobody wants any.
    """

    request: MasterRequest
    place: LedgerPlace
    pending: bool
    extras: ExtraOrders | None = None


def behind_a_master(settings: Settings) -> tuple[str, ...]:
    """Return how the paths of the files begin that a master is made of, beside chunks and verdicts."""
    return (*LISTS, *((RESULT_FILES,) if settings.wants_extras else ()))


def order_master(ledger: Ledger, settings: Settings, *, into: Path | None = None) -> MasterOrder:
    """Order the master, into the job's directory or `into` another; `UsageError` when a platform was never planned."""
    platforms = tuple(settings.platforms)
    standing = planned_standing(ledger, settings)
    due = ledger.plan.due()
    pending = any(standing[name].unfinished or not ledger.plan.is_complete(name) or name in due for name in platforms)
    counts = ledger.plan.counts()
    directory = settings.job.directory if into is None else into
    last = ledger.runs.last()
    request = MasterRequest(
        directory=directory,
        platforms=platforms,
        formats=settings.output.formats,
        rows=counts.accepted,
        banner="" if ledger.platforms.made_up().isdisjoint(platforms) else SANDBOX_BANNER,
        facts=(
            ("Job", settings.job.name),
            # Verdicts age, and a sheet is passed on without its job.
            *([("Checked", f"{datetime.fromtimestamp(last.started_at, UTC):%Y-%m-%d}")] if last is not None else []),
            ("Lines and cells read", f"{counts.read:,}"),
            ("Numbers", f"{counts.accepted:,}"),
            ("Duplicates", f"{counts.duplicates:,}"),
            ("Rejected", f"{counts.rejected:,}"),
            *_sums([standing[name] for name in platforms], ledger.platforms.removed(settings.platforms), settings),
        ),
        columns=kept_columns(counts, settings),
        rejects=(
            RejectSheet("Rejected", settings.job.directory / REJECTED, counts.rejected),
            RejectSheet("Duplicates", settings.job.directory / DUPLICATES, counts.duplicates),
        ),
        lists=settings.output.lists,
        csv=settings.output.csv,
        checked=bool(settings.reuse.jobs),
        waiting=waiting(ledger, platforms),
    )
    return MasterOrder(request, ledger_place(settings), pending, order_extras(ledger, settings, directory))


def _sums(here: Sequence[Standing], removed: Sequence[Standing], settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what was taken from earlier jobs, and what the job has cost: the sheet is what those see who pay."""
    reused = sum((standing.reused for standing in here), ReusedSums())
    if reused.tasks:
        yield "Reused", f"{reused.numbers:,}"
        if reused.oldest is not None:
            yield "Oldest reused", moment_text(reused.oldest)
        for standing in here if len(here) > 1 else ():
            yield f"Reused of {standing.platform}", f"{standing.reused.numbers:,}"
    paid = [*here, *removed]
    total = sum((standing.money for standing in paid), Money())
    if settings.is_sandbox or not total.spent:
        return
    yield "Charged", money(total.charged / NANO)
    for name, nano in (("At work", total.reserved), ("In doubt", total.in_doubt), ("Refunded", total.refunded)):
        if nano:
            yield name, money(nano / NANO)
    for standing in paid if len(paid) > 1 else ():
        yield f"Cost of {standing.platform}", money(standing.money.spent / NANO)


def waiting(ledger: Ledger, platforms: Sequence[str]) -> tuple[Waiting, ...]:
    """Return which of some platforms wait for others of them, each behind the one that it waits for."""
    conditions, due = ledger.plan.conditions(), ledger.plan.due()

    def depth(name: str) -> int:
        return 0 if name not in conditions else 1 + depth(conditions[name].other)

    return tuple(
        Waiting(name, conditions[name].other, conditions[name].word, name in due)
        for name in sorted(set(platforms) & conditions.keys(), key=depth)
        if conditions[name].other in platforms
    )


async def build_master(order: MasterOrder, workers: Workers) -> MasterReport:
    """Write a master in a worker process: a stop can cut it off."""
    request, place = order.request, order.place
    wanted = None
    if order.extras is not None:
        wanted = order.extras.wanted
        request = replace(request, extras=await make_extras(order.extras, workers))
    return await workers.run(
        write_master,
        request,
        partial(
            master_chunks,
            place,
            request.platforms,
            columns=bool(request.columns),
            extras=wanted,
            checked=request.checked,
        ),
        order.pending,
        partial(overlays, place, request.platforms, extras=wanted, checked=request.checked),
    )


async def index_numbers(
    place: LedgerPlace,
    platforms: tuple[str, ...],
    workers: Workers,
    folder: Path,
    extras: ExtraOrders | None = None,
    *,
    checked: bool = False,
    answers: Answers | None = None,
) -> NumberIndex:
    """Write into `folder` what every number of a job is looked up in, in a worker process.

    `checked` says that it is wanted when each verdict was checked. `answers` says of each platform how it is asked now:
    a verdict that was read of other columns is left out, and one that came with an alarm, unless one word is right.
    """
    wanted = None if extras is None else extras.wanted
    with place.open_to_read() as ledger:
        waits = waiting(ledger, platforms)
    return await workers.run(
        build_index,
        folder,
        platforms,
        () if extras is None else await make_extras(extras, workers),
        partial(master_chunks, place, platforms, extras=wanted, checked=checked, answers=answers),
        partial(overlays, place, platforms, extras=wanted, checked=checked, answers=answers),
        RUN_ROWS,
        checked,
        waits,
    )


def master_chunks(
    place: LedgerPlace,
    platforms: Sequence[str],
    *,
    columns: bool = False,
    extras: WantedExtras | None = None,
    checked: bool = False,
    answers: Answers | None = None,
) -> Iterator[MasterChunk]:
    """Yield the chunks of a job with, per platform, where its cells come from.

    `extras` is None when nobody wants further columns; `checked` and `answers` as in `index_numbers`.
    """
    directory = place.directory
    with place.open_to_read() as ledger:
        by_chunk = ledger.tasks.states_by_chunk(platforms)
        base = (chunk for chunk in ledger.plan.chunks() if chunk.only is None)
        for chunk, (number, by_platform) in zip(base, by_chunk, strict=True):
            if chunk.chunk != number:
                raise AssertionError(f"chunk {chunk.chunk} has no task")
            states = [(name, by_platform.get(name, State.PLANNED)) for name in platforms]
            kept = columns_path(directory, number) if columns else None
            cells = tuple(_cell(ledger, directory, TaskKey(name, number), state, answers) for name, state in states)
            yield MasterChunk(
                path=chunk_path(directory, number),
                rows=chunk.rows,
                cells=cells,
                first_row=chunk.first_row,
                places=None if chunk.places is None else unpack_places(chunk.places),
                columns=kept,
                columns_sha256=chunk.columns_sha256,
                extras=()
                if extras is None
                else tuple(_extras(ledger, extras, TaskKey(name, number), state) for name, state in states),
                checked=tuple(_checked(ledger, TaskKey(name, number)) for name in platforms) if checked else (),
            )


def overlays(
    place: LedgerPlace,
    platforms: Sequence[str],
    *,
    extras: WantedExtras | None = None,
    checked: bool = False,
    answers: Answers | None = None,
) -> Iterator[Overlay]:
    """Yield what was planned for one platform alone on top of the chunks, by platform, generation and chunk."""
    directory = place.directory
    with place.open_to_read() as ledger:
        for name in platforms:
            for generation, chunk, state in ledger.tasks.retry_states(name):
                cell = _cell(ledger, directory, TaskKey(name, chunk), state, answers)
                yield Overlay(
                    platform=name,
                    generation=generation,
                    rows=rows_path(directory, chunk),
                    cells=cell,
                    extras=None if extras is None else _extras(ledger, extras, TaskKey(name, chunk), state),
                    checked=_checked(ledger, TaskKey(name, chunk)) if checked else None,
                )


def _extras(ledger: Ledger, wanted: WantedExtras, key: TaskKey, state: State) -> ExtraFile | None:
    # A task that is not done any more may have left the file of a result that is not in use: nobody renews that one.
    path = extras_path(wanted.directory, key.platform, key.chunk)
    if state is not State.DONE or not lies_at(path):
        return None
    return ExtraFile(path, wanted.columns[key.platform], ledger.tasks.result_sha256(key))


def _checked(ledger: Ledger, key: TaskKey) -> str:
    at = ledger.tasks.checked_at(key)
    return "" if at is None else moment_text(at)


def _cell(ledger: Ledger, directory: Path, key: TaskKey, state: State, answers: Answers | None) -> Path | str | bytes:
    if state is State.SKIPPED:
        reused = ledger.plan.reused_cells(key.platform, key.chunk)
        return state.value if reused is None else reused
    if state is State.DONE:
        if answers is not None:
            evidence = ledger.tasks.evidence_of(key)
            wanted = answers[key.platform]
            read_of = set(evidence.get("result_columns") or wanted.result_columns)
            # A vendor that is blocked itself says no of everybody: that may be worth nothing.
            has_alarm = str(evidence.get("finding", "")).startswith(ALARM) and not wanted.one_word
            if has_alarm or read_of.isdisjoint(wanted.result_columns):
                return UNANSWERED
        return verdict_path(directory, key.platform, key.chunk)
    if state in HELD:
        return "held"
    if state in UNFINISHED:
        return "pending"
    return "failed" if state is State.RETRIED else state.value
