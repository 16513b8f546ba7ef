"""Inputs in a bucket: fetched, read like any other, and named by their URLs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import ChangedError, UsageError
from orchestrator.job.access import opened_to_read
from orchestrator.job.enrich import enrich_file
from orchestrator.job.run import RunOptions, run_job
from orchestrator.job.verify import verify_job
from orchestrator.settings import Settings
from tests.job.conftest import Case
from tests.stores import Store


def settings_of(case: Case, store: Store, *entries: str) -> Settings:
    case.overrides = [f"job.inputs={[*entries]}"]
    return replace(case.settings(), storage=replace(store.settings(), scratch=case.folder / "scratch"))


def lines(first: int, count: int) -> bytes:
    return b"".join(b"+%d\n" % (41_790_000_000 + n) for n in range(first, first + count))


async def test_a_list_in_a_bucket_is_a_list(tmp_path: Path, store: Store) -> None:
    """Globs are sorted and don't go into folders; a begun job compares it; nothing of it stays on this machine."""
    case = Case(tmp_path)
    store.replace("lists/b.txt", lines(5, 5))
    store.replace("lists/a.txt", lines(0, 5))
    store.replace("lists/old/c.txt", lines(90, 5))
    settings = settings_of(case, store, f"{store.url}/lists/*.txt")
    assert (await run_job(settings, RunOptions(), case.world())).exit_code == 0
    with (case.directory / "master.csv").open() as file:
        assert [row.split(",")[0] for row in file][1:] == [f"+{41_790_000_000 + n}" for n in range(10)]
    with opened_to_read(settings) as ledger:
        assert [one.path for one in ledger.plan.inputs()] == [f"{store.url}/lists/{name}.txt" for name in "ab"]
    assert list((case.folder / "scratch").iterdir()) == []
    assert (await verify_job(settings, case.world())).findings == ()
    store.replace("lists/b.txt", lines(5, 6))
    report = await run_job(settings, RunOptions(), case.world())
    assert (report.exit_code, f"{store.url}/lists/b.txt" in report.summary["reason"]) == (ChangedError.exit_code, True)


@pytest.mark.parametrize("entry", ["lists/none.txt", "lists/*.csv"])
async def test_a_list_that_is_not_there_is_named(tmp_path: Path, store: Store, entry: str) -> None:
    """By its URL."""
    case = Case(tmp_path)
    settings = settings_of(case, store, f"{store.url}/{entry}")
    with pytest.raises(UsageError, match="no object has such a name"):
        await run_job(settings, RunOptions(), case.world())
    store.replace(entry.replace("*", "a"), lines(0, 5))
    assert (await run_job(settings, RunOptions(), case.world())).exit_code == 0


async def test_a_table_comes_back_in_a_bucket(tmp_path: Path, store: Store) -> None:
    """`enrich` reads one there and writes one there, or one of both; a list of `exclude` may be there as well."""
    case = Case(tmp_path)
    case.numbers(10)
    assert await case.run() == 0
    store.replace("crm.csv", b"name,phone\r\n" + b"".join(b"n%d,+%d\r\n" % (n, 41_790_000_000 + n) for n in range(12)))
    store.replace("dnc.txt", lines(10, 1))
    here = case.folder / "back.csv"
    settings = settings_of(case, store, "numbers.txt")
    settings = replace(settings, job=replace(settings.job, exclude=(f"{store.url}/dnc.txt",)))
    report = await enrich_file(settings, case.world(), f"{store.url}/crm.csv", f"{store.url}/deep/back.csv")
    assert (report.rows, report.numbers, report.known) == (12, 12, 10)
    await enrich_file(settings, case.world(), f"{store.url}/crm.csv", here)
    assert store.content("deep/back.csv") == here.read_bytes()
    assert here.read_text().splitlines()[-2:] == [
        "n10,+41790000010,+41790000010,,excluded by dnc.txt",
        "n11,+41790000011,+41790000011,,not in the job",
    ]
    assert list((case.folder / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("crm.csv", "this is the table itself, or an input of the job"),
        ("", "this names no object"),
        ("back.xlsx", r"s3://.*/back\.xlsx: "),
        ("master.csv", "the job keeps something else there"),
        ("objects/chunks/000001.txt", "the job keeps something else there"),
    ],
)
async def test_a_table_that_may_not_be_put_there(tmp_path: Path, store: Store, target: str, said: str) -> None:
    """Nothing that a job needs is written over, and messages name the URL."""
    case = Case(tmp_path)
    case.numbers(10)
    assert await case.run() == 0
    store.replace("crm.csv", b"name,phone\r\nn,+41790000000\r\n")
    settings = replace(settings_of(case, store, "numbers.txt"), url=store.url)
    with pytest.raises(UsageError, match=said):
        await enrich_file(settings, case.world(), f"{store.url}/crm.csv", f"{store.url}/{target}")
    assert store.names() == ["crm.csv"]
