"""Whatever becomes of a file of the job's directory: the next call makes it anew, or says what brings it back.

What `verify` says of the same damages is in `test_generations`.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.job.merge import merge_job
from orchestrator.job.retry import retry_job
from orchestrator.job.run import RunOptions
from orchestrator.job.status import job_status
from orchestrator.jobdir.chunk_files import ALTERED_CHUNK
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.tasks import TaskKey
from tests.job.conftest import CONFIG, Case

COLUMNS = CONFIG.replace('["numbers.txt"]', '["crm.csv"]').replace('["csv"]', '["csv"]\nkeep_columns = true')
BACK = re.compile(r"restore the (?:job's )?directory")
"""What a message names as the way out of a damaged ledger."""

FINISHED = (
    "chunks/000001.txt",
    "chunks/000001.columns.csv",
    "chunks/000005.txt",
    "chunks/000005.rows",
    "verdicts/instagram/000001.bin",
    "verdicts/instagram/000005.bin",
    "results/instagram/000001.xlsx",
    "results/instagram/000005.xlsx",
    "rejected.csv",
    "duplicates.csv",
    "master.csv",
    "summary.json",
    "run.jsonl",
    ".lock",
    "ledger/ledger.sqlite",
)
BEGUN = ("chunks/000001.txt", "chunks/000001.columns.csv", "rejected.csv", "ledger/ledger.sqlite")


def case_of(folder: Path, first: int) -> Case:
    folder.mkdir()
    rows = [f"+{41_790_000_000 + n},name {n}" for n in range(first, first + 10)]
    (folder / "crm.csv").write_text("\n".join(["phone,name", *rows, "hello,nobody", rows[0]]) + "\n")
    return Case(folder, config=COLUMNS)


async def finished(folder: Path, first: int) -> Case:
    """Give a job of ten numbers with a column, of which three were retried."""
    case = case_of(folder, first)
    assert await case.run() == 0
    with Ledger.open(ledger_path(case.directory)) as ledger:
        ledger.change(lambda it: it.transitions.fail(TaskKey("instagram", 2), "no good", at=5.0))
    await retry_job(case.settings(), case.world(), every=True)
    assert await case.run() == 0
    return case


async def begun(folder: Path, first: int) -> Case:
    """Give a job all of whose tasks are at the vendor."""
    case = case_of(folder, first)
    assert await case.run(RunOptions(submit_only=True)) == 75
    return case


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Case, Case]]:
    """Give jobs that are finished and begun, each with another one of another list."""

    async def made() -> dict[str, tuple[Case, Case]]:
        folder = tmp_path_factory.mktemp("jobs")
        return {
            make.__name__: (await make(folder / make.__name__, 0), await make(folder / f"other {make.__name__}", 50))
            for make in (finished, begun)
        }

    return asyncio.run(made())


def damages(path: Path, other: Path) -> Iterator[tuple[str, bytes | None]]:
    content = path.read_bytes()
    middle = len(content) // 2
    yield "lost", None
    yield "emptied", b""
    yield "cut short", content[:middle]
    yield "one bit", content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :] if content else b"x"
    yield "another job's", other.read_bytes()


async def call(case: Case, command: str) -> tuple[int, str]:
    """Make one call, and return its exit code with what it says."""
    try:
        if command == "run":
            outcome = await case.outcome()
            return int(outcome.exit_code), str(outcome.summary["reason"])
        if command == "merge":
            await merge_job(case.settings(), case.world())
        else:
            job_status(case.settings())
    except OrchestratorError as error:
        return int(error.exit_code), str(error)
    return 0, ""


@pytest.mark.parametrize("command", ["run", "merge", "status"])
@pytest.mark.parametrize(
    ("state", "name"), [*(("finished", name) for name in FINISHED), *(("begun", name) for name in BEGUN)]
)
async def test_what_comes_after_a_damage(
    jobs: dict[str, tuple[Case, Case]], tmp_path: Path, state: str, name: str, command: str
) -> None:
    """The same master and nothing paid again; or an end whose message names what is to be done, and that helps."""
    job, other = jobs[state]
    whole = await same(copied(job, tmp_path / "whole"))
    content = (job.directory / name).read_bytes()
    for number, (kind, damaged) in enumerate(damages(job.directory / name, other.directory / name)):
        if damaged == content:
            continue
        case = copied(job, tmp_path / str(number))
        put(case.directory / name, damaged)
        charged = case.charged()
        code, said = await call(case, command)
        assert code in {0, 2, 74}, (kind, code, said)
        assert case.charged() == charged, kind
        if code:
            assert BACK.search(said) or (name.startswith("chunks/") and ALTERED_CHUNK in said), (kind, said)
            put(case.directory / name, content if BACK.search(said) else None)
            assert await same(case) == whole, kind
        elif command != "status":
            master = next(case.directory.glob("master*.csv"))
            assert master.name == "master.partial.csv" or master.read_bytes() == whole, kind
        assert case.charged() == charged, kind


def put(path: Path, content: bytes | None) -> None:
    path.unlink(missing_ok=True)
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def copied(job: Case, folder: Path) -> Case:
    shutil.copytree(job.folder, folder)
    return replace(job, folder=folder)


async def same(case: Case) -> bytes:
    """Run the job to its end, and return the master."""
    assert await case.run() == 0, case.said
    return (case.directory / "master.csv").read_bytes()


async def test_altered_columns_without_the_list(jobs: dict[str, tuple[Case, Case]], tmp_path: Path) -> None:
    """Either of them is put back, or the master does without the columns."""
    case = copied(jobs["finished"][0], tmp_path / "job")
    columns, numbers = case.directory / "chunks/000001.columns.csv", case.folder / "crm.csv"
    whole, content = (case.directory / "master.csv").read_bytes(), columns.read_bytes()
    listed = numbers.rename(case.folder / "elsewhere.csv")
    columns.write_bytes(content[:-1])
    code, said = await call(case, "run")
    assert code == 74
    assert "put either back, or set [output] keep_columns = false for a master without columns of the list" in said
    case.overrides = ["output.keep_columns=false"]
    assert await case.run() == 0
    case.overrides = []
    columns.write_bytes(content)
    assert await same(case) == whole
    columns.write_bytes(content[:-1])
    listed.rename(numbers)
    assert await same(case) == whole
