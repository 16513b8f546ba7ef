"""Reads csv files.

The parent only finds out where records end, so that bytes go to the workers, which parse them. A quote
means something at the beginning of a field and nowhere else, as Python's csv module and most programs have it.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import MAX_LINE_BYTES, CellBlock, text_of
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.decode import HEAD_BYTES, Peeked
from orchestrator.intake.sources.number_column import Wanted, is_header
from orchestrator.intake.sources.plain_text import LineBuffer, count_lines, end_of_lines, first_end
from orchestrator.intake.sources.record_fields import RecordFields, without_quoted
from orchestrator.intake.sources.table_layout import (
    HEADER_ROWS,
    LOOK_ROWS,
    Row,
    TableLayout,
    TableOptions,
    has_seven_digits,
    header_place,
    holds_number,
    lay_out,
    looks_like_number,
)
from orchestrator.intake.sources.table_rows import FaultyCell, WantedRow, cell_block, wanted_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*"')
_BLANKS_BEHIND_QUOTE = re.compile(rb'(?<=")[ \t]+(?=[,;|\r\n]|\Z)')
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CsvRecord:
    """A record: its first line, counted from 0, the line after its last, its cells, and how many fields it has.

    One cell may stand for a record that can't be read as a row of its table. `is_torn` says that its quotes are none of
    fields.
    """

    begin: int
    end: int
    cells: Sequence[str]
    fields: int
    is_torn: bool = False


@dataclass(frozen=True, slots=True)
class TableBlock:
    """Whole records of a csv file, as bytes; `first_line` is that of the first. A worker parses them."""

    first_line: int
    data: bytes
    delimiter: str
    layout: TableLayout
    first: bool

    def parsed(self) -> CellBlock:
        """Return the cells of numbers, and of kept columns: most rows at once, one by one where that is needed."""
        fields = RecordFields.of(self.data, self.delimiter, self.layout)
        wanted, filled_lines = self._one_by_one(self.data) if fields is None else self._at_once(fields)
        return replace(cell_block(wanted, self.layout, first=self.first), filled_lines=filled_lines)

    def _one_by_one(self, data: bytes, lines: Sequence[int] = ()) -> tuple[list[WantedRow], int]:
        """Return what is wanted of the rows of `data`, and on how many lines they stand; `lines` are theirs, or all."""
        filled_lines = 0

        def rows() -> Iterator[Row]:
            nonlocal filled_lines
            for row in replace(self, data=data).rows():
                filled_lines += row.end - row.begin
                yield self.first_line + (lines[row.begin] if lines else row.begin), row.cells

        return list(wanted_cells(rows(), self.layout)), filled_lines

    def _at_once(self, fields: RecordFields) -> tuple[list[WantedRow], int]:
        """Do the same where each row is a line."""
        columns = [fields.texts(place) for place in (*self.layout.column.indexes, *self.layout.kept)]
        own = len(self.layout.column.indexes)
        is_odd = fields.are_of_other_width() | fields.may_hold_others(fields.fields > 0)
        for column in columns:
            is_odd |= np.fromiter((text is None for text in column), np.bool_, len(column))
        filled_lines = 0
        wanted: list[WantedRow] = []
        odd = np.flatnonzero(is_odd & (fields.fields > 0)).tolist()
        plain = np.flatnonzero(~is_odd & (fields.fields > 0)).tolist()
        for row in plain:
            texts = [column[row] or "" for column in columns]
            numbers, kept = texts[:own], texts[own:]
            if found := [text for text in numbers if text.strip()]:
                wanted += [(self.first_line + row, text, kept, 0) for text in found]
            elif fields.is_filled(row):
                wanted.append((self.first_line + row, numbers[0], kept, 0))
            else:
                odd.append(row)
                continue
            filled_lines += 1
        if odd:
            odd.sort()
            lines = [self.data[fields.starts[row] : fields.ends[row]] for row in odd]
            more, count = self._one_by_one(b"\n".join(lines), odd)
            wanted = sorted([*wanted, *more], key=itemgetter(0))
            filled_lines += count
        return wanted, filled_lines

    def rows(self) -> Iterator[CsvRecord]:
        lines = self.data.splitlines(keepends=True)
        is_well = _ends_well(lines, self.delimiter)
        for record in _parsed(lines, 0, self.delimiter):
            span = lines[record.begin : record.end]
            is_odd = (
                len(span) > 1 or span[0].count(b'"') % 2 or not (is_well or _is_well(span[0], record, self.delimiter))
            )
            if is_odd and _is_torn(span, record.cells, self.delimiter, self.layout):
                yield from _line_by_line(span, self.delimiter, self.layout, record.begin)
            else:
                yield replace(record, cells=_within(record.cells, self.delimiter, self.layout))


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A csv file of which the beginning was read.

    `above` is what stands above the header, and `header` that record, both as they are; empty where there is none.
    """

    above: bytes
    header: bytes
    delimiter: str
    layout: TableLayout
    buffer: RecordBuffer

    def blocks(self) -> Iterator[TableBlock | CellBlock]:
        """Yield the records below the header."""
        first = True
        for block in self.buffer.blocks():
            if isinstance(block, CellBlock):
                yield block
            else:
                yield TableBlock(*block, self.delimiter, self.layout, first)
                first = False


