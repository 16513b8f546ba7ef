"""One run a job: an advisory lock that the operating system drops when its holder dies."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from orchestrator.errors import LockedError
from orchestrator.files import FILE_MODE, disk_errors, make_private_directory
from orchestrator.jobdir.layout import LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def job_lock(directory: Path) -> Iterator[None]:
    """Hold the job in `directory`, which is created when missing; raises `LockedError` when another run has it."""
    make_private_directory(directory)
    lock = FileLock(directory / LOCK, mode=FILE_MODE)
    with disk_errors(directory):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise LockedError(f"{directory}: another run holds this job; wait for its end, or stop it first") from None
    try:
        yield
    finally:
        lock.release()
