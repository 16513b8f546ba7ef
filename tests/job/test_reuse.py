"""`[reuse]`: what earlier jobs know is not paid for again; every cell is the one that some job was told, and no older.

Beside the program's own words stands the vendor's record of what it charged (`tasks.jsonl`), and what it knows.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import openpyxl
import pyarrow.parquet as pq
import pytest

from orchestrator import sandbox
from orchestrator.errors import ExitCode, UsageError
from orchestrator.job.plan import plan_job
from orchestrator.job.purge import purge_job
from orchestrator.job.run import RunOptions
from orchestrator.job.verify import verify_job
from orchestrator.job.world import World
from orchestrator.jobdir.layout import chunk_path, ledger_mark, ledger_path
from orchestrator.sandbox import Options, Sandbox
from orchestrator.sandbox.verdicts import verdict as truth_of
from tests.job.conftest import CONFIG, Case

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from orchestrator.job.plan import PlanReport

DAY_S = 86_400.0
TODAY = 1_800_000_000.0


@dataclass
class Month(Case):
    """A job at some time, with a list of its own."""

    at: float = TODAY
    said_by_plan: list[str] = field(default_factory=list)

    def world(self, stderr: object = None) -> World:
        world = super().world()
        return World(lambda: self.at, world.random, world.environ, world.stdin, world.stderr)

    def rows(self, name: str = "master.csv") -> dict[str, dict[str, str]]:
        with (self.directory / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        found = {row["Number"]: row for row in rows}
        assert len(found) == len(rows)
        return found

    async def plan(self) -> PlanReport:
        return await plan_job(self.settings(), self.world())

    async def findings(self) -> tuple[str, ...]:
        return (await verify_job(self.settings(), self.world())).findings


class Vendor:
    """The vendor of several jobs, and what it has charged since one last looked."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder, self.base_url, self._seen = folder, base_url, 0

    def sent(self) -> list[tuple[str, int]]:
        """Return platform and rows of the tasks that it has made since the last call."""
        tasks = sandbox.read_tasks(self.folder)[self._seen :]
        self._seen += len(tasks)
        return [(task.platform, task.rows) for task in tasks]

    def job(self, folder: Path, numbers: range, *overrides: str, at: float = TODAY, config: str = CONFIG) -> Month:
        folder.mkdir(exist_ok=True)
        case = Month(folder, base_url=self.base_url, overrides=list(overrides), config=config, at=at)
        case.numbers(len(numbers), numbers.start)
        return case


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[Vendor]:
    async with Sandbox(tmp_path / "vendor", pace=1e6) as serving:
        yield Vendor(tmp_path / "vendor", serving.base_url)


def reusing(*jobs: Month, days: str = "30") -> tuple[str, str]:
    return f"reuse.jobs={[str(job.directory) for job in jobs]}", f"reuse.days={days}"


def known(rows: dict[str, dict[str, str]]) -> set[str]:
    return {number for number, row in rows.items() if row["instagram"] in ("yes", "no")}


async def test_a_second_month_sends_what_is_new(vendor: Vendor, tmp_path: Path) -> None:
    """Charged is what the first month had no yes or no of; each cell is what one of the two was told."""
    first = vendor.job(tmp_path / "1", range(100))
    assert await first.run() == ExitCode.DONE
    assert sum(rows for _, rows in vendor.sent()) == 100
    before = first.rows()
    second = vendor.job(tmp_path / "2", range(20, 130), *reusing(first), at=TODAY + 20 * DAY_S)
    report = await second.plan()
    taken = known(before) & {f"+{41_790_000_000 + n}" for n in range(20, 130)}
    (cost,) = report.platforms
    assert (cost.rows, cost.reused.numbers) == (110 - len(taken), len(taken))
    assert cost.saved_usd == round(len(taken) / 10_000, 9)
    assert vendor.sent() == []
    outcome = await second.outcome()
    assert outcome.exit_code == ExitCode.DONE
    assert sum(rows for _, rows in vendor.sent()) == 110 - len(taken)
    summary = outcome.summary
    assert summary["cost"] == round((110 - len(taken)) / 10_000, 9)
    reused = summary["platforms"]["instagram"]["reused"]
    assert (reused["numbers"], reused["yes"] + reused["no"], reused["asked_again"]) == (len(taken), len(taken), 0)
    assert summary["reused"]["oldest_days"] == pytest.approx(20, abs=0.01)
    assert sum(summary["platforms"]["instagram"]["verdicts"].values()) == 110
    rows = second.rows()
    assert list(rows) == [f"+{41_790_000_000 + n}" for n in range(20, 130)]
    for number, row in rows.items():
        assert row["instagram"] in {truth_of(0, "instagram", number), "unanswered"}
        if number in taken:
            assert row["instagram"] == before[number]["instagram"]
        assert row["instagram.checked_at"][:10] == (
            "" if row["instagram"] == "unanswered" else "2027-01-15" if number in taken else "2027-02-04"
        )
    assert await second.findings() == ()
    assert await second.run() == ExitCode.DONE
    assert vendor.sent() == []


