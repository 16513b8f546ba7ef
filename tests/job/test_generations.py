"""A job that changes: a longer list, a further platform, a retry; then it is verified and purged."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import random
import sqlite3
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator import api, sandbox
from orchestrator.config import load
from orchestrator.errors import ChangedError, ExitCode, StorageError, UsageError
from orchestrator.job import ledger_plan
from orchestrator.job.merge import merge_job
from orchestrator.job.plan import plan_job
from orchestrator.job.purge import purge_job
from orchestrator.job.retry import retry_job
from orchestrator.job.run import RunOptions, run_job
from orchestrator.job.verify import verify_job
from orchestrator.job.world import World, real_world
from orchestrator.ledger import ledger_path
from orchestrator.ledger.plan_tables import PlanTables
from orchestrator.report.pipeline import outputs
from orchestrator.report.printed import summary_text
from orchestrator.settings import Settings

FIRST = 41_760_000_000
CONFIG = """
[job]
inputs = ["numbers.txt"]
directory = "out"
chunk_size = 100
[vendors.main]
base_url = "sandbox"
requests_per_second = inf
[platforms.instagram]
requests_per_second = inf
canary = false
[polling]
min_interval_s = 0.05
max_interval_s = 0.2
[backoff]
base_delay_s = 0.01
max_delay_s = 0.1
[output]
formats = ["csv", "xlsx"]
[workers]
count = 1
[sandbox]
seed = 3
pace = 1_000_000.0
"""
AMAZON = "[platforms.amazon]\nrequests_per_second = inf\ncanary = false\n"


class Change:
    """A job in a folder, its list and its config as they change from call to call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock_s = 1_800_000_000.0
        self.more = ""
        self.overrides: list[str] = []

    @property
    def directory(self) -> Path:
        return self.folder / "out"

    def numbers(self, *rows: range) -> None:
        lines = [f"+{FIRST + row}\n" for part in rows for row in part]
        (self.folder / "numbers.txt").write_text("".join(lines))

    def settings(self) -> Settings:
        (self.folder / "config.toml").write_text(CONFIG + self.more)
        return load(self.folder / "config.toml", self.overrides)

    def world(self) -> World:
        self.clock_s += 100.0
        return World(lambda: self.clock_s, random.Random(1), {}, None, io.StringIO())  # noqa: S311 - test data

    async def run(self, *, extend: bool = False) -> int:
        return int((await run_job(self.settings(), RunOptions(extend=extend), real_world())).exit_code)

    def master(self) -> dict[str, list[str]]:
        with (self.directory / "master.csv").open(newline="") as file:
            _, *rows = csv.reader(file)
        return {number: cells for number, *cells in rows}

    def charged(self) -> list[int]:
        return [task.rows for task in sandbox.read_tasks(self.directory / "sandbox")]


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """Give a job of a list of 250 numbers."""
    made = Change(tmp_path)
    made.numbers(range(250))
    return made


def right(platform: str, row: int) -> str:
    return sandbox.verdict(3, platform, f"+{FIRST + row}").lower()


async def test_a_longer_list_sends_only_what_is_new(change: Change) -> None:
    """Known numbers keep chunk and verdict wherever they stand in the longer list; new ones come behind them."""
    assert await change.run() == 0
    before = change.master()
    change.numbers(range(300, 330), range(250), range(400, 405))
    assert await change.run() == 2
    assert await change.run(extend=True) == 0
    after = change.master()
    assert list(after) == [*before, *(f"+{FIRST + row}" for row in (*range(300, 330), *range(400, 405)))]
    assert {number: after[number] for number in before} == before
    assert all(after[f"+{FIRST + row}"] == [right("instagram", row)] for row in range(300, 330))
    assert sorted(change.charged(), reverse=True) == [100, 100, 50, 35]
    assert await change.run() == 0
    assert await change.run(extend=True) == 0
    assert sorted(change.charged(), reverse=True) == [100, 100, 50, 35]


