"""A look through the parts of a workbook from outside, before a spreadsheet library sees them.

The library trusts what it reads: one cell at XFD1048576 makes it ask for 550 GB and abort the process. What gets past
this (sparse but plausible sheets) is bounded by the limits of the worker process.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orchestrator.errors import DamagedResultError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from orchestrator.results.archive import Archive, Limits

MAX_COLUMNS: Final = 26
"""Columns A to Z; a result has two or three."""

_CARRY_BYTES: Final = 128
_DOCTYPE: Final = (b"<!DOCTYPE", b"<\0!\0D\0O\0C\0T\0Y\0P\0E")
_SHEET: Final = b"sheetData"
_WIDE_SHEET: Final = b"s\0h\0e\0e\0t\0D\0a\0t\0a"
_ROW: Final = re.compile(rb"<(?:[\w.-]+:)?row\b")
_CELL: Final = re.compile(rb"<(?:[\w.-]+:)?c[\s/>]")


def inspect(archive: Archive, limits: Limits, *, understood: Container[str] = ()) -> None:
    """Look through every part but those `understood` as a whole; raises `DamagedResultError`."""
    for name in archive.names:
        if name not in understood:
            inspect_part(archive.blocks(name), limits)


def inspect_part(blocks: Iterable[bytes], limits: Limits) -> None:
    """Refuse a DOCTYPE, a sheet in UTF-16, which this can't look through, and cells far outside of the table."""
    reference = _far_reference(limits.rows)
    tail, in_row, far, sheet = b"", 0, False, False
    for block in blocks:
        text = tail + block
        if any(mark in text for mark in _DOCTYPE):
            raise DamagedResultError("the workbook has a DOCTYPE, which no spreadsheet program writes")
        if _WIDE_SHEET in text:
            raise DamagedResultError("a sheet of the workbook is in UTF-16, which no spreadsheet program writes")
        sheet = sheet or _SHEET in text
        far = far or any(_is_far(found[1], limits.rows) for found in reference.finditer(text))
        widest, in_row = _cells_a_row(block, in_row)
        far = far or widest > MAX_COLUMNS
        tail = text[-_CARRY_BYTES:]
    if far and sheet:  # elsewhere, in a theme's colours, the same attribute means something else
        raise DamagedResultError("the workbook has cells far outside of its table")


def _far_reference(rows: int) -> re.Pattern[bytes]:
    """Match a reference (`r="XFD1048576"`) to a column beyond Z, or with a row of as many digits as `rows`."""
    return re.compile(rb"\sr\s*=\s*[\"']([A-Za-z]{2}|[A-Za-z]?[0-9]{%d,20})" % len(str(rows)))


def _is_far(reference: bytes, rows: int) -> bool:
    digits = reference.lstrip(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    return not digits or int(digits) > rows


def _cells_a_row(block: bytes, in_row: int) -> tuple[int, int]:
    """Return the most cells that one row has, and how many the last one has so far; `in_row` is from before."""
    counts = [len(_CELL.findall(piece)) for piece in _ROW.split(block)]
    counts[0] += in_row
    return max(counts), counts[-1]