async def test_the_outputs_say_what_was_reused(vendor: Vendor, tmp_path: Path) -> None:
    """The Summary sheet, and the metadata of the parquet file."""
    first = vendor.job(tmp_path / "1", range(30))
    await first.run()
    second = vendor.job(
        tmp_path / "2", range(40), *reusing(first), 'output.formats=["xlsx","parquet"]', at=TODAY + 3 * DAY_S
    )
    summary = (await second.outcome()).summary
    numbers = summary["reused"]["numbers"]
    assert numbers
    book = openpyxl.load_workbook(second.directory / "master.xlsx")
    facts = {row[0]: row[1] for row in book["Summary"].values if row[0]}
    assert (facts["Reused"], str(facts["Oldest reused"])[:10]) == (numbers, "2027-01-15")
    table = pq.read_table(second.directory / "master.parquet")
    assert table.schema.metadata[b"numbercheck.Reused"] == str(numbers).encode()
    assert table.column_names == ["Number", "instagram", "instagram.checked_at"]


async def test_a_no_ages_faster_than_a_yes(vendor: Vendor, tmp_path: Path) -> None:
    first = vendor.job(tmp_path / "1", range(60))
    await first.run()
    before = first.rows()
    second = vendor.job(tmp_path / "2", range(60), *reusing(first, days="{yes=90,no=14}"), at=TODAY + 20 * DAY_S)
    summary = (await second.outcome()).summary
    words = [row["instagram"] for row in before.values()]
    reused = summary["reused"]
    assert (reused["yes"], reused["no"]) == (words.count("yes"), 0)
    vendor.sent()
    third = vendor.job(tmp_path / "3", range(60), *reusing(first, second, days="{yes=90,no=14}"), at=TODAY + 30 * DAY_S)
    again = known(second.rows())
    summary = (await third.outcome()).summary
    assert summary["reused"]["numbers"] == len(again)
    assert (
        str(summary["reused"]["oldest"])[:10] == "2027-01-15"
    )  # a yes that the second took from the first is no younger
    assert sum(rows for _, rows in vendor.sent()) == 60 - len(again)
    assert third.rows().keys() == before.keys()


async def test_what_is_too_old_is_asked_again(vendor: Vendor, tmp_path: Path) -> None:
    first = vendor.job(tmp_path / "1", range(12))
    await first.run()
    second = vendor.job(tmp_path / "2", range(12), *reusing(first), at=TODAY + 31 * DAY_S)
    vendor.sent()
    summary = (await second.outcome()).summary
    assert "reused" not in summary
    assert sum(rows for _, rows in vendor.sent()) == 12
    # In a chain the moment stays that of the check, and does not become that of the copy.
    third = vendor.job(tmp_path / "3", range(12), *reusing(second), at=TODAY + 60 * DAY_S)
    assert (await third.outcome()).summary["reused"]["numbers"]
    fourth = vendor.job(tmp_path / "4", range(12), *reusing(third), at=TODAY + 62 * DAY_S)
    fresh = known(third.rows()) - known(second.rows())
    assert ((await fourth.outcome()).summary.get("reused") or {"numbers": 0})["numbers"] == len(fresh)


