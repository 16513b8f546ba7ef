"""Which files a list is made of.

A literal path comes before a glob of the same spelling; a glob's files are sorted bytewise; a file counts once, under
the first name it is found by. What the job itself writes never belongs to its list, and nothing else in its directory
may: the program writes and removes files there.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.bucket import Bucket, NoObjectError, is_bucket_url, split_name
from orchestrator.errors import UsageError
from orchestrator.files import sha256_of
from orchestrator.jobdir.layout import is_ours, names_inside
from orchestrator.records import InputFile
from orchestrator.settings import StorageSettings, StoredListJob
from orchestrator.staging import OBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.bucket import FoundObject
    from orchestrator.settings import JobSettings

STANDARD_INPUT = "-"

_ADVICE = "check `inputs` in the configuration"
_REFUSED = {
    **dict.fromkeys(
        (".xls", ".xlsb", ".ods", ".numbers", ".pdf", ".doc", ".docx", ".rtf"), ".xlsx, .csv or plain text"
    ),
    **dict.fromkeys((".bz2", ".xz", ".7z", ".rar", ".tar", ".tgz", ".lz4"), ".gz, .zst or .zip, or unpacked"),
}


class FileKind(Enum):
    """How a file is read, as far as its name tells; see `unpack` for what its content has to say."""

    TEXT = auto()
    CSV = auto()
    TSV = auto()
    WORKBOOK = auto()
    PARQUET = auto()


_KINDS = {
    ".csv": FileKind.CSV,
    ".tsv": FileKind.TSV,
    ".tab": FileKind.TSV,
    ".xlsx": FileKind.WORKBOOK,
    ".xlsm": FileKind.WORKBOOK,
    ".parquet": FileKind.PARQUET,
    ".pq": FileKind.PARQUET,
}


@dataclass(frozen=True, slots=True)
class Input:
    """One file of the list; `source` is what tables for people call it: its name, or its path where names repeat.

    `object` is what it is in a bucket, and `path` its URL then.
    """

    path: str
    source: str
    object: FoundObject | None = None

    @property
    def is_standard_input(self) -> bool:
        """Whether there is a stream instead of a file."""
        return self.path == STANDARD_INPUT


@contextmanager
def input_errors(path: str) -> Iterator[None]:
    """Turn an `OSError` into a `UsageError` that names the input."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; {_ADVICE}") from error


@contextmanager
def damage_errors(damaged: tuple[type[Exception], ...], says: str, advice: str = "") -> Iterator[None]:
    """Turn what a library raises on a broken file into a `UsageError`: what it `says`, the kind of error, `advice`."""
    kinds: tuple[type[Exception], ...] = (*damaged, OSError)
    try:
        yield
    except MemoryError:  # of which one of them may be a kind
        raise
    except kinds as error:
        # Others are of what a file says of itself, such as a place before its beginning.
        is_of_disk = isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}
        if is_of_disk or isinstance(error, InterruptedError):
            raise
        raise UsageError(f"{says} ({type(error).__name__}){advice}") from error


def find_inputs(job: JobSettings) -> list[Input]:
    """Return the files of the list, in order; raises `UsageError` for one that is missing or can't be a list.

    Of a bucket it is asked, and `StorageError` says that it does not answer.
    """
    paths: dict[tuple[int, int] | str, str] = {}
    objects: dict[str, FoundObject] = {}
    for entry, found in _found(job):
        names = found
        if is_bucket_url(entry):
            there = _objects(entry, job)
            objects |= {one.url: one for one in there}
            names = [one.url for one in there]
        if not names:
            kind = "object" if is_bucket_url(entry) else "file"
            raise UsageError(f"{entry}: no {kind} has such a name; {_ADVICE}")
        for path in names:
            paths.setdefault(path if path in objects else _identity(path), path)
    names_of_files = Counter(Path(path).name for path in paths.values())
    inputs = []
    for path in paths.values():
        name = Path(path).name
        refuse_by_name(path, name)
        source = name if names_of_files[name] == 1 else path
        inputs.append(Input(path, "standard input" if path == STANDARD_INPUT else source, objects.get(path)))
    return inputs


def fingerprint(job: JobSettings) -> tuple[InputFile, ...]:
    """Hash the files of the list without reading them as lists; raises `UsageError` as reading them would.

    Standard input is left out, as it can't be read twice.
    """
    files = []
    for found in find_inputs(job):
        if found.object is not None:
            files.append(InputFile(found.path, found.object.hash(), found.object.size_bytes))
        elif not found.is_standard_input:
            with input_errors(found.path):
                files.append(InputFile(found.path, sha256_of(Path(found.path)), Path(found.path).stat().st_size))
    return tuple(files)


