"""`purge`: remove what holds numbers and close the job, so that no later run can pay again.

The ledger, the summary and the log stay. They hold no numbers, and no hashes any more: from the hash of a chunk that
holds one number that is found within seconds. What the program did not make stays, too.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.bucket_versions import remove_versions
from orchestrator.files import blank_hashes, disk_errors, sync_directory
from orchestrator.job.access import opened
from orchestrator.job.pages import renew_page
from orchestrator.job.scratch import job_files
from orchestrator.jobdir.layout import RECORDS, REPORT, with_numbers
from orchestrator.report import summary
from orchestrator.report.printed import plural
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.job.world import World
    from orchestrator.ledger import Ledger
    from orchestrator.settings import Settings


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What is removed (or would be, unless `done`), and sentences about what the program can't reach."""

    paths: tuple[Path, ...]
    files: int
    size_bytes: int
    out_of_reach: tuple[str, ...]
    done: bool


async def purge_job(settings: Settings, world: World, *, yes: bool) -> PurgeReport:
    """Say what holds numbers; with `yes` remove it and close the job. May be repeated; `UsageError` without a job."""
    directory = settings.job.directory
    with opened(settings, create=False, closed=True) as ledger:
        left = sorted(with_numbers(directory))
        files = [file for path in left for file in _files(path)]
        paths = tuple(dict.fromkeys(directory / path.relative_to(directory).parts[0] for path in left))
        size_bytes = sum(file.lstat().st_size for file in files)
        kept = job_files(settings)
        in_bucket = kept.with_numbers()
        paths += tuple(directory / top for top in dict.fromkeys(name.partition("/")[0] for name in sorted(in_bucket)))
        foreign = {path: len({*_files(path)} - {*files}) for path in paths}
        out_of_reach = (
            *(
                f"{plural(others, 'file')} in {path} that this program did not write"
                for path, others in foreign.items()
                if others
            ),
            *_out_of_reach(ledger, settings),
        )
        size_bytes += sum(in_bucket.values())
        report = PurgeReport(paths, len(files) + len(in_bucket), size_bytes, out_of_reach, done=yes)
        if yes:
            # Closed first: a purge that is cut off must not leave a job that a run would plan and pay anew.
            ledger.change(lambda changed: changed.runs.close_job(at=world.clock()))
            _remove([*left, directory / REPORT], paths)
            ledger.change(lambda changed: changed.forget_hashes())
            ledger.connection.compact()
            summary.close(directory)
            for path in map(directory.joinpath, RECORDS):
                if path.exists():
                    blank_hashes(path)
            await renew_page(settings, world)
            if kept.bucket is not None:
                kept.bucket.delete(in_bucket)
                kept.put_records()  # without hashes, and only then do the versions go that had some
                versions = await asyncio.to_thread(remove_versions, settings.url, settings.storage)
                report = replace(report, out_of_reach=(*report.out_of_reach, *versions))
    return report


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        yield from (file for file in path.rglob("*") if not file.is_dir())
    else:
        yield path


def _remove(left: Sequence[Path], tops: Sequence[Path]) -> None:
    """Remove files and scratch folders, and our folders (`tops`) as far as nothing else is in them."""
    for path in left:
        with disk_errors(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    for top in tops:
        with disk_errors(top):
            for folder, _, _ in os.walk(top, topdown=False):
                if not os.listdir(folder):  # noqa: PTH208 - looked at, not used
                    Path(folder).rmdir()
                else:
                    sync_directory(Path(folder))
            sync_directory(top.parent)


def _out_of_reach(ledger: Ledger, settings: Settings) -> Iterator[str]:
    """Name the copies that are not in the job's directory."""
    for record in ledger.plan.inputs():
        yield "the list as it came through standard input" if record.path == "-" else f"the list itself: {record.path}"
    made_up = ledger.platforms.made_up()
    for name, standing in ledger.platforms.standing().items():
        sent = standing.submits
        if sent and name not in made_up:
            yield f"{sent:,} uploaded files and their results at the vendor, for {name}: ask it to remove them"
    if any(standing.tasks(State.DONE) for standing in ledger.platforms.standing().values()):
        yield "copies of the master that were made, and caches and artifacts of the CI system"
    if settings.ledger.url:
        yield "hashes of files in the log and the backups of the ledger's database"
    yield f"blocks that the disk has not overwritten yet, and backups of {settings.job.directory}"
