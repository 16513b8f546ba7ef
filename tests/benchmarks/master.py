"""Measure the master: chunk files and verdict files → master.xlsx, csv and parquet, beside what a user would write.

    python -m tests.benchmarks.master 1_000_000

Every side is a process of its own, start-up included, and reads the same files of two platforms. The user's side is
openpyxl write-only, the csv module, or pyarrow from lists, without hashes, checks, Summary or sync; ours has them all.
Then both files are read back by a third library, and every cell must be the same.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
import tempfile
import time
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tests.benchmarks.figures import Taken, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.master import MasterChunk

PLATFORMS = ("instagram", "amazon")
CHUNK_ROWS = 20_000
PREFIXES = (4179, 1202555, 49151, 3933, 55119, 4477)
WORDS = ("unanswered", "yes", "no", "n/a")
FORMATS = ("xlsx", "csv", "parquet")
ROUNDS = 3
HEADER = (
    *("format", "rows/s, ours", "rows/s, user", "ratio", "processor, ours", "processor, user"),
    *("peak, ours", "peak, user", "written and synced"),
)


def some_number(place: int) -> str:
    """Return a number of one of six countries, by its shape."""
    return f"+{PREFIXES[place % len(PREFIXES)]}{place * 7:08d}"


def prepare(folder: Path, rows: int, number: Callable[[int], str] = some_number) -> None:
    """Write the chunk and verdict files of a job of `rows` distinct numbers, with verdicts made from a seed."""
    from orchestrator.jobdir.layout import verdict_path  # noqa: PLC0415 - not for the user's side
    from orchestrator.jobdir.verdict_files import Verdicts  # noqa: PLC0415 - not for the user's side
    from tests.results.written import write_verdicts  # noqa: PLC0415 - as above

    random = np.random.default_rng(rows)
    (folder / "chunks").mkdir(parents=True)
    (folder / "rows").write_text(str(rows))
    for chunk, first in enumerate(range(0, rows, CHUNK_ROWS), start=1):
        places = range(first, min(first + CHUNK_ROWS, rows))
        content = "".join(f"{number(place)}\n" for place in places).encode()
        (folder / "chunks" / f"{chunk:06d}.txt").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        for platform in PLATFORMS:
            codes = random.choice(len(WORDS), len(places), p=(0.05, 0.45, 0.4, 0.1)).astype(np.uint8).tobytes()
            write_verdicts(verdict_path(folder, platform, chunk), Verdicts(WORDS, codes, "task", digest))


def chunks(folder: Path) -> Iterator[MasterChunk]:
    """Yield what the ledger would name."""
    from orchestrator.jobdir.layout import verdict_path  # noqa: PLC0415
    from orchestrator.master import MasterChunk  # noqa: PLC0415 - not for the user's side

    left = int((folder / "rows").read_text())
    for path in sorted((folder / "chunks").iterdir()):
        rows = min(CHUNK_ROWS, left)
        left -= rows
        yield MasterChunk(path, rows, tuple(verdict_path(folder, name, int(path.stem)) for name in PLATFORMS))


def ours(folder: Path, output: str) -> None:
    """Write the master as the program does."""
    from orchestrator.master import MasterRequest, write_master  # noqa: PLC0415 - measured
    from orchestrator.settings import OutputFormat  # noqa: PLC0415

    request = MasterRequest(folder / "ours", PLATFORMS, (OutputFormat(output),), int((folder / "rows").read_text()))
    write_master(request, partial(chunks, folder), False)  # noqa: FBT003 - as a piece is called


def user_rows(folder: Path) -> Iterator[tuple[str, ...]]:
    """Read the same files as a user would, without checking them."""
    for path in sorted((folder / "chunks").iterdir()):
        columns = [path.read_text().split()]
        for platform in PLATFORMS:
            header, codes = (folder / "verdicts" / platform / f"{path.stem}.bin").read_bytes().split(b"\n", 1)
            words = json.loads(header[header.index(b"{") :])["words"]
            columns.append([words[code] for code in codes])
        yield from zip(*columns, strict=True)


def user(folder: Path, output: str) -> None:
    """Write the same cells with the library that comes to mind."""
    target = folder / "user" / f"master.{output}"
    target.parent.mkdir(exist_ok=True)
    {"xlsx": _with_openpyxl, "csv": _with_csv, "parquet": _with_pyarrow}[output](target, user_rows(folder))


def _with_openpyxl(target: Path, rows: Iterator[tuple[str, ...]]) -> None:
    import openpyxl  # noqa: PLC0415 - measured

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Master")
    sheet.append(("Number", *PLATFORMS))
    for row in rows:
        sheet.append(row)
    book.save(target)


def _with_csv(target: Path, rows: Iterator[tuple[str, ...]]) -> None:
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("Number", *PLATFORMS))
        writer.writerows(rows)


def _with_pyarrow(target: Path, rows: Iterator[tuple[str, ...]]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - measured
    from pyarrow import parquet as pq  # noqa: PLC0415

    columns = zip(*rows, strict=True)
    pq.write_table(pa.table(dict(zip(("Number", *PLATFORMS), map(list, columns), strict=True))), target)


def read_back(path: Path) -> Iterator[Sequence[object]]:
    """Yield the rows of a master, headers left out, with a library that wrote neither side's workbook."""
    if path.suffix == ".xlsx":
        import python_calamine  # noqa: PLC0415

        book = python_calamine.load_workbook(path)
        for name in (name for name in book.sheet_names if name.startswith("Master")):
            yield from islice(book.get_sheet_by_name(name).iter_rows(), 1, None)
    elif path.suffix == ".csv":
        with path.open(newline="") as file:
            yield from islice(csv.reader(file), 1, None)
    else:
        from pyarrow import parquet as pq  # noqa: PLC0415

        for batch in pq.ParquetFile(path).iter_batches():
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def same_cells(folder: Path, output: str) -> int:
    """Return how many rows both sides wrote; raises `AssertionError` at the first that differs."""
    sides = [read_back(folder / side / f"master.{output}") for side in ("ours", "user")]
    rows = 0
    for rows, (one, other) in enumerate(zip_longest(*sides, fillvalue=()), start=1):
        assert list(one) == list(other), (rows, one, other)
    return rows


