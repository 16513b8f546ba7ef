"""A result file of any kind → the cells of its number column and of its verdict column.

Kinds are told apart by content: what was packed with gzip is unpacked, an xlsx is a zip with a workbook in it, any
other zip holds tables, all else is csv. Whatever a library raises on a broken file leaves as `DamagedResultError`.

A zip has the same rows in several files as a rule, and a part of them in each at times. So its tables come one after
the other, the best first, and whoever has what is needed stops: the others are not read then. The sheets of a workbook
are tables, too.
"""

from __future__ import annotations

import io
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from orchestrator.errors import DamagedResultError
from orchestrator.results.batches import batch
from orchestrator.results.checked_zip import CheckedZip
from orchestrator.results.csv_tables import read_csv, texts
from orchestrator.results.damage import damage
from orchestrator.results.sheets import read_workbook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.results.batches import Table
    from orchestrator.results.checked_zip import ResultLimits
    from orchestrator.results.columns import Wanted

GZIP_MAGIC: Final = b"\x1f\x8b\x08"
ZIP_MAGIC: Final = b"PK"
_OLE_MAGIC: Final = b"\xd0\xcf\x11\xe0"
_GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS
_PREFERRED: Final = ("all.csv", "result.xlsx")
_TABLES: Final = (".csv", ".xlsx")
_LISTS: Final = {"registered.txt": "yes", "activated.txt": "yes", "unregistered.txt": "no"}
_NO_TABLES: Final = (
    *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".ico", ".svg", ".heic", ".avif", ".tif", ".tiff"),
    *(".mp3", ".mp4", ".pdf"),
)
"""Pictures of those whose numbers they are, and what is about the result: not read, since all that is read of a zip is
limited together."""
_DEEPEST: Final = 3
"""How often a file may be packed in another one: a workbook, packed with gzip, in a zip."""


def read_tables(file: IO[bytes], limits: ResultLimits, wanted: Wanted) -> Iterator[list[Table]]:
    """Yield the tables of a result file, the best first; raises `DamagedResultError`, `OSError` when the disk fails.

    The sheets of a workbook are one after the other, and come together. What comes later of a number that stands in
    an earlier table is a repetition.
    """
    with damage():
        yield from _tables(file.read(), limits, wanted)


def _tables(content: bytes, limits: ResultLimits, wanted: Wanted, depth: int = 0) -> Iterator[list[Table]]:
    if content.startswith(_OLE_MAGIC):
        raise DamagedResultError("an encrypted workbook, or one in the format of before 2007")
    if depth == _DEEPEST:
        return
    if content.startswith(GZIP_MAGIC):
        # Several members behind one another are one content, as gzip itself reads them; the limit is for all together.
        parts = []
        rest, left = content, limits.inflated_bytes
        while rest.startswith(GZIP_MAGIC):
            inflater = zlib.decompressobj(_GZIP_FORMAT)
            part = inflater.decompress(rest, left + 1)
            if len(part) > left:
                raise DamagedResultError(f"inflates to more than {limits.inflated_bytes:,} bytes")
            if not inflater.eof:
                raise DamagedResultError("what gzip packed was cut short")
            parts.append(part)
            rest, left = inflater.unused_data, left - len(part)
        yield from _tables(b"".join(parts), limits, wanted, depth + 1)
    elif content.startswith(ZIP_MAGIC):
        archive = CheckedZip(io.BytesIO(content), limits)
        if archive.is_workbook:
            if sheets := read_workbook(archive, limits, wanted):
                yield sheets
        else:
            yield from _members(archive, limits, wanted, depth + 1)
    elif (table := read_csv(content, wanted)) is not None:
        yield [table]


def _members(archive: CheckedZip, limits: ResultLimits, wanted: Wanted, depth: int) -> Iterator[list[Table]]:
    """Yield the tables, then the lists of yes and no; one that can't be read counts only if no other can be."""
    files = [
        name
        for name in archive.names
        if not name.endswith("/") and _base(name)[:1] not in ("", ".") and not _base(name).endswith(_NO_TABLES)
    ]
    found, stumble = False, None

    def preference(name: str) -> tuple[int, str]:
        base = _base(name)
        if base in _PREFERRED:
            return _PREFERRED.index(base), name
        return len(_PREFERRED) + (not base.endswith(_TABLES)) + (base in _LISTS), name

    for name in sorted(files, key=preference):
        try:
            with damage():
                content = archive.read(name)
                is_list = _base(name) in _LISTS
                tables = (
                    _list(content, _LISTS[_base(name)], wanted) if is_list else _tables(content, limits, wanted, depth)
                )
                for together in tables:
                    found = True
                    yield together
        except DamagedResultError as error:
            stumble = stumble or error
    if stumble is not None and not found:
        raise stumble


def _list(content: bytes, verdict: str, wanted: Wanted) -> Iterator[list[Table]]:
    """Yield a bare list of numbers that share one verdict, as a table; a number in no list stays unanswered."""
    if wanted.without_verdict:
        return
    lines = [line.strip() for line in next(texts(content)).splitlines()]
    further = [[""] * len(lines)] * len(wanted.extras)
    yield [[batch(lines, [verdict if line else "" for line in lines], *further)]]


def _base(name: str) -> str:
    return PurePosixPath(name).name.lower()
