"""What was paid for is not bought again while it could be had for free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orchestrator.dispatch import result_versions
from orchestrator.errors import DamagedResultError, ExitCode
from orchestrator.job.resolve import Refetch, resolve_tasks
from orchestrator.job.retry import retry_job
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.results import check
from orchestrator.tasks import State, TaskKey
from tests.dispatch.harness import VENDOR, Answer, Bench, InThreads, Made, Script, result, serving
from tests.ledgers import sqlite_of

if TYPE_CHECKING:
    from orchestrator.results import ResultCheck, ResultReport
    from tests.job.conftest import Case

VERSION = "orchestrator.dispatch.result_versions.__version__"
FAILED, VENDOR_FAILED = (TaskKey("instagram", chunk) for chunk in (1, 2))


@pytest.fixture
def bench(case: Case) -> Bench:
    """Give a job with a failed task of which the vendor may have a result, and one of which it has none."""
    case.base_url = "https://vendor.example"
    made = Bench(case.directory, vendors={"main": replace(VENDOR, base_url=case.base_url)})
    made.plan(2)

    def happen(ledger: Ledger) -> None:
        for key in (FAILED, VENDOR_FAILED):
            ledger.transitions.release(key, cost_nano=100, max_cost_nano=None, at=1.0)
            ledger.transitions.accept(key, f"t{key.chunk}", total=3, at=2.0)
        ledger.transitions.fail(FAILED, "its result is damaged", at=3.0)
        ledger.transitions.note_status(VENDOR_FAILED, status="failed", total=3, success=0, at=3.0)
        ledger.transitions.fail(VENDOR_FAILED, "the vendor reports the task as failed", at=3.0)

    made.change(happen)
    return made


def states(bench: Bench) -> list[State]:
    return [state for state in bench.states() if state is not State.PLANNED]


async def test_what_the_vendor_may_have_is_left_out(case: Case, bench: Bench) -> None:
    """The message names the way that is free, which is accepted; after it was tried in vain the numbers are planned."""
    report = await retry_job(case.settings(), case.world())
    assert report.numbers == {"instagram": 3}
    assert report.exit_code is ExitCode.SOME_FAILED
    assert "instagram/000001" in report.findings[0]
    assert "resolve --all --refetch" in report.findings[0]
    assert states(bench) == [State.FAILED, State.RETRIED]
    settled = await resolve_tasks(case.settings(), Refetch(), None, case.world())
    assert [one.task for one in settled.settled] == ["instagram/000001"]
    bench.change(lambda it: it.transitions.fail(FAILED, "its result is damaged", at=4.0))
    report = await retry_job(case.settings(), case.world())
    assert (report.numbers, report.findings) == ({"instagram": 3}, ())
    assert states(bench) == [State.RETRIED, State.RETRIED]


async def test_with_all_everything_is_planned(case: Case, bench: Bench) -> None:
    """A person may prefer to pay."""
    report = await retry_job(case.settings(), case.world(), every=True)
    assert (report.numbers, report.exit_code) == ({"instagram": 6}, ExitCode.DONE)
    assert states(bench) == [State.RETRIED, State.RETRIED]


async def test_over_the_budget_nothing_is_planned(case: Case, bench: Bench) -> None:
    """So a finished job stays finished; the message says what it would cost."""
    case.overrides = ["budget.max_cost=0.00000001"]
    report = await retry_job(case.settings(), case.world(), every=True)
    assert (report.exit_code, report.planned) == (ExitCode.OVER_BUDGET, False)
    assert [cost.rows for cost in report.platforms] == [6]
    assert "nothing was planned" in report.findings[-1]
    assert bench.states() == [State.FAILED, State.FAILED]
    case.overrides = []
    assert (await retry_job(case.settings(), case.world(), every=True)).planned


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first version of the program read no result of the second chunk."""
    read = check.check_result

    def reading(what: ResultCheck) -> tuple[ResultReport, bytes]:
        if result_versions.reader_of(()) == "1" and what.chunk.name == "000002.txt":
            raise DamagedResultError("this can't be read")
        return read(what)

    for reader in ("results.keeping", "dispatch.result_versions", "dispatch.fetching"):
        monkeypatch.setattr(f"orchestrator.{reader}.check_result", reading)
    for module in ("engine", "retry"):
        monkeypatch.setattr(f"orchestrator.job.{module}.Workers", InThreads)
    monkeypatch.setattr(VERSION, "1")


