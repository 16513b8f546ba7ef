"""Where each file of a job lies, and what is ours in its directory: one list for all that writes or removes there.

The paths and the patterns are made of the same names: what `purge` removes, what a directory without a ledger is
refused for, and what may be called ours is what the program writes. Chunks count from 1.

A name alone does not make a file ours: it is, where the job's ledger lies beside it. Without one, what lies under our
names is somebody else's, or of a job that has lost its ledger, and is not touched.
"""

from __future__ import annotations

import os
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.files import PART_SUFFIX, disk_errors, lies_at
from orchestrator.settings import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEDGER: Final = "ledger"
LOCK: Final = ".lock"
REJECTED: Final = "rejected.csv"
DUPLICATES: Final = "duplicates.csv"
LISTS: Final = (REJECTED, DUPLICATES)
SUMMARY: Final = "summary.json"
REPORT: Final = "report.html"
LOG: Final = "run.jsonl"
RECORDS: Final = (SUMMARY, REPORT, LOG)
"""Files without numbers."""
_MASTER_NAMES: Final = {
    partial: {output: f"master{'.partial' if partial else ''}.{output}" for output in OutputFormat}
    for partial in (False, True)
}
MASTERS: Final = tuple(name for names in _MASTER_NAMES.values() for name in names.values())
_FILES = (*MASTERS, *LISTS, *RECORDS)
READING: Final = ".intake"
"""While a list is read."""
_READ: Final = f"{READING}.old"
EXTENDING: Final = ".extending"
"""While `--extend` reads a longer list, and until the ledger has it."""
REHEARSAL: Final = ".rehearsal"
MEETING: Final = ".meeting"
"""While a run has workers elsewhere: by what lies in it they are seen to have this very directory."""
SCRATCH: Final = (READING, _READ, EXTENDING, REHEARSAL, MEETING)
VERIFYING: Final = ".verify-"
"""How the names of folders begin that `verify` and `enrich` make and remove; a killed one leaves them."""

_CHUNKS: Final = "chunks"
_RESULTS: Final = "results"
_VERDICTS: Final = "verdicts"
_WORD_LISTS: Final = "lists"
ENRICHED: Final = "enriched"
_QUARANTINE: Final = "quarantine"
_SANDBOX: Final = "sandbox"
_CHUNK_ENDING, _COLUMNS_ENDING, _ROWS_ENDING = ".txt", ".columns.csv", ".rows"
_VERDICTS_ENDING, _EXTRAS_ENDING = ".bin", ".extras"
RESULT_ENDINGS: Final = (".xlsx", ".zip", ".csv", ".gz")
"""A result is named by its content; of a task there is one."""

_CHUNK = r"[0-9]{6,}"
_PLATFORM = r"[a-z0-9][a-z0-9_-]*"
_ENDING = r"\.[A-Za-z0-9_.-]+"
_CHUNK_ENDINGS = "|".join(map(re.escape, (_CHUNK_ENDING, _COLUMNS_ENDING, _ROWS_ENDING)))
_CHUNK_FILE = re.compile(rf"{_CHUNK}(?:{_CHUNK_ENDINGS})(?:(?:\.[0-9a-f]{{8}})?\.part)?")
_QUARANTINED = re.compile(rf"({_PLATFORM})-({_CHUNK}){_ENDING}")
FOLDERS: Final = {
    _CHUNKS: _CHUNK_FILE,
    _RESULTS: re.compile(rf"{_PLATFORM}/{_CHUNK}{_ENDING}|{_QUARANTINE}/{_QUARANTINED.pattern}"),
    _VERDICTS: re.compile(rf"{_PLATFORM}/{_CHUNK}{_ENDING}"),
    _WORD_LISTS: re.compile(rf"{_PLATFORM}-[a-z0-9_-]+\.txt(?:\.part)?"),
    ENRICHED: re.compile(r"[^/]+\.(?:csv|tsv|tab|txt|xlsx|xlsm|parquet|pq)(?:\.part)?"),
    _SANDBOX: re.compile(rf"(?:tasks|requests|breaches)\.jsonl|(?:uploads|results)/[A-Za-z0-9_-]+{_ENDING}"),
}
"""What the files in our folders are called, from there; other ones are not ours even there."""

_LEDGER_FILE: Final = "ledger.sqlite"
_HALF_A_LEDGER = f"{_LEDGER_FILE}.part"


def ledger_path(directory: Path) -> Path:
    return directory / LEDGER / _LEDGER_FILE


def ledger_mark(directory: Path) -> Path:
    """Return the file that says of which job a directory is whose ledger is elsewhere."""
    return directory / LEDGER / "elsewhere"


def master_path(directory: Path, output: OutputFormat, *, partial: bool) -> Path:
    """Return where the master lies, or while cells are pending a `partial` one."""
    return directory / _MASTER_NAMES[partial][output]


@lru_cache(16)  # a path costs more than it looks, and every chunk wants this one
def chunk_folder(directory: Path) -> Path:
    return directory / _CHUNKS


def chunk_path(directory: Path, chunk: int) -> Path:
    return chunk_folder(directory) / chunk_names(chunk, columns=False)[0]


