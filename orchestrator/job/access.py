"""The job's directory and its ledger: locked, opened or made, and no older than the user knows."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from orchestrator.errors import LockedError, OrchestratorError, StorageError, UsageError
from orchestrator.files import make_private
from orchestrator.intake.sources.find import refuse_inside
from orchestrator.job.platform_names import follow_names
from orchestrator.jobdir.aside import sweep_aside
from orchestrator.jobdir.layout import SUMMARY, left_without_ledger, ours
from orchestrator.ledger import Ledger, LedgerPlace, job_lock, refuse_foreign
from orchestrator.records import Token
from orchestrator.report import summary
from orchestrator.report.streams import job_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.ledger.run_table import RunTable
    from orchestrator.settings import Settings

SHOWN_NAMES = 4


def ledger_place(settings: Settings) -> LedgerPlace:
    if settings.ledger.url:
        raise UsageError(f"{settings.source}: [ledger] url is for a later release; leave it out")
    return LedgerPlace(settings.job.directory)


@contextmanager
def opened_to_read(settings: Settings) -> Iterator[Ledger]:
    """Have the job's ledger beside a run that may be going on; `UsageError` when there is none."""
    place = ledger_place(settings)
    if not place.exists():
        raise UsageError(no_ledger(settings))
    with place.open_to_read() as ledger:
        yield ledger


@contextmanager
def opened(
    settings: Settings, *, create: bool = True, after: Token | None = None, closed: bool = False
) -> Iterator[Ledger]:
    """Hold the job's lock and its ledger for writing.

    Raises `LockedError` when another run has it, `UsageError` when there is none and `create` is false, when it is
    older than `after`, when it would not lie on a local file system, or when the job was purged, unless
    `closed` allows that.
    """
    if after is not None and not after.serial:
        after = None  # before the first run there is nothing to be older than
    place = ledger_place(settings)
    left = left_without_ledger(settings.job.directory)  # looked for first: whoever begins here makes the ledger first
    if not place.exists():
        if left or after is not None or not create:
            raise UsageError(no_ledger(settings))
        refuse_inside(settings.job)
    refuse_foreign(settings.job.directory)
    with _locked(settings):
        for file in ours(settings.job.directory):  # not the directory itself, which may be one that people share
            make_private(file)
        sweep_aside(settings.job.directory)
        with place.open() if place.exists() else place.create() as ledger:
            if after is not None and ledger.runs.token < after:
                raise UsageError(
                    f"{place}: this ledger has seen {ledger.runs.serial} runs, and less than --after {after} says: it "
                    "is an older copy, and going on with it could pay twice; restore the directory that the last run "
                    "left"
                )
            _refuse_another(place, ledger.runs)
            if ledger.runs.closed and not closed:
                raise UsageError(
                    f"{settings.job.directory}: this job was purged, so it can't go on; begin a new one with another "
                    "[job] directory"
                )
            if ledger.runs.begun:
                follow_names(ledger, settings)
            yield ledger
            with suppress(StorageError):  # a lower token does no harm
                summary.renew_token(settings.job.directory, ledger.runs.token)


def _refuse_another(place: LedgerPlace, runs: RunTable) -> None:
    """Raise `UsageError` when the summary in the directory was written from another ledger than this one, or a later.

    Each is told from the other's file, not from its own: a directory put together of two copies, or of two jobs, would
    go on with what was paid for in one of them unknown. Without a summary that can be read nothing is compared.
    """
    try:
        left = summary.read(place.directory)
        job_id, known = left["job_id"], Token.parse(str(left["after"]))
    except (OSError, LookupError, ValueError, RecursionError):
        return
    if job_id == runs.job_id and known <= runs.token:
        return
    why = "an older copy of it" if job_id == runs.job_id else "another job's"
    raise UsageError(
        f"{place}: not the ledger that {SUMMARY} beside it was written from, but {why}, and going on with it could pay "
        f"twice; restore the directory that the last run left, or, if it is {SUMMARY} that is not of this job's last "
        "run, remove that"
    )


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Hold the job's lock; the `LockedError` says which run seems to have it, so that a person can look there."""
    with ExitStack() as stack:
        try:
            stack.enter_context(job_lock(settings.job.directory))
        except LockedError as error:
            run = None
            with suppress(OrchestratorError), opened_to_read(settings) as ledger:
                run = ledger.runs.last()
            if run is None or run.ended_at is not None:  # a plan or a merge takes the lock, and leaves no record
                raise
            since = summary.utc(run.started_at)
            raise LockedError(
                f"{error}; the last one, run {run.serial} on {run.host} as process {run.pid} since {since}, has not "
                "noted its end"
            ) from None
        yield


def no_ledger(settings: Settings) -> str:
    """Say that the job has not been run here, or has lost its ledger."""
    place = ledger_place(settings)
    if left := left_without_ledger(settings.job.directory):
        more = f" and {len(left) - SHOWN_NAMES} more" if len(left) > SHOWN_NAMES else ""
        lie = f"{', '.join(left[:SHOWN_NAMES])}{more} {'lies' if len(left) == 1 else 'lie'}"
        return (
            f"{place}: no ledger, but {lie} in its directory; if the job ran before, restore the directory "
            "that its last run left, or everything would be paid again; if not, move these files elsewhere, or set "
            "another [job] directory"
        )
    return (
        f"{place}: no ledger; if the job ran before, restore the directory that its last run left; if not, begin with "
        f"orchestrator plan {job_arguments(settings)}"
    )
