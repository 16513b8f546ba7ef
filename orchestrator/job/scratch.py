"""Where a command works on a job that is kept in a bucket: a private folder of its own, gone when it ends.

So an empty disk is what every command begins with, and none can stand in another one's way. A folder of one that was
killed holds numbers: the next command removes it.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.bucket import Bucket
from orchestrator.files import make_private_directory
from orchestrator.jobdir.aside import folder_aside, sweep_aside
from orchestrator.report import streams
from orchestrator.staging import JobFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.settings import Settings

PREFIX: Final = "orchestrator-"


@contextmanager
def on_scratch(settings: Settings) -> Iterator[Settings]:
    """Have the job's directory on this machine, empty where it is kept in a bucket; messages name the bucket."""
    if not settings.url:
        yield settings
        return
    with scratch_folder(settings) as folder, streams.spelling(str(folder), settings.url):
        yield replace(settings, job=replace(settings.job, directory=folder))


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    """Have a private folder on this machine, gone behind the block; raises `StorageError`."""
    root = settings.storage.scratch or Path(tempfile.gettempdir())
    make_private_directory(root)
    sweep_aside(root, PREFIX)
    with folder_aside(root, PREFIX) as folder:
        yield folder


def job_files(settings: Settings) -> JobFiles:
    """Return the job's files, wherever they are kept; `UsageError` where a bucket can't be spoken to."""
    bucket = Bucket.open(settings.url, settings.storage) if settings.url else None
    return JobFiles(settings.job.directory, bucket)