async def test_a_list_that_lost_numbers_is_no_longer_list(change: Change) -> None:
    """It is refused, and nothing of the job changes."""
    assert await change.run() == 0
    files = {path: path.read_bytes() for path in change.directory.rglob("*.csv")}
    change.numbers(range(1, 260))
    outcome = await run_job(change.settings(), RunOptions(extend=True), real_world())
    assert outcome.exit_code is ExitCode.USAGE
    assert "lacks 1 numbers" in outcome.summary["reason"]
    assert {path: path.read_bytes() for path in change.directory.rglob("*.csv")} == files


async def test_a_platform_joins_and_leaves(change: Change) -> None:
    """Only the new platform is sent; a removed one's column goes, its data stays, and it costs nothing to come back."""
    assert await change.run() == 0
    change.more = AMAZON.replace("canary", 'when_too_small = "skip"\ncanary')
    assert await change.run() == 0
    assert [task.type for task in sandbox.read_tasks(change.directory / "sandbox")] == ["ins"] * 3 + ["amazon"] * 2
    assert change.master()[f"+{FIRST}"] == [right("instagram", 0), right("amazon", 0)]
    assert change.master()[f"+{FIRST + 249}"] == [right("instagram", 249), "skipped"]
    change.more = ""
    assert await change.run() == 0
    assert change.master()[f"+{FIRST}"] == [right("instagram", 0)]
    assert len(change.charged()) == 5


async def test_a_platform_that_comes_back_to_a_longer_list(change: Change) -> None:
    """What came while it was away is pending, and the master partial, until the next run plans and sends it."""
    change.more = AMAZON
    assert await change.run() == 0
    change.more = ""
    change.numbers(range(450))
    assert await change.run(extend=True) == 0
    change.more = AMAZON
    report = await merge_job(change.settings(), change.world())
    assert report.pending == 200
    assert (change.directory / "master.partial.csv").exists()
    assert await change.run() == 0
    assert not (change.directory / "master.partial.csv").exists()
    assert change.master() == {f"+{FIRST + n}": [right("instagram", n), right("amazon", n)] for n in range(450)}


async def test_a_retry_asks_only_for_what_is_lacking(change: Change) -> None:
    """Unanswered numbers form a further generation; the next run sends it, and its verdicts take their cells."""
    change.overrides = ['sandbox.faults=["missing_rows"]']
    change.numbers(range(2_000))
    assert await change.run() == 0
    lacking = {number for number, cells in change.master().items() if cells == ["unanswered"]}
    report = await retry_job(change.settings(), change.world())
    assert (report.numbers, report.exit_code) == ({"instagram": len(lacking)}, ExitCode.DONE)
    assert [cost.rows for cost in report.platforms] == [len(lacking)]
    assert len(change.charged()) == 20
    again = await retry_job(change.settings(), change.world())
    assert again.numbers == {"instagram": 0}
    change.overrides = []
    assert await change.run() == 0
    assert change.charged()[20:] == [len(lacking)]
    assert change.master() == {f"+{FIRST + row}": [right("instagram", row)] for row in range(2_000)}


async def test_a_retry_leaves_out_what_is_excluded_by_now(change: Change) -> None:
    """What a list of `exclude` has come to hold is not asked about again; a run says how much of it was planned."""
    change.overrides = ['sandbox.faults=["missing_rows"]']
    change.numbers(range(2_000))
    assert await change.run() == 0
    lacking = [number for number, cells in change.master().items() if cells == ["unanswered"]]
    (change.folder / "dnc.txt").write_text("\n".join(lacking[1:]))
    change.overrides.append('job.exclude=["dnc.txt"]')
    assert await change.run() == 0
    assert (await retry_job(change.settings(), change.world())).numbers == {"instagram": 1}
    said = [json.loads(line) for line in (change.directory / "run.jsonl").read_text().splitlines()]
    counts = [line["numbers"] for line in said if line["event"] == "numbers_excluded_by_now"]
    assert counts == [len(lacking) - 1] * 2
    assert len(lacking) > 1


async def test_a_retry_below_the_minimum_is_left_out(change: Change) -> None:
    """A platform that takes no file that small is named; nothing is planned there."""
    change.overrides = ['sandbox.faults=["missing_rows"]']
    change.more = AMAZON
    change.numbers(range(2_000))
    assert await change.run() == 0
    report = await retry_job(change.settings(), change.world())
    assert report.exit_code is ExitCode.SOME_FAILED
    assert [finding.split(":")[0] for finding in report.findings] == ["amazon"]


