"""Result files are kept: those that are believed under the names of their tasks, the others in the quarantine.

Of the believed ones everything is read first, then written, then synced, then named: a disk syncs many files together
faster than one after the other. What was paid for is never removed: a file in whose place another one comes goes into
the quarantine, unless both are the same.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from orchestrator.errors import DamagedResultError, StorageError
from orchestrator.files import (
    disk_errors,
    keep_together,
    lies_at,
    make_private_directory,
    replace_together,
    sha256_of,
    sync_directory,
)
from orchestrator.jobdir.layout import RESULT_ENDINGS, quarantine_folder, quarantine_name, raw_result
from orchestrator.pieces import PieceFiles, on_files
from orchestrator.results.check import check_result
from orchestrator.results.suffix import result_suffix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.results.check import ResultCheck, ResultReport


def _result_files(checks: Sequence[ResultCheck]) -> PieceFiles:
    """Tell what may have to be set aside, too: a result lies under any of the endings."""
    reads, writes = [], []
    for check in checks:
        kept = [(check.keep_as or check.result).with_suffix(ending) for ending in RESULT_ENDINGS]
        name = quarantine_name(kept[0].parent.name, int(kept[0].stem)) if kept[0].stem.isdecimal() else ""
        aside = [quarantine_folder(kept[0].parents[2]) / f"{name}*"] if name else []
        reads += [check.result, check.chunk, check.verdicts, *kept, *aside]
        writes += [check.result, check.verdicts, *kept, *aside]
    return PieceFiles(tuple(reads), tuple(writes))


@on_files(_result_files)
def take_results(checks: Sequence[ResultCheck]) -> list[ResultReport | DamagedResultError | StorageError]:
    """Check result files; write the verdicts of the good ones, and keep these under the names of their kinds, synced.

    What was found, or what is wrong with a file, comes in the order of `checks`. Raises `StorageError` when the disk
    does not take what was found.
    """
    outcomes: list[ResultReport | DamagedResultError | StorageError] = []
    verdicts: dict[Path, list[tuple[str, bytes]]] = defaultdict(list)
    kept: list[tuple[Path, Path]] = []
    same: list[Path] = []
    for check in checks:
        try:
            if not lies_at(check.result) and (before := _taken_before(check)) is not None:
                outcomes.append(before)
                continue
            report, content = check_result(check)
            target = (check.keep_as or check.result).with_suffix(report.suffix)
            # What lies in the place of the file, under any ending, may have been paid for: it is set aside, unless it
            # is this file itself or holds the same.
            displaced = []
            for old in (target.with_suffix(suffix) for suffix in RESULT_ENDINGS):
                if old == check.result or not lies_at(old):
                    continue
                with disk_errors(old):
                    there = sha256_of(old)
                    if there == report.result_sha256:
                        if old != target:  # which is replaced, by what is synced
                            same.append(old)
                        continue
                name = quarantine_name(target.parent.name, int(target.stem))
                displaced.append((there, set_aside(old, name, target.parents[2])))
            outcomes.append(replace(report, displaced=tuple(displaced)))
        except (DamagedResultError, StorageError) as error:
            outcomes.append(error)
            continue
        verdicts[check.verdicts.parent].append((check.verdicts.name, content))
        kept.append((check.result, target))
    for folder, contents in verdicts.items():
        replace_together(folder, contents)
        with disk_errors(folder):
            sync_directory(folder)
    keep_together(kept)
    for old in same:  # not before: it is the only copy that is on the disk for sure
        with disk_errors(old):
            old.unlink(missing_ok=True)
    return outcomes


def _taken_before(check: ResultCheck) -> ResultReport | None:
    """Say once more what was said of a result that is kept already, in words that nobody heard: its worker had died.

    It is this result if the verdicts that lie there are those that it gives.
    """
    kept = raw_result(check.keep_as or check.result)
    if kept is None:
        return None
    report, content = check_result(replace(check, result=kept))
    with disk_errors(check.verdicts):
        return report if lies_at(check.verdicts) and check.verdicts.read_bytes() == content else None


@on_files(lambda files: PieceFiles(tuple(path for path, _ in files)))
def altered(files: Sequence[tuple[Path, str]]) -> list[Path]:
    """Return those of `files` that are not there, or have another hash than the one beside them: a piece."""
    found = []
    for path, sha256 in files:
        try:
            if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                found.append(path)
        except OSError:  # if the disk is why, making it anew will say so
            found.append(path)
    return found


def set_aside(file: Path, name: str, directory: Path) -> Path:
    """Move a file into the quarantine of the job in `directory`, synced; return where it lies.

    Its `name` is that of its task, and the next that is free: nothing that is there is replaced.
    """
    folder = quarantine_folder(directory)
    make_private_directory(folder)
    with disk_errors(file):
        suffix = result_suffix(file)
    names = (f"{name}{f'.{number}' if number > 1 else ''}{suffix}" for number in count(1))
    path = next(folder / name for name in names if not lies_at(folder / name))
    keep_together([(file, path)])
    return path
