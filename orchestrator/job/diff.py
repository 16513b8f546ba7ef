"""`diff`: which numbers only one of two jobs has, and which verdicts are others than they were."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError
from orchestrator.files import make_private_directory
from orchestrator.job.other_jobs import other_job
from orchestrator.job.sheet import index_numbers
from orchestrator.job.target import check_target
from orchestrator.jobdir.aside import folder_aside
from orchestrator.master.changes import compare
from orchestrator.settings import OutputFormat
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from orchestrator.master.changes import DiffReport

_FORMATS: Final = {f".{output.value}": output for output in OutputFormat}


async def diff_jobs(old: Path, new: Path, target: Path | None) -> DiffReport:
    """Compare two jobs, named as `other_job` takes them, and write what differs to `target`; changes nothing of them.

    Raises `UsageError` where there is no job, or none that holds numbers, and for a target that may not be written.
    """
    with ExitStack() as stack:
        places = [stack.enter_context(other_job(path)) for path in (old, new)]
        platforms = []
        for place in places:
            if not place.exists():
                raise UsageError(
                    f"{place}: no ledger; diff takes the directories of two jobs, as [job] directory names them, or "
                    "their configuration files"
                )
            with place.open_to_read() as ledger:
                if ledger.runs.closed:
                    raise UsageError(f"{place.directory}: this job was purged; there are no verdicts left")
                ledger.plan.check_chunks()  # all that was ever planned is to be compared
                platforms.append(tuple(ledger.platforms.fixed()))
            if not platforms[-1]:
                raise UsageError(f"{place.directory}: nothing is planned yet, so there is nothing to compare")
        output = OutputFormat.CSV
        if target is not None:
            if target.suffix.lower() not in _FORMATS:
                raise UsageError(f"{target}: diff writes .csv, .xlsx and .parquet; give -o a name that ends so")
            check_target(target, [place.directory for place in places])
            output = _FORMATS[target.suffix.lower()]
        folder = stack.enter_context(folder_aside(places[1].directory))
        async with Workers(1) as workers:  # of two at once each would have half of the memory and of the disk
            indices = []
            for place, names, name in zip(places, platforms, ("old", "new"), strict=True):
                make_private_directory(folder / name)
                indices.append(await index_numbers(place, names, workers, folder / name))
            written = None if target is None else Path.cwd() / target  # a worker may be anywhere
            return await workers.run(compare, *indices, written, output, (("Old", str(old)), ("New", str(new))))
