"""report.html in the job's directory: there after every end, true after every command, and of no consequence."""

from __future__ import annotations

import asyncio
import re
import stat
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import StorageError
from orchestrator.job import pages
from orchestrator.job.merge import merge_job
from orchestrator.job.pages import keep_page, renew_page
from orchestrator.job.purge import purge_job
from orchestrator.job.resolve import GiveUp, resolve_tasks
from orchestrator.job.retry import retry_job
from orchestrator.workers import Workers
from tests.dispatch.harness import RESET, Answer, Made, Script, serving

if TYPE_CHECKING:
    from tests.job.conftest import Case


def page(case: Case) -> str:
    text = (case.directory / "report.html").read_text("utf-8")
    return re.sub('<span class="option">|</span>', "", text)


async def test_it_is_renewed_by_whatever_changes_where_the_job_stands(case: Case) -> None:
    """After a run, a merge, a decision, a retry and a purge it says what is so then."""

    async def on_made(made: Made) -> Answer | None:
        return RESET if made.chunk == 1 else None

    async with serving(Script(takes_s=0.0, on_made=on_made)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 3
    path = case.directory / "report.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "Waits for a decision" in page(case)
    assert "orchestrator resolve instagram/000001 --resubmit" in page(case)
    assert "+41 CH" in page(case)

    (case.directory / "master.csv").unlink()
    await merge_job(case.settings(), case.world())
    assert "master.csv" in page(case)
    await resolve_tasks(case.settings(), GiveUp(), None, case.world())
    assert "1 task was decided on" in page(case)
    assert "--undo" in page(case)
    await retry_job(case.settings(), case.world())
    assert "planned" in page(case)
    await purge_job(case.settings(), case.world(), yes=True)
    assert "was purged" in page(case)
    assert "instagram" not in page(case)


async def test_it_is_written_while_a_run_goes_on(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that sends has a page before it ends, renewed again and again."""
    monkeypatch.setattr(pages, "INTERVAL_S", 0.01)
    seen: list[str] = []

    async def on_submit(_chunk: int, _nth: int) -> None:
        while not (case.directory / "report.html").exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        seen.append(page(case))

    async with serving(Script(takes_s=0.0, on_submit=on_submit)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 0
    assert "Run 1 was under way" in seen[0]
    assert "Run 1 ended" in page(case)


@pytest.mark.parametrize("error", [StorageError("disk full"), ZeroDivisionError("of the program"), MemoryError()])
async def test_a_page_that_cant_be_written_changes_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The run ends as it would have, and the log says that there is no page."""

    async def run(*_: object, **__: object) -> None:
        raise error

    assert await case.run() == 0
    (case.directory / "report.html").unlink()
    (case.directory / "report.html").mkdir()
    assert await case.run() == 0
    assert "report_not_written" in (case.directory / "run.jsonl").read_text()
    monkeypatch.setattr(Workers, "run", run)
    await renew_page(case.settings(), case.world())
    assert (case.directory / "report.html").is_dir()


@pytest.mark.looptime
async def test_the_longer_it_takes_the_less_often_it_is_written(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most a twentieth of a run's time goes into its page."""
    began: list[float] = []
    loop = asyncio.get_running_loop()

    async def slowly(*_: object) -> None:
        began.append(loop.time())
        await asyncio.sleep(10.0)

    monkeypatch.setattr(pages, "renew_page", slowly)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(500.0):
            await keep_page(case.settings(), case.world(), Workers(1))
    assert [round(at - began[0]) for at in began] == [0, 210, 420]