async def test_nothing_to_retry_before_the_first_run(change: Change) -> None:
    """A job that sent nothing has nothing to retry."""
    await plan_job(change.settings(), change.world())
    with pytest.raises(UsageError, match="nothing was sent yet"):
        await retry_job(change.settings(), change.world())


async def test_lost_chunk_files_of_every_generation_come_back(change: Change) -> None:
    """Those of the list out of the list, those of a retry out of these."""
    change.overrides = ['sandbox.faults=["missing_rows"]']
    change.numbers(range(2_000))
    assert await change.run() == 0
    await retry_job(change.settings(), change.world())
    for path in (change.directory / "chunks").glob("*.txt"):
        path.unlink()
    assert await change.run() == 0
    assert (await verify_job(change.settings(), change.world())).findings == ()


async def test_a_whole_job_is_verified(change: Change) -> None:
    """After an extension, a further platform and a retry everything that is there is compared, and found right."""
    change.overrides = ['sandbox.faults=["missing_rows"]']
    assert await change.run() == 0
    change.numbers(range(600))
    change.more = AMAZON.replace("canary", 'when_too_small = "skip"\ncanary')
    assert await change.run(extend=True) == 0
    await retry_job(change.settings(), change.world())
    assert await change.run() == 0
    report = await verify_job(change.settings(), change.world())
    assert report.findings == ()
    assert report.right["master rows"] == 600
    assert report.right["verdict files"] == report.right["result files"] == len(change.charged())


