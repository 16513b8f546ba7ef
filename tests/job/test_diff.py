"""Two jobs beside each other: compared with dictionaries of their own masters, which share no code with it."""

from __future__ import annotations

import asyncio
import csv
import random
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import openpyxl
import pytest

from orchestrator.errors import ExitCode, UsageError
from orchestrator.job.diff import diff_jobs
from orchestrator.master.changes import compare
from orchestrator.master.master_layout import BookLimits
from orchestrator.master.number_index import NumberIndex
from orchestrator.settings import OutputFormat
from tests.job.conftest import Case

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ("yes", "no", "unanswered", "ban")


async def finished(folder: Path, numbers: range, seed: int) -> Case:
    await asyncio.to_thread(folder.mkdir)
    case = Case(folder, overrides=[f"sandbox.seed={seed}"])
    case.numbers(len(numbers), numbers.start)
    assert await case.run() == ExitCode.DONE
    return case


def master(case: Case) -> dict[str, str]:
    with (case.directory / "master.csv").open(newline="") as file:
        return {row["Number"]: row["instagram"] for row in csv.DictReader(file)}


async def test_two_jobs(tmp_path: Path) -> None:
    old = await finished(tmp_path / "old", range(40), 1)
    new = await finished(tmp_path / "new", range(25, 60), 2)
    report = await diff_jobs(old.directory, new.directory, target := tmp_path / "changes.csv")
    before, after = master(old), master(new)
    wanted = [
        [number, change, before.get(number, ""), after.get(number, "")]
        for number in sorted(before | after)
        if (change := changed(before.get(number), after.get(number)))
    ]
    with target.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["Number", "Change", "instagram.old", "instagram.new"]
    assert rows == wanted
    counts = Counter(row[1] for row in wanted)
    assert (report.new, report.gone, report.changed) == (counts["new"], counts["gone"], counts["changed"])
    assert (report.new, report.gone) == (20, 25)
    assert report.changed
    assert report.same + report.gone + report.changed == len(before)
    assert report.verdicts["instagram"] == dict(Counter((row[2], row[3]) for row in wanted))


def changed(was: str | None, now: str | None) -> str:
    if was is None:
        return "new"
    if now is None:
        return "gone"
    return "" if was == now else "changed"


async def test_a_workbook(tmp_path: Path) -> None:
    old = await finished(tmp_path / "old", range(9), 1)
    new = await finished(tmp_path / "new", range(3, 12), 2)
    await diff_jobs(old.directory, new.directory, target := tmp_path / "changes.xlsx")
    await diff_jobs(old.directory, new.directory, beside := tmp_path / "changes.csv")
    book = openpyxl.load_workbook(target)
    assert book.sheetnames == ["Changes", "Summary"]
    with beside.open(newline="") as file:
        assert [[cell or "" for cell in row] for row in book["Changes"].values] == list(csv.reader(file))
    said = {row[0]: row[1] for row in book["Summary"].values if row[0]}
    assert (said["New"], said["Gone"]) == (3, 3)
    assert said["Old"] == str(old.directory)


async def test_nothing_differs(tmp_path: Path) -> None:
    """A job beside itself has no difference, nor a row."""
    case = await finished(tmp_path / "job", range(9), 1)
    report = await diff_jobs(case.directory, case.directory, target := tmp_path / "changes.xlsx")
    assert (report.new, report.gone, report.changed, report.same, report.rows) == (0, 0, 0, 9, 0)
    assert list(openpyxl.load_workbook(target)["Changes"].values)[1:] == []


async def test_what_is_no_job_and_what_is_in_the_way(tmp_path: Path, case: Case) -> None:
    assert await case.run() == ExitCode.DONE
    for old, target, why in (
        (tmp_path, None, "no ledger"),
        (case.directory, case.directory / "master.csv", "keeps something else"),
        (case.directory, tmp_path / "changes.doc", "diff writes"),
        (case.directory, tmp_path / "no" / "changes.csv", "no such directory"),
    ):
        with pytest.raises(UsageError, match=why):
            await diff_jobs(old, case.directory, target)
    assert not list(case.directory.glob(".verify-*"))


def index(folder: Path, name: str, cells: dict[int, list[str]], columns: tuple[str, ...]) -> NumberIndex:
    """Write an index by hand: each job counts its words in an order of its own."""
    numbers = sorted(cells)
    words = [tuple(dict.fromkeys(row[place] for row in cells.values())) for place in range(len(columns))]
    made = NumberIndex(folder / name, len(numbers), columns, tuple(words))
    np.array(numbers, np.int64).tofile(made.path(0))
    for place, known in enumerate(words):
        np.array([known.index(cells[number][place]) for number in numbers], np.uint32).tofile(made.path(place + 1))
    return made


@pytest.mark.parametrize("seed", range(20))
def test_ranges_of_any_length(tmp_path: Path, seed: int) -> None:
    """Where one range ends and the next begins, no number is lost, doubled, or beside another one's verdicts."""
    dice = random.Random(seed)  # noqa: S311 - jobs for a test
    sides: list[dict[int, list[str]]] = [
        {
            dice.randrange(1_000, 1_000 + dice.choice((10, 100, 1_000))): [dice.choice(WORDS), dice.choice(WORDS)]
            for _ in range(dice.choice((0, 1, 50, 200)))
        }
        for _ in range(2)
    ]
    old = index(tmp_path, "old", sides[0], ("amazon", "instagram"))
    new = index(tmp_path, "new", sides[1], ("instagram", "amazon"))
    target = tmp_path / "changes.csv"
    report = compare(old, new, target, range_rows=dice.choice((1, 2, 7, 1_000)))
    wanted = []
    for number in sorted(sides[0] | sides[1]):
        was, now = sides[0].get(number), sides[1].get(number)
        if was is None or now is None or was != now[::-1]:
            pair = (was[::-1] if was else ["", ""], now or ["", ""])
            change = "new" if was is None else "gone" if now is None else "changed"
            wanted.append([f"+{number}", change, pair[0][0], pair[1][0], pair[0][1], pair[1][1]])
    with target.open(newline="") as file:
        assert list(csv.reader(file))[1:] == wanted
    assert report.rows == len(wanted) == report.new + report.gone + report.changed
    assert report.same == len(sides[0].keys() & sides[1].keys()) - report.changed


def test_more_rows_than_a_workbook_takes(tmp_path: Path) -> None:
    """Sheets roll over; beyond the last one the workbook has the counts, and says where the rows could be had."""
    cells = {number: ["yes"] for number in range(1_000, 1_025)}
    old, new = index(tmp_path, "old", {}, ("instagram",)), index(tmp_path, "new", cells, ("instagram",))
    target = tmp_path / "changes.xlsx"
    report = compare(old, new, target, OutputFormat.XLSX, limits=BookLimits(10, 100))
    assert report.rows == 25
    assert openpyxl.load_workbook(target).sheetnames == ["Changes", "Changes 2", "Changes 3", "Summary"]
    report = compare(old, new, target, OutputFormat.XLSX, limits=BookLimits(10, 20))
    book = openpyxl.load_workbook(target)
    assert (report.rows, report.new, book.sheetnames) == (0, 25, ["Summary"])
    assert "csv" in str(book["Summary"]["A2"].value)
