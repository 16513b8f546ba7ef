"""A first look at a zip from outside, before any parser sees it.

The parser trusts what it reads: one cell at XFD1048576 makes it ask for 550 GB and abort the process, and it takes
members with a wrong checksum. So every member is inflated once here, under a cap, and worksheets are searched for
cells far out of range. What gets past this (sparse but plausible sheets) is bounded by the memory limit of the
worker process.
"""

from __future__ import annotations

import copy
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.errors import DamagedResultError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MEMBERS: Final = 1000
MAX_COLUMNS: Final = 26
"""Columns A to Z; a result has two or three."""

_BLOCK_BYTES: Final = 1 << 20
_CARRY_BYTES: Final = 128
_ENCRYPTED: Final = 0x1
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MIN_ROW_BYTES: Final = 8  # the shortest row element, "<row/>", and a little


@dataclass(frozen=True, slots=True)
class Limits:
    """What a result file may ask for; `inflated_bytes` is over all members of one zip."""

    inflated_bytes: int
    members: int = MAX_MEMBERS

    @classmethod
    def for_rows(cls, rows: int) -> Limits:
        """Allow some five times what a chunk's rows take in every form that vendors pack together."""
        return cls(inflated_bytes=(16 << 20) + 512 * rows)


def inspect(archive: zipfile.ZipFile, limits: Limits) -> None:
    """Inflate everything once; raises `DamagedResultError`, or what `zipfile` raises on a broken member."""
    members = archive.infolist()
    names = {member.filename for member in members}
    if len(members) > limits.members or len(names) < len(members):
        raise DamagedResultError(f"the zip has {len(members)} members, {len(names)} of them with different names")
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise DamagedResultError("the zip is encrypted")
        if member.compress_type not in _METHODS:
            raise DamagedResultError(f"the zip is packed by method {member.compress_type}, which no vendor uses")
    if sum(member.file_size for member in members) > limits.inflated_bytes:
        raise DamagedResultError(f"the zip declares more than {limits.inflated_bytes:,} bytes")
    workbook = is_workbook(archive)
    for member in members:
        _inspect_member(archive, member, workbook=workbook, limits=limits)


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Whether the zip is an xlsx: by what it holds, not by its name."""
    return {"[Content_Types].xml", "xl/workbook.xml"} <= set(archive.namelist())


def _inspect_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, *, workbook: bool, limits: Limits) -> None:
    inflated, far, sheet = 0, False, False
    out_of_range = _out_of_range(member.file_size)
    tail = b""
    for block in _blocks(archive, member, limits):
        inflated += len(block)
        if workbook:
            text = tail + block
            far = far or out_of_range.search(text) is not None
            sheet = sheet or b"sheetData" in text
            if b"<!DOCTYPE" in text:
                raise DamagedResultError("the workbook has a DOCTYPE, which no spreadsheet program writes")
            tail = text[-_CARRY_BYTES:]
    if inflated != member.file_size:
        raise DamagedResultError("a member of the zip is not as long as it declares")
    if far and sheet:
        raise DamagedResultError("the workbook has cells far outside of its table")


def _blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> Iterator[bytes]:
    """Inflate to the real end of the stream: `zipfile` alone stops at the declared size, the parser does not."""
    unbounded = copy.copy(member)
    unbounded.file_size = limits.inflated_bytes + 1
    with archive.open(unbounded) as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def _out_of_range(size_bytes: int) -> re.Pattern[bytes]:
    """Match a reference (`r="XFD1048576"`) to a column beyond Z, or a row that a sheet of this size can't reach."""
    digits = len(str(1000 + size_bytes // _MIN_ROW_BYTES)) + 1
    return re.compile(rb"\sr\s*=\s*[\"'](?:[A-Za-z]{2}|[A-Za-z]?[0-9]{%d})" % digits)