@pytest.mark.parametrize("altered", [False, True])
async def test_a_workbook_that_was_packed_by_another_compressor(change: Change, *, altered: bool) -> None:
    """What is in it counts, not how well it is packed; and a member with other content is found."""
    change.overrides = ['output.formats=["xlsx"]']
    assert await change.run() == 0
    path = change.directory / "master.xlsx"
    with zipfile.ZipFile(path) as packed:
        members = [(name, packed.read(name)) for name in packed.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, content in members:
            packed.writestr(name, content + b" " * (altered and name.endswith("sheet1.xml")))
    summary = change.directory / "summary.json"
    content = json.loads(summary.read_text())
    content["master"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    summary.write_text(json.dumps(content))
    report = await verify_job(change.settings(), change.world())
    assert report.findings == ((f"{path}: not what chunks and verdicts give",) if altered else ())


async def test_a_workbook_that_is_no_zip_any_more(change: Change) -> None:
    """Also where the summary was altered with it, and a zip seems to end in it."""
    change.overrides = ['output.formats=["xlsx"]']
    assert await change.run() == 0
    path, summary = change.directory / "master.xlsx", change.directory / "summary.json"
    path.write_bytes(bytes(60) + b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, 46, 0, 0))
    content = json.loads(summary.read_text())
    content["master"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    summary.write_text(json.dumps(content))
    report = await verify_job(change.settings(), change.world())
    assert report.findings == (f"{path}: not what chunks and verdicts give",)


def told(change: Change) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((change.directory / "summary.json").read_text())
    return content


async def test_a_run_that_writes_no_master_forgets_none(change: Change) -> None:
    """What was refused leaves it as it was, and verify compares it still; behind what was sent since, it is older."""
    change.overrides = ['sandbox.faults=["missing_rows"]', "output.enrich=true"]
    assert await change.run() == 0
    before = told(change)
    change.overrides.append("job.chunk_size=50")
    for _ in range(2):  # told on from run to run
        assert await change.run() == 2
        after = told(change)
        names = ("master", "master_made_of", "enriched", "calling_codes")
        assert {name: after[name] for name in names} == {name: before[name] for name in names}
        assert after["master_of_earlier_run"]
    assert (await api.job_status(change.settings()))["master"] == before["master"]
    assert f"an earlier run wrote {change.directory / 'master.csv'}, 250 numbers" in summary_text(
        after, change.directory
    )
    assert [outputs(its, change.directory)["sheets"].count("\n") for its in (before, after)] == [2, 0]
    assert outputs(after, change.directory)["master"] == ""
    change.overrides.pop()
    report = await verify_job(change.settings(), change.world())
    assert (report.findings, report.not_compared, report.right["master rows"]) == ((), (), 250)

    await retry_job(change.settings(), change.world())
    assert (await run_job(change.settings(), RunOptions(submit_only=True), change.world())).exit_code == 75
    assert told(change)["master"] == before["master"]
    report = await verify_job(change.settings(), change.world())
    assert ["a retry or other platforms came after it" in said for said in report.not_compared] == [True]
    await merge_job(change.settings(), change.world())
    assert "master_of_earlier_run" not in told(change)


@pytest.mark.parametrize("lost", ["the master", "the summary", "what it says"])
async def test_a_master_that_is_lost_is_not_told_of(change: Change, lost: str) -> None:
    """Neither one that lies there no more, nor one of which nothing can be read."""
    assert await change.run() == 0
    summary = change.directory / "summary.json"
    match lost:
        case "the master":
            for name in ("master.csv", "master.xlsx"):
                (change.directory / name).unlink()
        case "the summary":
            summary.write_text("{")
        case _:
            content = told(change)
            content["master"][0]["rows"] = "many"
            summary.write_text(json.dumps(content))
    change.overrides = ["job.chunk_size=50"]
    assert await change.run() == 2
    assert told(change)["master"] == []
    change.overrides = []
    report = await verify_job(change.settings(), change.world())
    assert report.not_compared == ("the master: none is written yet",)


async def test_an_older_master_is_not_a_wrong_one(change: Change) -> None:
    """What was planned since is no finding, but said; what merge writes is compared again, and found when altered."""
    change.overrides = ['sandbox.faults=["missing_rows"]']
    assert await change.run() == 0
    await retry_job(change.settings(), change.world())
    report = await verify_job(change.settings(), change.world())
    assert report.findings == ()
    assert "master rows" not in report.right
    assert ["a retry or other platforms came after it" in said for said in report.not_compared] == [True]
    await merge_job(change.settings(), change.world())
    report = await verify_job(change.settings(), change.world())
    assert (report.findings, report.not_compared) == ((), ())
    assert report.right["master rows"] == 250
    change.more = AMAZON
    report = await verify_job(change.settings(), change.world())
    assert (report.findings, len(report.not_compared)) == ((), 1)
    with (change.directory / "master.partial.csv").open("ab") as file:
        file.write(b"+41760009999,yes\r\n")
    report = await verify_job(change.settings(), change.world())
    assert ["master.partial.csv" in finding for finding in report.findings] == [True]
    assert report.not_compared == ("the master with chunks and verdicts: the findings come first",)


async def test_what_is_not_there_to_be_compared_is_said(change: Change) -> None:
    """A list from standard input and a master that is not written yet are no findings, and not found right either."""
    change.overrides = ['job.inputs=["-"]']
    world = dataclasses.replace(change.world(), stdin=io.BytesIO(f"+{FIRST}\n+{FIRST + 1}\n".encode()))
    outcome = await run_job(change.settings(), RunOptions(submit_only=True), world)
    assert outcome.exit_code == ExitCode.AGAIN
    report = await verify_job(change.settings(), change.world())
    assert (report.findings, report.exit_code) == ((), ExitCode.DONE)
    assert [said.partition(":")[0] for said in report.not_compared] == ["the list", "the master"]


async def test_a_platform_that_joined_is_planned_before_a_retry(change: Change) -> None:
    """A retry says what is missing, as merge does."""
    assert await change.run() == 0
    change.more = AMAZON
    for command in (retry_job, merge_job):
        with pytest.raises(UsageError, match="amazon: nothing is planned yet; see orchestrator plan"):
            await command(change.settings(), change.world())


@pytest.mark.parametrize(
    "path",
    [
        "chunks/000002.txt",
        "rejected.csv",
        "duplicates.csv",
        "verdicts/instagram/000001.bin",
        "results/instagram/000003.xlsx",
        "master.csv",
        "master.xlsx",
        "../numbers.txt",
    ],
)
async def test_what_was_altered_is_found(change: Change, path: str) -> None:
    """One more line anywhere, and verify names the file."""
    assert await change.run() == 0
    altered = (change.directory / path).resolve()
    with altered.open("ab") as file:
        file.write(b"+41760009999,x,y,z\r\n")
    report = await verify_job(change.settings(), change.world())
    assert report.exit_code is ExitCode.SOME_FAILED
    assert altered.name in report.findings[0] or "the list is not the one" in report.findings[0]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        *(("rejected.csv", content) for content in (b"\xff\xfe", b'1,"x"y"\r\n', b'1,"' + b"x" * 200_000)),
        ("duplicates.csv", b"\x80\r\n"),
        *(("summary.json", content) for content in (b"[]", b'{"master": null}', b"[" * 50_000)),
        ("summary.json", b'{"master": [{"path": "a\\u0000", "sha256": ""}]}'),
    ],
)
async def test_what_can_no_longer_be_read_is_found(change: Change, path: str, content: bytes) -> None:
    """Whatever stands in the place of a file of ours is a finding that names it."""
    assert await change.run() == 0
    (change.directory / path).write_bytes(content)
    report = await verify_job(change.settings(), change.world())
    assert [f"{change.directory / path}: can't be read" in finding for finding in report.findings] == [True]


