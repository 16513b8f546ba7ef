"""A fast reader of the sheets that programs write: rows that look alike, cells of text and of whole numbers.

Most rows are understood as matrices of bytes (`plainmatrix`). For what is left, one row is taken apart, and a regular
expression is made of it in which only the row's number and the values are free. What that does not match is taken apart
row by row. So every byte was understood, or the sheet is `NotPlainError`: for the spreadsheet library, behind the gate.
Nothing is ever guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from orchestrator.results.batches import Batch, batch, coded, joined
from orchestrator.results.frames import NotPlainError, cut_out, elements, refuse_escapes
from orchestrator.results.numbers import as_numbers, plain_numbers
from orchestrator.results.plainmatrix import alike, row_starts
from orchestrator.results.plainrows import Row, row_pattern, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from orchestrator.results.columns import Wanted
    from orchestrator.results.plainmatrix import Alike

_BLOCK_BYTES: Final = 1 << 20
_SAMPLES: Final = 20
"""How many rows are looked at for one that has both columns."""
_DIMENSION: Final = re.compile(r"A1(?::(?:[A-Z]{1,2}[1-9][0-9]{0,6}|XFD1048576))?")
"""A range that has one reading, right or wrong."""


@dataclass(frozen=True, slots=True)
class Book:
    """What the cells of a sheet refer to: the shared strings, and whether a number may be a date by its format.

    A sheet with more than `max_row` rows is for the gate to refuse.
    """

    strings: Sequence[bytes]
    dateless: bool
    max_row: int

    def value(self, kind: str, value: bytes) -> object:
        """Return a cell as the spreadsheet library gives it: text, a float, or nothing as empty text."""
        match kind:
            case "s":
                return self.string(value).decode()
            case "n":
                if not self.dateless:
                    raise NotPlainError
                return float(value)
            case _:
                return value.decode()

    def string(self, reference: bytes) -> bytes:
        """Return a shared string."""
        return self.places([int(reference)])[0]

    def places(self, places: Iterable[int]) -> list[bytes]:
        """Return shared strings, each by its place."""
        try:
            return list(map(self.strings.__getitem__, places))
        except IndexError:
            raise NotPlainError from None


def read_sheet(xml: bytes, book: Book, wanted: Wanted) -> list[Batch]:
    """Return the two columns of a sheet; raises `NotPlainError`, also when the first row does not name both."""
    frame, body = cut_out(xml, b"<sheetData", b"</sheetData>")
    refuse_escapes(body)
    _refuse_odd_frame(frame)
    end = body.find(b"</row>") + len(b"</row>")
    header = next(rows(body[:end]), None)
    places = None if header is None else wanted.places(_header(header, book))
    if header is None or places is None:
        raise NotPlainError
    reader = _Reader(book, *places, header.number)
    return [batch([], []), *(reader.read(block) for block in _blocks(body[end:]))]


def _refuse_odd_frame(frame: bytes) -> None:
    found = elements(frame)
    if found[0].name != "worksheet" or b"<sheetData></sheetData>" not in frame:
        raise NotPlainError
    if [element.depth for element in found if element.name in {"sheetData", "row", "c"}] != [2]:
        raise NotPlainError
    for element in found:
        if element.name == "dimension" and not _DIMENSION.fullmatch(element.attributes.get("ref", "")):
            raise NotPlainError


def _header(row: Row, book: Book) -> list[object]:
    cells = {cell.column: book.value(cell.kind, cell.value) for cell in row.cells}
    return [cells.get(column, "") for column in range(max(cells, default=-1) + 1)]


def _blocks(body: bytes) -> Iterator[bytes]:
    """Yield pieces of whole rows, so that what is made of them stays small."""
    start = 0
    while start < len(body):
        end = body.rfind(b"</row>", start, start + _BLOCK_BYTES) + len(b"</row>")
        if end <= start or len(body) - start <= _BLOCK_BYTES:
            end = len(body)
        yield body[start:end]
        start = end


class _Pattern(NamedTuple):
    """What a block is split by, and which of its groups holds which column, of which kind."""

    regex: re.Pattern[bytes]
    groups: dict[int, tuple[int, str]]


class _Part(NamedTuple):
    """Some rows that were understood: their own numbers, 0 where rows have none, and their two columns."""

    row_numbers: NDArray[np.int64]
    batch: Batch


class _Reader:
    """Reads the blocks of one sheet, one after the other."""

    def __init__(self, book: Book, number: int, verdict: int, header: int | None) -> None:
        self._book = book
        self._number, self._verdict = number, verdict
        self._numbered = header is not None
        self._last_row = 1 if header is None else header
        self._pattern: _Pattern | None = None
        self._have_likes = True

    def read(self, block: bytes) -> Batch:
        """Return the two columns of some rows, whichever of the three ways each of them is understood."""
        starts = row_starts(block)
        if not self._have_likes or not len(starts) or starts[0]:
            part = self._split(block)
            self._follow(part.row_numbers)
            return part.batch
        row_numbers = np.zeros(len(starts), np.int64)
        left = np.ones(len(starts), np.bool_)
        batches = []
        for found in alike(block, starts, self._number, self._verdict):
            left[found.places] = False
            row_numbers[found.places] = self._own(found)
            batches.append(self._alike(found))
        if left.any():
            ends = np.append(starts[1:], len(block))
            spans = zip(starts[left].tolist(), ends[left].tolist(), strict=True)
            part = self._split(b"".join([block[start:end] for start, end in spans]))
            row_numbers[left] = part.row_numbers
            batches.append(part.batch)
        self._have_likes = bool(2 * np.count_nonzero(left) < len(left))
        self._follow(row_numbers)
        return joined(batches)

    def _own(self, found: Alike) -> NDArray[np.int64] | int:
        if (found.sample.number is not None) != self._numbered:
            raise NotPlainError
        return found.row_numbers if self._numbered else 0

    def _alike(self, found: Alike) -> Batch:
        verdicts = []
        for cell in found.sample.cells:
            if cell.column == self._verdict:
                verdicts = [self._book.value(cell.kind, cell.value)]
            elif cell.kind == "s" and cell.column != self._number:
                self._book.string(cell.value)
        numbers = found.numbers
        if found.kind == "s":
            numbers = self._as_numbers(self._book.places(numbers.tolist()))
        elif found.kind == "n" and not self._book.dateless:
            raise NotPlainError
        return Batch(numbers, verdicts, np.zeros(len(numbers), np.intp))

    def _split(self, block: bytes) -> _Part:
        """Read rows by a regular expression, and those that it does not match one by one."""
        pattern = self._pattern or self._learn(rows(_first_rows(block)))
        parts = [block] if pattern is None else pattern.regex.split(block)
        step = 1 if pattern is None else pattern.regex.groups + 1
        gaps = parts[0::step]
        odd = [(place, row) for place, gap in enumerate(gaps) if gap for row in rows(gap)] if any(gaps) else []
        numbers, verdicts = self._odd(odd)
        if pattern is not None:
            columns = {column: (kind, parts[group::step]) for column, (group, kind) in pattern.groups.items()}
            numbers = np.concatenate([self._numbers(*columns.pop(self._number)), numbers])
            verdicts = [*self._cells(*columns.pop(self._verdict)), *verdicts]
            for kind, values in columns.values():
                self._cells(kind, values)
        # A sheet whose first rows were special is better read by the others.
        self._pattern = self._learn(row for _, row in odd[-1:]) if 2 * len(odd) > len(verdicts) else pattern
        return _Part(self._row_numbers(parts[1::step], odd), coded(numbers, verdicts))

    def _learn(self, samples: Iterator[Row]) -> _Pattern | None:
        """Return a pattern for the first row that has both columns."""
        for row in samples:
            if (row.number is not None) != self._numbered:
                raise NotPlainError
            kinds = {cell.column: cell.kind for cell in row.cells}
            if not kinds.get(self._number) or not kinds.get(self._verdict):
                continue
            wanted = (self._number, self._verdict)
            captured = [column for column, kind in kinds.items() if column in wanted or kind == "s"]
            first = 1 if row.number is None else 2
            groups = {column: (group, kinds[column]) for group, column in enumerate(captured, first)}
            return _Pattern(row_pattern(row, captured), groups)
        return None

    def _row_numbers(self, numbers: Sequence[bytes], odd: Sequence[tuple[int, Row]]) -> NDArray[np.int64]:
        """Return the numbers of matched and odd rows in the order of the sheet."""
        if any((row.number is not None) != self._numbered for _, row in odd):
            raise NotPlainError
        if not self._numbered:
            return np.zeros(len(numbers) + len(odd), np.int64)
        regular = np.fromstring(b"\n".join(numbers), np.int64, sep="\n") if numbers else np.zeros(0, np.int64)
        odd_rows = [row.number or 0 for _, row in odd]
        return np.insert(regular, [place for place, _ in odd], odd_rows) if odd else regular

    def _follow(self, row_numbers: NDArray[np.int64]) -> None:
        """See that the rows stand in their order, since a row that stands there twice has more than one reading."""
        if not self._numbered:
            self._last_row += len(row_numbers)
        elif len(row_numbers):
            if np.any(np.diff(row_numbers, prepend=self._last_row) <= 0):
                raise NotPlainError
            self._last_row = int(row_numbers[-1])
        if self._last_row > self._book.max_row:
            raise NotPlainError

    def _odd(self, odd: Sequence[tuple[int, Row]]) -> tuple[NDArray[np.int64], list[object]]:
        pairs = [self._pair(row) for _, row in odd]
        return as_numbers([number for number, _ in pairs]), [verdict for _, verdict in pairs]

    def _pair(self, row: Row) -> tuple[object, object]:
        cells = {cell.column: self._book.value(cell.kind, cell.value) for cell in row.cells}
        return cells.get(self._number, ""), cells.get(self._verdict, "")

    def _numbers(self, kind: str, values: Sequence[bytes]) -> NDArray[np.int64]:
        if kind == "s":
            return self._as_numbers(self._book.places(map(int, values)))
        if kind == "n":
            if not self._book.dateless:
                raise NotPlainError
            numbers = plain_numbers(b"\n".join(values) + b"\n", len(values))
            return as_numbers(list(map(float, values))) if numbers is None else numbers
        return self._as_numbers(values)

    def _as_numbers(self, texts: Sequence[bytes]) -> NDArray[np.int64]:
        numbers = plain_numbers(b"\n".join(texts) + b"\n", len(texts))
        return as_numbers([text.decode() for text in texts]) if numbers is None else numbers

    def _cells(self, kind: str, values: Sequence[bytes]) -> list[object]:
        """Return cells of few different values."""
        cells = {value: self._book.value(kind, value) for value in set(values)}
        return list(map(cells.__getitem__, values))


def _first_rows(block: bytes) -> bytes:
    end = 0
    for _ in range(_SAMPLES):
        end = block.find(b"</row>", end) + len(b"</row>")
        if end < len(b"</row>"):
            return block
    return block[:end]
