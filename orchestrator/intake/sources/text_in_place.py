"""Csv files and lists of lines as they are: every row in its place, with what its cells of numbers hold.

What reads a list passes over what is no row of it. A table that comes back has all of it: each byte belongs to a row or
to what stands between two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import PLAIN, CellBlock, LineBlock, Rows, Texts, text_of
from orchestrator.intake.numbers.decide import CODES
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.csv_rows import TableBlock
from orchestrator.intake.sources.line_ends import split_lines
from orchestrator.intake.sources.record_fields import RecordFields
from orchestrator.intake.sources.table_layout import cell_at
from orchestrator.intake.sources.table_rows import FaultyCell, accounted
from orchestrator.intake.stored_rows import normalise_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from orchestrator.intake.numbers.decide import NumberRules
    from orchestrator.intake.numbers.lookup.lookup_tables import LookupTables
    from orchestrator.intake.sources.table_layout import TableLayout

    Ints = npt.NDArray[np.int64]

_TO_QUOTE = re.compile(rb'(?<![^\r\n])[^\r\n,"]*+[,"][^\r\n]*')  # begun within a line it would take its square
_EMPTY = CODES[Reason.EMPTY]


@dataclass(frozen=True, slots=True)
class TextInPlace:
    """Some records of a csv file.

    Row i is `data[starts[i]:ends[i]]`, without its line end; it has `fields[i]` fields, 0 where it is blank. `columns`
    has the numbers of each column of them; a row's line is its place here.
    """

    data: bytes
    starts: Ints
    ends: Ints
    fields: Ints
    columns: tuple[Rows, ...]


def in_place(
    block: TableBlock | LineBlock | CellBlock, rules: NumberRules, tables: LookupTables | None, source: str
) -> TextInPlace:
    """Return the rows of a block, decided; raises `UsageError` for one that is too long to be kept."""
    match block:
        case TableBlock():
            records = RecordFields.of(block.data, block.delimiter, block.layout)
            return _of_records(block, rules, tables) if records is None else _of_lines(block, records, rules, tables)
        case LineBlock():
            rows = normalise_block(replace(block, first_line=0), rules, tables)
            data = _TO_QUOTE.sub(_quoted, block.data)
            starts, ends = split_lines(data)
            fields = np.zeros(len(starts), np.int64)
            fields[rows.lines] = 1
            return TextInPlace(data, starts, ends, fields, (rows,))
        case CellBlock():
            raise UsageError(f"{source}: line {block.lines[0]} is too long to be written back; shorten it")


def _quoted(line: re.Match[bytes]) -> bytes:
    """Return a line as the one field of a record."""
    return b'"' + line[0].replace(b'"', b'""') + b'"'


def _of_lines(block: TableBlock, records: RecordFields, rules: NumberRules, tables: LookupTables | None) -> TextInPlace:
    """Read records each of which is a line, as arrays."""
    starts, ends, fields = records.starts, records.ends, records.fields.copy()
    bounds = [records.bounds(place) for place in block.layout.column.indexes]
    is_wide = records.are_of_other_width()
    is_elsewhere = records.may_hold_others(records.are_without() & ~is_wide)
    others = {
        **_records_at(block, (starts, ends), np.flatnonzero(is_wide)),
        **{
            row: cells
            for row, cells in _records_at(block, (starts, ends), np.flatnonzero(is_elsewhere)).items()
            if any(isinstance(cell, FaultyCell) for cell in cells)
        },
    }
    columns = [
        _decided_at(block, place, cells, (fields, others), rules, tables)
        for place, cells in zip(block.layout.column.indexes, bounds, strict=True)
    ]
    blanks = np.zeros(len(starts), np.int64)
    for one in columns:
        blanks[one.lines[one.codes == _EMPTY]] += 1
    empty = np.flatnonzero(blanks == len(columns))
    for row in empty.tolist():
        if next(replace(block, data=block.data[starts[row] : ends[row]]).rows(), None) is None:
            fields[row] = 0
    columns = [_cut(one, fields[one.lines] > 0) for one in columns] if len(empty) else columns
    return TextInPlace(block.data, starts, ends, fields, _without_empty(columns))


def _records_at(block: TableBlock, lines: tuple[Ints, Ints], places: Ints) -> dict[int, Sequence[str]]:
    """Return the cells of these rows as a list has them."""
    if not len(places):
        return {}
    starts, ends = lines
    data = b"".join(block.data[starts[row] : ends[row]] + b"\n" for row in places.tolist())
    records = replace(block, data=data).rows()
    return {int(places[record.begin]): accounted(record.cells, block.layout)[0] for record in records}


def _decided_at(
    block: TableBlock,
    place: int,
    cells: tuple[Ints, Ints],
    rows: tuple[Ints, dict[int, Sequence[str]]],
    rules: NumberRules,
    tables: LookupTables | None,
) -> Rows:
    """Decide about the cells of a column that stand at these places; most of them at once."""
    begins, stops = cells
    fields, others = rows
    odd = np.zeros(len(begins), np.bool_)
    odd[list(others)] = True
    numbers = np.zeros(len(begins), np.int64)
    codes = np.where(begins == stops, np.uint16(_EMPTY), np.uint16(PLAIN))
    undecided = (begins < stops) | odd
    if tables is not None:
        from orchestrator.intake.numbers.lookup.accept import EXCLUDED, UNDECIDED, accept_block  # noqa: PLC0415 - small tables need none of it

        found = accept_block(block.data, begins, stops, tables, rules.excluded)
        numbers = np.maximum(found, 0)
        codes[found == EXCLUDED] = CODES[Reason.EXCLUDED]
        undecided &= (found == UNDECIDED) | odd
    texts: list[tuple[int, Sequence[str]]] = []
    for row in np.flatnonzero(undecided).tolist():
        if odd[row]:
            texts.append((row, others[row][place:]))
        else:
            texts.append((row, [text_of(block.data[begins[row] : stops[row]]).replace('""', '"')]))
    fast = np.flatnonzero((fields > 0) & ~undecided)
    slow = _decided(texts, 0, rules)
    lines = np.concatenate((fast, slow.lines))
    numbers, codes = np.concatenate((numbers[fast], slow.numbers)), np.concatenate((codes[fast], slow.codes))
    return _cut(Rows(numbers, lines, codes, Texts(len(lines))), np.argsort(lines, kind="stable"))


def decided_columns(
    rows: Sequence[tuple[int, Sequence[str]]], layout: TableLayout, rules: NumberRules, tables: LookupTables | None
) -> tuple[Rows, ...]:
    """Decide about each column of numbers, in rows with their places."""
    return _without_empty([_decided(rows, place, rules, tables) for place in layout.column.indexes])


def _decided(
    rows: Sequence[tuple[int, Sequence[str]]], place: int, rules: NumberRules, tables: LookupTables | None = None
) -> Rows:
    """Decide about the cells of one column, in rows with their places."""
    texts = [cell_at(cells, place) for _, cells in rows]
    faults = {number: text.reason for number, text in enumerate(texts) if isinstance(text, FaultyCell)}
    return normalise_block(CellBlock([row for row, _ in rows], texts, faults), rules, tables)


def _without_empty(columns: Sequence[Rows]) -> tuple[Rows, ...]:
    """Return columns without their empty cells, of which a row has one where all of its cells are empty: the first."""
    first, *others = columns
    if not others:
        return (first,)
    is_filled = np.zeros(max(int(rows.lines.max(initial=-1)) for rows in columns) + 1, np.bool_)
    for rows in columns:
        is_filled[rows.lines[rows.codes != _EMPTY]] = True
    return (
        _cut(first, (first.codes != _EMPTY) | ~is_filled[first.lines]),
        *(_cut(rows, rows.codes != _EMPTY) for rows in others),
    )


def _cut(rows: Rows, kept: npt.NDArray[np.bool_ | np.intp]) -> Rows:
    """Return those rows that are `kept`, a mask or their places in order, without their texts."""
    numbers = rows.numbers[kept]
    return Rows(numbers, rows.lines[kept], rows.codes[kept], Texts(len(numbers)))


def _of_records(block: TableBlock, rules: NumberRules, tables: LookupTables | None) -> TextInPlace:
    """Read records some of which have quotes: one by one."""
    lines = block.data.splitlines(keepends=True)
    delimiter = block.delimiter.encode()
    of_lines = list(block.rows())
    for record in of_lines:
        if record.is_torn:  # its quotes would swallow what is written behind it
            lines[record.begin] = delimiter.join(map(_quoted_field, lines[record.begin].split(delimiter)))
    limits = [0, *accumulate(map(len, lines))]
    data = b"".join(lines)
    starts: list[int] = []
    ends: list[int] = []
    fields: list[int] = []
    records: list[tuple[int, Sequence[str]]] = []

    def stand(begin: int, end: int, width: int) -> None:
        """Add the row on these lines, which has so many fields."""
        starts.append(limits[begin])
        ends.append(limits[begin] + len(data[limits[begin] : limits[end]].rstrip(b"\r\n")))
        fields.append(width)

    line = 0
    for record in of_lines:
        for blank in range(line, record.begin):
            stand(blank, blank + 1, 0)
        records.append((len(starts), accounted(record.cells, block.layout)[0]))
        stand(record.begin, record.end, record.fields)
        line = record.end
    for blank in range(line, len(limits) - 1):
        stand(blank, blank + 1, 0)
    places = [np.array(found, np.int64) for found in (starts, ends, fields)]
    return TextInPlace(data, places[0], places[1], places[2], decided_columns(records, block.layout, rules, tables))


def _quoted_field(field: bytes) -> bytes:
    """Return a field whose quotes are signs like others as one that any program reads so."""
    bare = field.rstrip(b"\r\n")
    return b'"%b"%b' % (bare.replace(b'"', b'""'), field[len(bare) :]) if b'"' in bare else field
