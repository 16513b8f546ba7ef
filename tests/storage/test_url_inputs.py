"""Inputs in a bucket: fetched, read like any other, and named by their URLs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import ChangedError, UsageError
from orchestrator.job.access import opened_to_read
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
