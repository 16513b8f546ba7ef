"""The job's directory and its ledger: locked, opened or made, and no older than the user knows."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from orchestrator.config.keys import read_ledger_password
from orchestrator.errors import LockedError, OrchestratorError, StorageError, UsageError
from orchestrator.files import disk_errors, make_private, make_private_directory, replacing
from orchestrator.intake.sources.find import refuse_inside
from orchestrator.job.platform_names import follow_names
from orchestrator.job.scratch import job_files
from orchestrator.jobdir.aside import sweep_aside
from orchestrator.jobdir.layout import SUMMARY, ledger_mark, ledger_path, left_without_ledger, ours
from orchestrator.ledger import Database, Ledger, LedgerPlace, connection_options, job_lock, refuse_foreign
from orchestrator.records import Token
from orchestrator.report import streams, summary
from orchestrator.report.streams import job_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.ledger.run_table import RunTable
    from orchestrator.settings import Settings

SHOWN_NAMES = 4


def ledger_place(settings: Settings) -> LedgerPlace:
    """Return where the job's ledger is; `UsageError` where a database is, and what speaks to it is missing."""
    directory, ledger = settings.job.directory, settings.ledger
    if not ledger.url:
        if ledger_mark(directory).exists():
            raise UsageError(
                f"{directory}: the ledger of the job in this directory is in a database; set [ledger] url as it was"
            )
        return LedgerPlace(directory)
    if ledger_path(directory).exists():
        raise UsageError(
            f"{ledger_path(directory)}: the job in this directory has its ledger here, and [ledger] url names another "
            "place; leave url out, or begin a new job with another [job] name and directory"
        )
    password = read_ledger_password(ledger, os.environ)
    options = connection_options(os.environ)
    return LedgerPlace(
        directory, Database(ledger.url, settings.job.name, password, options, ledger.lease_s, ledger.timeline)
    )


def another_job(settings: Settings) -> str:
    """Return what a new job has to have of its own."""
    return "[job] name and directory" if settings.ledger.url else "[job] directory"


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
    settings: Settings,
    *,
    create: bool = True,
    after: Token | None = None,
    closed: bool = False,
    tell: Callable[[str], None] = streams.say,
) -> Iterator[Ledger]:
    """Hold the job's lock and its ledger for writing. `tell` hears what that waits for.

    Raises `LockedError` when another run has it, `UsageError` when there is none and `create` is false, when it is
    older than `after`, when it would not lie on a local file system, or when the job was purged, unless
    `closed` allows that.
    """
    if after is not None and not after.serial:
        after = None  # before the first run there is nothing to be older than
    place, files = ledger_place(settings), job_files(settings)
    left = left_without_ledger(settings.job.directory)  # looked for first: whoever begins here makes the ledger first
    if not place.exists():
        if left or after is not None or not create or files.left():
            raise UsageError(no_ledger(settings))
        refuse_inside(settings.job)
    if place.database is None:
        refuse_foreign(settings.job.directory)
    with _locked(settings):
        for file in ours(settings.job.directory):  # not the directory itself, which may be one that people share
            with suppress(FileNotFoundError):  # what a command beside this one works in, and has removed by now
                make_private(file)
        sweep_aside(settings.job.directory)
        with place.open(tell) if place.exists() else place.create(tell) as ledger:
            if place.database is not None:
                _mark(place, ledger.runs.job_id, left)
            if after is not None and ledger.runs.token < after:
                raise UsageError(
                    f"{place}: this ledger has seen {ledger.runs.serial} runs, and less than --after {after} says: it "
                    "is an older copy, and going on with it could pay twice; restore the directory that the last run "
                    "left"
                )
            files.bring_records()
            _refuse_another(place, ledger.runs)
            if ledger.runs.closed and not closed:
                raise UsageError(
                    f"{settings.job.directory}: this job was purged, so it can't go on; begin a new one with another "
                    f"{another_job(settings)}"
                )
            if ledger.runs.begun:
                follow_names(ledger, settings)
            try:
                yield ledger
                files.keep_all(ledger)
                with suppress(StorageError):  # a lower token does no harm
                    summary.renew_token(settings.job.directory, ledger.runs.token)
            finally:
                with suppress(StorageError):  # what else is wrong is worth more words
                    files.put_records() if ledger.connection.holds else files.put_log_aside()


def _mark(place: LedgerPlace, job_id: str, left: Sequence[str]) -> None:
    """Say in the directory of which job it is, for its ledger does not lie there; `UsageError` if it is another's."""
    mark = ledger_mark(place.directory)
    with disk_errors(mark):
        marked = mark.read_text() if mark.exists() else ""
        if marked == job_id:
            return
        if marked or left:
            raise UsageError(
                f"{place.directory}: {', '.join(left[:SHOWN_NAMES]) or mark} lies there, of another job than {place}; "
                "set another [job] directory, or move what lies there elsewhere"
            )
        make_private_directory(mark.parent)
        with replacing(mark) as file:
            file.write(job_id.encode())


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
    if settings.url and (left := job_files(settings).left()):
        return (
            f"{place}: no ledger, but {', '.join(left)} and maybe more lie below {settings.url}; if the job ran "
            "before, name the database that has its ledger, or everything would be paid again; if not, name another "
            "folder with [job] directory"
        )
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
