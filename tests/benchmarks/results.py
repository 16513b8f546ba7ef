"""Measure how fast result files become verdicts, against what a user would write with openpyxl.

    python -m tests.benchmarks.results [--files 100] [--rows 20000] [--rounds 5]

Both sides start as new processes and give the same verdicts, which is checked. Ours writes and syncs a verdict file for
each result, with every safeguard on, on as many worker processes as there are cores; theirs is one process. The sides
take turns, and the figure is the median of the rounds' ratios of rows a second. `ours` and `theirs` below are what the
two subprocesses run.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import os
import random
import statistics
import sys
import tempfile
import zipfile
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import escape

from orchestrator.files import make_private_directory
from orchestrator.jobdir.layout import verdict_path
from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.results import ResultCheck, check_limits, take_results
from orchestrator.results.suffix import result_suffix
from orchestrator.workers import Workers
from tests.benchmarks.figures import Taken, watched

HEADER = ("Number", "instagram")

Rows = list[tuple[str, str]]


def make_rows(count: int) -> Rows:
    """Return rows of distinct numbers, in no order, a third of them yes."""
    chance = random.Random(count)  # noqa: S311 - the same rows again
    return [(f"+4179{n:07d}", chance.choice(("yes", "no", "no"))) for n in chance.sample(range(10**7), count)]


def by_openpyxl(rows: Rows) -> bytes:
    """Return what openpyxl writes: inline strings, a reference at every cell."""
    import openpyxl  # noqa: PLC0415 - ours must not pay for it

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    for row in (HEADER, *rows):
        sheet.append(row)
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def by_xlsxwriter(rows: Rows) -> bytes:
    """Return what xlsxwriter writes: shared strings."""
    import xlsxwriter  # type: ignore[import-untyped]  # noqa: PLC0415 - a development dependency

    packed = io.BytesIO()
    with xlsxwriter.Workbook(packed) as book:
        sheet = book.add_worksheet()
        for place, row in enumerate((HEADER, *rows)):
            sheet.write_string(place, 0, row[0])
            sheet.write_string(place, 1, row[1])
    return packed.getvalue()


def by_sandbox(rows: Rows, *, references: bool = True, shared: bool = True) -> bytes:
    """Return what the embedded vendor writes."""
    from orchestrator.sandbox import shapes, workbook  # noqa: PLC0415 - the program reads results without it

    shape = shapes.Shape(
        number_header=HEADER[0],
        verdict_header=HEADER[1],
        words=("yes", "no"),
        form=shapes.NumberForm.PLUS,
        order=shapes.RowOrder.AS_SENT,
        folder=True,
        registered="registered.txt",
        cell_references=references,
        shared_strings=shared,
        dimension=shapes.Dimension.RIGHT,
    )
    packed = io.BytesIO()
    numbers, words = map(list, zip(*rows, strict=True))
    workbook.write_workbook(packed, shape, numbers, [words])
    return packed.getvalue()


def by_hand(rows: Rows, row: str, cell: str, prefix: str = "") -> bytes:
    """Return a workbook with rows and cells as another writer has them.

    `row` is a format of its number `n` and what is `inside`, `cell` one of its reference `at` and its `text`.
    """
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    body = "".join(
        row.format(
            n=n,
            inside="".join(
                cell.format(at=f"{column}{n}", text=escape(text)) for column, text in zip("AB", texts, strict=True)
            ),
        )
        for n, texts in enumerate((HEADER, *rows), 1)
    )
    space = f'xmlns:{prefix[:-1]}="{main}"' if prefix else f'xmlns="{main}"'
    sheet = f"<{prefix}worksheet {space}><{prefix}sheetData>{body}</{prefix}sheetData></{prefix}worksheet>"
    packed = io.BytesIO()
    parts = zipfile.ZipFile(io.BytesIO(by_openpyxl([])))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in parts.namelist():
            archive.writestr(name, sheet.encode() if "sheet1" in name else parts.read(name))
    return packed.getvalue()


def as_libreoffice(rows: Rows) -> bytes:
    """Return rows and cells with all the attributes that LibreOffice gives them, some of them before the reference."""
    row = '<row r="{n}" customFormat="false" ht="12.8" hidden="false" outlineLevel="0" collapsed="false">{inside}</row>'
    return by_hand(rows, row, '<c s="0" r="{at}" t="str"><v>{text}</v></c>')


def with_prefixes(rows: Rows) -> bytes:
    """Return a sheet whose tags have a prefix, as some XML libraries write them."""
    return by_hand(rows, '<x:row r="{n}">{inside}</x:row>', '<x:c r="{at}" t="str"><x:v>{text}</x:v></x:c>', "x:")


def by_csv(rows: Rows) -> bytes:
    """Return csv as vendors have it, with a byte order mark."""
    text = io.StringIO()
    csv.writer(text).writerows((HEADER, *rows))
    return text.getvalue().encode("utf-8-sig")


def by_zip(rows: Rows) -> bytes:
    """Return a zip of csv and workbook, as the v1 style has it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t/all.csv", by_csv(rows))
        archive.writestr("t/result.xlsx", by_sandbox(rows))
    return packed.getvalue()


KINDS: dict[str, Callable[[Rows], bytes]] = {
    "openpyxl": by_openpyxl,
    "xlsxwriter": by_xlsxwriter,
    "documented": by_sandbox,
    "no references": lambda rows: by_sandbox(rows, references=False, shared=False),
    "as LibreOffice": as_libreoffice,
    "prefixes": with_prefixes,
    "csv": by_csv,
    "zip": by_zip,
}


