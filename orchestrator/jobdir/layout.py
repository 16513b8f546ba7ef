"""What is ours in a job's directory: the one list of names for all that writes, closes, refuses or removes there.

A name alone does not make a file ours: it is, where the job's ledger lies beside it. Without one, what lies under our
names is somebody else's, or of a job that has lost its ledger, and is not touched.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.files import disk_errors, lies_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEDGER: Final = "ledger"
LOCK: Final = ".lock"
LISTS: Final = ("rejected.csv", "duplicates.csv")
MASTERS: Final = tuple(
    f"master{partial}.{ending}" for partial in ("", ".partial") for ending in ("xlsx", "csv", "parquet")
)
RECORDS: Final = ("summary.json", "run.jsonl")
"""Files without numbers."""
_FILES = (*MASTERS, *LISTS, *RECORDS)
REHEARSAL: Final = ".rehearsal"
SCRATCH: Final = (".intake", ".intake.old", ".extending", REHEARSAL)
VERIFYING: Final = ".verify-"
"""How the names of folders begin that `verify` makes and removes; a killed one leaves them."""

_CHUNK = r"[0-9]{6,}"
_PLATFORM = r"[a-z0-9][a-z0-9_-]*"
_ENDING = r"\.[A-Za-z0-9_.-]+"
_CHUNK_FILE = re.compile(rf"{_CHUNK}\.(?:txt|columns\.csv|rows)(?:\.part)?")
FOLDERS: Final = {
    "chunks": _CHUNK_FILE,
    "results": re.compile(rf"{_PLATFORM}/{_CHUNK}{_ENDING}|quarantine/{_PLATFORM}-{_CHUNK}{_ENDING}"),
    "verdicts": re.compile(rf"{_PLATFORM}/{_CHUNK}{_ENDING}"),
    "sandbox": re.compile(rf"(?:tasks|requests|breaches)\.jsonl|(?:uploads|results)/[A-Za-z0-9_-]+{_ENDING}"),
}
"""What the files in our folders are called, from there; other ones are not ours even there."""

_HALF_A_LEDGER = "ledger.sqlite.part"


def is_chunk_file(name: str) -> bool:
    """Whether a file in the folder of chunks is ours."""
    return _CHUNK_FILE.fullmatch(name) is not None


def ours(directory: Path) -> list[Path]:
    """Return what lies in the job's `directory` itself under one of our names; raises `StorageError`."""
    names = (*_FILES, *(f"{name}.part" for name in _FILES), *SCRATCH, *FOLDERS, LEDGER, LOCK)
    # Asked for one by one: the file system knows whether it takes Master.csv for master.csv.
    found = [path for path in map(directory.joinpath, names) if lies_at(path)]
    return found + sorted(directory.glob(f"{VERIFYING}????????"))


def left_without_ledger(directory: Path) -> list[str]:
    """Return the names of ours that hold something, in a directory without a ledger; raises `StorageError`.

    Not what a run leaves that was killed before its ledger was there: it may go on.
    """
    with disk_errors(directory):
        return [path.name for path in ours(directory) if path.name != LOCK and _holds_something(path)]


def _holds_something(path: Path) -> bool:
    if not path.is_dir():
        return True
    names = (name for _, _, names in os.walk(path) for name in names)
    return any(not (path.name == LEDGER and name.startswith(_HALF_A_LEDGER)) for name in names)


def with_numbers(directory: Path) -> Iterator[Path]:
    """Yield the files of ours that hold numbers, and the scratch folders; raises `StorageError`."""
    kept = {LEDGER, LOCK, *RECORDS, *(f"{name}.part" for name in RECORDS)}
    with disk_errors(directory):
        for path in ours(directory):
            if path.name in FOLDERS and path.is_dir():
                yield from _files_of(path)
            elif path.name not in kept:
                yield path


def _files_of(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for path in (Path(parent, name) for name in (*files, *links)):
            if FOLDERS[folder.name].fullmatch(path.relative_to(folder).as_posix()):
                yield path


def is_ours(name: str) -> bool:
    """Whether a file's name, from the job's directory, is one of ours."""
    top, _, rest = name.partition("/")
    if top in FOLDERS:
        return FOLDERS[top].fullmatch(rest) is not None
    if rest:
        return top in {*SCRATCH, LEDGER} or top.startswith(VERIFYING)
    return top == LOCK or top.removesuffix(".part") in _FILES


def names_inside(directory: Path) -> Callable[[Path], str | None]:
    """Return what tells a file's name from `directory`, whatever links lead there; None for one that is elsewhere.

    A link is where it lies, or, if that is elsewhere, where it leads.
    """
    try:
        there = directory.stat()
    except OSError:
        return lambda _: None

    @cache
    def below(folder: Path) -> Path | None:
        for parent in (folder, *folder.parents):
            if os.path.samestat(parent.stat(), there):
                return folder.relative_to(parent)
        return None

    def name(path: Path) -> str | None:
        try:
            places = [path.parent.resolve() / path.name, *([path.resolve()] if path.is_symlink() else [])]
            found = ((below(place.parent), place.name) for place in places)
            return next(((folder / name).as_posix() for folder, name in found if folder is not None), None)
        except (OSError, RuntimeError):  # what is not there, or is a ring of links, is nowhere
            return None

    return name
