from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import LockedError, UsageError
from orchestrator.job.merge import merge_job
from orchestrator.job.plan import plan_job
from orchestrator.job.resolve import GiveUp, Resubmit, resolve_tasks
from orchestrator.job.run import RunOptions
from orchestrator.job.status import job_status
from orchestrator.jobdir.layout import chunk_path
from orchestrator.ledger import job_lock
from orchestrator.master import master_layout
from orchestrator.records import Token
from orchestrator.tasks import State
from tests.dispatch.harness import Answer, Made, Script, error, serving

if TYPE_CHECKING:
    from tests.job.conftest import Case


async def test_the_main_job(case: Case) -> None:
    """A list becomes a master; a second run sends nothing and ends with 0; an older ledger is refused."""
    first = await case.outcome()
    assert (first.exit_code, first.summary["state"]) == (0, "finished")
    assert len(case.cells()) == 10
    assert set(case.cells()) <= {"yes", "no", "ban", "unknown", "n/a"}
    assert json.loads((case.directory / "summary.json").read_text()) == first.summary
    assert not list((case.directory / "ledger").glob("*-wal"))
    assert case.charged() == 4

    second = await case.outcome(RunOptions(after=Token(1)))
    assert (second.exit_code, second.summary["serial"]) == (0, 2)
    assert case.charged() == 4
    with pytest.raises(UsageError, match="older copy"):
        await case.run(RunOptions(after=Token(3)))
    report = job_status(case.settings())
    assert (report.serial, report.begun, report.held) == (2, True, ())


@pytest.mark.parametrize("status", [400, 504])
@pytest.mark.timeout(30)  # without an end where that is not so
async def test_what_stopped_a_platform_stops_it_in_the_next_run(case: Case, status: int) -> None:
    """Three refusals or three doubts: no later run sends a fourth submit before somebody has decided."""

    async def on_submit(_chunk: int, _nth: int) -> Answer:
        return error(status)

    case.numbers(30)
    async with serving(Script(on_submit=on_submit)) as vendor:
        case.base_url = vendor.base_url
        assert [await case.run() for _ in range(3)] == [3, 3, 3]
        assert len(vendor.submits) == 3


async def test_the_embedded_vendor_needs_no_proxy(case: Case) -> None:
    """The same configuration serves a rehearsal: what goes to this machine goes to no proxy."""
    case.overrides = ['vendors.main.proxy="http://127.0.0.1:9"']
    assert await case.run() == 0


async def test_without_a_ledger(case: Case) -> None:
    """`--after`, `status`, `merge` and `resolve` refuse a job that was never run here, and make none."""
    for call in (
        lambda: case.run(RunOptions(after=Token(1))),
        lambda: merge_job(case.settings(), case.world()),
        lambda: resolve_tasks(case.settings(), Resubmit(), None, case.world()),
    ):
        with pytest.raises(UsageError, match="no ledger"):
            await call()
    with pytest.raises(UsageError, match="no ledger"):
        job_status(case.settings())
    assert not case.directory.exists()


async def test_a_job_that_is_held_by_another_run(case: Case) -> None:
    """It is left alone."""
    with job_lock(case.directory), pytest.raises(LockedError):
        await case.run()


async def test_nothing_is_sent_without_a_budget(case: Case) -> None:
    """2 without `max_cost` or without a price, 5 when it does not cover the plan; then nothing has left."""
    async with serving(Script(takes_s=0.0)) as vendor:
        case.base_url = vendor.base_url
        case.config = case.config.replace("max_cost = 1.0", "")
        outcome = await case.outcome()
        assert outcome.exit_code == 2
        assert "set max_cost to 0.001 USD or more" in outcome.summary["reason"]
        case.config = case.config.replace("[platforms.instagram]", '[platforms.other]\nstyle = "simple"\npath = "/o"')
        case.overrides = ["budget.max_cost=1.0"]
        outcome = await case.outcome()
        assert outcome.exit_code == 2
        assert "price" in outcome.summary["reason"]
        case.config = case.config.replace('[platforms.other]\nstyle = "simple"\npath = "/o"', "[platforms.instagram]")
        case.overrides = ["budget.max_cost=0.0005"]
        outcome = await case.outcome()
        assert outcome.exit_code == 5
        assert "0.0005 USD are missing; set max_cost to 0.001 USD or more" in outcome.summary["reason"]
        assert "set [budget] max_cost to 0.001 USD or more in " in outcome.summary["next"]
        assert case.cells("master.partial.csv") == ["pending"] * 10
        assert vendor.submits == []
        case.overrides = ["budget.max_cost=0.001"]
        assert await case.run() == 0
    assert len(vendor.submits) == 4


