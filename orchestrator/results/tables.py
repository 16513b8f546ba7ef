"""A result file of any kind → the cells of its number column and of its verdict column.

Kinds are told apart by content: an xlsx is a zip with a workbook in it, any other zip holds tables of which exactly
one is read (the same rows stand in several), all else is csv. Whatever a library raises on a broken file leaves as
`DamagedResultError`.

What is written plainly goes to readers of our own, which are fast (`plainbook`, `plaincsv`). They give up where they
do not understand every byte, and the libraries read that, behind the gate.

A table is an iterator of batches. One without the two columns yields nothing; one that has them yields at least one
batch, be it an empty one.
"""

from __future__ import annotations

import csv
import errno
import io
import lzma
import struct
import zipfile
import zlib
from contextlib import contextmanager
from itertools import islice
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final

import python_calamine as calamine

from orchestrator.errors import DamagedResultError
from orchestrator.results import gate, plainbook, plaincsv
from orchestrator.results.archive import Archive
from orchestrator.results.batches import Batch, batch
from orchestrator.results.frames import NotPlainError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.results.archive import Limits
    from orchestrator.results.columns import Wanted

BATCH_ROWS: Final = 1 << 16
HEADER_WITHIN_ROWS: Final = 20
_HEADER_BYTES: Final = 1 << 16
_OLE_MAGIC: Final = b"\xd0\xcf\x11\xe0"
_ZIP_MAGIC: Final = b"PK"
_PREFERRED: Final = ("all.csv", "result.xlsx")
_LISTS: Final = {"registered.txt": "yes", "activated.txt": "yes", "unregistered.txt": "no"}


def read_table(file: IO[bytes], limits: Limits, wanted: Wanted) -> Iterator[Batch]:
    """Yield the one table of a result file; raises `DamagedResultError`, and `OSError` when the disk fails."""
    with damage():
        magic = file.read(len(_OLE_MAGIC))
        file.seek(0)
        if magic == _OLE_MAGIC:
            raise DamagedResultError("an encrypted workbook, or one in the format of before 2007")
        if magic.startswith(_ZIP_MAGIC):
            yield from _zip(file, limits, wanted)
        else:
            yield from _csv(file, wanted)


@contextmanager
def damage() -> Iterator[None]:
    """Turn what libraries raise on broken files into `DamagedResultError`; failures of the disk pass."""
    try:
        yield
    except DamagedResultError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise
        raise DamagedResultError("the zip's directory points outside of the file") from error
    except _ON_BROKEN_FILES as error:
        raise DamagedResultError(f"the file can't be read ({type(error).__name__})") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the Rust parser's own failures do not derive from Exception
            raise
        raise DamagedResultError("the workbook breaks its parser") from error


_ON_BROKEN_FILES: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    csv.Error,
    calamine.CalamineError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    ValueError,  # undecodable text is one
    OverflowError,
)


def _zip(file: IO[bytes], limits: Limits, wanted: Wanted) -> Iterator[Batch]:
    archive = Archive(file, limits)
    archive.verify()
    if archive.is_workbook:
        yield from _workbook(file, archive, limits, wanted)
    else:
        yield from _one_of(archive, limits, wanted)


def _workbook(file: IO[bytes], archive: Archive, limits: Limits, wanted: Wanted) -> Iterator[Batch]:
    """Yield every sheet that has both columns: long results roll over into further sheets."""
    try:
        batches, understood = plainbook.read_book(archive, limits, wanted) if archive.small else ([], set())
    except NotPlainError:
        batches, understood = [], set()
    gate.inspect(archive, limits, understood=understood)
    if understood:
        yield from batches
        return
    file.seek(0)
    with calamine.load_workbook(file) as book:
        for sheet in book.sheets_metadata:
            if sheet.typ == calamine.SheetTypeEnum.WorkSheet:
                yield from _rows(book.get_sheet_by_name(sheet.name).iter_rows(), wanted)


def _csv(file: IO[bytes], wanted: Wanted) -> Iterator[Batch]:
    start = file.tell()
    header = file.readline(_HEADER_BYTES)
    layout = _layout(header, wanted)
    if layout is None:
        file.seek(start)
        yield from _any_csv(file, None, wanted)
        return
    yield batch([], [])
    yield from plaincsv.read_lines(file, layout)
    yield from _any_csv(file, layout, wanted)


