"""The rows of the table: each measures both sides in one run, compares what they wrote, and says what came out."""

from __future__ import annotations

import asyncio
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks import dispatch, enriched, intake, master, memory, restart, results
from tests.benchmarks.figures import Row, Taken, looked_at, megabytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

XLSX_KINDS = ("documented", "openpyxl", "xlsxwriter", "no references", "as LibreOffice", "prefixes")
OTHER_KINDS = ("csv", "zip")
NONE = "-"
HELP_RUNS = 15
SHAPES = ("mixed", "silent")
"""The common case, and the hardest: a task that tells nothing before its end."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much a benchmark measures: lines, files, rows, tasks or numbers; and how often."""

    count: int
    rounds: int = 1


FULL = {
    "intake": Size(10_000_000, 3),
    "results": Size(100, 3),
    "master": Size(1_000_000, 2),
    "enrich": Size(1_000_000, 2),
    "dispatch": Size(10_000, 2),
    "makespan": Size(100_000_000),
    "help": Size(HELP_RUNS),
    "restart": Size(1_000_000),
    "job": Size(1_000_000),
}
QUICK = {
    "intake": Size(200_000),
    "results": Size(10),
    "master": Size(60_000),
    "enrich": Size(60_000),
    "dispatch": Size(300),
    "makespan": Size(2_000_000),
    "help": Size(3),
    "restart": Size(10_000),
    "job": Size(20_000),
}


def intake_rows(size: Size) -> Iterator[Row]:
    """Measure the way from a list to chunk files."""
    turns = list(intake.compare(size.count, baseline=300_000, rounds=size.rounds))
    speeds = [turn.lines / turn.ours.clock_s for turn in turns]
    yield Row(
        f"list → chunk files, {size.count:,} E.164 lines, 5 % duplicates",
        f"phonenumbers in a loop, {median(turn.baseline / turn.theirs.clock_s for turn in turns):,.0f} lines/s",
        f"{median(speeds):,.0f} lines/s",
        times(turn.ratio for turn in turns),
        "60 x",
        "100 x",
        peak(turn.ours for turn in turns),
        f"chunk files of the first {turns[0].baseline:,} lines",
    )


def results_rows(size: Size) -> Iterator[Row]:
    """Measure the way from result files to verdicts."""
    for kind in (*XLSX_KINDS, *OTHER_KINDS):
        turns = results.measure(kind, files=size.count, rows=20_000, rounds=size.rounds)
        library = "csv" if kind in OTHER_KINDS else "openpyxl"
        wanted = ("10 x", "20 x") if kind in XLSX_KINDS else (NONE, NONE)
        yield Row(
            f"results → verdicts, {turns[0].files} files of {turns[0].rows:,} rows ({kind})",
            f"{library}, {median(t.their_files * t.rows / t.theirs.clock_s for t in turns):,.0f} rows/s",
            f"{median(t.files * t.rows / t.ours.clock_s for t in turns):,.0f} rows/s",
            times(turn.ratio for turn in turns),
            *wanted,
            peak(turn.ours for turn in turns),
            f"verdicts of {turns[0].their_files} files",
        )