@pytest.mark.parametrize("lost", ["DELETE FROM chunks", "DELETE FROM chunks WHERE chunk = 2"])
async def test_a_ledger_that_lost_chunks_gives_no_master(change: Change, lost: str) -> None:
    """A master of what is left would look whole; `verify` says what is missing."""
    assert await change.run() == 0
    with closing(sqlite3.connect(ledger_path(change.directory), isolation_level=None)) as ledger:
        ledger.execute(lost)
    outcome = await run_job(change.settings(), RunOptions(), change.world())
    assert outcome.exit_code is ExitCode.STORAGE
    assert "numbers, the list 250; restore the job's directory" in outcome.summary["reason"]
    for command in (merge_job, retry_job):
        with pytest.raises(StorageError, match="the list 250; restore"):
            await command(change.settings(), change.world())
    assert not list(change.directory.glob("master.partial*"))
    assert (await verify_job(change.settings(), change.world())).exit_code is ExitCode.SOME_FAILED


async def test_a_purged_job_is_closed(change: Change) -> None:
    """Nothing that holds numbers is left; the ledger is, and no later run pays again."""
    assert await change.run() == 0
    look = await purge_job(change.settings(), change.world(), yes=False)
    assert not look.done
    assert look.files > 0
    assert (change.directory / "master.csv").exists()
    done = await purge_job(change.settings(), change.world(), yes=True)
    assert done.paths == look.paths
    assert any("numbers.txt" in sentence for sentence in done.out_of_reach)
    left = [path for path in change.directory.rglob("*") if path.is_file()]
    assert not any(str(FIRST)[:7].encode() in path.read_bytes() for path in left)
    for call in (
        run_job(change.settings(), RunOptions(), real_world()),
        plan_job(change.settings(), change.world()),
    ):
        with pytest.raises(UsageError, match="was purged"):
            await call
    assert (await purge_job(change.settings(), change.world(), yes=True)).paths == ()


async def test_a_changed_list_names_the_ways_out(change: Change) -> None:
    """A begun job refuses another list, and its message says what may be done."""
    assert await change.run() == 0
    change.numbers(range(251))
    outcome = await run_job(change.settings(), RunOptions(), real_world())
    assert outcome.exit_code is ExitCode.USAGE
    assert "--extend" in outcome.summary["reason"]
    assert issubclass(ChangedError, UsageError)


def table(folder: Path, rows: Iterable[int]) -> None:
    lines = ["name,phone,city", *(f'"Name, {row}",+{FIRST + row},Zürich' for row in rows)]
    (folder / "crm.csv").write_text("\n".join(lines))