def columns_path(directory: Path, chunk: int) -> Path:
    """Return the file of a chunk's kept columns; there is one where an input had columns to keep."""
    return chunk_folder(directory) / chunk_names(chunk, columns=True)[1]


def chunk_names(chunk: int, *, columns: bool) -> tuple[str, ...]:
    """Return the names of a chunk's file and, where there are any, that of its kept `columns`."""
    name = f"{chunk:06d}"
    return (name + _CHUNK_ENDING, name + _COLUMNS_ENDING) if columns else (name + _CHUNK_ENDING,)


def chunk_of(path: Path) -> int:
    """Return the number of the chunk that a file of ours in the folder of chunks belongs to."""
    return int(path.name.partition(".")[0])


def holds_columns(path: Path) -> bool:
    """Whether a file in the folder of chunks is one of kept columns."""
    return path.name.endswith(_COLUMNS_ENDING)


def rows_path(directory: Path, chunk: int) -> Path:
    """Return the row file of a retry's chunk."""
    return chunk_path(directory, chunk).with_suffix(_ROWS_ENDING)


def chunk_path_beside(rows: Path) -> Path:
    """Return the chunk file that a row file belongs to."""
    return rows.with_suffix(_CHUNK_ENDING)


def results_folder(directory: Path) -> Path:
    """Return the folder of the results as they were downloaded; there is one in it for each platform."""
    return directory / _RESULTS


def result_stem(directory: Path, platform: str, chunk: int) -> Path:
    """Return the path of a task's result, save for its ending."""
    return _of_platform(directory, _RESULTS, platform) / f"{chunk:06d}"


def raw_result(stem: Path) -> Path | None:
    """Return the result with this path save for its ending; None when there is none."""
    return next((path for ending in RESULT_ENDINGS if lies_at(path := stem.with_suffix(ending))), None)


def quarantine_folder(directory: Path) -> Path:
    """Return the folder of results that are not believed, or were replaced."""
    return results_folder(directory) / _QUARANTINE


def quarantine_name(platform: str, chunk: int) -> str:
    """Return how the names of a task's files in the quarantine begin."""
    return f"{platform}-{chunk:06d}"


def task_of_quarantined(name: str) -> tuple[str, int] | None:
    """Return platform and chunk of a file in the quarantine; None if it is not ours."""
    found = _QUARANTINED.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def verdicts_folder(directory: Path) -> Path:
    return directory / _VERDICTS


def verdict_path(directory: Path, platform: str, chunk: int) -> Path:
    return _of_platform(directory, _VERDICTS, platform) / f"{chunk:06d}{_VERDICTS_ENDING}"


def extras_path(directory: Path, platform: str, chunk: int) -> Path:
    """Return where lies what a task's result says beside the verdicts, as far as it is wanted."""
    return _of_platform(directory, _VERDICTS, platform) / f"{chunk:06d}{_EXTRAS_ENDING}"


@lru_cache(64)  # a path costs more than it looks, and every task wants these
def _of_platform(directory: Path, folder: str, platform: str) -> Path:
    return directory / folder / platform


def list_name(word: str) -> str:
    """Return what a verdict is called in the name of its list."""
    return re.sub(r"[^a-z0-9_-]", "-", word)


def word_list_path(directory: Path, platform: str, word: str) -> Path:
    """Return where the numbers are listed that have a verdict on a platform."""
    return directory / _WORD_LISTS / f"{platform}-{list_name(word)}.txt"


def enriched_folder(directory: Path) -> Path:
    """Return the folder of the tables that came back with verdicts."""
    return directory / ENRICHED


def word_lists(directory: Path) -> list[Path]:
    """Return the lists of numbers that lie there, by whatever verdict."""
    folder = directory / _WORD_LISTS
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if FOLDERS[_WORD_LISTS].fullmatch(path.name))


def sandbox_folder(directory: Path) -> Path:
    """Return where the embedded vendor of a job keeps its state."""
    return directory / _SANDBOX


def set_away(folder: Path) -> Path:
    """Return the name under which the folder `READING` is removed."""
    return folder.with_name(_READ)


def is_chunk_file(name: str) -> bool:
    return _CHUNK_FILE.fullmatch(name) is not None


CHUNK_FILES: Final = f"{_CHUNKS}/"
RESULT_FILES: Final = f"{_RESULTS}/"
VERDICT_FILES: Final = f"{_VERDICTS}/"
SANDBOX_FILES: Final = f"{_SANDBOX}/"
"""How the paths of each kind of files begin."""
REPLACED_BY_A_MASTER: Final = (*_MASTER_NAMES[True].values(), f"{_WORD_LISTS}/")
"""How the paths of files begin that writing a final master removes, or makes anew."""

FOR_PEOPLE: Final = frozenset((*MASTERS, *LISTS, _WORD_LISTS, ENRICHED))
"""The files, and folders of such, that people look for; all of them can be made anew."""


def kept_in_bucket(directory: Path) -> Iterator[Path]:
    """Yield the files of ours that are worth keeping elsewhere: not the records, and no half-written ones."""
    with disk_errors(directory):
        for name in (*MASTERS, *LISTS):
            if (path := directory / name).is_file():
                yield path
        for name in FOLDERS:
            for path in _files_of(directory / name):
                if path.suffix != PART_SUFFIX:
                    yield path


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