def master_rows(size: Size) -> Iterator[Row]:
    """Measure the way from verdicts to the master."""
    libraries = {"xlsx": "openpyxl write-only", "csv": "csv", "parquet": "pyarrow"}
    for output in master.FORMATS:
        turns = master.compare(output, size.count, size.rounds).turns
        ours_s, theirs_s = (median(taken.clock_s for taken in side) for side in zip(*turns, strict=True))
        yield Row(
            f"verdicts → master.{output}, {size.count:,} rows x 2 platforms",
            f"{libraries[output]}, {size.count / theirs_s:,.0f} rows/s",
            f"{size.count / ours_s:,.0f} rows/s",
            times(theirs.clock_s / ours.clock_s for ours, theirs in turns),
            *(("20 x", "40 x") if output == "xlsx" else (NONE, NONE)),
            peak(ours for ours, _ in turns),
            "every cell, read back",
        )


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One turn of dispatch: `alone_s` leaves start-up, list and master out; `whole` is the program with all of them.

    Its processor time is that of the process that talks to the vendor, without the workers'.
    """

    tasks: int
    bare: Taken
    alone_s: float
    whole: Taken


def dispatched(tasks: int) -> Dispatched:
    """Measure both sides; raises `SystemExit` when their results differ."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with dispatch.vendor(folder / "vendor1") as base_url:
            began, cpu_began = time.perf_counter(), time.process_time()
            asyncio.run(dispatch.bare(base_url, folder / "bare", tasks))
            bare = Taken(time.perf_counter() - began, time.process_time() - cpu_began, 0)
        with dispatch.vendor(folder / "vendor2") as base_url, looked_at(os.getpid(), children_only=True) as usage:
            began, cpu_began = time.perf_counter(), children_cpu_s()
            alone_s = dispatch.ours(base_url, folder, tasks)
            whole_s, cpu_s = time.perf_counter() - began, children_cpu_s() - cpu_began
        same_results(folder, tasks)
    return Dispatched(tasks, bare, alone_s, Taken(whole_s, cpu_s, usage.peak_bytes))


def same_results(folder: Path, tasks: int) -> None:
    """Compare the result files that both sides stored, and count our verdicts; raises `SystemExit` at a difference."""
    for task in range(tasks):
        kept = folder / "out" / "results" / "instagram" / f"{task + 1:06d}.csv"
        if (folder / "bare" / f"{task}.csv").read_bytes() != kept.read_bytes():
            raise SystemExit(f"the two sides stored different results of task {task}")
    with (folder / "out" / "master.csv").open(newline="") as file:
        words = [word for _, word in csv.reader(file)][1:]
    if len(words) != tasks * dispatch.ROWS or words.count("unanswered") > len(words) // 20:
        raise SystemExit(f"{len(words):,} verdicts in the master, {words.count('unanswered'):,} of them unanswered")


def enrich_rows(size: Size) -> Iterator[Row]:
    """Measure a table that comes back."""
    turns = enriched.compare(size.count, size.rounds)
    yield Row(
        f"`enrich`, a csv file of {size.count:,} rows with two columns of numbers, as many numbers in the job",
        f"a dictionary and csv, {size.count / median(turn.user.clock_s for turn in turns):,.0f} rows/s",
        f"{size.count / median(turn.ours.clock_s for turn in turns):,.0f} rows/s",
        times((turn.user.clock_s / turn.ours.clock_s for turn in turns), digits=1),
        "2 x",
        "5 x",
        peak(turn.ours for turn in turns),
        "every cell but the notes",
    )


def dispatch_rows(size: Size) -> Iterator[Row]:
    """Measure many small tasks."""
    turns = [dispatched(size.count) for _ in range(size.rounds)]
    sides: dict[str, Callable[[Dispatched], float]] = {
        "dispatch": lambda turn: turn.alone_s,
        "whole program": lambda turn: turn.whole.clock_s,
    }
    for side, seconds in sides.items():
        yield Row(
            f"{size.count:,} tasks of {dispatch.ROWS} rows ({side})",
            f"bare aiohttp, {median(turn.tasks / turn.bare.clock_s for turn in turns):,.0f} tasks/s",
            f"{median(turn.tasks / seconds(turn) for turn in turns):,.0f} tasks/s",
            times((turn.bare.clock_s / seconds(turn) for turn in turns), digits=2),
            "0.5 x",
            "0.8 x",
            f"{peak(turn.whole for turn in turns)}, with the vendor's",
            "every result file",
        )


