"""Folders in which `verify` and `enrich` write: beside a run, so without the job's lock; and those of staged jobs.

While one is in use its user holds a lock on the folder itself, which the operating system drops when that dies. So
what a killed one has left, with numbers in it, is told from what is in use.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.files import disk_errors
from orchestrator.jobdir.layout import VERIFYING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def folder_aside(directory: Path, prefix: str = VERIFYING) -> Iterator[Path]:
    """Have a private folder in the job's directory, which is removed behind the block; raises `StorageError`."""
    with disk_errors(directory):
        folder = tempfile.TemporaryDirectory(dir=directory, prefix=prefix)
    with folder as name, _held(Path(name)):
        yield Path(name)


def sweep_aside(directory: Path, prefix: str = VERIFYING) -> None:
    """Remove the folders whose user has died; raises `StorageError`."""
    for folder in directory.glob(f"{prefix}????????"):
        if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.geteuid():
            continue
        try:
            with _held(folder, fcntl.LOCK_EX), disk_errors(folder):
                shutil.rmtree(folder)
        except BlockingIOError:
            continue


@contextmanager
def _held(folder: Path, kind: int = fcntl.LOCK_SH) -> Iterator[None]:
    with disk_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