async def test_a_newer_version_reads_what_an_older_one_could_not(
    case: Case, versions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so by itself, before anything else, and nothing is paid twice; `retry` names that way."""
    del versions
    assert await case.run() == 1
    assert case.cells().count("failed") == 3
    (kept,) = (case.directory / "results" / "quarantine").iterdir()
    report = await retry_job(case.settings(), case.world())
    assert report.numbers == {"instagram": 0}
    assert "quarantine" in report.findings[0]
    assert await case.run() == 1
    with Ledger.open_to_read(ledger_path(case.directory)) as ledger:
        looks = ledger.platforms.standing()["instagram"].status_calls
    monkeypatch.setattr(VERSION, "2")
    assert await case.run() == 0
    with Ledger.open_to_read(ledger_path(case.directory)) as ledger:
        assert ledger.platforms.standing()["instagram"].status_calls == looks
    assert case.cells().count("failed") == 0
    assert case.charged() == 4
    assert not kept.exists()
    assert (case.directory / "results" / "instagram" / f"000002{kept.suffix}").exists()


async def test_what_has_no_record_is_read_too(case: Case, versions: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier program left files in quarantine without a record."""
    del versions
    assert await case.run() == 1
    with Ledger.open(ledger_path(case.directory)) as ledger:
        sqlite_of(ledger)._sql.execute("DELETE FROM quarantine")
    monkeypatch.setattr(VERSION, "1b")
    assert await case.run() == 0
    assert case.charged() == 4


async def test_a_retry_is_taken_back_when_its_numbers_may_come_for_free(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that is fetched again, and has grown, answers numbers of a retry that was planned before it was sent."""
    for module in ("engine", "retry", "resolve"):
        monkeypatch.setattr(f"orchestrator.job.{module}.Workers", InThreads)
    case.numbers(6)

    async def on_status(made: Made) -> Answer:
        return vendor.standing(made, success=2)

    async def on_result(made: Made) -> Answer:
        return result(made, rows=2)

    async with serving(Script(takes_s=0.0, on_status=on_status, on_result=on_result)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 0
        assert case.cells().count("unanswered") == 2
        assert (await retry_job(case.settings(), case.world())).numbers == {"instagram": 2}
        vendor.on_status = vendor.on_result = None
        report = await resolve_tasks(case.settings(), Refetch(), ["instagram/000001"], case.world())
        assert report.withdrawn == ("instagram/000003",)
        assert await case.run() == 1
        assert vendor.submits == [1, 2]
        assert case.cells().count("failed") == 1
        assert (await retry_job(case.settings(), case.world())).numbers == {"instagram": 1}
        assert await case.run() == 0
    assert case.cells() == ["yes"] * 6
    assert vendor.submits == [1, 2, 4]


async def test_as_many_as_files_can_hold_are_planned(case: Case) -> None:
    """Of 6 numbers without an answer, where a file takes 4 or 5; the way out for the last one is accepted."""
    case.numbers(10)
    case.overrides = ["job.chunk_size=5", "platforms.instagram.min_rows=4", "platforms.instagram.max_rows=5"]
    full = {"now": 2}

    async def on_status(made: Made) -> Answer:
        return vendor.standing(made, success=min(made.rows, full["now"]))

    async def on_result(made: Made) -> Answer:
        return result(made, rows=min(made.rows, full["now"]))

    async with serving(Script(takes_s=0.0, on_status=on_status, on_result=on_result)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 0
        full["now"] = 5
        report = await retry_job(case.settings(), case.world())
        assert (report.numbers, [cost.rows for cost in report.platforms]) == ({"instagram": 6}, [5])
        assert "1 more numbers lack a verdict, and it takes 4 at least" in report.findings[0]
        assert report.exit_code is ExitCode.SOME_FAILED
        assert await case.run() == 0
        assert case.cells().count("unanswered") == 1
        case.overrides[1] = "platforms.instagram.min_rows=1"
        assert (await retry_job(case.settings(), case.world())).exit_code is ExitCode.DONE
        assert await case.run() == 0
    assert case.cells() == ["yes"] * 10
    assert vendor.submits == [1, 2, 3, 4]


async def test_what_was_settled_for_may_be_another_on_another_day(case: Case) -> None:
    """The vendor gave the result of another task, twice: its own may be had for free, before anything is paid again."""
    mixed_up = {"on": True}

    async def on_result(made: Made) -> Answer | None:
        return result(vendor.of(1)) if mixed_up["on"] else None

    case.numbers(6)
    async with serving(Script(takes_s=0.0, on_result=on_result)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 0
        assert case.cells()[3:] == ["unanswered"] * 3
        report = await retry_job(case.settings(), case.world())
        assert (report.numbers, report.exit_code) == ({"instagram": 0}, ExitCode.SOME_FAILED)
        assert (
            "left out instagram/000002 with a task id at the vendor: orchestrator resolve --all" in report.findings[0]
        )
        settled = await resolve_tasks(case.settings(), Refetch(), None, case.world())
        assert [one.task for one in settled.settled] == ["instagram/000002"]
        mixed_up["on"] = False
        assert await case.run() == 0
        assert set(case.cells()) == {"yes"}
        assert len(vendor.submits) == 2