def makespan_rows(size: Size) -> Iterator[Row]:
    """Measure the time to a job's end, in virtual time."""
    from tests.benchmarks import makespan  # noqa: PLC0415 - it brings the simulation along, which takes a second

    for shape in SHAPES:
        found = makespan.play(shape, 1, -(-size.count // makespan.ROWS))
        yield Row(
            f"makespan in virtual time, {size.count:,} numbers x 2 platforms, progress told: {shape}",
            f"the vendor's lower bound, {found.bound_s / 3600:,.2f} h",
            f"{found.makespan_s / 3600:,.2f} h, {found.looks:.1f} status calls a task",
            f"+{found.over:.2%}",
            "+3 %, 12 calls",
            "+1 %, 8 calls",
            NONE,
            "every task done, submitted once",
        )


def help_rows(size: Size) -> Iterator[Row]:
    """Measure start-up."""
    ours, bare = help_turns(size.count)
    yield Row(
        "`orchestrator --help`",
        f"Python that imports click, {median(taken.clock_s for taken in bare):.3f} s",
        f"{median(taken.clock_s for taken in ours):.3f} s",
        times(
            (theirs.clock_s / our.clock_s for our, theirs in zip(ours, bare, strict=True)),
            digits=2,
        ),
        "0.25 s",
        "0.1 s",
        NONE,
        NONE,
    )


def help_turns(count: int) -> tuple[list[Taken], list[Taken]]:
    """Start `orchestrator --help`, and a Python that only imports click, in turns; times include the start."""
    commands = ([sys.executable, "-m", "orchestrator", "--help"], [sys.executable, "-c", "import click"])
    for command in commands:  # once in vain, for what is compiled and cached
        _started(command)
    turns = [tuple(_started(command) for command in commands) for _ in range(count)]
    return [ours for ours, _ in turns], [bare for _, bare in turns]


def _started(command: Sequence[str]) -> Taken:
    began, cpu_began = time.perf_counter(), children_cpu_s()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours, or Python itself
    return Taken(time.perf_counter() - began, children_cpu_s() - cpu_began, 0)


def children_cpu_s() -> float:
    """Return the processor time of all children that have ended; workers outlive their parent, and do not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def restart_rows(size: Size) -> Iterator[Row]:
    """Measure how a job with many tasks goes on."""
    status, first = restart.going_on(size.count, min(restart.UNFINISHED, size.count // 2))
    yield _alone(f"status, {size.count:,} tasks in the ledger", status, "1 s")
    yield _alone(f"run up to its first task, {size.count:,} tasks in the ledger", first, "10 s")
    finished = min(size.count, restart.FINISHED)
    again = restart.without_work(finished)
    yield _alone(f"run when all is done, {finished:,} tasks", again, NONE, "no request, the same master")


def job_rows(size: Size) -> Iterator[Row]:
    """Measure everything together."""
    what = f"a whole job, {size.count:,} numbers x 2 platforms, the embedded vendor in the same process"
    yield _alone(what, memory.measure(size.count), NONE, "every number in the master")


def _alone(what: str, taken: Taken, at_least: str, same: str = NONE) -> Row:
    return Row(what, NONE, f"{taken.clock_s:.2f} s", NONE, at_least, NONE, megabytes(taken.peak_bytes), same)


def growth(lines: int, taken: Taken) -> str:
    """Return a row of the table of growth."""
    speed = f"{lines / taken.clock_s:,.0f}"
    return f"| {lines:,} | {taken.clock_s:.1f} | {taken.cpu_s:.1f} | {speed} | {megabytes(taken.peak_bytes)} |"


GROWTH_HEADER = "| lines | seconds | processor seconds | lines/s | peak memory |\n|---|---|---|---|---|"


def times(ratios: Iterator[float], digits: int = 0) -> str:
    """Write the median of ratios."""
    return f"{median(ratios):.{digits}f} x"


def peak(runs: Iterator[Taken]) -> str:
    """Write the highest of the peaks."""
    return megabytes(max(taken.peak_bytes for taken in runs))


BENCHMARKS: dict[str, Callable[[Size], Iterator[Row]]] = {
    "intake": intake_rows,
    "results": results_rows,
    "master": master_rows,
    "enrich": enrich_rows,
    "dispatch": dispatch_rows,
    "makespan": makespan_rows,
    "help": help_rows,
    "restart": restart_rows,
    "job": job_rows,
}
