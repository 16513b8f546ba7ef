"""One table with verdicts beside its rows: reads it as a list is read, and writes it as it came."""

from __future__ import annotations

import csv
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, assert_never

import numpy as np

from orchestrator.errors import UsageError
from orchestrator.files import BLOCK_BYTES, CSV_LINE_END, DIRECTORY_MODE, disk_errors, replacing
from orchestrator.intake.blocks import FIRST_REASON, LARGE_BLOCK_BYTES, Rows, Texts, bytes_of, is_utf8, text_of
from orchestrator.intake.numbers.decide import NumberRules
from orchestrator.intake.numbers.turned_away import turn_away
from orchestrator.intake.preparing import LARGE_BYTES, SMALL_BYTES
from orchestrator.intake.sources.csv_rows import is_table, open_csv
from orchestrator.intake.sources.decode import HEAD_BYTES, as_utf8
from orchestrator.intake.sources.find import FileKind, Input
from orchestrator.intake.sources.plain_text import read_text
from orchestrator.intake.sources.table_layout import LOOK_ROWS, TableOptions, lay_out
from orchestrator.intake.sources.table_rows import accounted
from orchestrator.intake.sources.text_in_place import decided_columns, in_place
from orchestrator.intake.sources.unpack import unpacked
from orchestrator.jobdir.extra_files import CellKind
from orchestrator.master.added_cells import CellAdder, NumberCells, added_header, columns_of
from orchestrator.master.enriched_text import field, with_fields

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from orchestrator.intake.blocks import CellBlock, LineBlock
    from orchestrator.intake.numbers.decide import ExcludeList
    from orchestrator.intake.numbers.lookup.lookup_tables import LookupTables
    from orchestrator.intake.sources.csv_rows import TableBlock
    from orchestrator.intake.sources.table_layout import TableLayout
    from orchestrator.intake.sources.unpack import InputContent
    from orchestrator.intake.sources.xlsx_rows import SheetInPlace
    from orchestrator.master.enriched_sheet import AddedColumns, SheetRow
    from orchestrator.master.number_index import NumberIndex
    from orchestrator.settings import JobSettings

T = TypeVar("T")

LINE: Final = "line"
"""What the one column is called of a list without a header, which comes back with one."""
_SEPARATOR: Final = b"sep="
BATCH_ROWS: Final = 20_000

ENDINGS: Final = {
    FileKind.TEXT: (".csv", ".txt"),
    FileKind.CSV: (".csv", ".txt"),
    FileKind.TSV: (".tsv", ".tab", ".txt"),
    FileKind.WORKBOOK: (".xlsx", ".xlsm"),
    FileKind.PARQUET: (".parquet", ".pq"),
}
"""How the names of tables end that come back, the usual one first."""


@dataclass(frozen=True, slots=True)
class EnrichReport:
    """What was written where: rows below the header, the numbers in them, and how many of these the job has.

    `is_plain` says that of the look of a workbook's sheet only the formats of cells were kept.
    """

    path: Path
    rows: int
    numbers: int
    known: int
    is_plain: bool = False


@dataclass(frozen=True, slots=True)
class Enrichment:
    """What is needed to bring one table back: the job's reading, and what its numbers are looked up in."""

    options: TableOptions
    rules: NumberRules
    tables: LookupTables | None
    index: NumberIndex
    adder: CellAdder
    target: Path

    def number_cells(self, columns: Iterable[Rows]) -> list[NumberCells]:
        """Return numbers that were read in the form in which they are looked up."""
        words = ("",) * FIRST_REASON + self.rules.reasons
        return [NumberCells(rows.lines, rows.numbers, rows.codes, words) for rows in columns]


