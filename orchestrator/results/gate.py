"""A look through the parts of a workbook from outside, before a spreadsheet library sees them.

The libraries trust what they read: they set aside room for all cells between the first and the last one, so one cell at
XFD1048576 makes them ask for 550 GB and abort the process. The gate knows tags and references only, and nothing of what
stands between them. What gets past it is bounded by the limits of the worker process.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from orchestrator.errors import DamagedResultError

if TYPE_CHECKING:
    from orchestrator.results.checked_zip import CheckedZip, ResultLimits

    Bits = np.typing.NDArray[np.bool_]
    Bytes = np.typing.NDArray[np.uint8]
    Numbers = np.typing.NDArray[np.int64]
    Places = np.typing.NDArray[np.intp]

COLUMNS: Final = 26
"""How wide a sheet of as many rows as a chunk can need may be; fewer rows may be wider."""
LAST_ROW: Final = 1 << 20
"""Of any sheet."""

_BLOCK_BYTES: Final = 1 << 20
"""What is looked at together: so that it stays in the processor's cache."""
_PADDING: Final = bytes(32)
_SHEET: Final = b"sheetData"
_SHEET_TAG: Final = re.compile(rb"<(?:[^<>\s:/=\"']+:)?sheetData[\s/>]")
_EMPTY: Final = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData/></worksheet>'
_FAR: Final = 10**9
_LETTERS, _DIGITS = 26, 10
_LONGEST: Final = len(_PADDING) // 4
"""Letters, and digits, of the longest reference that is read: far longer than any that a sheet can have."""
_SPACES, _QUOTES, _ENDS = (
    np.isin(np.arange(256), np.frombuffer(bytes_, np.uint8)) for bytes_ in (b" \t\r\n", b"\"'", b" \t\r\n/>")
)
_PREFIX: Final = re.compile(rb"<[^<>\s:/=\"']+:(?=(?:row|c)[\s/>])")
_VALUE: Final = re.compile(rb"r\s*=\s*[\"']")
_ENCODING: Final = re.compile(
    rb"\A[^>]{0,99}encoding\s*=\s*[\"'](?!utf-?8|us-ascii|iso-8859-1|windows-1252)", re.IGNORECASE
)


def inspect(archive: CheckedZip, limits: ResultLimits) -> tuple[dict[str, bytes], DamagedResultError | None]:
    """Return the parts of a workbook that a library may see, and why a sheet among them is empty now, if one is.

    Raises `DamagedResultError` for any other part: what it says of the sheets can't be done without.
    """
    parts, refusal = {}, None
    for name in archive.names:
        xml = archive.read(name)
        try:
            inspect_part(xml, limits)
        except DamagedResultError as error:
            if not _SHEET_TAG.search(xml.replace(b"\0", b"")):
                raise
            xml, refusal = _EMPTY, refusal or error
        if not name.endswith("/"):
            parts[name] = xml
    return parts, refusal


def inspect_part(xml: bytes, limits: ResultLimits) -> None:
    """Refuse a DOCTYPE, a sheet in an encoding that hides its tags, and cells far outside of the table."""
    plain = xml.replace(b"\0", b"") if b"\0" in xml else xml
    if b"<!DOCTYPE" in plain:
        raise DamagedResultError("the workbook has a DOCTYPE, which no spreadsheet program writes")
    if _SHEET not in plain:
        return
    if plain is not xml or _ENCODING.match(xml):
        raise DamagedResultError("a sheet of the workbook is not in UTF-8, as spreadsheet programs write them")
    # Looking for the colon first, be it in text, spares most sheets the slower pattern.
    if any(re.search(rb":%s[\s/>]" % name, xml) for name in (b"row", b"c")):
        xml = _PREFIX.sub(b"<", xml)
    areas, start = [], 0
    while start < len(xml):  # in pieces that end where a row does, so that what is made of them stays small
        end = xml.rfind(b"<row", start + 1, start + _BLOCK_BYTES)
        if end < 0:
            end = xml.find(b"<row", start + _BLOCK_BYTES)
        if end < 0 or len(xml) - start <= _BLOCK_BYTES:
            end = len(xml)
        areas.append(_block_area(xml[start:end]))
        start = end
    # The last row and column that any cell may stand in: without a reference, a row stands below the last one, and a
    # cell beside it.
    last_row = max(area.rows for area in areas) + sum(area.rows_more for area in areas)
    last_column = max(area.columns for area in areas) + max(area.columns_more for area in areas)
    rows = min(limits.rows, LAST_ROW)
    if last_row > rows or last_row * last_column > COLUMNS * rows:
        raise DamagedResultError("the workbook has cells far outside of its table")


class _Block(NamedTuple):
    """The last row and column that are named; how many rows are not, and how many cells has a row if one is not."""

    rows: int
    columns: int
    rows_more: int
    columns_more: int


def _block_area(block: bytes) -> _Block:
    text = np.frombuffer(block + _PADDING, np.uint8)
    tags = np.flatnonzero(text == ord("<"))
    cells = (text[tags + 1] == ord("c")) & _ENDS[text[tags + 2]]
    rows = (text[tags + 1] == ord("r")) & (text[tags + 2] == ord("o")) & (text[tags + 3] == ord("w"))
    rows &= _ENDS[text[tags + 4]]
    references, tag_of = _references(text, tags, cells | rows)
    places, last_columns = _counted(text, references, ord("a"), _LETTERS, 1, fold=0x20)
    places, last_rows = _counted(text, places, ord("0"), _DIGITS, 0)
    last_rows = np.where(_QUOTES[text[places]], last_rows, _FAR)  # what is no reference may be anywhere
    unnamed = cells | rows
    unnamed[tag_of] = False
    cells_before = np.concatenate([[0], np.cumsum(cells)[rows], [np.count_nonzero(cells)]])
    return _Block(
        int(last_rows.max(initial=0)),
        int(last_columns.max(initial=0)),
        int(np.count_nonzero(unnamed & rows)),
        int(np.diff(cells_before).max()) if (unnamed & cells).any() else 0,
    )


def _references(text: Bytes, tags: Places, ours: Bits) -> tuple[Places, Places]:
    """Return where the values of the attributes `r` start that rows and cells have, and which tag has each."""
    names = np.flatnonzero(text == ord("r"))
    names = names[_SPACES[text[names - 1]] & (_SPACES[text[names + 1]] | (text[names + 1] == ord("=")))]
    tag_of = np.searchsorted(tags, names) - 1
    inside = (tag_of >= 0) & ours[tag_of]
    names, tag_of = names[inside], tag_of[inside]
    places = names + len('r="')
    usual = (text[names + 1] == ord("=")) & _QUOTES[text[names + 2]]
    for odd in np.flatnonzero(~usual).tolist():  # spaces around the sign, which no writer puts there
        found = _VALUE.match(text.data, names[odd])
        places[odd] = names[odd] if found is None else found.end()
    return places, tag_of


def _counted(text: Bytes, places: Places, zero: int, base: int, one: int, *, fold: int = 0) -> tuple[Places, Numbers]:
    """Read the digits of some base from `places` on; return where they end, and the numbers, up to `_FAR`."""
    values = np.zeros(len(places), np.int64)
    for _ in range(_LONGEST):
        digits = (text[places] | np.uint8(fold)) - np.uint8(zero)
        more = digits < base
        if not more.any():
            break
        values = np.where(more, np.minimum(values * base + digits + one, _FAR), values)
        places = places + more
    return places, values