def theirs(folder: Path, files: int) -> None:
    """Read results as the documentation of openpyxl has it, or csv as that of `csv` has it."""
    for place in range(files):
        numbers = (folder / "chunks" / f"{place:06d}.txt").read_text().split()
        path = result_of(folder, place)
        if path.suffix == ".csv":
            said = _by_csv(path.open(encoding="utf-8-sig", newline=""))
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                said = _by_csv(io.TextIOWrapper(archive.open("t/all.csv"), "utf-8-sig", newline=""))
        else:
            said = _by_library(path)
        (folder / f"{place:06d}.json").write_text(json.dumps([said.get(number, "unanswered") for number in numbers]))


def _by_csv(text: TextIO) -> dict[str, str]:
    with text:
        return dict(csv.reader(text))


def _by_library(path: Path) -> dict[str, str]:
    import openpyxl  # noqa: PLC0415 - ours must not pay for it

    with path.open("rb") as file:
        book = openpyxl.load_workbook(file, read_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        return {str(number): str(word) for number, word in sheet.iter_rows(min_row=2, values_only=True)}


def ours(folder: Path, files: int) -> None:
    """Check results as the program does."""
    asyncio.run(_check_all(folder, files))


async def _check_all(folder: Path, files: int) -> None:
    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        for place in range(files):
            yield ((check_of(folder, place),),)

    make_private_directory(check_of(folder, 0).verdicts.parent)
    async with Workers(os.cpu_count() or 1) as workers:
        await workers.map(take_results, calls(), limits=check_limits(20_000))


def check_of(folder: Path, place: int) -> ResultCheck:
    """Return the check of one file."""
    chunk = folder / "chunks" / f"{place:06d}.txt"
    verdicts = verdict_path(folder, "instagram", place)
    return ResultCheck(result_of(folder, place), chunk, verdicts, "instagram", (), "task", None)


def result_of(folder: Path, place: int) -> Path:
    """Return one result file, which has the name that the program gives it: so it can take it again."""
    return folder / f"{place:06d}{result_suffix(folder / 'result')}"


def prepare(folder: Path, kind: str, *, files: int, rows: int) -> None:
    """Lay out the files of one measurement: links to one result and one chunk, but for their names."""
    (folder / "chunks").mkdir(parents=True)
    table = make_rows(rows)
    (folder / "result").write_bytes(KINDS[kind](table))
    (folder / "chunk").write_text("".join(f"{number}\n" for number, _ in table))
    for place in range(files):
        os.link(folder / "result", result_of(folder, place))
        os.link(folder / "chunk", folder / "chunks" / f"{place:06d}.txt")


def run_side(side: str, folder: Path, files: int) -> Taken:
    """Run one side in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.results", "--side", side, str(folder), "--files", str(files)]
    return watched(command)


def same_verdicts(folder: Path, files: int) -> bool:
    """Whether both sides said the same about every number of the files that both read."""
    for place in range(files):
        written = read_verdicts(verdict_path(folder, "instagram", place))
        if [written.words[code] for code in written.codes] != json.loads((folder / f"{place:06d}.json").read_text()):
            return False
    return True


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of both sides, of files of `rows` rows each; the user's had fewer of them."""

    rows: int
    files: int
    ours: Taken
    their_files: int
    theirs: Taken

    @property
    def ratio(self) -> float:
        """How many times as many rows a second we read, by the clock."""
        return (self.theirs.clock_s / self.their_files) / (self.ours.clock_s / self.files)

    @property
    def cpu_ratio(self) -> float:
        """The same by processor time."""
        return (self.theirs.cpu_s / self.their_files) / (self.ours.cpu_s / self.files)


def measure(kind: str, *, files: int, rows: int, rounds: int) -> list[Turn]:
    """Measure both sides in turns; raises `SystemExit` when they don't say the same."""
    their_files = max(1, files // 25)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, kind, files=files, rows=rows)
        turns = [
            Turn(rows, files, run_side("ours", folder, files), their_files, run_side("theirs", folder, their_files))
            for _ in range(rounds)
        ]
        if not same_verdicts(folder, their_files):
            raise SystemExit(f"{kind}: the two sides do not agree")
    return turns


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description="Result files to verdicts, against openpyxl.")
    options.add_argument("--files", type=int, default=100)
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--kinds", nargs="*", default=list(KINDS))
    options.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.side:
        {"ours": ours, "theirs": theirs}[given.side[0]](Path(given.side[1]), given.files)
        return
    print(f"{given.files} files of {given.rows:,} rows, {os.cpu_count()} cores, median of {given.rounds} rounds")  # noqa: T201 - the point
    print("| result file | x rows/s | x rows a second of processor time |\n|---|---|---|")  # noqa: T201 - the point
    for kind in given.kinds:
        turns = measure(kind, files=given.files, rows=given.rows, rounds=given.rounds)
        clock, cpu = (
            statistics.median(ratios) for ratios in zip(*((t.ratio, t.cpu_ratio) for t in turns), strict=True)
        )
        print(f"| {kind} | {clock:.0f} | {cpu:.0f} |", flush=True)  # noqa: T201 - the point


if __name__ == "__main__":
    main()
