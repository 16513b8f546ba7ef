"""The same call under another name is the same platform: the ledger and the files follow the configuration.

A rename is one transaction of the ledger, which also notes whose files are to move; these go by way of a name in
between, so that two platforms may swap theirs. Whatever is cut off is taken up by whoever opens the job next.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from orchestrator.errors import StorageError
from orchestrator.files import disk_errors, sync_directory
from orchestrator.job.scratch import job_files
from orchestrator.job.settings_hash import settings_hash
from orchestrator.jobdir.layout import quarantine_folder, results_folder, verdicts_folder
from orchestrator.records import PlannedPlatform
from orchestrator.vendor_api.paid_calls import PaidCall, call_of
from orchestrator.vendor_api.platforms import ACTIVATED, columns_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.ledger import Ledger
    from orchestrator.settings import Settings

_OF_PLATFORM = re.compile(r"(results/quarantine/|(?:results|verdicts)/(?!quarantine/))([^/]+?)((?:/|-[0-9]{6,}\.).*)")
_BETWEEN = ".moving"
"""What ends the names in between; no platform's name has a dot."""


def planned_platform(settings: Settings, name: str) -> PlannedPlatform:
    """Return what the ledger has to know of a platform to plan its tasks.

    Its `vendor` is within which task ids are unique: a vendor may number its tasks anew behind each path.
    """
    platform = settings.platforms[name]
    base_url = settings.vendors[platform.vendor].base_url
    fixed = {
        "base_url": base_url,
        "style": platform.style.value,
        "path": platform.path,
        "task_type": platform.task_type,
    }
    call = known_call(fixed)
    return PlannedPlatform(name, f"{call.server} {'/'.join(call.path)}", fixed, platform.min_rows)


def known_call(fixed: Mapping[str, str]) -> PaidCall:
    """Return the call of a platform as the ledger knows it; raises `StorageError` when that makes no sense."""
    try:
        return call_of(fixed["base_url"], fixed["style"], fixed["path"], fixed["task_type"])
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise StorageError(
            f"a platform's record in the ledger is damaged ({type(error).__name__}); restore the job's directory from "
            "its last run"
        ) from error


def follow_names(ledger: Ledger, settings: Settings) -> None:
    """Call the platforms of a begun job as the configuration does, also in the names of files; raises `StorageError`.

    One whose call is not the job's is left for others to refuse.
    """
    _finish_moves(ledger, settings.job.directory)
    wanted = {name: planned_platform(settings, name) for name in settings.platforms}
    known = ledger.platforms.fixed()
    names = renames(
        {name: known_call(fixed) for name, fixed in known.items()},
        {name: known_call(platform.fixed) for name, platform in wanted.items()},
    )

    former, renamed = (
        job_files(settings).copy_under_new_names(ledger, partial(_renamed_path, names=names)) if names else ([], [])
    )

    def rename(changed: Ledger) -> None:
        changed.platforms.rename(names)
        changed.objects.forget(former)
        changed.objects.note(renamed)
        for old, new in names.items():
            if new not in settings.platforms:
                continue
            # Its caution outlives the name, on which hangs what its columns are by default.
            by_default = settings.platforms[new].result_columns == columns_of(new)
            as_old = _with_columns(settings, {new: columns_of(old)}) if by_default else settings
            changed.platforms.same_settings(new, settings_hash(as_old, new), settings_hash(settings, new))

    if names:
        ledger.change(rename)
        _finish_moves(ledger, settings.job.directory)
        known = ledger.platforms.fixed()
    vendors = ledger.platforms.vendors()
    respelt = [
        platform
        for name, platform in wanted.items()
        if (fixed := known.get(name)) is not None
        and (fixed, vendors.get(name)) != (platform.fixed, platform.vendor)
        and known_call(fixed) == known_call(platform.fixed)
    ]

    def respell(changed: Ledger) -> None:
        for platform in respelt:
            changed.platforms.respell(platform)

    if respelt:
        ledger.change(respell)


def with_former_names(ledger: Ledger, settings: Settings) -> Settings:
    """Let the verdict columns of results also be called as their platforms once were.

    A task that was sent before a rename comes back with the name of then, and so do files that are read once more.
    """
    former = ledger.platforms.former_names()
    columns = {}
    for name, platform in settings.platforms.items():
        if not platform.result_columns:
            continue
        added = []
        for old in former.get(name, ()):
            added.append(old)
            if platform.result_columns == columns_of(name):  # it says nothing of columns: also those of a known one
                added += [column for column in columns_of(old) if column not in (old, ACTIVATED)]
        columns[name] = (*added, *platform.result_columns)
    return _with_columns(settings, columns)


def _with_columns(settings: Settings, columns: Mapping[str, tuple[str, ...]]) -> Settings:
    platforms = {
        name: replace(platform, result_columns=columns[name]) if name in columns else platform
        for name, platform in settings.platforms.items()
    }
    return replace(settings, platforms=platforms)


def renames(known: Mapping[str, PaidCall], wanted: Mapping[str, PaidCall]) -> dict[str, str]:
    """Return which of the `known` platforms gets which other name, so that each has that of its call in `wanted`.

    One whose name another takes, and that is not wanted itself, gets a name that is free.
    """
    settled = {name for name, call in wanted.items() if known.get(name) == call}
    names: dict[str, str] = {}
    for name, call in wanted.items():
        old = next((it for it, its in known.items() if its == call and it not in settled and it not in names), None)
        if name not in settled and old is not None:
            names[old] = name
    taken = {*known, *wanted}
    for name in [name for name in names.values() if name in known and name not in names]:
        free = next(free for number in count(2) if (free := f"{name[:24]}-{number}") not in taken)
        taken.add(free)
        names[name] = free
    return names


def _renamed_path(path: str, names: Mapping[str, str]) -> str:
    """Return what a file is called once its platform is; it is as it was for all others."""
    found = _OF_PLATFORM.fullmatch(path)
    return f"{found[1]}{names[found[2]]}{found[3]}" if found and found[2] in names else path


def _finish_moves(ledger: Ledger, directory: Path) -> None:
    names, gathered = ledger.platforms.moving()
    if not names:
        return
    if not gathered:  # until that is noted, none has its new name: what lies under an old one is what is to move
        _move(directory, {old: f"{new}{_BETWEEN}" for old, new in names.items()})
        ledger.change(lambda changed: changed.platforms.moved(gathered=True))
    _move(directory, {f"{new}{_BETWEEN}": new for new in names.values()})
    ledger.change(lambda changed: changed.platforms.moved(gathered=False))


def _move(directory: Path, names: Mapping[str, str]) -> None:
    for folder in (results_folder(directory), verdicts_folder(directory)):
        for old, new in ((folder / old, folder / new) for old, new in names.items()):
            with disk_errors(new):
                if old.exists() and new.exists():  # what is in it, then
                    for path in old.iterdir():
                        path.replace(new / path.name)
                    sync_directory(new)
                    old.rmdir()
                elif old.exists():
                    old.rename(new)
        if folder.exists():
            with disk_errors(folder):
                sync_directory(folder)
    quarantine = quarantine_folder(directory)
    with disk_errors(quarantine):
        for path in [*quarantine.iterdir()] if quarantine.exists() else []:
            name = re.fullmatch(r"(.+?)-([0-9]{6,}\..*)", path.name)
            if name and name[1] in names:
                path.replace(quarantine / f"{names[name[1]]}-{name[2]}")
        if quarantine.exists():
            sync_directory(quarantine)