async def test_rows_that_would_stand_nowhere_are_not_paid_for(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is too long for a workbook needs another file: plan and run say so, and a begun job goes on."""
    monkeypatch.setattr(master_layout, "MAX_ROWS", 9)
    async with serving(Script(takes_s=0.0)) as vendor:
        case.base_url = vendor.base_url
        case.overrides = ['output.formats=["xlsx"]']
        with pytest.raises(UsageError, match="10 numbers, and a workbook takes 9"):
            await plan_job(case.settings(), case.world())
        outcome = await case.outcome()
        assert (outcome.exit_code, vendor.submits) == (2, [])
        assert 'set [output] formats = ["xlsx", "csv"]' in outcome.summary["reason"]
        case.overrides = ['output.formats=["xlsx", "csv"]']
        assert await case.run(RunOptions(submit_only=True)) == 75
        case.overrides = ['output.formats=["xlsx"]']
        assert await case.run() == 0


async def test_a_begun_job_is_fixed(case: Case) -> None:
    """A changed list, reading, chunk size or path is 2, and names the ways out; before the first release it is not."""
    async with serving(Script(takes_s=0.0)) as vendor:
        case.base_url = "http://127.0.0.1:1"
        case.overrides = ["backoff.give_up_after_s=0.001"]
        assert await case.run() == 75
        case.base_url, case.overrides = vendor.base_url, []
        case.numbers(9)
        assert await case.run() == 0
        sent = len(vendor.submits)
        for overrides, words in (
            (["job.chunk_size=4"], "chunk_size was 3 and is 4"),
            (['job.default_region="CH"'], "default_region"),
            (['platforms.instagram.path="/other/api/simple/tasks"'], "path was"),
            (['job.inputs=["-"]'], "standard input"),
        ):
            case.overrides = overrides
            outcome = await case.outcome()
            assert (outcome.exit_code, words in outcome.summary["reason"]) == (2, True)
            assert str(case.directory) in outcome.summary["reason"]
        case.overrides = []
        case.numbers(10)
        outcome = await case.outcome()
        assert outcome.exit_code == 2
        assert "numbers.txt" in outcome.summary["reason"]
        (case.folder / "numbers.txt").unlink()
        assert await case.run() == 0  # it needs its list only to rebuild lost chunk files
        chunk_path(case.directory, 1).unlink()
        assert await case.run() == 2
    assert len(vendor.submits) == sent


async def test_a_list_from_standard_input(case: Case) -> None:
    """It is read once; a begun job goes on without it, and does not take a file in its place."""
    case.stdin = (case.folder / "numbers.txt").read_bytes()
    case.overrides = ['job.inputs=["-"]']
    assert await case.run() == 0
    case.stdin = None
    assert await case.run() == 0
    case.overrides = []
    assert await case.run() == 2
    assert case.charged() == 4


async def test_held_tasks_wait_for_a_decision(case: Case) -> None:
    """3, with the master written; after the decision the next run does what was decided, and ends with 0."""

    async def on_made(made: Made) -> Answer | None:
        return error(502, content="bad gateway") if made.chunk == 2 and len(vendor.submits) <= 4 else None

    async with serving(Script(takes_s=0.0, on_made=on_made)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 3
        assert case.cells() == ["yes"] * 3 + ["held"] * 3 + ["yes"] * 4
        assert await case.run() == 3
        assert len(vendor.submits) == 4
        report = await resolve_tasks(case.settings(), Resubmit(), None, case.world())
        assert [settled.task for settled in report.settled] == ["instagram/000002"]
        assert await case.run() == 0
        assert case.cells() == ["yes"] * 10
    assert sorted(vendor.submits) == [1, 2, 2, 3, 4]


async def test_a_failed_task(case: Case) -> None:
    """1: finished, but not everything; the reason names the task, and says what its own reason is."""

    async def on_submit(chunk: int, _nth: int) -> Answer | None:
        return error(413) if chunk == 4 else None

    async with serving(Script(takes_s=0.0, on_submit=on_submit)) as vendor:
        case.base_url = vendor.base_url
        outcome = await case.outcome()
    assert outcome.exit_code == 1
    said = "1 task failed for good; instagram/000004: HTTP 413: the file is too large for the vendor"
    assert outcome.summary["reason"].startswith(said)
    assert case.cells() == ["yes"] * 9 + ["failed"]


async def test_the_vendor_says_stop(case: Case) -> None:
    """4, with the master written as far as it goes; once the balance is mended the next run does the rest."""

    async def on_submit(chunk: int, _nth: int) -> Answer | None:
        return error(402) if chunk > 2 else None

    async with serving(Script(takes_s=0.0, on_submit=on_submit)) as vendor:
        case.base_url = vendor.base_url
        outcome = await case.outcome()
        assert outcome.exit_code == 4
        assert "balance" in outcome.summary["reason"]
        assert case.cells("master.partial.csv").count("yes") == 6
        vendor.on_submit = None
        assert await case.run() == 0
    assert set(vendor.charged().values()) == {1}


async def test_a_deadline_and_submit_only(case: Case) -> None:
    """Both end with 75 while the vendor still works, and leave nothing in doubt."""
    async with serving(Script(takes_s=3.0)) as vendor:
        case.base_url = vendor.base_url
        outcome = await case.outcome(RunOptions(submit_only=True))
        assert (outcome.exit_code, outcome.summary["reason"]) == (75, "all is submitted")
        assert len(vendor.submits) == 4
        began = time.monotonic()
        outcome = await case.outcome(RunOptions(deadline_s=0.5))
        assert (outcome.exit_code, outcome.summary["reason"]) == (75, "stopped by the deadline")
        assert time.monotonic() - began < 3.0
        assert not (case.directory / "master.csv").exists()
        assert await case.run() == 0
    assert set(vendor.charged().values()) == {1}


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal(case: Case, kind: signal.Signals) -> None:
    """75 within five seconds, and the submit that gets its answer in time is recorded."""

    async def on_made(made: Made) -> None:
        if made.chunk == 1:
            os.kill(os.getpid(), kind)
            await asyncio.sleep(0.5)

    async with serving(Script(takes_s=60.0, on_made=on_made)) as vendor:
        case.base_url = vendor.base_url
        began = time.monotonic()
        outcome = await case.outcome()
        assert (outcome.exit_code, outcome.summary["reason"]) == (75, f"stopped by {kind.name}")
        assert time.monotonic() - began < 8.0  # reading the list is in it
    (standing,) = job_status(case.settings()).standings
    assert (standing.tasks(State.SUBMITTED), standing.tasks(State.PLANNED), standing.held) == (1, 3, 0)


async def test_a_stop_while_the_list_is_read(case: Case) -> None:
    """It ends with 75, too, and nothing was sent."""
    asyncio.get_running_loop().call_soon(lambda: os.kill(os.getpid(), signal.SIGTERM))
    case.numbers(20_000)
    outcome = await case.outcome()
    assert outcome.exit_code == 75
    assert case.charged() == 0


async def test_a_chunk_file_that_was_altered(case: Case) -> None:
    """74: nothing of it is released; removed, it is built anew, and the job ends."""
    async with serving(Script(takes_s=0.0)) as vendor:
        case.base_url = "http://127.0.0.1:1"
        case.overrides = ["backoff.give_up_after_s=0.001"]
        await case.run()
        case.base_url, case.overrides = vendor.base_url, []

        async def on_submit(_chunk: int, nth: int) -> None:
            if nth == 1:
                chunk_path(case.directory, 3).write_text("+41790000000\n")

        vendor.on_submit = on_submit
        outcome = await case.outcome()
        assert outcome.exit_code == 74
        assert "000003.txt" in outcome.summary["reason"]
        chunk_path(case.directory, 3).unlink()
        assert await case.run() in (0, 3)
    assert set(vendor.charged().values()) == {1}


async def test_an_error_of_the_program(case: Case) -> None:
    """70, with the traceback in the log and the summary written; the next run goes on."""

    class Broken(random.Random):
        def random(self) -> float:
            raise ZeroDivisionError

    case.dice = Broken()
    outcome = await case.outcome()
    assert outcome.exit_code == 70
    assert "ZeroDivisionError" in outcome.summary["reason"]
    assert "ZeroDivisionError" in (case.directory / "run.jsonl").read_text()
    case.dice = random.Random(1)  # noqa: S311 - jitter
    assert await case.run() in (0, 3)


async def test_an_error_of_the_machine(case: Case) -> None:
    """74 and what to mend, wherever it comes from; the log has the place, and the next run goes on."""

    class Exhausted(random.Random):
        def random(self) -> float:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    case.dice = Exhausted()
    outcome = await case.outcome()
    assert outcome.exit_code == 74
    assert outcome.summary["reason"].startswith("Too many open files; raise the limit")
    assert "in random" in (case.directory / "run.jsonl").read_text()
    case.dice = random.Random(1)  # noqa: S311 - jitter
    assert await case.run() in (0, 3)


async def test_a_plan_sends_nothing_and_says_what_it_found(case: Case) -> None:
    """0 when all is well; 1 without a budget or a vendor that answers; 5 when the budget does not cover it."""
    report = await plan_job(case.settings(), case.world())
    assert (report.exit_code, report.chunks, report.counts.accepted, report.findings) == (0, 4, 10, ())
    assert case.charged() == 0
    async with serving(Script()) as vendor:
        case.base_url = vendor.base_url
        report = await plan_job(case.settings(), case.world())
        assert report.exit_code == 0
        assert report.cost_usd == pytest.approx(0.001)
        case.overrides = ["budget.max_cost=0.0009"]
        assert (await plan_job(case.settings(), case.world())).exit_code == 5
        assert vendor.submits == []
    case.base_url, case.overrides = "http://127.0.0.1:1", []
    report = await plan_job(case.settings(), case.world())
    assert (report.exit_code, len(report.findings)) == (1, 1)
    assert "balance" in report.findings[0]


@pytest.mark.parametrize(
    ("min_rows", "limits"),
    [(1, "min_rows = 2"), (2, "min_rows = 1\nmax_rows = 3")],  # chunks of 3, 3, 3, 1 and of 3, 3, 4
)
async def test_an_added_platform_has_to_take_the_chunks(case: Case, min_rows: int, limits: str) -> None:
    """A begun job's chunks are what they are: a platform that can't take them is 2, and nothing is sent to it."""
    case.overrides = [f"platforms.instagram.min_rows={min_rows}"]
    assert await case.run() == 0
    sent = case.charged()
    case.config += f"[platforms.amazon]\n{limits}\n"
    outcome = await case.outcome()
    assert outcome.exit_code == 2
    assert "platforms.amazon" in outcome.summary["reason"]
    assert case.charged() == sent


async def test_given_up(case: Case) -> None:
    """What a person does without is failed, and the job ends with 1."""

    async def on_made(made: Made) -> Answer | None:
        return error(502, content="bad gateway") if made.chunk == 4 else None

    async with serving(Script(takes_s=0.0, on_made=on_made)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 3
        await resolve_tasks(case.settings(), GiveUp(), ["instagram/000004"], case.world())
        assert await case.run() == 1
    assert case.cells() == ["yes"] * 9 + ["failed"]
    report = await merge_job(case.settings(), case.world())
    assert report.counts == {"instagram": {"yes": 9, "failed": 1}}