def enrich_table(
    job: JobSettings,
    known: tuple[NumberIndex, tuple[ExcludeList, ...]],
    path: str,
    target: Path,
    folder: Path,
    is_stem: bool = False,  # noqa: FBT001, FBT002 - a piece's arguments have no names
) -> EnrichReport:
    """Write one table, in blocks: a piece.

    `known` is what the job knows of its numbers, and the lists for which it may lack others. `folder` is made for what
    is needed on the way. Where `target` is but a stem, the ending follows from the table.
    Raises `UsageError`, `StorageError`.
    """
    with disk_errors(folder):
        folder.mkdir(DIRECTORY_MODE, exist_ok=True)
    index, lists = known
    rules = replace(NumberRules.of(job), exclude=lists)
    options = TableOptions(path, job.column, job.sheet, header_row=job.header_row)
    with _table_errors(path):
        size = Path(path).stat().st_size
    tables = _tables(rules, size)
    seen = _Seen()
    while True:
        with _table_errors(path), unpacked(Input(path, path), None, threading.Event(), folder / "copy") as content:
            adder = CellAdder(index, folder / "met", partial(turned_away, rules))
            named = _named(target, content.kind, path, is_stem=is_stem)
            work = Enrichment(options, rules, tables, index, adder, named)
            try:
                match content.kind:
                    case FileKind.TEXT | FileKind.CSV | FileKind.TSV:
                        return _Text(content, work).write(seen)
                    case FileKind.WORKBOOK:
                        return _write_workbook(content.path, work)
                    case FileKind.PARQUET:
                        return _write_parquet(content.path, work)
                    case _:
                        assert_never(content.kind)
            except _SeenLateError as error:
                seen = error.seen  # once more from the beginning: hardly a table has such rows


@contextmanager
def _table_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; name a table that can be read") from error


def _tables(rules: NumberRules, size: int) -> LookupTables | None:
    """Return what decides about most numbers at once, where that is worth loading it."""
    if size < SMALL_BYTES:
        return None
    from orchestrator.intake.numbers.lookup.lookup_tables import are_kept, cache_folder, load_tables  # noqa: PLC0415 - small tables need none of it

    cache = cache_folder()
    is_worth_it = size >= LARGE_BYTES or are_kept(rules.default_region, cache)
    return load_tables(rules.default_region, cache) if is_worth_it else None


def _named(target: Path, kind: FileKind, source: str, *, is_stem: bool) -> Path:
    """Return where the table goes; raises `UsageError` for a name that says another kind of file."""
    endings, own = ENDINGS[kind], Path(source).suffix.lower()
    if is_stem:  # its own ending if that says what it is; a list of lines comes back as csv
        return target.with_name(target.name + (own if own in endings and kind is not FileKind.TEXT else endings[0]))
    if target.suffix.lower() not in endings:
        raise UsageError(
            f"{target}: {source} comes back as the kind of file that it is; give -o a name that ends with {endings[0]}"
        )
    return target


@dataclass(frozen=True, slots=True)
class _Seen:
    """What only the rows of a text tell: how many fields the widest has, and whether it is UTF-8, see `is_utf8`."""

    width: int = 0
    is_utf8: bool | None = None


class _SeenLateError(Exception):
    """A row has more fields than there was room for in front of the added ones, or these are in another encoding."""

    def __init__(self, seen: _Seen) -> None:
        super().__init__(seen)
        self.seen = seen


class _Text:
    """A csv file, or a list of lines, which comes back as one."""

    def __init__(self, content: InputContent, work: Enrichment) -> None:
        if content.stream is None:
            raise AssertionError("what is text is read as a stream")
        stream = as_utf8(content.stream)
        self._work = work
        self._mark = stream.mark
        self._above = self._header = b""
        self._delimiter = ","
        self._names: tuple[str, ...] = (LINE,)
        # Most tables tell it soon. The last line of a head may end amid a letter.
        lines = stream.head.splitlines(keepends=True)[: -1 if len(stream.head) >= HEAD_BYTES else None]
        self._is_utf8 = True if self._mark else is_utf8(b"".join(lines))
        self._blocks: Iterable[TableBlock | LineBlock | CellBlock] = ()
        if content.kind is FileKind.TEXT and not is_table(stream.head, work.options.column):
            self._blocks = read_text(stream.buffered(), LARGE_BLOCK_BYTES)
            return
        delimiter = "\t" if content.kind is FileKind.TSV else None
        table = open_csv(stream, work.options, LARGE_BLOCK_BYTES, delimiter=delimiter)
        if table is None:
            return
        self._blocks = table.blocks()
        self._above, self._header, self._delimiter = table.above, table.header, table.delimiter
        self._names = tuple(column_names(table.layout))

    def write(self, seen: _Seen) -> EnrichReport:
        """Write all of it, the added fields behind those of the header, or of the widest row if they are more.

        What is added is in the encoding of the first line that tells one, see `is_utf8`. Raises `_SeenLateError`.
        """
        work = self._work
        header = self._header or (LINE + CSV_LINE_END).encode()
        own = header.rstrip(b"\r\n")
        taken = next(csv.reader(io.StringIO(text_of(own), newline=""), delimiter=self._delimiter))
        fields = len(taken)
        width = widest = max(fields, seen.width)
        told = self._is_utf8 if seen.is_utf8 is None else seen.is_utf8
        as_utf8 = told is not False
        encode = partial(bytes_of, is_utf8=as_utf8)
        added, _ = _added_columns(self._names, work.index, taken)
        # The lines above count, save one that only tells programs the delimiter; then the header.
        row = len([line for line in self._above.splitlines() if not line.lower().startswith(_SEPARATOR)]) + 1
        rows = 0
        with replacing(work.target) as file, ExitStack() as stack:
            file.write(self._mark + self._above + own + encode(self._delimiter) * (width - fields))
            file.writelines(encode(self._delimiter + field(name, self._delimiter)) for name in added)
            file.write(header[len(own) :])
            texts = (in_place(block, work.rules, work.tables, work.options.source) for block in self._blocks)
            for text in stack.enter_context(closing(_ahead(texts))):
                widest = max(widest, int(text.fields.max(initial=0)))
                told = is_utf8(text.data) if told is None else told
                if widest > width or as_utf8 != (told is not False):
                    continue  # the whole table is looked at, so that it is begun anew once
                shown_rows = np.arange(row + 1, row + 1 + len(text.fields))
                cells = work.adder.add(shown_rows, work.number_cells(text.columns))
                filled = (text.starts, text.ends, text.fields)
                file.write(with_fields(text.data, filled, width, cells, self._delimiter, encode))
                row += len(text.fields)
                rows += int(np.count_nonzero(text.fields))
            if widest > width or as_utf8 != (told is not False):
                raise _SeenLateError(_Seen(widest, told))
        return EnrichReport(work.target, rows, work.adder.numbers, work.adder.known)