async def test_kept_columns_come_back_behind_the_verdicts(change: Change) -> None:
    """From the first table on through an extension, and after their files were lost."""
    change.overrides = ['job.inputs=["crm.csv"]', "output.keep_columns=true"]
    table(change.folder, range(150))
    assert await change.run() == 0
    table(change.folder, range(170))
    assert await change.run(extend=True) == 0
    expected = {f"+{FIRST + row}": [right("instagram", row), f"Name, {row}", "Zürich"] for row in range(170)}
    assert change.master() == expected
    assert (await verify_job(change.settings(), change.world())).findings == ()
    for path in (change.directory / "chunks").glob("*.columns.csv"):
        path.unlink()
    assert await change.run() == 0
    assert change.master() == expected


async def test_columns_may_be_kept_later(change: Change) -> None:
    """A begun job takes them out of its list, by run or merge; without the list, it says what may be done."""
    change.overrides = ['job.inputs=["crm.csv"]']
    table(change.folder, range(150))
    assert await change.run() == 0
    change.overrides[1:] = ['output.keep_columns=["city"]']
    assert await change.run() == 0
    assert change.master()[f"+{FIRST}"] == [right("instagram", 0), "Zürich"]
    assert (await verify_job(change.settings(), change.world())).findings == ()
    change.overrides[1:] = ["output.keep_columns=true"]
    await merge_job(change.settings(), change.world())
    assert change.master()[f"+{FIRST}"] == [right("instagram", 0), "Name, 0", "Zürich"]
    (change.folder / "crm.csv").rename(change.folder / "elsewhere")
    change.overrides[1:] = ['output.keep_columns=["city"]']
    with pytest.raises(UsageError, match="put it back as it was, or set keep_columns to what it was, or to false"):
        await merge_job(change.settings(), change.world())
    for keep, cells in (("true", ["Name, 0", "Zürich"]), ("false", [])):
        change.overrides[1:] = [f"output.keep_columns={keep}"]
        assert await change.run() == 0
        assert change.master()[f"+{FIRST}"] == [right("instagram", 0), *cells]


@pytest.mark.parametrize("altered", [False, True])
async def test_lost_columns_without_the_list(change: Change, *, altered: bool) -> None:
    """What was paid for still comes out: the message names the setting that does without them, and the list."""
    change.overrides = ['job.inputs=["crm.csv"]', "output.keep_columns=true"]
    table(change.folder, range(150))
    assert await change.run() == 0
    lost = change.directory / "chunks" / "000002.columns.csv"
    if altered:
        lost.write_bytes(lost.read_bytes().replace(b"Name, 149", b"Name, 148"))
    else:
        lost.unlink()
    listed = (change.folder / "crm.csv").rename(change.folder / "elsewhere")
    for command in (merge_job(change.settings(), change.world()), change.run()):
        try:
            assert await command == (ExitCode.STORAGE if altered else ExitCode.USAGE)
        except (UsageError, StorageError) as error:
            assert f"{lost}: " in str(error)  # noqa: PT017 - a run ends, a merge raises
            assert "keep_columns = false" in str(error)  # noqa: PT017
    change.overrides[1:] = ["output.keep_columns=false"]
    assert await change.run() == 0
    assert change.master()[f"+{FIRST}"] == [right("instagram", 0)]
    listed.rename(change.folder / "crm.csv")
    change.overrides[1:] = ["output.keep_columns=true"]
    lost.unlink(missing_ok=True)
    await merge_job(change.settings(), change.world())
    assert change.master()[f"+{FIRST + 149}"] == [right("instagram", 149), "Name, 149", "Zürich"]


@pytest.mark.parametrize("lost", ["000001", "000004", "*"])
@pytest.mark.parametrize("longer", ["in front", "between", "another order"])
async def test_lost_chunk_files_of_a_longer_list(change: Change, longer: str, lost: str) -> None:
    """They come back out of the longer list, wherever in it the numbers stand that came later."""
    change.overrides = ['job.inputs=["crm.csv"]', "output.keep_columns=true"]
    table(change.folder, range(250))
    assert await change.run() == 0
    more = {
        "in front": [*range(300, 330), *range(250)],
        "between": [row for pair in zip(range(250), range(300, 550), strict=True) for row in pair],
        "another order": [*range(299, -1, -1)],
    }[longer]
    table(change.folder, more)
    assert await change.run(extend=True) == 0
    after = change.master()
    for path in (change.directory / "chunks").glob(f"{lost}.*"):
        path.unlink()
    assert await change.run() == 0
    assert change.master() == after
    assert after[f"+{FIRST + 299 + (longer != 'another order')}"][1:] == [
        f"Name, {299 + (longer != 'another order')}",
        "Zürich",
    ]
    assert (await verify_job(change.settings(), change.world())).findings == ()


