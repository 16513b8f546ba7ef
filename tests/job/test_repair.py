"""Files that are lost or altered are made anew before anything is made of them, or fetched again, never paid again."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.job.merge import merge_job
from orchestrator.job.retry import retry_job
from orchestrator.job.verify import verify_job
from orchestrator.jobdir.layout import verdict_path
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.tasks import State, TaskKey
from tests.ledgers import sqlite_of

if TYPE_CHECKING:
    from tests.job.conftest import Case

KEY = TaskKey("instagram", 2)


def exchange_words(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"no"', b'"--"').replace(b'"yes"', b'"no"').replace(b'"--"', b'"yes"'))


HARM: dict[str, Callable[[Path], object]] = {
    "lost": Path.unlink,
    "words exchanged": exchange_words,
    "one byte less": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "another task's": lambda path: shutil.copy(path.with_name(f"000003{path.suffix}"), path),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.fixture
async def done(case: Case) -> Case:
    """Give a finished job that has lost its master."""
    assert await case.run() == 0
    (case.directory / "master.csv").rename(case.directory / "then.csv")
    return case


def whole(case: Case) -> bool:
    return case.cells() == case.cells("then.csv") and case.charged() == 4


def result_of(case: Case) -> Path:
    (path,) = (case.directory / "results" / "instagram").glob("000002.*")
    return path


@pytest.mark.parametrize("harm", HARM)
async def test_verdicts_are_made_anew_from_the_result(
    done: Case, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever has become of a verdict file, the next run or merge writes the true master, without a call."""
    path = verdict_path(done.directory, "instagram", 2)
    HARM[harm](path)
    report = await verify_job(done.settings(), done.world())
    assert [finding for finding in report.findings if str(path) in finding and "the next run or merge" in finding]
    assert await done.run() == 0
    assert whole(done)
    HARM[harm](path)
    told = io.StringIO()
    await merge_job(done.settings(), done.world(told))
    assert capsys.readouterr().out == ""  # what is said goes the way of everything that is said
    assert "verdicts_" in told.getvalue()
    assert whole(done)
    assert not (await verify_job(done.settings(), done.world())).findings


@pytest.mark.parametrize("harm", ["lost", "one byte less", "another task's"])
@pytest.mark.parametrize("command", ["run", "merge"])
async def test_a_lost_result_is_fetched_again(done: Case, harm: str, command: str) -> None:
    """Where the result is lost with its verdicts the vendor gives it once more; `merge` leaves that to the next run."""
    HARM[harm](verdict_path(done.directory, "instagram", 2))
    HARM[harm](result_of(done))
    if command == "merge":
        assert (await merge_job(done.settings(), done.world())).pending == 3
    assert await done.run() == 0
    assert whole(done)
    assert not (await verify_job(done.settings(), done.world())).findings


async def test_what_the_vendor_has_no_more_is_held(done: Case) -> None:
    """There is no other way to it, so a person decides; the rest is as it was."""
    verdict_path(done.directory, "instagram", 2).unlink()
    result_of(done).unlink()
    shutil.rmtree(done.directory / "sandbox" / "uploads")
    (done.directory / "sandbox" / "tasks.jsonl").unlink()
    assert await done.run() == 3
    then, now = done.cells("then.csv"), done.cells()
    assert now == [*then[:3], "held", "held", "held", *then[6:]]


async def test_a_task_without_an_id(done: Case) -> None:
    """It came from a person's file; the message says what can be done, and `retry` does it."""
    with Ledger.open(ledger_path(done.directory)) as ledger:
        sqlite_of(ledger)._sql.execute("UPDATE tasks SET task_id = NULL WHERE chunk = 2")
    verdict_path(done.directory, "instagram", 2).unlink()
    result_of(done).unlink()
    assert await done.run() == 1
    with Ledger.open_to_read(ledger_path(done.directory)) as ledger:
        task = ledger.tasks.get(KEY)
    assert task is not None
    assert task.state is State.FAILED
    assert "--result FILE" in task.reason
    assert (await retry_job(done.settings(), done.world())).numbers == {"instagram": 3}


@pytest.mark.parametrize("harm", ["lost", "one byte less", "another's"])
async def test_chunk_files(done: Case, harm: str) -> None:
    """They are built anew from the list."""
    path = done.directory / "chunks" / "000002.txt"
    if harm == "another's":
        shutil.copy(path.with_name("000001.txt"), path)
    else:
        HARM[harm](path)
    assert await done.run() == 0
    assert whole(done)