def _write_workbook(path: str, work: Enrichment) -> EnrichReport:
    """Copy a workbook, with cells added to one sheet of it; raises `UsageError` where there is no room for them.

    Where nothing can be inserted into the sheet, or a list without a header needs a row for one, that sheet comes back
    plain: typed cells with their formats, and nothing else of it.
    """
    from orchestrator.intake.sources.xlsx_rows import MAX_COLUMNS, sheet_in_place  # noqa: PLC0415 - a large library
    from orchestrator.master.enriched_sheet import AddedColumns, NotPatchedError, rows_of  # noqa: PLC0415

    source = work.options.source
    with sheet_in_place(path, work.options) as sheet:
        head = list(islice(sheet.rows, LOOK_ROWS + 1))
        layout = lay_out(head, work.options)
        headerless = layout.column.headerless
        below = head[0 if headerless else layout.header + 1 :]
        width = max(len(row) for _, row in head)
        added = []
        while batch := below or list(islice(sheet.rows, BATCH_ROWS)):
            below = []
            width = max(width, *(len(row) for _, row in batch))
            cells = [(place, accounted(row, layout)[0]) for place, (_, row) in enumerate(batch)]
            columns = decided_columns(cells, layout, work.rules, work.tables)
            lines = [line + headerless for line, _ in batch]
            added.append((lines, work.adder.add(np.array(lines), work.number_cells(columns))))
        names, kinds = _added_columns(column_names(layout), work.index, layout.look.headers)
        if width + len(names) > MAX_COLUMNS:
            raise UsageError(f"{source}: there is no room for {len(names)} more columns; save it as .csv")
        longest = [0] * len(names)
        for place in range(len(layout.column.indexes)):  # the numbers themselves: several in a cell are the longest
            several = (text for _, cells in added for text in cells[place].several.values())
            longest[place * (len(names) // len(layout.column.indexes))] = max(map(len, several), default=0)
        wanted = AddedColumns(width, 1 if headerless else head[layout.header][0], names, kinds, longest)

        def write(*, is_plain: bool) -> None:
            rows = (row for lines, cells in added for row in rows_of(lines, cells))
            _copy_workbook(sheet, work.target, wanted, rows, None if not is_plain else [LINE] * headerless)

        is_plain = headerless
        try:
            write(is_plain=is_plain)
        except NotPatchedError:
            is_plain = True
            write(is_plain=is_plain)
    counts = work.adder.numbers, work.adder.known
    return EnrichReport(work.target, sum(len(lines) for lines, _ in added), *counts, is_plain=is_plain)


def _copy_workbook(
    sheet: SheetInPlace, target: Path, columns: AddedColumns, rows: Iterable[SheetRow], header: Sequence[str] | None
) -> None:
    """Write a workbook anew; with a `header`, which may be empty, its sheet becomes a plain one, below that row."""
    from orchestrator.master.enriched_sheet import add_columns, with_indent, write_plain  # noqa: PLC0415 - as above
    from orchestrator.master.zip_writer import ZipWriter  # noqa: PLC0415

    folder, _, base = sheet.part.rpartition("/")
    # What the sheet refers to, as tables and drawings: a plain one has none of it.
    dropped = "" if header is None else f"{folder}/_rels/{base}.rels"
    names = [name for name in sheet.archive.namelist() if not name.endswith("/") and name != dropped]
    looks = next((name for name in names if name.casefold().endswith("/styles.xml")), "")
    styles, style = with_indent(sheet.archive.read(looks)) if looks else (b"", 0)
    columns = columns._replace(style=style)
    with replacing(target) as file, ZipWriter(file) as archive:
        for name in names:
            if name == looks:
                archive.add(name, styles)
                continue
            archive.begin(name)
            with sheet.archive.open(name) as part:
                if name != sheet.part:
                    while block := part.read(BLOCK_BYTES):
                        archive.write(block)
                elif header is None:
                    add_columns(part, archive.write, columns, rows)
                else:
                    titles = [(1, [(place, 0, "str", name) for place, name in enumerate(header, 1)])] if header else []
                    below = ((line + len(titles), cells) for line, cells in sheet.plain_rows())
                    write_plain(archive.write, columns, chain(titles, below), rows)
            archive.end()
        archive.finish()


def _write_parquet(path: str, work: Enrichment) -> EnrichReport:
    """Copy a parquet file batch by batch, with columns of text added; raises `UsageError`."""
    from orchestrator.intake.sources.parquet_rows import opened_parquet, plain_columns, texts_of  # noqa: PLC0415 - a large library
    from orchestrator.master.enriched_parquet import ParquetCopy  # noqa: PLC0415

    source = work.options.source
    with opened_parquet(path, source) as file:
        plain, headers = plain_columns(file, source)
        head = next(file.iter_batches(LOOK_ROWS), None)
        looked = [] if head is None else zip(*(texts_of(head.column(place)) for place in plain), strict=True)
        filled = [(line, row) for line, row in enumerate(looked, 1) if any(map(str.strip, row))]
        layout = lay_out([(0, headers), *filled], replace(work.options, header_row=None))
        names, _ = _added_columns(column_names(layout), work.index, file.schema_arrow.names)
        row = 1  # that of the header
        with replacing(work.target) as target, ParquetCopy(target, file.schema_arrow, names) as copy:
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                rows = zip(*(texts_of(batch.column(place)) for place in plain), strict=True)
                cells = [(place, accounted(found, layout)[0]) for place, found in enumerate(rows)]
                columns = decided_columns(cells, layout, work.rules, work.tables)
                lines = np.arange(row + 1, row + 1 + batch.num_rows)
                copy.write(batch, columns_of(work.adder.add(lines, work.number_cells(columns))))
                row += batch.num_rows
    return EnrichReport(work.target, row - 1, work.adder.numbers, work.adder.known)


def _ahead(items: Iterator[T]) -> Generator[T]:
    """Yield the same items, the next one being made while one is used: numpy leaves the other core to this thread."""
    with ThreadPoolExecutor(1, "ahead") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def column_names(layout: TableLayout) -> list[str]:
    """Return what the columns of numbers are called."""
    headers = layout.look.headers
    return [headers[place] if place < len(headers) else LINE for place in layout.column.indexes]


def _added_columns(
    columns: Iterable[str], index: NumberIndex, taken: Iterable[str]
) -> tuple[list[str], list[CellKind]]:
    """Return names and kinds of all columns that are added; a name that is `taken` is counted on."""
    used = set(taken)
    names = []
    for name in (name for column in columns for name in added_header(column, index)):
        free = next(one for one in chain([name], (f"{name}#{turn}" for turn in count(2))) if one not in used)
        used.add(free)
        names.append(free)
    kinds = [CellKind.TEXT, *index.kinds, CellKind.TEXT]
    return names, kinds * (len(names) // len(kinds))


def turned_away(rules: NumberRules, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    """Return the codes of the reasons why the job does not want numbers, 0 where it does.

    That is asked of those alone that it does not have: a list may have been named after they were paid for.
    """
    count = len(numbers)
    rows = Rows(numbers, np.arange(count), np.zeros(count, np.uint16), Texts(count))
    codes = turn_away(rows, rules).codes
    return np.where(codes < FIRST_REASON, 0, codes)
