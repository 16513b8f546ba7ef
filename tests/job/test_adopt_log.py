from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator import sandbox
from orchestrator.errors import UsageError
from orchestrator.job.adopt_log import AdoptedLog, adopt_log
from orchestrator.job.plan import plan_job
from orchestrator.job.resolve import Resubmit, resolve_tasks
from orchestrator.job.run import RunOptions
from orchestrator.job.verify import verify_job
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.sandbox import Sandbox
from orchestrator.tasks import State, TaskKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.job.conftest import Case

ALL = [f"instagram/00000{chunk}" for chunk in range(1, 5)]


@pytest.fixture
async def vendor(case: Case, tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path / "vendor", pace=1e6) as serving_it:
        case.base_url = serving_it.base_url
        yield serving_it


async def adopt(case: Case, text: str) -> AdoptedLog:
    (case.folder / "ci.log").write_text(text)
    return await adopt_log(case.settings(), case.folder / "ci.log", case.world())


async def lost_and_planned(case: Case) -> None:
    shutil.rmtree(case.directory)
    await plan_job(case.settings(), case.world())


def charged(tmp_path: Path) -> list[str]:
    return sorted(task.sha256 for task in sandbox.read_tasks(tmp_path / "vendor"))


def states(case: Case) -> list[State]:
    with Ledger.open_to_read(ledger_path(case.directory)) as ledger:
        return [task.state for task in ledger.tasks.select(*State)]


@pytest.mark.usefixtures("vendor")
@pytest.mark.parametrize("overrides", [[], ["job.trial_rows=4", "platforms.instagram.canary=true"]])
async def test_a_job_is_restored_from_its_log(case: Case, tmp_path: Path, overrides: list[str]) -> None:
    """Its directory is gone, with all that was at the vendor: planned anew it has the ids, and pays for no task again.

    With a trial, too, whose rows are drawn. What the vendor charged is what the program has counted.
    """
    case.overrides = overrides
    assert await case.run(RunOptions(submit_only=not overrides)) == (75 if not overrides else 0)
    before = charged(tmp_path)
    said = case.said
    await lost_and_planned(case)
    report = await adopt(case, said)
    assert (sorted(report.adopted), report.known, report.held, report.odd) == (ALL[: len(before)], 0, [], [])
    again = await adopt(case, said)
    assert (again.adopted, again.known) == ({}, len(before))
    outcome = await case.outcome()
    assert (outcome.exit_code, charged(tmp_path)) == (0, before)
    assert sorted(set(case.cells()) - {"yes", "no", "unknown", "ban", "unanswered"}) == []
    its = sum(task.cost for task in sandbox.read_tasks(tmp_path / "vendor"))
    assert outcome.summary["cost"] == pytest.approx(its)
    assert outcome.summary["money"]["charged"] == pytest.approx(its)
    assert (await verify_job(case.settings(), case.world())).findings == ()


@pytest.mark.usefixtures("vendor")
async def test_a_part_that_was_lost_is_adopted_and_the_rest_is_sent(case: Case, tmp_path: Path) -> None:
    """An older copy of the directory comes back: its log says what it does not know."""
    await plan_job(case.settings(), case.world())
    shutil.copytree(case.directory, tmp_path / "copy")
    assert await case.run(RunOptions(submit_only=True)) == 75
    lines = [line for line in case.said.splitlines() if " accepted  " in line]
    assert len(charged(tmp_path)) == 4
    shutil.rmtree(case.directory)
    shutil.copytree(tmp_path / "copy", case.directory)
    assert len((await adopt(case, "\n".join(lines[1:]))).adopted) == 3
    assert await case.run() == 0
    assert len(charged(tmp_path)) == 5  # that of the line which was lost with the ledger