def read_csv(
    stream: Peeked, options: TableOptions, block_bytes: int, *, delimiter: str | None = None
) -> Iterator[TableBlock | CellBlock]:
    """Yield the records below the header; raises `UsageError`.

    The delimiter is the one that the first line has most of, unless that line says it (`sep=;`). A record above
    `MAX_LINE_BYTES` is a cell with a fault.
    """
    table = open_csv(stream, options, block_bytes, delimiter=delimiter)
    if table is not None:
        yield from table.blocks()


def open_csv(
    stream: Peeked, options: TableOptions, block_bytes: int, *, delimiter: str | None = None
) -> CsvTable | None:
    """Read the beginning of a csv file, header included; None where nothing is in it. Raises `UsageError`."""
    start = _look_at(stream.head, options, delimiter)
    if not start.records:
        return None
    layout = lay_out(start.rows, options)
    header = start.records[layout.header]
    skipped = start.lines[: header.begin if layout.column.headerless else header.end]
    if header.end == len(start.lines) and len(stream.head) == HEAD_BYTES:
        raise UsageError(f"{options.source}: the first row is longer than {HEAD_BYTES:,} bytes; is this a table?")
    body = stream.buffered()
    body.read(sum(map(len, skipped)))
    buffer = RecordBuffer(LineBuffer(body, block_bytes, len(skipped) + 1), start.delimiter, options.source)
    above = skipped[: header.begin]
    own = b"".join(skipped[header.begin :])
    if header.end == header.begin + 1 and not _ends_well([own], start.delimiter):
        own = own.replace(b'"', b"")  # as it was read: a stray quote would swallow what is written behind it
    return CsvTable(b"".join(above), own, start.delimiter, layout, buffer)


def is_table(head: bytes, column: Wanted) -> bool:
    """Whether text that begins with `head` is a table with a header, although its name does not say so."""
    filled = (text_of(line) for line in head.splitlines() if line.strip())
    for line in islice(filled, HEADER_ROWS):
        cells = next(csv.reader([line], delimiter=sniff(line)), [])
        if is_header(cells, column):
            return not any(map(holds_number, cells))  # `TEL;TYPE=CELL:+41798284651` is a line of a card
        if any(map(looks_like_number, cells)):
            return False
    return False


def sniff(header: str) -> str:
    """Return the delimiter that stands in `header` most often, outside of quotes."""
    bare = _QUOTED.sub("", header)
    return max(DELIMITERS, key=bare.count)