async def test_lost_rows_of_a_retry(change: Change) -> None:
    """They come back out of the ledger, and with them the chunk file, even where all of the folder is lost."""
    change.overrides = ['sandbox.faults=["missing_rows"]']
    change.numbers(range(2_000))
    assert await change.run() == 0
    await retry_job(change.settings(), change.world())
    for path in (change.directory / "chunks").iterdir():
        path.unlink()
    change.overrides = []
    assert await change.run() == 0
    assert change.master() == {f"+{FIRST + row}": [right("instagram", row)] for row in range(2_000)}
    (rows,) = (change.directory / "chunks").glob("*.rows")
    content = rows.read_bytes()
    rows.write_bytes(content[8:])
    assert await change.run() == 0
    assert rows.read_bytes() == content


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("after_the_commit", [False, True])
async def test_an_extension_that_was_cut_off(
    change: Change, monkeypatch: pytest.MonkeyPatch, *, after_the_commit: bool
) -> None:
    """The tables beside the chunks are those of the list that the ledger has, whenever the run was killed."""
    (change.folder / "numbers.txt").write_text(f"+{FIRST}\n+{FIRST}\n+{FIRST + 1}\n")
    change.overrides = ["job.max_rejected=1"]
    assert await change.run() == 0
    names = ("rejected.csv", "duplicates.csv")
    before = [(change.directory / name).read_bytes() for name in names]
    longer = f"x\n+{FIRST}\n+{FIRST}\n+{FIRST + 1}\n+{FIRST + 1}\n+{FIRST + 2}\n"
    (change.folder / "numbers.txt").write_text(longer)
    with monkeypatch.context() as patch:
        extend_plan = PlanTables.extend

        def killed(plan: PlanTables, *args: Any, **options: Any) -> None:
            if after_the_commit:
                extend_plan(plan, *args, **options)
            else:
                raise Killed

        async def cut_off(*_: object, **__: object) -> None:
            raise Killed

        patch.setattr(PlanTables, "extend", killed)
        patch.setattr(ledger_plan, "restore", cut_off)
        with pytest.raises(Killed):
            await change.run(extend=True)
    assert [(change.directory / name).read_bytes() for name in names] == before
    if not after_the_commit:
        (change.folder / "numbers.txt").write_text(f"+{FIRST}\n+{FIRST}\n+{FIRST + 1}\n")
    assert await change.run() == 0
    rejected, duplicates = [len((change.directory / name).read_bytes().splitlines()) - 1 for name in names]
    assert (rejected, duplicates) == ((1, 2) if after_the_commit else (0, 1))
    assert (await verify_job(change.settings(), change.world())).findings == ()
    assert not (change.directory / ".extending").exists()


@pytest.mark.parametrize("altered", [False, True])
@pytest.mark.parametrize("name", ["rejected.csv", "duplicates.csv"])
async def test_lost_tables_beside_the_chunks(change: Change, name: str, *, altered: bool) -> None:
    """They are made anew from the list, while it is there; without it the run goes on, and verify says so."""
    (change.folder / "numbers.txt").write_text(f"x\n+{FIRST}\n+{FIRST}\n+{FIRST + 1}\n")
    assert await change.run() == 0
    path = change.directory / name
    content = path.read_bytes()
    path.unlink()
    if altered:
        path.write_bytes(content.replace(b"1", b"2"))
    listed = (change.folder / "numbers.txt").rename(change.folder / "elsewhere")
    assert await change.run() == 0
    report = await verify_job(change.settings(), change.world())
    assert [f"{path}: " in finding for finding in report.findings] == [False, True]
    listed.rename(change.folder / "numbers.txt")
    assert await change.run() == 0
    assert path.read_bytes() == content
    assert (await verify_job(change.settings(), change.world())).findings == ()