@pytest.mark.usefixtures("vendor")
async def test_a_log_that_breaks_off_leaves_doubts(case: Case, tmp_path: Path) -> None:
    """What may have been on its way is held, and not sent again by itself: here the vendor has one of them."""
    assert await case.run(RunOptions(submit_only=True)) == 75
    lines = case.said.splitlines()
    third = next(at for at, line in enumerate(lines) if "chunk=000003" in line)
    said = "\n".join(line for line in lines[:third] if "run_ended" not in line)
    await lost_and_planned(case)
    report = await adopt(case, said)
    assert (sorted(report.adopted), report.held) == (ALL[:2], ALL[2:])
    assert await case.run() == 3
    assert len(charged(tmp_path)) == 4
    # The log turns up whole: what was held is adopted, too.
    assert sorted((await adopt(case, case.said + "\n".join(lines))).adopted) == ALL[2:]
    assert await case.run() == 0
    assert len(charged(tmp_path)) == 4


@pytest.mark.usefixtures("vendor")
async def test_what_the_log_calls_in_doubt_is_held(case: Case) -> None:
    """It may have been paid for, although no id came."""
    await plan_job(case.settings(), case.world())
    assert await case.run(RunOptions(submit_only=True)) == 75
    said = re.sub(r"\S+ info  accepted .*chunk=000004.*", "x error in_doubt  task=instagram/000004", case.said)
    await lost_and_planned(case)
    assert (await adopt(case, said)).held == ALL[3:]
    assert states(case)[3] is State.IN_DOUBT
    report = await resolve_tasks(case.settings(), Resubmit(), [ALL[3]], case.world())
    assert [one.task for one in report.settled] == ALL[3:]


@pytest.mark.usefixtures("vendor")
async def test_another_list_adopts_nothing(case: Case) -> None:
    """One number that differs makes another list: its chunks are not those that the vendor has."""
    assert await case.run(RunOptions(submit_only=True)) == 75
    said = case.said
    case.numbers(10, first=1)
    shutil.rmtree(case.directory)
    await plan_job(case.settings(), case.world())
    with pytest.raises(UsageError, match="of no chunk that is planned here; plan the list"):
        await adopt(case, said)
    assert set(states(case)) == {State.PLANNED}
    with pytest.raises(UsageError, match="says of no task that the vendor has accepted it"):
        await adopt(case, "nothing of that kind\n")
    with pytest.raises(UsageError, match="no such file"):
        await adopt_log(case.settings(), case.folder / "none.log", case.world())


@pytest.mark.usefixtures("vendor")
async def test_odd_lines_are_named(case: Case) -> None:
    """A cut one, an id that another task has, two ids for one task, and what has come to its end since."""
    assert await case.run(RunOptions(submit_only=True)) == 75
    lines = [line for line in case.said.splitlines() if " accepted  " in line]
    await lost_and_planned(case)
    report = await adopt(case, "\n".join([lines[0], lines[1][:-4], lines[2]]))
    assert sorted(report.adopted) == [ALL[0], ALL[2]]
    assert [line for line, _ in report.odd] == [2]
    with Ledger.open(ledger_path(case.directory)) as ledger:
        ledger.change(lambda it: it.transitions.give_up(TaskKey("instagram", 1), at=9e9))
        ledger.change(
            lambda it: it.transitions.release(TaskKey("instagram", 2), cost_nano=1, max_cost_nano=None, at=9e9)
        )
        its = re.findall(r"task_id=(\S+)", lines[3])[0]
        ledger.change(lambda it: it.transitions.accept(TaskKey("instagram", 2), its, total=0, at=9e9))
    report = await adopt(case, "\n".join(lines))
    assert (report.adopted, report.known) == ({}, 2)
    assert [line for line, _ in report.odd] == [2, 4]
    assert "is submitted under the task id" in report.odd[0][1]
    assert f"knows the task id {its} as that of instagram/000002" in report.odd[1][1]


@pytest.mark.usefixtures("vendor")
async def test_the_log_of_the_job_itself_is_read_too(case: Case) -> None:
    """It lies beside a ledger that is gone, where only that is: a file of events is as good as a console's."""
    assert await case.run(RunOptions(submit_only=True)) == 75
    said = (case.directory / "run.jsonl").read_text()
    assert json.loads(said.splitlines()[0])
    await lost_and_planned(case)
    assert sorted((await adopt(case, said)).adopted) == ALL
