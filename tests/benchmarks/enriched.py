"""Measure `enrich`: a table of people with two columns of numbers, beside a dictionary and `csv`.

    python -m tests.benchmarks.enriched 1_000_000

Both sides are processes of their own, start-up included. The user's side reads master.csv into a dictionary, and adds
to each row of the table what stands there of both of its numbers; it checks, notes and syncs nothing.
Ours begins with the chunk and verdict files. Then both tables are read, and every cell that both have must be the same.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from functools import partial
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks import master
from tests.benchmarks.figures import Taken, watched

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = "people.csv"
COLUMNS = ("Mobile", "Home")
OURS, USER = "ours.csv", "user.csv"


def valid_number(place: int) -> str:
    """Return a valid number, of which neighbours are far apart, as in a list that grew by the day."""
    return f"+417{9 - place // 10_000_000}{place * 7_654_321 % 10_000_000:07d}"


def prepare(folder: Path, rows: int) -> None:
    """Write a job of `rows` numbers, its master.csv, and a table of as many rows.

    Each row has a number of the job; four in ten have no second one, three another number of the job, three one that it
    does not have.
    """
    master.prepare(folder, rows, valid_number)
    master.user(folder, "csv")
    with (folder / TABLE).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("Name", *COLUMNS, "City"))
        numbers = [line for path in sorted((folder / "chunks").iterdir()) for line in path.read_text().split()]
        for row, number in enumerate(numbers):
            second = numbers[(row * 7 + 3) % rows] if row % 10 >= 7 else f"+4176{row % 10_000_000:07d}"
            writer.writerow((f"Person {row}", number, "" if row % 10 < 4 else second, "Bern"))


def ours(folder: Path) -> None:
    """Write the table back as the program does."""
    from orchestrator.job.enriched_table import enrich_table  # noqa: PLC0415 - measured
    from orchestrator.master.number_index import build_index  # noqa: PLC0415
    from orchestrator.settings import JobSettings  # noqa: PLC0415

    index = build_index(folder, master.PLATFORMS, (), partial(master.chunks, folder))
    job = JobSettings(name="bench", inputs=(TABLE,), directory=folder, column=COLUMNS)
    enrich_table(job, (index, ()), str(folder / TABLE), folder / OURS, folder / "aside")


def user(folder: Path) -> None:
    """Write the table back with a dictionary."""
    with (folder / "user" / "master.csv").open(newline="") as file:
        known = {number: verdicts for number, *verdicts in csv.reader(file)}
    nothing = [""] * len(master.PLATFORMS)
    with (folder / TABLE).open(newline="") as source, (folder / USER).open("w", newline="") as target:
        reader, writer = csv.reader(source), csv.writer(target, lineterminator="\n")
        header = next(reader)
        places = [header.index(column) for column in COLUMNS]
        writer.writerow(
            [*header, *(f"{column}.{name}" for column in COLUMNS for name in ("number", *master.PLATFORMS))]
        )
        for row in reader:
            for place in places:
                number = row[place]
                row += [number, *known.get(number, nothing)]
            writer.writerow(row)


class Enriched(NamedTuple):
    """One turn of each side."""

    ours: Taken
    user: Taken


def compare(rows: int, rounds: int) -> list[Enriched]:
    """Measure both sides in turns; raises `SystemExit` when a cell differs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, rows)
        turns = [Enriched(measured(folder, "ours"), measured(folder, "user")) for _ in range(rounds)]
        same_cells(folder)
        return turns


def measured(folder: Path, side: str) -> Taken:
    """Run one side as a process of its own."""
    return watched([sys.executable, "-m", "tests.benchmarks.enriched", side, str(folder)])


def same_cells(folder: Path) -> None:
    """Compare what both sides wrote, without our notes."""
    for row, (one, other) in enumerate(zip_longest(_without_notes(folder / OURS), _cells(folder / USER)), start=1):
        if one != other:
            raise SystemExit(f"the two sides differ in row {row}")


def _without_notes(path: Path) -> Iterator[list[str]]:
    kept: list[int] = []
    for row in _cells(path):
        kept = kept or [place for place, name in enumerate(row) if not name.endswith(".note")]
        yield [row[place] for place in kept]


def _cells(path: Path) -> Iterator[list[str]]:
    with path.open(newline="") as file:
        yield from csv.reader(file)


def main(rows: int, rounds: int = 3) -> None:
    """Measure, and print a line."""
    turns = compare(rows, rounds)
    for side in Enriched._fields:
        taken = [getattr(turn, side) for turn in turns]
        clock_s, cpu_s = median(one.clock_s for one in taken), median(one.cpu_s for one in taken)
        peak = max(one.peak_bytes for one in taken) / 1e6
        print(f"{side}: {rows / clock_s:,.0f} rows/s, {clock_s:.2f} s, processor {cpu_s:.2f} s, {peak:.0f} MB")  # noqa: T201


if __name__ == "__main__":
    match sys.argv[1:]:
        case [("ours" | "user") as side, folder]:
            {"ours": ours, "user": user}[side](Path(folder))
        case [rows, *rounds]:
            main(int(rows), *map(int, rounds))
        case _:
            sys.exit(__doc__)