def _layout(header: bytes, wanted: Wanted) -> plaincsv.Layout | None:
    """Return how the rows below a plain header are laid out."""
    if not header.endswith(b"\n") or b'"' in header or b"\r" in header.removesuffix(b"\r\n"):
        return None
    text = header.decode("utf-8-sig").rstrip("\r\n")
    delimiter = _delimiter(text)
    cells = text.split(delimiter)
    places = wanted.places(cells)
    return None if places is None else plaincsv.Layout(len(cells), delimiter.encode(), *places)


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _any_csv(file: IO[bytes], layout: plaincsv.Layout | None, wanted: Wanted) -> Iterator[Batch]:
    """Yield the table, or with `layout` the rest of it, from where `file` stands."""
    text = io.TextIOWrapper(file, "utf-8-sig" if layout is None else "utf-8", newline="")
    try:
        if layout is not None:
            rows = csv.reader(text, delimiter=layout.delimiter.decode(), skipinitialspace=True)
            yield from _batches(rows, layout.number, layout.verdict)
            return
        start = text.tell()
        delimiter = _delimiter(text.readline(_HEADER_BYTES))
        text.seek(start)
        yield from _rows(csv.reader(text, delimiter=delimiter, skipinitialspace=True), wanted)
    finally:
        text.detach()  # the file belongs to the caller


def _rows(rows: Iterable[Sequence[object]], wanted: Wanted) -> Iterator[Batch]:
    """Find the header, then yield the two columns below it."""
    rows = iter(rows)
    header = next((row for row in islice(rows, HEADER_WITHIN_ROWS) if any(cell not in ("", None) for cell in row)), [])
    places = wanted.places(header)
    if places is None:
        return
    yield batch([], [])
    yield from _batches(rows, *places)


def _batches(rows: Iterator[Sequence[object]], number: int, verdict: int) -> Iterator[Batch]:
    while some := list(islice(rows, BATCH_ROWS)):
        yield batch(_column(some, number), _column(some, verdict))


def _column(rows: list[Sequence[object]], place: int) -> list[object]:
    try:
        return [row[place] for row in rows]
    except IndexError:  # csv rows may be cut short
        return [row[place] if place < len(row) else "" for row in rows]


def _one_of(archive: Archive, limits: Limits, wanted: Wanted) -> Iterator[Batch]:
    """Yield the first table that has both columns, else the lists of yes and no, else nothing."""
    files = [name for name in archive.names if not name.endswith("/") and _base(name)[:1] not in ("", ".")]
    for name in sorted(files, key=_preference):
        if not _base(name).endswith((".csv", ".xlsx")):
            continue
        table = _member(archive, name, limits, wanted)
        first = next(table, None)
        if first is not None:
            yield first
            yield from table
            return
    for name in sorted(files):
        if _base(name) in _LISTS:
            yield from _list(archive, name, _LISTS[_base(name)])


def _base(name: str) -> str:
    return PurePosixPath(name).name.lower()


def _preference(name: str) -> tuple[int, str]:
    base = _base(name)
    return (_PREFERRED.index(base) if base in _PREFERRED else len(_PREFERRED)), name


def _member(archive: Archive, name: str, limits: Limits, wanted: Wanted) -> Iterator[Batch]:
    """Yield a table inside of a zip; a workbook there is itself a zip, and passes the gate too."""
    with archive.open(name) as stream:
        magic = stream.read(len(_ZIP_MAGIC))
        stream.seek(0)
        if magic != _ZIP_MAGIC:
            yield from _csv(stream, wanted)
            return
    packed = io.BytesIO(archive.read(name))
    inner = Archive(packed, limits)
    inner.verify()
    if inner.is_workbook:
        yield from _workbook(packed, inner, limits, wanted)


def _list(archive: Archive, name: str, word: str) -> Iterator[Batch]:
    """Yield a bare list of numbers that share one verdict; a number in no list stays unanswered."""
    with archive.open(name) as stream:
        lines = io.TextIOWrapper(stream, "utf-8-sig")
        while some := [line.strip() for line in islice(lines, BATCH_ROWS)]:
            yield batch(list(some), [word if line else "" for line in some])