class RecordBuffer:
    """Cuts a csv file into blocks of whole records.

    What was looked at is not looked at again with the next block, save a quoted field that was not whole: otherwise a
    record of megabytes would cost its length squared. Of a record that is too long only the beginning is kept.
    """

    def __init__(self, lines: LineBuffer, delimiter: str, source: str) -> None:
        self._lines = lines
        self._source = source
        self._delimiter = delimiter
        begin = re.escape(delimiter.encode())
        self._quoted = re.compile(rb'(?:^|[\r\n%b])"[^"]*+(?:""[^"]*+)*+("?)' % begin)
        self._scanned = 0
        self._long: CellBlock | None = None

    def blocks(self) -> Iterator[tuple[int, bytes] | CellBlock]:
        """Yield line number and bytes of whole records; one that is too long is a cell with a fault.

        Raises `UsageError` for a quote that is never closed, on a line that is too long to be read for itself.
        """
        lines = self._lines
        while lines.fill():
            first, end, opened = self._scan()
            if 0 <= opened < len(lines.buffer) - MAX_LINE_BYTES:
                # A stray quote, as no field is so long: what stands behind it goes to be read line by line.
                torn = end_of_lines(lines.buffer, opened)
                if not torn or self._long is not None:
                    line = self._lines.line + count_lines(self._lines.buffer[:opened])
                    raise UsageError(f"{self._source}: line {line}: a quote is opened there and never closed")
                yield lines.line, self._take(torn)
                self._scanned = 0
                continue
            if self._long is None and first > MAX_LINE_BYTES:
                self._long = lines.long_cell(first)
            if self._long is not None:
                if not end:
                    most = max(self._scanned - 1, 0)  # all but a byte: no field begins at the next one
                    self._take(most - lines.buffer.endswith(b"\r", 0, most))  # which may be half of a CRLF
                    continue
                end -= len(self._take(first + (2 if lines.buffer.startswith(b"\r\n", first) else 1)))
                yield self._taken_long()
            if end:
                yield lines.line, self._take(end)
        if self._long is not None:
            lines.line += not lines.take(len(lines.buffer)).endswith((b"\n", b"\r"))
            yield self._taken_long()
        elif lines.buffer:
            yield lines.line, lines.take(len(lines.buffer))

    def _scan(self) -> tuple[int, int, int]:
        """Look at what is new in the buffer.

        Return how long the first record is, as far as it is there; where the last whole record ends, 0 without one;
        and where a quote is opened and not closed, or -1. A CR at the very end may be half of a CRLF, and does not
        count yet; nor does a quote, which may be half of two.
        """
        buffer = self._lines.buffer
        whole = buffer.rfind(b"\n") + 1
        # Mostly each line is a record: that is seen at once, where a look at each quote takes longer than all else.
        is_new = whole and not self._scanned and self._delimiter.isascii()
        if is_new and without_quoted(buffer[:whole], self._delimiter) is not None:
            self._scanned = whole
            return first_end(buffer), whole, -1
        size, since, end, opened, start = len(buffer), 0, 0, -1, self._scanned
        undecided = size - 1
        for quoted in self._quoted.finditer(buffer, start) if buffer.find(b'"', start) >= 0 else ():
            place = buffer.index(b'"', quoted.start())
            since = since if end else start
            end = max(end, buffer.rfind(b"\n", start, place) + 1, buffer.rfind(b"\r", start, place) + 1)
            start = quoted.end()
            opened = -1 if quoted[1] else place
            undecided = quoted.start() if start == size else undecided
        if opened < 0:
            since = since if end else start
            end = max(end, buffer.rfind(b"\n", start) + 1, buffer.rfind(b"\r", start, size - 1) + 1)
        self._scanned = max(undecided, 0)
        return first_end(buffer, since) if end else size - buffer.endswith(b"\r"), end, opened

    def _taken_long(self) -> CellBlock:
        """Return the cell of the long record, all of whose lines are taken by now."""
        long, self._long = self._long, None
        if long is None:
            raise AssertionError("there is no long record")
        return replace(long, filled_lines=self._lines.line - long.lines[0])

    def _take(self, end: int) -> bytes:
        self._scanned = max(self._scanned - end, 0)
        return self._lines.take(end)


@dataclass(frozen=True, slots=True)
class _Start:
    """The lines that a csv file begins with, and the records in them that are not blank."""

    lines: Sequence[bytes]
    delimiter: str
    records: Sequence[CsvRecord]

    @property
    def rows(self) -> list[Row]:
        return [(record.begin + 1, record.cells) for record in self.records]


