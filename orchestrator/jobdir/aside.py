"""Folders in which `verify` and `enrich` write: beside a run, so without the job's lock; and those of staged jobs.

While one is in use its user holds a lock on a file in it, which the operating system drops when that dies. So what a
killed one has left, with numbers in it, is told from what is in use; and by that file, from what others have made.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.files import disk_errors, open_private
from orchestrator.jobdir.layout import VERIFYING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK: Final = ".numbercheck-in-use"
_INSIDE: Final = "files"


@contextmanager
def folder_aside(directory: Path, prefix: str = VERIFYING) -> Iterator[Path]:
    """Have a private folder in the job's directory, which is removed behind the block; raises `StorageError`."""
    with disk_errors(directory):
        folder = tempfile.TemporaryDirectory(dir=directory, prefix=prefix)
    with folder as name, ExitStack() as stack:
        made, inside = Path(name) / "new", Path(name) / _INSIDE
        with disk_errors(directory):
            inside.mkdir(mode=0o700)
            # Locked before it has the name by which it is found: nobody sweeps what is being made.
            file = stack.enter_context(open(made, "xb", opener=open_private))
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            made.rename(Path(name) / _LOCK)
        yield inside


def sweep_aside(directory: Path, prefix: str = VERIFYING) -> None:
    """Remove the folders whose user has died; raises `StorageError`."""
    for folder in directory.glob(f"{prefix}????????"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            descriptor = os.open(folder / _LOCK, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:  # it has gone meanwhile, or is somebody else's
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with disk_errors(folder):
                shutil.rmtree(folder)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
