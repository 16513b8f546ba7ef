"""A look into a result file that a person brought: a piece, which writes nothing.

Nobody but its name and its content says where such a file comes from. All platforms share the chunks, so a file of
another platform has all the right numbers.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.errors import DamagedResultError
from orchestrator.files import disk_errors
from orchestrator.jobdir.chunk_files import read_chunk
from orchestrator.results.check import check_result
from orchestrator.results.checked_zip import ResultLimits
from orchestrator.results.columns import ALWAYS_A_VERDICT, Wanted
from orchestrator.results.result_tables import read_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.results.check import ResultCheck

MAX_MEMBERS: Final = 100


@dataclass(frozen=True, slots=True)
class BroughtFile:
    """What was found: `matched` of the chunk's `rows` numbers have a row, `members` are the names inside of a zip.

    `other` is the platform after which its column is named, if that is not the one that it was brought for, else "".
    """

    rows: int
    matched: int
    members: tuple[str, ...]
    other: str


@dataclass(frozen=True, slots=True)
class _Named(Wanted):
    """A verdict column under these names only, without those that any platform's may have."""

    @property
    def spellings(self) -> tuple[str, ...]:
        return self.aliases


def look_into(check: ResultCheck, others: Mapping[str, Sequence[str]]) -> BroughtFile:
    """Look into a result file; `others` are the names of the other platforms' columns, by platform.

    Raises `DamagedResultError` when it is no result of the chunk.
    """
    rows = len(read_chunk(check.chunk).numbers)
    limits = ResultLimits.for_rows(rows)
    # A name that two platforms share says nothing, nor does one that any platform's column may have.
    own = {name.casefold() for name in (check.platform, *check.columns)} - {ALWAYS_A_VERDICT}
    theirs = {platform: {name.casefold() for name in names} - {ALWAYS_A_VERDICT} for platform, names in others.items()}
    other = ""
    if not _has_column(check, own.difference(*theirs.values()), limits):
        other = next((other for other, names in theirs.items() if _has_column(check, names - own, limits)), "")
    try:
        report, _ = check_result(check)
    except DamagedResultError as error:
        raise DamagedResultError(f"{error}; its column is named after {other}" if other else str(error)) from error
    members: tuple[str, ...] = ()
    if zipfile.is_zipfile(check.result):
        with zipfile.ZipFile(check.result) as archive:
            members = tuple(archive.namelist()[:MAX_MEMBERS])
    return BroughtFile(rows, report.rows, members, other)


def _has_column(check: ResultCheck, names: set[str], limits: ResultLimits) -> bool:
    return _tables(check, names, limits) > _tables(check, set(), limits)  # lists of numbers have no header at all


def _tables(check: ResultCheck, names: set[str], limits: ResultLimits) -> int:
    wanted = _Named(check.platform, tuple(sorted(names)))
    try:
        with disk_errors(check.result), check.result.open("rb") as file:
            return sum(map(len, read_tables(file, limits, wanted)))
    except DamagedResultError:
        return 0