def measured(folder: Path, side: str, output: str) -> Taken:
    """Run one side as a process of its own."""
    return watched([sys.executable, "-m", "tests.benchmarks.master", side, str(folder), output])


def compare(output: str, rows: int, rounds: int) -> Compared:
    """Measure both sides in turns; raises `AssertionError` when a cell differs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, rows)
        turns = [(measured(folder, "ours", output), measured(folder, "user", output)) for _ in range(rounds)]
        assert same_cells(folder, output) == rows
        path = folder / "ours" / f"master.{output}"
        return Compared(turns, path.stat().st_size, disk_speed(path))


class Compared(NamedTuple):
    """Turns of ours and the user's; the size of our file, and how long writing and syncing it alone takes."""

    turns: list[tuple[Taken, Taken]]
    size_bytes: int
    alone_s: float


def disk_speed(path: Path) -> float:
    """Return the time in seconds that writing and syncing the same bytes takes, and nothing else."""
    content = path.read_bytes()
    began = time.perf_counter()
    with path.with_suffix(".copy").open("wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    return time.perf_counter() - began


def quick_ratio(folder: Path) -> float:
    """Return how many times faster `ours` is than `openpyxl`, in this process: the median of some turns, side by side.

    Start-up is left out, and the user's side has fewer rows, so that it takes seconds.
    """
    few, many = 10_000, 200_000
    prepare(folder / "few", few)
    prepare(folder / "many", many)
    ours(folder / "few", "xlsx")  # so that nothing is imported while the time is taken
    ratios = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ours(folder / "many", "xlsx")
        between = time.perf_counter()
        user(folder / "few", "xlsx")
        ratios.append((many / (between - began)) / (few / (time.perf_counter() - between)))
    return median(ratios)


def main(rows: int, rounds: int = ROUNDS) -> None:
    """Measure every format and print a table."""
    print(f"| {' | '.join(HEADER)} |\n{'|---' * len(HEADER)}|")  # noqa: T201
    for output in FORMATS:
        print(row(output, rows, compare(output, rows, rounds)), flush=True)  # noqa: T201


def row(output: str, rows: int, compared: Compared) -> str:
    """Return a row of the table: medians of the times, the highest of the peaks."""
    sides = list(zip(*compared.turns, strict=True))
    our_s, user_s = (median(turn.clock_s for turn in side) for side in sides)
    our_mb, user_mb = (max(turn.peak_bytes for turn in side) / 1e6 for side in sides)
    our_cpu_s, user_cpu_s = (median(turn.cpu_s for turn in side) for side in sides)
    size = f"{compared.size_bytes / 1e6:.1f} MB, ours {our_s:.2f} s, alone {compared.alone_s:.2f} s"
    cells = (
        *(output, f"{rows / our_s:,.0f}", f"{rows / user_s:,.0f}", f"{user_s / our_s:.1f} x"),
        *(f"{our_cpu_s:.2f} s", f"{user_cpu_s:.2f} s"),
        *(f"{our_mb:.0f} MB", f"{user_mb:.0f} MB", size),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    match sys.argv[1:]:
        case [("ours" | "user") as side, folder, output]:
            {"ours": ours, "user": user}[side](Path(folder), output)
        case [rows, *rounds]:
            main(int(rows), *map(int, rounds))
        case _:
            sys.exit(__doc__)