async def test_the_oldest_fill_a_file_that_would_be_too_short(vendor: Vendor, tmp_path: Path) -> None:
    config = CONFIG.replace("canary = false", "canary = false\nmin_rows = 10").replace(
        "chunk_size = 3", "chunk_size = 50"
    )
    first = vendor.job(tmp_path / "1", range(50), config=config)
    await first.run()
    later = vendor.job(tmp_path / "1b", range(40, 90), config=config, at=TODAY + DAY_S)
    await later.run()
    vendor.sent()
    both = known(first.rows()) | known(later.rows())
    numbers = sorted(both)[:80]
    second = vendor.job(tmp_path / "2", range(0), *reusing(first, later), config=config, at=TODAY + 2 * DAY_S)
    lines = [*numbers, *(f"+4179100{n:04}" for n in range(4))]
    (second.folder / "numbers.txt").write_text("\n".join(lines))
    (cost,) = (await second.plan()).platforms
    assert (cost.rows, cost.reused.asked_again, cost.reused.numbers) == (10, 6, 74)
    summary = (await second.outcome()).summary
    assert vendor.sent() == [("instagram", 10)]
    assert summary["reused"]["asked_again"] == 6
    rows = second.rows()
    assert sum(row["instagram.checked_at"][:10] == "2027-01-17" for row in rows.values()) <= 10
    oldest = [number for number in numbers if first.rows().get(number, {}).get("instagram") in ("yes", "no")]
    asked = {number for number in numbers if rows[number]["instagram.checked_at"][:10] == "2027-01-17"}
    assert asked <= set(oldest[:40])
    assert {rows[number]["instagram"] for number in numbers} <= {"yes", "no"}
    assert await second.findings() == ()


async def test_the_oldest_fill_files_that_would_not_come_out(vendor: Vendor, tmp_path: Path) -> None:
    """13 numbers are left, and a file takes 9 or 10: too many for one, too few for two."""
    limits = ["job.chunk_size=10", "platforms.instagram.min_rows=9", "platforms.instagram.max_rows=10"]
    first = vendor.job(tmp_path / "1", range(30), *limits)
    await first.run()
    vendor.sent()
    second = vendor.job(tmp_path / "2", range(0), *reusing(first), *limits)
    lines = [*sorted(known(first.rows()))[:17], *(f"+4179100{n:04}" for n in range(13))]
    (second.folder / "numbers.txt").write_text("\n".join(lines))
    (cost,) = (await second.plan()).platforms
    assert (cost.rows, cost.reused.asked_again, cost.reused.numbers) == (18, 5, 12)
    assert await second.run() == ExitCode.DONE
    assert vendor.sent() == [("instagram", 9), ("instagram", 9)]
    assert list(second.rows()) == lines
    assert await second.findings() == ()


async def test_what_came_with_an_alarm_is_asked_again(tmp_path: Path) -> None:
    """A vendor that is blocked itself says no of everybody: a month later that is not taken for an answer, and said."""
    blocked = Options(blocked_after=4)
    numbers, slow = range(400), ("job.chunk_size=40", "platforms.instagram.max_in_flight=1")
    async with Sandbox(tmp_path / "vendor", pace=1e6, options=blocked) as serving:
        first = Vendor(tmp_path / "vendor", serving.base_url).job(tmp_path / "1", numbers, *slow)
        outcome = await first.outcome()
        port = int(serving.base_url.rpartition(":")[2])
    alarms = sum("alarm: " in finding for finding in outcome.summary["findings"])
    assert (outcome.exit_code, alarms >= 3) == (ExitCode.HELD, True)
    taken = [number for number in known(first.rows("master.partial.csv")) if int(number) < 41_790_000_160]
    async with Sandbox(tmp_path / "vendor", pace=1e6, port=port) as serving:
        vendor = Vendor(tmp_path / "vendor", serving.base_url)
        vendor.sent()
        second = vendor.job(tmp_path / "2", numbers, *reusing(first), *slow, at=TODAY + DAY_S)
        report = await second.plan()
        assert report.platforms[0].reused.numbers == len(taken)
        assert any(
            f"nothing is reused of {alarms} tasks of instagram that came with an alarm, {alarms * 40} numbers" in text
            for text in report.advice
        )
        believing = vendor.job(
            tmp_path / "3", numbers, *second.overrides, "platforms.instagram.one_word=true", at=second.at
        )
        believed = await believing.plan()
        assert believed.platforms[0].reused.numbers == len(known(first.rows("master.partial.csv")))
        assert not any("alarm" in text for text in believed.advice)
        assert await second.run() == ExitCode.DONE
        assert sum(rows for _, rows in vendor.sent()) == 400 - len(taken)
    for number, row in second.rows().items():
        assert row["instagram"] in {truth_of(0, "instagram", number).lower(), "unanswered"}


