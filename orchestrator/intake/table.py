"""Reads tables: what all of them share, and csv.

A row's line is the physical line on which it starts. A row without anything in it is a blank line; a row with
something, but nothing in the column of numbers, is a row to reject.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import CellBlock
from orchestrator.intake.columns import find_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DELIMITERS = ",;\t"
ROW_BYTES = 16
"""What a row counts towards the size of a block beside its text: its line number and the rest."""

_QUOTED = re.compile(r'"[^"]*"')
_END = "\0end of the table\0"


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How to read one table; `source` names it in messages."""

    source: str
    column: str | None = None
    sheet: str | None = None


Row = tuple[int, "Sequence[str]"]


def table_blocks(rows: Iterable[Row], options: TableOptions, block_bytes: int) -> Iterator[CellBlock]:
    """Take the column of numbers out of rows that are not blank; the first one decides which column that is.

    Raises `UsageError` when that can't be decided.
    """
    rows = iter(rows)
    for line, first in rows:
        column = find_column(_without_tail(first), options.column, options.source)
        if column.headerless:
            rows = chain([(line, first)], rows)
        yield from _cut(((at, _cell(row, column.index)) for at, row in rows), block_bytes)


def read_csv(stream: BinaryIO, options: TableOptions, block_bytes: int) -> Iterator[CellBlock]:
    """Yield the cells of the column of numbers; raises `UsageError`.

    The delimiter is the one that the first line has most of. Bytes that are no UTF-8 become surrogates.
    """
    lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    header, first_line = lines.readline(), 1
    while header and not header.strip():
        header, first_line = lines.readline(), first_line + 1
    rows = _records(chain([header], lines), sniff(header), first_line, options.source)
    return table_blocks(rows, options, block_bytes)


def sniff(header: str) -> str:
    """Return the delimiter that stands in `header` most often, outside of quotes."""
    bare = _QUOTED.sub("", header)
    return max(DELIMITERS, key=bare.count)


def _records(lines: Iterable[str], delimiter: str, first_line: int, source: str) -> Iterator[Row]:
    """Yield the records that are not blank.

    The parser takes a quote that is never closed for a field that reaches to the end of the file, and says nothing.
    So a last line of our own follows, which must come out as a record of its own.
    """
    ended = False

    def and_end() -> Iterator[str]:
        nonlocal ended
        yield from lines
        ended = True
        yield _END

    line = first_line
    reader = csv.reader(and_end(), delimiter=delimiter)
    try:
        for row in reader:
            if ended:
                break
            if any(map(str.strip, row)):
                yield line, row
            line = first_line + reader.line_num
    except csv.Error as error:
        raise UsageError(f"{source}: line {line}: {error}; is there a quote that is never closed?") from error
    if row != [_END]:
        raise UsageError(f"{source}: line {line}: a quote is opened there and never closed")


def _cut(cells: Iterable[tuple[int, str]], block_bytes: int) -> Iterator[CellBlock]:
    lines: list[int] = []
    texts: list[str] = []
    size = 0
    for line, text in cells:
        lines.append(line)
        texts.append(text)
        size += len(text) + ROW_BYTES
        if size >= block_bytes:
            yield CellBlock(lines, texts)
            lines, texts, size = [], [], 0
    if lines:
        yield CellBlock(lines, texts)


def _cell(row: Sequence[str], index: int) -> str:
    return row[index] if index < len(row) else ""


def _without_tail(row: Sequence[str]) -> Sequence[str]:
    """Return a row without the empty cells at its end, which spreadsheets like to add."""
    filled = [i for i, cell in enumerate(row) if cell.strip()]
    return row[: filled[-1] + 1]
