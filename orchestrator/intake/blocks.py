"""The units in which a list is read, and the files in which read rows wait for the next step.

A `LineBlock` is a piece of a text file as it is, a `CellBlock` holds cells that were taken out of a table. Both give
`cells()`: line number and text, stripped, without blank lines. A worker makes `Rows` of a block; a file of rows, and
for kept columns one beside it, is the only thing that later steps see.

Which letters bytes stand for is decided line by line, see `text_of`: so neither a look ahead nor the borders of blocks
play a part, and files that were put together from several sources come out right.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, overload

import numpy as np

from orchestrator import files
from orchestrator.files import FILE_MODE, disk_errors
from orchestrator.jobdir.arrays import load_array, save_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedReader
    from pathlib import Path

    import numpy.typing as npt

    from orchestrator.records import InputAccount, Unread

BLOCK_BYTES = 1 << 18
"""About 20,000 lines, half a second of `phonenumbers`: short enough that two workers end together."""

LARGE_BLOCK_BYTES = 1 << 20
"""For large lists, which are mostly decided at once: every block is a trip to a worker."""

MAX_LINE_BYTES = 1 << 20
"""A longer line of text, or record of a table, is rejected unread."""

PLAIN = 0
FROM_TEXT = 1
FIRST_REASON = 2
"""Codes of rows: accepted, accepted out of a text with letters, and rejected for the first of `reasons.REASONS`."""

LATIN = "orchestrator.latin"
"""How codecs are told of `text_of`'s way with what Windows-1252 leaves out."""


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines of a text file, ends included, none above `MAX_LINE_BYTES`; `first_line` counts from 1."""

    first_line: int
    data: bytes

    def cells(self) -> Iterator[tuple[int, str]]:
        """Yield line number and text of every line that is not blank."""
        for line, data in enumerate(self.data.splitlines(), self.first_line):
            if stripped := text_of(data).strip():
                yield line, stripped


@dataclass(frozen=True, slots=True)
class Look:
    """A first look at a table, see `table_layout`. `likely` says, column by column, how many cells look like numbers.

    `indexes` are the columns of numbers, `also` those whose cells mostly look like telephone numbers too, and `above`
    counts the rows above the header.
    """

    source: str
    headers: tuple[str, ...]
    indexes: tuple[int, ...]
    likely: tuple[int, ...]
    above: int = 0
    also: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file says of the table in it, by another count than that of what read its cells.

    `sheet` is "" where there is none; `others` are the other sheets, with what was left unread in them.
    `has_content` tells an empty table from one in which no row could be read. It comes behind the last of its blocks.
    """

    sheet: str = ""
    is_hidden: bool = False
    has_content: bool = True
    others: tuple[InputAccount, ...] = ()
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True)
class CellBlock:
    """Cells of one column, of rows that are not blank; an empty cell of such a row is an empty text.

    `faults` has the reasons of cells that are rejected whatever their text is, by position. `kept` has the cells of the
    columns called `names`, for every row. `look` stands in a table's first block. `filled_lines` counts the lines on
    which its rows stand, where these can be several a row. `left` counts what may be numbers and is left unread.
    """

    lines: Sequence[int]
    texts: Sequence[str]
    faults: Mapping[int, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    kept: Sequence[Sequence[str]] = ()
    look: Look | None = None
    filled_lines: int | None = None
    left: int = 0

    def cells(self) -> Iterator[tuple[int, str]]:
        """Yield line number and text of every cell."""
        return zip(self.lines, (text.strip() for text in self.texts), strict=True)


Block = LineBlock | CellBlock


def text_of(data: bytes) -> str:
    """Return a line's text: it is UTF-8, or else Windows-1252, which never fails.

    Digits are the same in every code page, so another one spoils letters of kept columns, and nothing else. The five
    bytes that Windows-1252 leaves out are the control characters of Latin-1.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", LATIN)


def bytes_of(text: str, *, is_utf8: bool) -> bytes:
    """Return a text in UTF-8, or else in Windows-1252, as `text_of` reads it, with `?` for letters that this lacks."""
    if is_utf8:
        return text.encode()
    try:
        return text.encode("cp1252", LATIN)
    except UnicodeEncodeError:
        return text.encode("cp1252", "replace")


def is_utf8(lines: bytes) -> bool | None:
    """Whether `text_of` takes the first of these lines with more than ASCII for UTF-8; None where there is none.

    What is added to a file should be in the encoding that this tells: the file is in one then, if it was.
    """
    if lines.isascii():
        return None
    line = next(line for line in lines.splitlines() if not line.isascii())
    return text_of(line).encode() == line


def _as_latin(error: UnicodeError) -> tuple[str | bytes, int]:
    match error:
        case UnicodeDecodeError():
            return error.object[error.start : error.end].decode("latin-1"), error.end
        case UnicodeEncodeError():
            return error.object[error.start : error.end].encode("latin-1"), error.end
        case _:
            raise error


codecs.register_error(LATIN, _as_latin)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the list, four sequences of the same length.

    A cell with several numbers gives as many rows; `cells` says which cell each row is of, None where each has one row.
    `numbers` are E.164 numbers without the plus sign, 0 for a rejected row; `lines` are line numbers; `codes` are
    described above; `raws` is UTF-8 fit for people to see, empty where it would only repeat the number.
    """

    numbers: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    codes: npt.NDArray[np.uint16]
    raws: Sequence[bytes]
    cells: npt.NDArray[np.int64] | None = None

    @property
    def first_line(self) -> int | None:
        """The first line where lines count up from it, else None."""
        if len(self.lines) and np.array_equal(self.lines, _counted(self.lines, len(self.lines))):
            return int(self.lines[0])
        return None

    @property
    def are_plain(self) -> bool:
        """Whether all of them are numbers, with nothing to be said beside."""
        return isinstance(self.raws, Texts) and self.raws.are_empty and not self.codes.any()

    def raw(self, row: int) -> str:
        """Return the text that row number `row` was read from."""
        return self.raws[row].decode() or f"+{self.numbers[row]}"


class Texts(Sequence[bytes]):
    """Texts that lie one behind the other, cut out when they are asked for; without limits, all are empty."""

    def __init__(self, count: int, data: bytes = b"", limits: npt.NDArray[np.int64] | None = None) -> None:
        self._count = count
        self._data = data
        self._limits = limits

    @property
    def are_empty(self) -> bool:
        """Whether there is nothing in any of them."""
        return not self._data

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        if self._limits is None:
            return b""
        index %= self._count
        return self._data[self._limits[index] : self._limits[index + 1]]


def write_rows(path: Path, rows: Rows) -> None:
    """Write a file of rows, private and not synced: it does not outlive the reading; raises `StorageError`.

    Most lists are a number a line, so what follows from that takes no room: lines that count up are the first one,
    codes that are all `PLAIN` and texts that are all empty are left out.
    """
    text = b"".join(rows.raws) if not isinstance(rows.raws, Texts) or not rows.raws.are_empty else b""
    lengths = map(len, rows.raws) if text else ()
    limits = np.cumsum(np.fromiter(lengths, np.int64), dtype=np.int64)
    lines = rows.lines if rows.first_line is None else rows.lines[:1]
    with disk_errors(path), whole_file(path) as file:
        for array in (rows.numbers, lines, rows.codes if rows.codes.any() else rows.codes[:0], limits):
            save_array(file, array)
        file.write(text)


def read_rows(path: Path) -> Rows:
    """Read a whole file of rows; raises `StorageError`."""
    with disk_errors(path), path.open("rb") as file:
        numbers, lines, codes = _columns(file)
        (ends,) = _load(file, 1)
        text = file.read()
    return Rows(numbers, lines, codes, Texts(len(numbers), text, np.concatenate(([0], ends)) if text else None))


def read_columns(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """Read numbers, lines and codes of a file of rows, and leave the text where it is; raises `StorageError`."""
    with disk_errors(path), path.open("rb") as file:
        return _columns(file)


def read_numbers(path: Path) -> npt.NDArray[np.int64]:
    """Read the numbers of a file of rows, and nothing else; raises `StorageError`."""
    with disk_errors(path), path.open("rb") as file:
        numbers: npt.NDArray[np.int64] = load_array(file)
    return numbers


def _columns(file: BufferedReader) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    numbers, lines, codes = _load(file, 3)
    count = len(numbers)
    return (
        numbers,
        _counted(lines, count) if len(lines) < count else lines,
        codes if len(codes) else np.zeros(count, np.uint16),
    )


def _counted(lines: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return line numbers that count up from the first one."""
    return np.arange(count, dtype=np.int64) + (lines[0] if count else 0)


def _load(file: BufferedReader, count: int) -> list[npt.NDArray[Any]]:
    return [load_array(file) for _ in range(count)]


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file as `private_file` does, for a piece; where another may do the same, it is whole or not there."""
    part = path.with_name(path.name + files.attempt) if files.attempt else path
    with private_file(part) as file:
        yield file
    if part is not path:
        part.replace(path)


def private_file(path: Path, *, append: bool = False) -> IO[bytes]:
    """Open a file for writing, which is not synced, new or at its end; raises `OSError`."""
    mode = os.O_APPEND if append else os.O_TRUNC
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | mode, FILE_MODE), "wb")