async def test_what_is_of_a_time_to_come_is_not_young_for_ever(vendor: Vendor, tmp_path: Path) -> None:
    """A clock that was a year ahead: how old its verdicts are nobody knows, so they are asked again, and it is said.

    Those of another job with a right clock are taken all the same. By less than a day clocks may differ.
    """
    ahead = vendor.job(tmp_path / "1", range(12), at=TODAY + 365 * DAY_S)
    right = vendor.job(tmp_path / "2", range(6), at=TODAY - DAY_S)
    nearly = vendor.job(tmp_path / "3", range(20, 26), at=TODAY + DAY_S / 2)
    for job in (ahead, right, nearly):
        await job.run()
    vendor.sent()
    later = vendor.job(tmp_path / "4", range(30), *reusing(ahead, right, nearly))
    report = await later.plan()
    taken = known(right.rows()) | known(nearly.rows())
    assert report.platforms[0].reused.numbers == len(taken)
    (said,) = [text for text in report.advice if "still to come" in text]
    assert said.startswith(f"{ahead.directory}: ")
    assert "up to 2028-01-15" in said
    assert await later.run() == ExitCode.DONE
    assert sum(rows for _, rows in vendor.sent()) == 30 - len(taken)
    assert not any(row["instagram.checked_at"] > "2027-01-17" for row in later.rows().values())


async def test_with_all_known_nothing_is_sent(vendor: Vendor, tmp_path: Path) -> None:
    """Not even the job begins; the master is whole, and a later run, when it has aged, asks."""
    first = vendor.job(tmp_path / "1", range(30))
    await first.run()
    some = sorted(known(first.rows()))
    second = vendor.job(tmp_path / "2", range(0), *reusing(first))
    (second.folder / "numbers.txt").write_text("\n".join(some))
    vendor.sent()
    assert (await second.plan()).nothing_left
    assert await second.run() == ExitCode.DONE
    assert vendor.sent() == []
    assert {n: r["instagram"] for n, r in second.rows().items()} == {n: first.rows()[n]["instagram"] for n in some}
    assert await second.findings() == ()
    second.at += 40 * DAY_S
    assert await second.run() == ExitCode.DONE
    assert sum(rows for _, rows in vendor.sent()) == len(some)


async def test_a_trial_is_drawn_from_what_is_left(vendor: Vendor, tmp_path: Path) -> None:
    first = vendor.job(tmp_path / "1", range(40))
    await first.run()
    second = vendor.job(tmp_path / "2", range(80), *reusing(first), "job.chunk_size=8", "job.trial_rows=5")
    left = 80 - len(known(first.rows()))
    vendor.sent()
    outcome = await second.outcome(RunOptions(trial=True))
    assert (outcome.exit_code, vendor.sent()) == (ExitCode.DONE, [("instagram", 5)])
    trial = outcome.summary["trial"]
    assert (trial["read"], trial["platforms"]["instagram"]["rest_numbers"]) == (True, left - 5)
    assert await second.run() == ExitCode.DONE
    assert sum(rows for _, rows in vendor.sent()) == left - 5
    assert list(second.rows()) == [f"+{41_790_000_000 + n}" for n in range(80)]
    assert await second.findings() == ()
    for path in sorted(chunk_path(second.directory, 1).parent.iterdir()):
        path.unlink()
    assert await second.run() == ExitCode.DONE
    assert (await second.findings(), vendor.sent()) == ((), [])