def _look_at(head: bytes, options: TableOptions, delimiter: str | None) -> _Start:
    lines = head.splitlines(keepends=True)
    begin = next((place for place, line in enumerate(lines) if line.strip()), len(lines))
    first = text_of(lines[begin]) if begin < len(lines) else ""
    if (said := _SEPARATOR.fullmatch(first.strip(" \r\n"))) is not None:  # the tab stays, which may be what it says
        delimiter, begin = said[1], begin + 1
    delimiters = [delimiter]
    if delimiter is None:
        # A title above the table may have none in it, or another: the first one with which there is a header is it.
        likely = sniff(first)
        delimiters = [likely, *(one for one in DELIMITERS if one != likely)]
    starts = [
        _Start(lines, one, list(islice(_first_records(lines, begin, one), LOOK_ROWS + 1))) for one in delimiters if one
    ]
    if not starts[0].records:
        return starts[0]
    with_header = (one for one in starts if one.records and header_place(one.rows, options) is not None)
    widest = max(starts, key=lambda start: max((len(record.cells) for record in start.records), default=0))
    return next(with_header, widest)


def _first_records(lines: Sequence[bytes], begin: int, delimiter: str) -> Iterator[CsvRecord]:
    """Yield the records that are not blank; one that a stray quote makes of several lines ends with its first.

    It can't be told by the layout yet, as one of these is the header, which would take the rows with it.
    """
    line: int | None = begin
    while line is not None:
        begin, line = line, None
        for record in _parsed(lines, begin, delimiter):
            span = lines[record.begin : record.end]
            plain = _BLANKS_BEHIND_QUOTE.sub(b"", b"".join(span)).splitlines(keepends=True)
            below = (cell for row in span[1:] for cell in text_of(row).split(delimiter))
            # One of several lines is believed if it ends as a quoted field does, and has no number below the first.
            if len(span) == 1 or (_ends_well(plain, delimiter) and not any(map(holds_number, below))):
                yield record
                continue
            line = record.begin + 1
            bare = text_of(span[0]).replace('"', "")
            (cells,) = csv.reader([bare], delimiter=delimiter, quoting=csv.QUOTE_NONE)
            if any(map(str.strip, cells)):
                yield CsvRecord(record.begin, line, cells, len(cells))
            break


