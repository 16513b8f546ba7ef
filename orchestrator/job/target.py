"""Files that the user names: read if they have an end, and written over nothing that a job needs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from orchestrator.bucket import split_name
from orchestrator.errors import UsageError
from orchestrator.files import disk_errors
from orchestrator.jobdir.layout import ENRICHED, is_ours, names_inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@contextmanager
def named_file(path: Path) -> Iterator[BinaryIO]:
    """Have a file to read; a device or a pipe may have no end, and fill memory or disk. Raises `UsageError`."""
    try:
        if not path.is_file():
            raise UsageError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def check_target(target: Path, directories: Iterable[Path], tables: Iterable[Path] = ()) -> None:
    """Refuse to write over one of the `tables`, or over what the jobs in `directories` need; raises `UsageError`."""
    with disk_errors(target):
        if target.is_dir():
            raise UsageError(f"{target}: this is a directory; name a file in it")
        if not target.parent.is_dir():
            raise UsageError(f"{target}: there is no such directory; make it, or give -o another name")
        if target.exists() and any(one.exists() and target.samefile(one) for one in tables):
            raise UsageError(f"{target}: this is the table itself, or an input of the job; give -o another name")
    for directory in directories:
        name = names_inside(directory)(target)
        if name is not None and is_ours(name) and not name.startswith(f"{ENRICHED}/"):
            raise UsageError(f"{target}: the job keeps something else there; give -o another name")


def check_target_url(url: str, job_url: str, tables: Iterable[str]) -> None:
    """Refuse to put an object over one of `tables`, or over what the job at `job_url` needs; raises `UsageError`."""
    if not split_name(url)[1] or url.endswith("/"):
        raise UsageError(f"{url}: this names no object; name one below it")
    if url in tables:
        raise UsageError(f"{url}: this is the table itself, or an input of the job; give -o another name")
    name = url.removeprefix(f"{job_url}/") if job_url and url.startswith(f"{job_url}/") else ""
    if name.startswith("objects/") or (is_ours(name) and not name.startswith(f"{ENRICHED}/")):
        raise UsageError(f"{url}: the job keeps something else there; give -o another name")