@pytest.mark.parametrize("first_new", [80, -4])
async def test_a_longer_list_is_looked_up_too(vendor: Vendor, tmp_path: Path, first_new: int) -> None:
    first = vendor.job(tmp_path / "1", range(-4, 100))
    await first.run()
    second = vendor.job(tmp_path / "2", range(80), *reusing(first), "job.trial_rows=5", "job.chunk_size=8")
    await second.run()
    vendor.sent()
    before = known(first.rows())
    numbers = range(80, 90) if first_new == 80 else range(-4, 0)
    second.numbers(80 + len(numbers), min(0, first_new))
    assert await second.run(RunOptions(extend=True)) == ExitCode.DONE
    new = {f"+{41_790_000_000 + n}" for n in numbers}
    assert sum(rows for _, rows in vendor.sent()) == len(new - before)
    rows = second.rows()
    assert {n: rows[n]["instagram"] for n in new & before} == {n: first.rows()[n]["instagram"] for n in new & before}
    assert await second.findings() == ()


async def test_a_platform_that_joins_is_looked_up_too(vendor: Vendor, tmp_path: Path) -> None:
    two = CONFIG.replace("[polling]", "[platforms.tiktok]\nprice_per_10000 = 1.0\ncanary = false\n[polling]")
    first = vendor.job(tmp_path / "1", range(30), config=two)
    await first.run()
    second = vendor.job(tmp_path / "2", range(30), *reusing(first, days="{yes=1,no=1}"))
    await second.run()
    vendor.sent()
    second.config = two
    assert await second.run() == ExitCode.DONE
    words = [row["tiktok"] for row in first.rows().values()]
    assert vendor.sent() == [("tiktok", rows) for rows in left(words, 3)]
    assert await second.findings() == ()


