"""Draw messy tables by seed, and compare what every way of reading them gives, and what was drawn.

    python -m tests.fuzz.tables --seeds 100_000 --from 0

A table takes a few milliseconds: the parts of reading are called where they stand, many tables a process, without a
job around them. The rule:

- the plain way (one block, `phonenumbers` for each cell), the fast way (small blocks, what decides of a block at once),
  and both ways in which a table is read that comes back enriched, give the same numbers, reasons and raw texts, row by
  row;
- nothing vanishes: the digits of each number that was drawn are found in what was accepted or rejected; where each cell
  stands where it was drawn, that is so row by row, and as many rows are read as were written; elsewhere a number
  may be counted among those that stand in another column, and are said to be left unread;
- nothing is made up: each accepted number has the digits of one that was drawn, or all of a short one (`no. 304285` may
  be a number of Berlin);
- the count of lines that does not come from the reader agrees;
- what comes back enriched has every row in its place, its own cells as they were;
- a table that can't be read is refused with a message, and nothing else.

What was drawn is known without the readers, and this shares no code with them. A seed that breaks the rule is printed
with the command that replays it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import random
import shutil
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openpyxl
import pytest

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import CellBlock, Declared, LineBlock, Rows
from orchestrator.intake.numbers import blockwise, decide
from orchestrator.intake.numbers.decide import NumberRules
from orchestrator.intake.numbers.lookup.lookup_tables import LookupTables, cache_folder, load_tables
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.parts import DrawnInput, FilePart, ListPart, Source, _reader, draw_parts
from orchestrator.intake.scanning import _check_lines
from orchestrator.intake.sources.csv_rows import TableBlock
from orchestrator.intake.sources.find import Input
from orchestrator.intake.sources.text_in_place import in_place
from orchestrator.intake.stored_rows import normalise_block
from orchestrator.job import enriched_table
from orchestrator.jobdir.extra_files import CellKind
from orchestrator.master.number_index import NumberIndex
from orchestrator.settings import JobSettings
from orchestrator.workers import PieceLimits
from tests.fuzz import results
from tests.fuzz.made_tables import (
    FRAMES,
    INTO,
    WRITERS,
    Drawn,
    Written,
    as_text,
    digits_of,
    drawn,
    through_office,
    without_titles,
)
from tests.fuzz.results import Fault, Tally

BATCH = 1000
LIMITS = PieceLimits(cpu_s=3600.0, memory_bytes=2 << 30)
REGIONS = ("CH", None, "DE", "US", "TR")
OFFICE_EVERY = 100
"""One of so many tables goes through LibreOffice, all of a batch in one process of it."""
ENRICHED_EVERY = 16

Found = list[tuple[int, int, str]]
"""The numbers of a row: each with its code, and the raw text where there is none."""


def check(condition: object, what: str) -> None:
    """Raise `AssertionError` unless a part of the rule holds."""
    if not condition:
        raise AssertionError(what)


# --- the ways of reading --------------------------------------------------------------------------------------------


def found_in(rows: Rows) -> Iterator[tuple[int, tuple[int, int, str]]]:
    """Yield line and number, code and raw text of each."""
    for place, (line, number, code) in enumerate(
        zip(rows.lines.tolist(), rows.numbers.tolist(), rows.codes.tolist(), strict=True)
    ):
        yield line, (number, code, rows.raw(place))


class Drawing(NamedTuple):
    """The parts of a table, and what was counted of it on the way."""

    parts: list[ListPart]
    input: DrawnInput


def parts_of(job: JobSettings, path: Path, block_bytes: int, folder: Path) -> Drawing:
    """Draw the parts of a table out of its file; raises `UsageError`."""
    source = Source(job, [Input(str(path), path.name)], None, block_bytes)
    counted: list[DrawnInput] = []
    parts = [part for _, part in draw_parts(source, counted, threading.Event(), folder)]
    return Drawing(parts, counted[0])


class AsList(NamedTuple):
    """The rows of a table, and how many numbers in them are said to be left unread."""

    rows: list[Found]
    left: int


def as_list(job: JobSettings, path: Path, drawing: Drawing, tables: LookupTables | None) -> AsList:
    """Read a table as a list is read; raises `UsageError`."""
    rules = NumberRules.of(job)
    pairs: list[tuple[int, tuple[int, int, str]]] = []
    filled = left = 0
    for part in drawing.parts:
        for block in _blocks(part):
            rows = normalise_block(block, rules, tables)
            pairs += found_in(rows)
            left += block.left if isinstance(block, CellBlock) else 0
            given = block.filled_lines if isinstance(block, CellBlock) else None
            filled += len(np.unique(rows.lines)) if given is None else given
    if pairs and drawing.input.counted is not None:
        _check_lines(Input(str(path), path.name), drawing.input.counted, drawing.input.skipped + filled)
    return AsList([[found for _, found in group] for _, group in groupby(pairs, itemgetter(0))], left)


def _blocks(part: ListPart) -> Iterator[LineBlock | CellBlock]:
    match part:
        case TableBlock():
            yield part.parsed()
        case LineBlock() | CellBlock():
            yield part
        case FilePart():
            for block in _reader(part.kind)(part.path, part.options, part.block_bytes):
                if not isinstance(block, Declared):
                    yield block


def as_it_stands(job: JobSettings, drawing: Drawing, tables: LookupTables | None) -> list[Found] | None:
    """Read a table of text as one that comes back enriched; None for other tables. Raises `UsageError`."""
    rules = NumberRules.of(job)
    found: list[Found] = []
    for part in drawing.parts:
        if isinstance(part, FilePart):
            return None
        text = in_place(part, rules, tables, "it")
        of_row: dict[int, Found] = {row: [] for row in np.flatnonzero(text.fields).tolist()}
        for column in text.columns:
            for row, number in found_in(column):
                of_row[row].append(number)
        found += of_row.values()
        stops = [0, *text.ends.tolist()]
        check(all(a <= b for a, b in zip(stops, text.starts.tolist(), strict=False)), "rows overlap")
    return found


# --- judging --------------------------------------------------------------------------------------------------------


def is_there(run: str, found: str) -> bool:
    """Whether a run of digits stands in what was found: national numbers get their country's code, and lose a zero."""
    tail = run.removeprefix("00").removeprefix("0")
    float_like = run.rstrip("0") if run.endswith("0") else run  # `4179828465.0` is a float, whoever drew it
    return any(
        form in found
        for form in (run, tail, float_like, *(tail.removeprefix(f"{code}0") for code in (41, 49, 90, 33, 1)))
    )