def refuse_inside(job: JobSettings) -> None:
    """Raise `UsageError` when a file of the list lies in the job's directory, where it could be written over."""
    for _ in _found(job):
        pass


def _found(job: JobSettings) -> Iterator[tuple[str, list[str]]]:
    """Yield each entry with its files, none of which is in the job's directory."""
    inside = names_inside(job.directory)
    for entry in job.inputs:
        if is_bucket_url(entry):  # which lies in no directory
            yield entry, []
            continue
        if entry == STANDARD_INPUT or os.path.lexists(entry) or not glob.has_magic(entry):
            names = {entry: None if entry == STANDARD_INPUT else inside(Path(entry))}
        else:
            found = sorted(glob.glob(entry, recursive=True), key=os.fsencode)  # noqa: PTH207 - an absolute glob
            names = {path: inside(Path(path)) for path in found if not Path(path).is_dir()}
            names = {path: name for path, name in names.items() if name is None or not is_ours(name)}
        if within := next((path for path, name in names.items() if name is not None), None):
            raise UsageError(_within(within, job.directory))
        yield entry, list(names)


def _objects(entry: str, job: JobSettings) -> list[FoundObject]:
    """Return the objects that a URL, or a glob in a bucket, means, without those that the job itself has put."""
    place = job if isinstance(job, StoredListJob) else StoredListJob.of(job, StorageSettings(), "")
    base, name = split_name(entry)
    bucket = Bucket.open(base, place.storage)
    found: list[FoundObject] = []
    with suppress(NoObjectError):
        found = [bucket.found(name)]
    if not found and glob.has_magic(name):
        below = name.partition("*")[0].partition("?")[0].partition("[")[0].rpartition("/")[0]
        there = (one for one in bucket.found_below(below) if _matches(one.name.split("/"), name.split("/")))
        found = sorted(there, key=lambda one: one.name)
        # What stands for an empty folder is listed without the slash that its name ends with.
        found = [one for one in found if one.size_bytes or bucket.size_of(one.name) is not None]
    inside = {one: one.url.removeprefix(f"{place.url}/") for one in found if one.url.startswith(f"{place.url}/")}
    own = {one for one, its in inside.items() if its.startswith(f"{OBJECTS}/") or is_ours(its)}
    if within := next((one for one in inside if one not in own or not glob.has_magic(name)), None):
        raise UsageError(_within(within.url, place.url))
    return [one for one in found if one not in own]


def _matches(folders: list[str], pattern: list[str]) -> bool:
    """Whether a name in a bucket fits a pattern, as `glob` has it for files: `**` is any number of folders, or none."""
    if not pattern:
        return not folders
    first, *others = pattern
    if first == "**":
        shown = next((at for at, folder in enumerate(folders) if folder.startswith(".")), len(folders))
        return any(_matches(folders[at:], others) for at in range(shown + 1))
    if not folders or (folders[0].startswith(".") and not first.startswith(".")):
        return False
    return fnmatchcase(folders[0], first) and _matches(folders[1:], others)


def _within(path: str, directory: Path | str) -> str:
    return (
        f"{path}: it lies in the job's directory, where the program writes and removes files; move it out of "
        f"{directory}, or begin the job in a directory of its own, with [job] directory"
    )


def _identity(path: str) -> tuple[int, int]:
    """Return what is the same for all names of a file."""
    if path == STANDARD_INPUT:
        return -1, -1
    with input_errors(path):
        found = Path(path).stat()
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{path}: this is a directory; name its files, for example {path}/*.txt")
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f'{path}: this is not a regular file; for a stream use "-", standard input')
    return found.st_dev, found.st_ino


def kind_of(name: str) -> FileKind:
    """Return the kind that a file's name tells; anything unknown is text."""
    return _KINDS.get(Path(name).suffix.lower(), FileKind.TEXT)


def refuse_by_name(path: str, name: str) -> None:
    """Raise `UsageError` for the name of a file that can't be a list; `path` is the input that it was found in."""
    suffix = Path(name).suffix.lower()
    if suffix in _REFUSED:
        raise UsageError(f"{path}: {suffix} files can't be read; save it as {_REFUSED[suffix]}")
