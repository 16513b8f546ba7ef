from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator import sandbox
from orchestrator.job.resolve import Refetch, resolve_tasks
from orchestrator.job.status import job_status
from orchestrator.jobdir.layout import verdict_path
from orchestrator.report import notices
from orchestrator.report.notices import Notice
from orchestrator.sandbox import Options, Sandbox
from orchestrator.settings import NoticeForm

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.job.conftest import Case


@pytest.fixture
def vendor(case: Case, tmp_path: Path) -> Callable[..., Sandbox]:
    """Make a vendor that is blocked itself after some tasks, for a job of ten tasks that go one at a time."""
    case.numbers(400)
    case.overrides = ["job.chunk_size=40", "platforms.instagram.max_in_flight=1"]

    def make(blocked_after: int | None, port: int = 0) -> Sandbox:
        return Sandbox(tmp_path / "vendor", pace=1e6, port=port, options=Options(blocked_after=blocked_after))

    return make


async def test_a_vendor_that_is_blocked_is_noticed_and_stopped(
    case: Case, tmp_path: Path, vendor: Callable[..., Sandbox]
) -> None:
    """From the fifth task on it says no to everything: each is an alarm, three stop it, and the rest is not paid for.

    It is told in the log, as an event, in summary, status and report. Once it is well the tasks are fetched again, and
    the job goes on to its end.
    """
    async with vendor(4) as blocked:
        case.base_url = blocked.base_url
        outcome = await case.outcome()
    alarms = [finding for finding in outcome.summary["findings"] if "alarm: " in finding]
    assert outcome.exit_code == 3
    assert "3 results in a row came to nothing" in outcome.summary["reason"]
    assert "set one_word = true" in outcome.summary["reason"]
    assert 3 <= len(alarms) <= 4
    assert alarms[0].startswith("instagram/000005: alarm: all of its 40 numbers are no, and 4")
    assert len(sandbox.read_tasks(tmp_path / "vendor")) <= 8
    assert " warn  alarm  task=instagram/000005" in case.said
    assert "alarm: all of its 40 numbers are no" in (case.directory / "report.html").read_text()
    with_alarms = job_status(case.settings()).findings
    assert str(with_alarms[0].key) == "instagram/000005"
    port = int(blocked.base_url.rpartition(":")[2])
    async with vendor(None, port=port):
        assert await case.run() == 3  # it is not sent again by itself
        await resolve_tasks(case.settings(), Refetch(), [str(task.key) for task in with_alarms], case.world())
        again = await case.outcome()
    assert (again.exit_code, again.summary["findings"]) == (0, [])
    assert case.cells().count("yes") > 150
    charged = sum(task.cost for task in sandbox.read_tasks(tmp_path / "vendor"))
    assert again.summary["cost"] == pytest.approx(charged)


async def test_one_word_can_be_what_is_right(case: Case, tmp_path: Path, vendor: Callable[..., Sandbox]) -> None:
    """Whoever knows says so, and the job goes on from where it was stopped."""
    async with vendor(4) as blocked:
        case.base_url = blocked.base_url
        assert await case.run() == 3
        case.overrides.append("platforms.instagram.one_word=true")
        assert await case.run() == 0
    assert len(sandbox.read_tasks(tmp_path / "vendor")) == 10


async def test_an_alarm_outlives_verdicts_that_are_made_anew(
    case: Case, tmp_path: Path, vendor: Callable[..., Sandbox]
) -> None:
    """The same result says the same: lost verdicts are written again, and it is as remarkable as before."""
    async with vendor(4) as blocked:
        case.base_url = blocked.base_url
        before = [finding for finding in (await case.outcome()).summary["findings"] if "alarm: " in finding]
        verdict_path(case.directory, "instagram", 5).unlink()
        case.overrides.append("platforms.instagram.max_in_flight=2")
        again = await case.outcome()
    assert "verdicts_lost  task=instagram/000005" in case.said
    assert [finding for finding in again.summary["findings"] if "alarm: " in finding] == before


async def test_a_usual_job_has_no_alarm(case: Case, vendor: Callable[..., Sandbox]) -> None:
    """Its shares differ from task to task as chance has it."""
    async with vendor(None) as well:
        case.base_url = well.base_url
        outcome = await case.outcome()
    assert (outcome.exit_code, outcome.summary["findings"]) == (0, [])


async def test_an_alarm_is_notified(case: Case, vendor: Callable[..., Sandbox]) -> None:
    """Once, in words and in fields, while the job goes on."""
    async with vendor(4) as blocked:
        case.base_url = blocked.base_url
        summary = (await case.outcome()).summary
    assert Notice.ALARM in notices.due(summary, frozenset(), 0.8)
    assert Notice.ALARM not in notices.due(summary, frozenset({Notice.ALARM}), 0.8)
    told = json.loads(notices.body(Notice.ALARM, summary, NoticeForm.SLACK, at="now", link=""))["text"].splitlines()
    assert told[0].startswith("bench, run 1: instagram/000005: alarm: all of its 40 numbers are no")
    assert told[1] == f"and {len(summary['findings']) - 1} more, see orchestrator status"
    body = json.loads(notices.body(Notice.ALARM, summary, NoticeForm.JSON, at="now", link=""))
    assert (body["event"], body["alarms"]) == ("alarm", summary["findings"])