async def test_more_columns_than_a_sheet_takes(change: Change) -> None:
    """Nothing is sent; without the workbook the job goes on."""
    change.overrides = ['job.inputs=["wide.csv"]', "output.keep_columns=true"]
    (change.folder / "wide.csv").write_text(f"phone{',a' * 16_400}\n+{FIRST},x\n")
    outcome = await run_job(change.settings(), RunOptions(), real_world())
    assert outcome.exit_code is ExitCode.USAGE
    assert 'leave "xlsx" out of [output] formats' in outcome.summary["reason"]
    with pytest.raises(UsageError, match='leave "xlsx" out'):
        await plan_job(change.settings(), change.world())
    change.overrides.append('output.formats=["csv"]')
    assert await change.run() == 0
    change.overrides.pop()
    with pytest.raises(UsageError, match='leave "xlsx" out'):
        await merge_job(change.settings(), change.world())


async def test_inputs_without_a_row_are_named(change: Change) -> None:
    """Beside others an empty file is no reason to stop, and is named; one with a header and no row is one to stop."""
    (change.folder / "header.csv").write_text("name,phone\n")
    (change.folder / "empty.txt").write_text("\n")
    change.overrides = ['job.inputs=["numbers.txt", "header.csv", "empty.txt"]']
    with pytest.raises(UsageError, match=r"^header\.csv: there is something in it, and no row could be read"):
        await plan_job(change.settings(), change.world())
    change.overrides = ['job.inputs=["numbers.txt", "empty.txt"]']
    report = await plan_job(change.settings(), change.world())
    assert [said.partition(":")[0] for said in report.advice] == ["empty.txt"]
    assert report.counts.accepted == 250


def damages(path: Path, other: Path) -> Iterator[str]:
    """Damage a file in each way there is, and put it back after each."""
    content = path.read_bytes()
    middle = len(content) // 2
    for kind, damaged in {
        "lost": None,
        "a bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "cut short": content[:-1],
        "empty": b"",
        "another's": other.read_bytes(),
        "longer": content + b"x",
    }.items():
        path.unlink()
        if damaged is not None and damaged != content:
            path.write_bytes(damaged)
            yield kind
        elif damaged is None:
            yield kind
        path.write_bytes(content)


async def test_every_damage_to_any_file_is_found(change: Change) -> None:
    """Whatever a run believes, verify compares: it names the file, whatever became of it, and nothing else."""
    change.overrides = ['sandbox.faults=["missing_rows"]', 'job.inputs=["crm.csv"]', "output.keep_columns=true"]
    table(change.folder, [*range(250), 7])
    with (change.folder / "crm.csv").open("a") as file:
        file.write("\nx,nobody,x\n")
    assert await change.run() == 0
    await retry_job(change.settings(), change.world())
    assert await change.run() == 0
    assert (await verify_job(change.settings(), change.world())).findings == ()
    (rows,) = (change.directory / "chunks").glob("*.rows")
    numbers = change.folder / "crm.csv"
    for name, other in {
        "chunks/000001.txt": "chunks/000002.txt",
        "chunks/000001.columns.csv": "chunks/000002.columns.csv",
        f"chunks/{rows.name}": "chunks/000001.txt",
        "verdicts/instagram/000001.bin": "verdicts/instagram/000002.bin",
        "results/instagram/000001.xlsx": "results/instagram/000002.xlsx",
        "rejected.csv": "duplicates.csv",
        "duplicates.csv": "rejected.csv",
        "master.csv": "rejected.csv",
        "master.xlsx": "master.csv",
    }.items():
        for kind in damages(change.directory / name, change.directory / other):
            report = await verify_job(change.settings(), change.world())
            found = [finding for finding in report.findings if str(change.directory / name) in finding]
            assert len(found) == len(report.findings) == 1, (name, kind, report.findings)
    for kind in damages(numbers, change.directory / "master.csv"):
        assert len((await verify_job(change.settings(), change.world())).findings) == 1, kind