def missing(made: Iterable[str], found: Iterable[tuple[int, int, str]]) -> list[str]:
    """Return those digits that are in no number, and in no raw text."""
    found = list(found)
    there = "\n".join(digits_of(f"{number} {raw}") if number else digits_of(raw) for number, _, raw in found)
    # Slashes within numbers and between two may be told apart wrongly; then they stand in what is rejected, cut.
    there += "\n" + "".join(digits_of(raw) for _, _, raw in found)
    return [digits for digits in made if not is_there(digits, there)]


def made_up(made: Sequence[str], found: Iterable[tuple[int, int, str]]) -> list[int]:
    """Return accepted numbers that none of the digits give."""
    return [number for number, _, _ in found if number and not any(_gives(digits, number) for digits in made)]


def _gives(digits: str, number: int) -> bool:
    tail = digits.removeprefix("00").removeprefix("0")
    # The last digit may be taken for a float's: `4179828465.0`.
    return str(number).endswith((tail[3:], tail[3:].removesuffix("0"))) or str(number) in digits


def check_ways(job: JobSettings, path: Path, chance: random.Random, folder: Path) -> AsList:
    """Check that all ways agree, and return what they give; raises `UsageError` where the plain one does."""
    tables = load_tables(job.default_region, cache_folder())
    whole = parts_of(job, path, 1 << 20, folder)
    plain = as_list(job, path, whole, None)
    blocks = max(path.stat().st_size // chance.choice((1, 2, 2, 3, 9)), 16)
    fast = as_list(job, path, parts_of(job, path, blocks, folder), tables)
    check(fast == plain, f"the fast way: {_first(plain.rows, fast.rows)}")
    way = chance.choice((None, tables, tables))
    back = as_it_stands(job, whole, way)
    if back is not None:
        codes, other = list(map(_filled, plain.rows)), list(map(_filled, back))
        check(codes == other, f"in place, {'fast' if way else 'plain'}: {_first(codes, other)}")
    return plain


def _filled(row: Found) -> list[tuple[int, int]]:
    """Return numbers and codes, but for cells of nothing but quotes or the like beside others: none is worth a note."""
    empty = decide.CODES[Reason.EMPTY]
    return [(number, code) for number, code, _ in row if code != empty] or [(0, empty)]


_decide = lru_cache(maxsize=10_000)(decide.decide)


@contextlib.contextmanager
def decided_once() -> Iterator[None]:
    """Have the same text decided once for all ways that come to ask `phonenumbers`: it takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "decide", _decide)
        patch.setattr(blockwise, "decide", _decide)
        yield


def _first(one: Sequence[object], other: Sequence[object]) -> str:
    pairs = enumerate(zip_longest(one, other))
    return str(next(((place, *pair) for place, pair in pairs if pair[0] != pair[1]), None))[:600]


def is_filled(row: Sequence[object]) -> bool:
    return any(as_text(value).strip() for value in row)


def is_whole(table: Drawn, written: Written) -> bool:
    """Whether each cell stands where it was drawn; behind a header of one column nothing tells what parts two."""
    header, *rows = table.rows[table.header :]
    return written.is_whole and (len(header) > 1 or max(map(len, rows)) == 1)


def short_numbers(cells: Sequence[object]) -> list[str]:
    """Return the digits of cells that hold too few for a number of most countries, and enough for one of some."""
    found = (digits_of(as_text(value)) for value in cells)
    return [digits for digits in found if 4 <= len(digits) < 7]


def check_drawn(table: Drawn, written: Written, read: AsList) -> None:
    """Check that nothing vanished, and nothing was made up."""
    found = read.rows
    below = table.digits[table.header + 1 :]
    if is_whole(table, written):
        filled = [row for row, cells in enumerate(table.rows[table.header + 1 :]) if is_filled(cells)]
        check(len(found) == len(filled), f"{len(found)} rows in place of {len(filled)}")
        for row, numbers in zip(filled, found, strict=True):
            short = short_numbers(table.rows[table.header + 1 + row])
            lost, more = missing(below[row], numbers), made_up([*below[row], *short], numbers)
            check(not lost, f"vanished: {lost} of row {row}: {table.rows[table.header + 1 + row]} gave {numbers}")
            check(not more, f"made up: {more} in row {row}: {table.rows[table.header + 1 + row]}")
        return
    every = [digits for row in below for digits in row]
    numbers = [number for row in found for number in row]
    lost = missing(every, numbers)
    check(len(lost) <= read.left, f"vanished: {lost}, and {read.left} are said to be left unread")
    short = [digits for cells in table.rows[table.header + 1 :] for digits in short_numbers(cells)]
    check(not (more := made_up([*every, *short], numbers)), f"made up: {more}")


def check_enriched(job: JobSettings, path: Path, found: list[Found], folder: Path, *, is_whole: bool) -> None:
    """Check that a table comes back: its rows as they were, and the numbers that were read beside them."""
    index = NumberIndex(folder / "none", 0, ("instagram",), ((),), (CellKind.TEXT,))
    target = folder / "back"
    aside = folder / "aside"
    report = enriched_table.enrich_table(job, (index, ()), str(path), target, aside, True)  # noqa: FBT003 - a piece
    numbers = ["; ".join(f"+{n}" if n else "" for n, _, _ in row).strip("; ") for row in found]
    check(report.rows >= len(found), f"{report.rows} rows came back of {len(found)}")
    if not is_whole:
        return
    if report.path.suffix in {".xlsx", ".xlsm"}:
        before, after = _sheet_of(path), _sheet_of(report.path)
    elif report.path.suffix in {".csv", ".tsv", ".tab"} and path.suffix == report.path.suffix:
        delimiter = _delimiter_of(_text_of(report.path))
        before, after = _csv_of(path, delimiter), _csv_of(report.path, delimiter)
    else:
        return
    check(len(before) == len(after), f"enriched: {len(after)} rows in place of {len(before)}")
    for row, (own, back) in enumerate(zip(before, after, strict=True)):
        check(back[: len(own)] == own, f"enriched: row {row} is {back[: len(own)]} in place of {own}")
    said = "\n".join("|".join(map(str, row)) for row in after)
    lost = [number for row in numbers for number in row.split("; ") if number not in said]
    check(not lost, f"enriched: {lost} are not there")


def _sheet_of(path: Path) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(path.read_bytes()))
    rows = [[one.value for one in row] for row in book.worksheets[0].iter_rows()]
    return [row[: max((place for place, value in enumerate(row, 1) if value is not None), default=0)] for row in rows]


def _csv_of(path: Path, delimiter: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(_text_of(path), newline=""), delimiter=delimiter))


def _delimiter_of(text: str) -> str:
    """Return what stands between the columns that were added: in front of the first of them."""
    return next(behind[len(".number")] for behind in (text[text.index(".number") :],))


def _text_of(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if b"\0" in data:
        return data.decode("utf-16-le")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def judge(seed: int, folder: Path, office: Written | None = None) -> tuple[str, str]:
    """Return the kind of outcome of a seed, and what broke the rule, if anything."""
    chance = random.Random(seed)  # noqa: S311 - by seed
    table = table_of(seed, chance)
    writer = chance.choice(WRITERS)
    with warnings.catch_warnings(action="ignore"):
        if office is not None:
            written, name = office, "office"
        else:
            table = without_titles(table) if writer in FRAMES else table
            written, name = writer(chance, table), writer.__name__
        path = folder / written.name
        path.write_bytes(written.content)
        job = JobSettings(name="job", inputs=(str(path),), directory=folder / "run", **table.settings)
        try:
            try:
                with decided_once():
                    found = check_ways(job, path, chance, folder)
            except UsageError as error:
                message = str(error)
                check(written.name in message and message.isprintable(), f"not a message: {message!r}")
                return f"refused: {name}: {message.partition(': ')[2][:50]}", ""
            check_drawn(table, written, found)
            if not seed % ENRICHED_EVERY:
                check_enriched(job, path, found.rows, folder, is_whole=is_whole(table, written))
        except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
            return "fault", f"{name}: {type(error).__name__}: {error}"
        finally:
            for left in folder.iterdir():
                with contextlib.suppress(OSError):
                    left.unlink()
    return name, ""


def table_of(seed: int, chance: random.Random) -> Drawn:
    return drawn(chance, REGIONS[seed // BATCH % len(REGIONS)])


def judge_all(first: int, count: int) -> Tally:
    """Judge the seeds `first` to `first + count - 1`: a piece."""
    outcomes: Counter[str] = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as name:
        office = _office(first, count, Path(name))
        folder = Path(name) / "one"
        folder.mkdir()
        for seed in range(first, first + count):
            kind, what = judge(seed, folder, office.get(seed))
            outcomes[kind] += 1
            if what:
                faults.append(Fault(seed, what))
    return Tally(outcomes, faults)


def _office(first: int, count: int, folder: Path) -> dict[int, Written]:
    """Return those tables that go through LibreOffice, where there is one."""
    seeds = [seed for seed in range(first, first + count) if seed % OFFICE_EVERY == OFFICE_EVERY - 1]
    made: dict[int, Written] = {}
    if not seeds or shutil.which("soffice") is None:
        return made
    into = INTO[first // BATCH % len(INTO)]
    folder = folder / "office"
    folder.mkdir()
    tables = [table_of(seed, random.Random(seed)) for seed in seeds]  # noqa: S311 - by seed
    return dict(zip(seeds, through_office(tables, into, folder), strict=True))


def tables_campaign(first: int, count: int, processes: int) -> Coroutine[Any, Any, Tally]:
    """Judge seeds on worker processes."""
    return results.campaign(first, count, processes, judge_all, LIMITS)


if __name__ == "__main__":
    # Worker processes find a piece by the name of its module, which this one does not go by now.
    from tests.fuzz import tables

    results.main(tables.tables_campaign, "tables")