def _ends_well(lines: Sequence[bytes], delimiter: str) -> bool:
    """Whether each quote that is opened in a record is closed at the end of its field."""
    try:
        list(csv.reader(map(text_of, lines), delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True


def _parsed(lines: Sequence[bytes], begin: int, delimiter: str) -> Iterator[CsvRecord]:
    """Yield the records that are not blank."""
    csv.field_size_limit(2 * MAX_LINE_BYTES)  # of the process: its default is below what a record may have
    reader = csv.reader(map(text_of, lines[begin:]), delimiter=delimiter)
    line = begin
    for cells in reader:
        end = begin + reader.line_num
        if any(map(str.strip, cells)):
            yield CsvRecord(line, end, cells, len(cells))
        line = end


def _is_torn(lines: Sequence[bytes], record: Sequence[str], delimiter: str, layout: TableLayout) -> bool:
    """Whether a record of several lines is one because of a stray quote, which swallows other records.

    Either it does not end as a quoted field does, and its cells are not in their places, or one of its lines but the
    last is a row of this table by itself.
    """
    if len(lines) == 1:
        return True  # with a quote too many, or one too few
    if not _ends_well(lines, delimiter) and not _is_in_place(lines, record, delimiter, layout):
        return True
    others = (cell for place, cell in enumerate(record) if place not in layout.column.indexes)
    if len(record) != layout.width and any(map(has_seven_digits, others)):
        return True
    texts = list(map(text_of, lines))
    opened = next(csv.reader(texts[:1], delimiter=delimiter))
    begun = [*opened[:-1], *_plain_cells(opened[-1], delimiter)]  # the first line, as if the field were not opened
    # A line that begins or ends amid a quoted field, as seen from itself, is none of a row.
    whole = (text for line, text in zip(lines[1:-1], texts[1:-1], strict=True) if _ends_well([line], delimiter))
    rows = [(len(opened), begun), *((0, _plain_cells(text, delimiter)) for text in whole)]
    # What parts several numbers may well stand in a cell; a tab is a blank there, and would make one of two cells.
    read = [record[place].replace('"', "") for place in layout.column.indexes if place < len(record)]
    inside = record[len(opened) - 1].splitlines() if len(opened) <= len(record) else []
    widths = range(max(len(layout.look.headers), 2), layout.width + 1)  # the last ones may be empty in the header too
    last = _plain_cells(inside[-1], delimiter) if len(inside) == len(lines) else []
    are_rows = len(begun) in widths and len(_plain_cells(texts[-1], delimiter)) in widths
    if are_rows and any(place < len(last) - 1 and has_seven_digits(last[place]) for place in layout.column.indexes):
        return True  # a row, of which a quote opens a field, and another that begins in it and ends behind it
    return any(
        first <= place
        and has_seven_digits(cells[place])
        and (delimiter == "\t" or not any(cells[place].replace('"', "").strip() in cell for cell in read))
        for first, cells in rows
        if len(cells) in widths
        for place in layout.column.indexes
    )


def _is_well(line: bytes, record: CsvRecord, delimiter: str) -> bool:
    """Whether the fields of a line end as they should, or quotes make no difference to where they do."""
    if b'"' not in line or _ends_well([_BLANKS_BEHIND_QUOTE.sub(b"", line)], delimiter):
        return True
    return len(_plain_cells(text_of(line), delimiter)) == record.fields


def _plain_cells(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line whose quotes are signs like others."""
    return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, quoting=csv.QUOTE_NONE), [])


def _is_in_place(lines: Sequence[bytes], record: Sequence[str], delimiter: str, layout: TableLayout) -> bool:
    """Whether a record's cells are where they belong, although something stands behind a closing quote, as a blank."""
    is_open = len(list(csv.reader([*map(text_of, lines), ""], delimiter=delimiter))) == 1
    if len(lines) == 1 or is_open or not len(record) == layout.width > 1:
        return False
    numbers = {place for place, cell in enumerate(record) if has_seven_digits(cell)}
    return bool(numbers) and numbers <= {*layout.column.indexes}


def _line_by_line(lines: Sequence[bytes], delimiter: str, layout: TableLayout, first_line: int) -> Iterator[CsvRecord]:
    """Read each line for itself: as a record, else with its quotes as plain signs.

    Where the quotes of a line are no field's, it is a row only if it has as many cells as the header, and numbers in no
    other columns: they may have come there because of the quotes. Other lines are rejected as they stand.
    """
    for number, line in enumerate(map(text_of, lines), first_line):
        if not line.strip():
            continue
        try:
            (cells,) = csv.reader([line], delimiter=delimiter, strict=True)
            is_torn, is_row = False, True
        except csv.Error:
            (cells,) = csv.reader([line], delimiter=delimiter, quoting=csv.QUOTE_NONE)
            is_torn, is_row = True, len(cells) == layout.width
        others = [cell for place, cell in enumerate(cells) if place not in layout.column.indexes]
        is_moved = len(cells) == layout.width and '"' in line and any(map(has_seven_digits, others))
        if is_row and not is_moved:
            yield CsvRecord(number, number + 1, _within(cells, delimiter, layout), len(cells), is_torn)
        else:
            torn = [*[""] * min(layout.column.indexes), FaultyCell.of(line.strip(), Reason.TORN)]
            yield CsvRecord(number, number + 1, torn, len(cells), is_torn)


def _within(cells: Sequence[str], delimiter: str, layout: TableLayout) -> Sequence[str]:
    """Return a row; one with more or fewer cells than the header, and a number elsewhere, is rejected as a whole.

    A delimiter that is not quoted, or a quote too many, has moved its cells. What stands in the columns of numbers is
    believed only where there is a number in all of them; in a row with something behind the last column, only where
    the numbers elsewhere are where they mostly are. In a table of one column the delimiter stands within its cell.
    """
    width = layout.width
    if len(cells) == width:
        return cells
    if width == 1:
        # A tab is a blank elsewhere, and would make one number of two cells.
        return [" | ".join(cells).rstrip(" |") if delimiter == "\t" else delimiter.join(cells).rstrip(delimiter)]
    places = {*layout.column.indexes}
    found = {place for place, cell in enumerate(cells) if has_seven_digits(cell)}
    is_longer = len(cells) > max(width, layout.most) or any(map(str.strip, cells[width:]))
    if found <= places or (places <= found and (not is_longer or found <= places | layout.usual.keys())):
        return cells
    return [*[""] * min(places), FaultyCell.of(delimiter.join(cells), Reason.MOVED)]
