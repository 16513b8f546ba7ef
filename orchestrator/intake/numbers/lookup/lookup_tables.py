"""The automata as arrays, and the files in which they are kept.

Building takes seconds, so that the international one comes with the package (`prebuilt`), small lists do without, and
what was built is kept: in the user's cache folder, under the version of `phonenumbers` that it was built from. The
cache is a help and nothing else: without it, or with a file that is damaged, old, or not ours alone, the tables are
built anew.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import phonenumbers
from phonenumbers import PhoneMetadata

from orchestrator.errors import StorageError
from orchestrator.files import make_private_directory, replacing

if TYPE_CHECKING:
    import numpy.typing as npt

    from orchestrator.intake.numbers.lookup.automata import Automaton

FORMAT = 3
"""Raised whenever the automata, their labels or the form of the file change."""

LEADING = 6
HEAD = 8
"""Digits that are looked up at once: first six, then two more."""
MAX_TAIL = 15

_DIGEST_BYTES = 32
_MAX_FILE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class LookupTable:
    """An automaton. `steps[state, digit]` is the next state, `labels[state]` the answer; see `automata`."""

    start: int
    steps: npt.NDArray[np.uint16]
    labels: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """What most numbers need of the international table: a look at their first eight digits, and at their length.

    `leading[six digits]` is a state; `pairs[100 * state + two digits]` the one after; bit n of `sure[state]` says that
    any n further digits give a valid number that stays as it is, and bit n of `hopeless[state]` that none do.
    """

    leading: npt.NDArray[np.uint16]
    pairs: npt.NDArray[np.uint16]
    sure: npt.NDArray[np.uint16]
    hopeless: npt.NDArray[np.uint16]

    @classmethod
    def of(cls, table: LookupTable) -> Shortcuts:
        """Derive the shortcuts from the international table, within some 20 ms."""
        states = np.array([table.start], np.uint16)
        for _ in range(LEADING):
            states = table.steps[states].ravel()
        pairs = table.steps[table.steps].reshape(-1)
        every, some = table.labels == 1, table.labels != 0
        sure, hopeless = np.zeros(len(every), np.uint16), np.zeros(len(every), np.uint16)
        for length in range(MAX_TAIL + 1):
            sure |= every.astype(np.uint16) << np.uint16(length)
            hopeless |= (~some).astype(np.uint16) << np.uint16(length)
            every, some = every[table.steps].all(axis=1), some[table.steps].any(axis=1)
        return cls(states, pairs, sure, hopeless)


@dataclass(frozen=True, slots=True)
class LookupTables:
    """All that the fast path looks up.

    `codes[first three digits]` is a calling code, 0 for none, and `code_digits` its length. Without a default region
    `national` is None; `abroad` is that region's international prefix, None where it is not just digits.
    """

    international: LookupTable
    shortcuts: Shortcuts
    codes: npt.NDArray[np.int64]
    code_digits: npt.NDArray[np.int64]
    region: str | None
    region_code: int
    national: LookupTable | None
    abroad: bytes | None


def cache_folder() -> Path | None:
    """Return where tables are kept, None where there is no such place."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    folder = Path(base) / "numbercheck-orchestrator"
    return folder if folder.is_absolute() else None


@lru_cache(maxsize=2)
def load_tables(region: str | None, folder: Path | None) -> LookupTables:
    """Return the tables for a default region, out of `folder` or built, and kept there; held for the next call."""
    international = _table(None, folder)
    codes = np.zeros(1000, np.int64)
    digits = np.zeros(1000, np.int64)
    for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        length = len(str(code))
        first = code * 10 ** (3 - length)
        codes[first : first + 10 ** (3 - length)] = code
        digits[first : first + 10 ** (3 - length)] = length
    metadata = None if region is None else PhoneMetadata.metadata_for_region(region, None)
    abroad = "" if metadata is None else metadata.international_prefix or ""
    return LookupTables(
        international,
        Shortcuts.of(international),
        codes,
        digits,
        region,
        0 if region is None else phonenumbers.country_code_for_region(region),
        None if region is None else _table(region, folder),
        abroad.encode() if re.fullmatch("[0-9]+", abroad) else None,
    )


def prepare_tables(region: str | None, cache: Path | None, folder: Path) -> Path:
    """Return a folder that the tables can be loaded from, `folder` where the cache can't have them: a piece.

    Raises `StorageError`.
    """
    tables = load_tables(region, cache)
    if cache is not None and are_kept(region, cache):
        return cache
    _keep(_path(None, folder), _key(None), tables.international)
    if tables.national is not None:
        _keep(_path(region, folder), _key(region), tables.national)
    return folder


def are_kept(region: str | None, folder: Path | None) -> bool:
    """Tell whether the tables are in `folder`, or came with the package: loading them costs next to nothing."""
    return folder is not None and _is_there(None, folder) and _is_there(region, folder)


def _is_there(region: str | None, folder: Path) -> bool:
    if _read(_path(region, folder), _key(region)) is not None:
        return True
    from orchestrator.intake.numbers.lookup.prebuilt import prebuilt  # noqa: PLC0415 - as above

    return region is None and (known := prebuilt()) is not None and bool(known.start)


def _table(region: str | None, folder: Path | None) -> LookupTable:
    """Return one table; what can't be kept is still returned."""
    path, key = (None if folder is None else _path(region, folder)), _key(region)
    kept = None if path is None else _read(path, key)
    if kept is not None:
        return kept
    from orchestrator.intake.numbers.lookup.automata import international, national  # noqa: PLC0415 - kept tables need none of it
    from orchestrator.intake.numbers.lookup.prebuilt import prebuilt  # noqa: PLC0415 - nor of this

    automaton: Automaton = international(prebuilt()) if region is None else national(region)
    if len(automaton.steps) > np.iinfo(np.uint16).max:
        built = LookupTable(0, np.zeros((1, 10), np.uint16), np.zeros(1, np.uint8))  # too large: nothing is decided
    else:
        built = LookupTable(automaton.start, np.array(automaton.steps, np.uint16), np.array(automaton.labels, np.uint8))
    if path is not None:
        with suppress(StorageError):
            _keep(path, key, built)
    return built


def _key(region: str | None) -> str:
    """Name what a table depends on."""
    return f"{FORMAT} {phonenumbers.__version__} {region or 'international'}"


def _path(region: str | None, folder: Path) -> Path:
    return folder / (re.sub(r"[^0-9A-Za-z.]", "-", _key(region)) + ".table")


def _keep(path: Path, key: str, table: LookupTable) -> None:
    content = io.BytesIO()
    for array in (np.frombuffer(key.encode(), np.uint8), np.array([table.start]), table.steps, table.labels):
        np.save(content, array, allow_pickle=False)
    make_private_directory(path.parent)
    with replacing(path) as file:
        file.write(hashlib.sha256(content.getvalue()).digest() + content.getvalue())


def _read(path: Path, key: str) -> LookupTable | None:
    """Return the table at `path`; None unless it is whole, ours, and built for `key`."""
    content = b""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if all(map(_is_ours, (os.fstat(descriptor), path.parent.stat()))):  # nobody else could have written it
                content = file.read(_MAX_FILE_BYTES)
    if hashlib.sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
        return None
    arrays = io.BytesIO(content[_DIGEST_BYTES:])
    name, start, steps, labels = (np.load(arrays, allow_pickle=False) for _ in range(4))
    return LookupTable(int(start[0]), steps, labels) if name.tobytes() == key.encode() else None


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