def left(words: list[str], chunk_size: int) -> list[int]:
    rest = sum(word not in ("yes", "no") for word in words)
    return [chunk_size] * (rest // chunk_size) + [rest % chunk_size] * (rest % chunk_size > 0)


async def test_only_the_same_question_is_an_answer(vendor: Vendor, tmp_path: Path) -> None:
    """Not another vendor's, nor one read of another column; a platform under another name is the same."""
    first = vendor.job(tmp_path / "1", range(12), config=CONFIG.replace("[platforms.instagram]", RENAMED))
    await first.run()
    vendor.sent()
    same = vendor.job(tmp_path / "2", range(12), *reusing(first))
    (cost,) = (await same.plan()).platforms
    assert cost.reused.numbers == sum(row["ig"] in ("yes", "no") for row in first.rows().values())
    other = vendor.job(tmp_path / "3", range(12), *reusing(first), 'platforms.instagram.result_columns=["alive"]')
    (cost,) = (await other.plan()).platforms
    assert cost.reused.numbers == 0
    made_up = vendor.job(tmp_path / "4", range(12), *reusing(first), 'vendors.main.base_url="sandbox"')
    report = await made_up.plan()
    assert report.platforms[0].reused.numbers == 0
    assert any("asked for none of instagram" in text for text in report.advice)


RENAMED = """[platforms.ig]
style = "simple"
path = "/ins/api/simple/tasks"
price_per_10000 = 1.0
result_columns = ["instagram"]"""


async def test_jobs_that_say_nothing(vendor: Vendor, tmp_path: Path) -> None:
    """A glob may match none; a name must be one. A purged job is told, and passed over; so is the job itself."""
    first = vendor.job(tmp_path / "1", range(6))
    await first.run()
    second = vendor.job(tmp_path / "2", range(6), f'reuse.jobs=["{tmp_path}/none-*", "{tmp_path}/*/out"]')
    assert (await second.plan()).platforms[0].reused.numbers == len(known(first.rows()))
    assert (await second.plan()).platforms[0].reused.numbers == len(known(first.rows()))
    await purge_job(first.settings(), first.world(), yes=True)
    report = await second.plan()
    assert report.platforms[0].reused.numbers == 0
    assert any("it was purged" in text for text in report.advice)
    second.overrides = [f'reuse.jobs=["{tmp_path}/none"]']
    with pytest.raises(UsageError, match="there is no job"):
        await second.plan()
    damaged = ledger_path(tmp_path / "damaged")
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no database at all, and longer than the head of one" * 100)
    second.overrides = [f'reuse.jobs=["{tmp_path}/damaged"]']
    with pytest.raises(UsageError, match=r"is one of \[reuse\] jobs"):
        await second.plan()
    second.overrides = []
    assert (await second.plan()).platforms[0].reused.numbers == 0


async def test_a_job_is_named_by_its_configuration_file_too(vendor: Vendor, tmp_path: Path) -> None:
    """A glob for directories does not take a configuration file for a job; one whose ledger is elsewhere is told."""
    first = vendor.job(tmp_path / "1", range(6))
    await first.run()
    for named, taken in (("1/config.toml", True), ("*/config.toml", True), ("1/*", True), ("1/conf*", False)):
        second = vendor.job(tmp_path / "2", range(6), f'reuse.jobs=["{tmp_path}/{named}"]')
        assert (await second.plan()).platforms[0].reused.numbers == (len(known(first.rows())) if taken else 0), named
    (mark := ledger_mark(first.directory)).write_text("a job's name")
    ledger_path(first.directory).rename(tmp_path / "away")
    second.overrides = [f'reuse.jobs=["{first.directory}"]']
    with pytest.raises(UsageError, match="is in a database; name its configuration file instead"):
        await second.plan()
    mark.unlink()


async def test_a_plan_is_made_anew_until_the_first_release(vendor: Vendor, tmp_path: Path) -> None:
    """What an earlier plan took, and its chunk files, are gone when the next takes less; later it stays."""
    first = vendor.job(tmp_path / "1", range(30))
    await first.run()
    second = vendor.job(tmp_path / "2", range(40), *reusing(first))
    assert (await second.plan()).platforms[0].reused.numbers
    second.overrides = []
    (cost,) = (await second.plan()).platforms
    assert (cost.rows, cost.reused.numbers) == (40, 0)
    second.overrides = list(reusing(first))
    vendor.sent()
    assert await second.run() == ExitCode.DONE
    paid = vendor.sent()
    second.overrides = []
    assert await second.run() == ExitCode.DONE
    assert vendor.sent() == []
    assert sum(rows for _, rows in paid) == 40 - len(known(first.rows()))


@pytest.mark.parametrize("seed", range(3))
async def test_random_months(vendor: Vendor, tmp_path: Path, seed: int) -> None:
    """Whatever lists and ages: charged is what is not known young enough, and every cell is what the last one said.

    What is known is kept here with a dictionary, out of the masters alone.
    """
    dice = random.Random(seed)  # noqa: S311 - a list
    book: dict[str, tuple[str, float]] = {}
    jobs: list[Month] = []
    now = TODAY
    for month in range(4):
        now += dice.uniform(1, 25) * DAY_S
        start = dice.randrange(60)
        numbers = range(start, start + dice.randrange(1, 80))
        trial, size = dice.choice([0, 0, 4]), dice.randrange(1, 12)
        job = vendor.job(
            tmp_path / str(month),
            numbers,
            *reusing(*jobs, days="{yes=40,no=15}"),
            f"job.chunk_size={size}",
            f"job.trial_rows={trial}",
            at=now,
        )
        lines = [f"+{41_790_000_000 + n}" for n in numbers]
        dice.shuffle(lines)
        (job.folder / "numbers.txt").write_text("\n".join(lines))
        ages = {"yes": 40 * DAY_S, "no": 15 * DAY_S}
        taken = {n: book[n][0] for n in lines if n in book and now - book[n][1] <= ages[book[n][0]]}
        vendor.sent()
        assert await job.run() == ExitCode.DONE
        assert sum(rows for _, rows in vendor.sent()) == len(lines) - len(taken)
        rows = job.rows()
        assert list(rows) == lines
        assert {n: rows[n]["instagram"] for n in taken} == taken
        book |= {n: (rows[n]["instagram"], now) for n in known(rows) - taken.keys()}
        assert await job.findings() == ()
        jobs.append(job)
