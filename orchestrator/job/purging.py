"""`purge`: remove what holds numbers and close the job, so that no later run can pay again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.files import disk_errors, sync_directory
from orchestrator.intake import WORK_FOLDER
from orchestrator.intake.generations import SCRATCH
from orchestrator.job.opening import opened
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.job.world import World
    from orchestrator.ledger import Ledger
    from orchestrator.settings import Settings

PATTERNS = (
    "master.*",
    "rejected.csv*",
    "duplicates.csv*",
    "chunks",
    "results",
    "verdicts",
    "sandbox",
    f"{WORK_FOLDER}*",
    SCRATCH,
    ".verify-*",
)
"""What holds numbers in a job's directory. The ledger, the summary and the log stay: they hold none."""


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What is removed (or would be, unless `done`), and sentences about what the program can't reach."""

    paths: tuple[Path, ...]
    files: int
    size_bytes: int
    out_of_reach: tuple[str, ...]
    done: bool


async def purge(settings: Settings, world: World, *, yes: bool) -> PurgeReport:
    """Say what holds numbers; with `yes` remove it and close the job. May be repeated; `UsageError` without a job."""
    directory = settings.job.directory
    with opened(settings, create=False, closed=True) as ledger:
        paths = tuple(sorted(path for pattern in PATTERNS for path in directory.glob(pattern)))
        files = [file for path in paths for file in _files(path)]
        size_bytes = sum(file.lstat().st_size for file in files)
        report = PurgeReport(paths, len(files), size_bytes, tuple(_out_of_reach(ledger, settings)), done=yes)
        if yes:
            # Closed first: a purge that is cut off must not leave a job that a run would plan and pay anew.
            ledger.change(lambda changed: changed.close_job(at=world.clock()))
            for path in paths:
                _remove(path)
    return report


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        yield from (file for file in path.rglob("*") if not file.is_dir())
    else:
        yield path


def _remove(path: Path) -> None:
    with disk_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        sync_directory(path.parent)


def _out_of_reach(ledger: Ledger, settings: Settings) -> Iterator[str]:
    """Name the copies that are not in the job's directory."""
    for record in ledger.inputs():
        yield "the list as it came through standard input" if record.path == "-" else f"the list itself: {record.path}"
    for name, standing in ledger.standing().items():
        sent = standing.submits
        if sent and not ledger.sandbox:
            yield f"{sent:,} uploaded files and their results at the vendor, for {name}: ask it to remove them"
    if any(standing.tasks(State.DONE) for standing in ledger.standing().values()):
        yield "copies of the master that were made, and caches and artifacts of the CI system"
    yield f"blocks that the disk has not overwritten yet, and backups of {settings.job.directory}"
