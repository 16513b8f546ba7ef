from __future__ import annotations

import os
import shutil
import zipfile
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator import sandbox
from orchestrator.errors import ExitCode, UsageError
from orchestrator.job.merge import merge_job
from orchestrator.job.plan import plan_job
from orchestrator.job.resolve import (
    Adopt,
    Decision,
    GiveUp,
    Refetch,
    ResolveReport,
    Resubmit,
    Undo,
    UseResult,
    before,
    resolve_tasks,
)
from orchestrator.job.run import RunOptions
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.report import streams
from orchestrator.sandbox import Sandbox
from orchestrator.tasks import DECISIONS, HELD, TRANSITIONS, Event, State, TaskKey
from tests.dispatch.harness import RESET, VENDOR, Answer, Bench, Made, Script, numbers_of, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.job.conftest import Case

KEYS = [TaskKey("instagram", chunk) for chunk in range(1, 7)]


@pytest.fixture
def bench(case: Case) -> Bench:
    """Give a job with one task of each kind: in doubt, stalled, failed, planned, submitted, released."""
    made = Bench(case.directory, vendors={"main": replace(VENDOR, base_url="sandbox")})
    made.plan(6)
    in_doubt, stalled, failed, _, submitted, released = KEYS

    def happen(ledger: Ledger) -> None:
        for key in (in_doubt, stalled, failed, submitted, released):
            ledger.transitions.release(key, cost_nano=100, max_cost_nano=None, at=1.0)
        ledger.transitions.doubt(in_doubt, "no answer", at=2.0)
        for key in (stalled, failed, submitted):
            ledger.transitions.accept(key, f"t{key.chunk}", total=3, at=2.0)
        ledger.transitions.stall(stalled, "no progress", at=3.0)
        ledger.transitions.fail(failed, "damaged", at=3.0)

    made.change(happen)
    return made


def names(report: ResolveReport) -> list[str]:
    return [settled.task for settled in report.settled]


def states(bench: Bench) -> list[str]:
    return [state.value for state in bench.states()]


async def test_resubmit_all(case: Case, bench: Bench) -> None:
    """Each held task is planned again, also one that a killed run left without an answer; the cost stays counted.

    One with a task id was paid for: it is left out, and its way out is named. By its name it is sent again, too.
    """
    report = await resolve_tasks(case.settings(), Resubmit(), None, case.world())
    assert names(report) == ["instagram/000001", "instagram/000006"]
    assert [settled.cost for settled in report.settled] == [0.0003, 0.0003]
    (left_out,) = report.left_out
    assert (left_out.task, left_out.task_id) == ("instagram/000002", "t2")
    assert "--refetch" in left_out.reason
    assert states(bench) == ["planned", "stalled", "failed", "planned", "submitted", "planned"]
    assert bench.standing().cost_nano == 500
    assert (await resolve_tasks(case.settings(), Resubmit(), None, case.world())).settled == ()
    named = await resolve_tasks(case.settings(), Resubmit(), ["instagram/000002"], case.world())
    assert (named.settled[0].task_id, named.settled[0].cost, named.settled[0].paid) == ("t2", 0.0003, 1e-7)
    assert states(bench)[1] == "planned"


async def test_refetch_all(case: Case, bench: Bench) -> None:
    """What is held or failed and has an id is fetched again; what has none is left out."""
    report = await resolve_tasks(case.settings(), Refetch(), None, case.world())
    assert names(report) == ["instagram/000002", "instagram/000003"]
    assert [left_out.task for left_out in report.left_out] == ["instagram/000001", "instagram/000006"]
    assert states(bench) == ["in_doubt", "submitted", "submitted", "planned", "submitted", "in_doubt"]
    assert (bench.task(2).task_id, bench.standing().cost_nano) == ("t2", 500)


SOME: list[Decision] = [Resubmit(), Adopt("found"), GiveUp(), Refetch()]


@pytest.mark.parametrize("then", SOME, ids=repr)
@pytest.mark.parametrize("first", SOME, ids=repr)
@pytest.mark.parametrize("chunk", [1, 2, 3, 5])
async def test_a_new_decision_takes_the_place_of_the_earlier(
    case: Case, bench: Bench, chunk: int, first: Decision, then: Decision
) -> None:
    """What comes of two decisions is what comes of the second alone, or a refusal if that one alone is refused.

    Save for a task that was given up at the vendor: it has failed, and is decided on as such.
    """
    name = str(KEYS[chunk - 1])
    as_it_was = bench.task(chunk)

    async def decide(decision: Decision) -> bool:
        try:
            await resolve_tasks(case.settings(), decision, [name], case.world())
        except UsageError:
            return False
        return True

    async def back() -> None:
        if bench.task(chunk).decided:
            await resolve_tasks(case.settings(), Undo(), [name], case.world())
        assert bench.task(chunk) == as_it_was

    taken, alone = await decide(then), replace(bench.task(chunk), submitted_at=0, progress_at=0)
    await back()
    if await decide(first):
        if (chunk, first) == (5, GiveUp()):
            assert await decide(then)
            return
        assert await decide(then) == taken
        if taken:
            assert replace(bench.task(chunk), submitted_at=0, progress_at=0) == alone
        else:
            assert bench.task(chunk).decided
    await back()


async def test_all_decisions_since_the_last_run_are_taken_back(case: Case, bench: Bench) -> None:
    """A mistaken --all is undone as a whole; what was decided before the last run stands."""
    await resolve_tasks(case.settings(), GiveUp(), ["instagram/000002"], case.world())
    bench.change(lambda ledger: ledger.begin_run(at=9.0, host="here", pid=1))
    await resolve_tasks(case.settings(), Resubmit(), None, case.world())
    report = await resolve_tasks(case.settings(), Undo(), None, case.world())
    assert names(report) == ["instagram/000001", "instagram/000006"]
    assert states(bench) == ["in_doubt", "failed", "failed", "planned", "submitted", "in_doubt"]
    await resolve_tasks(case.settings(), Undo(), ["instagram/000002"], case.world())
    assert states(bench)[1] == "stalled"


@pytest.mark.parametrize("decision", [Refetch(), Adopt("found"), Resubmit(), GiveUp(), Undo()])
@pytest.mark.parametrize("runs", [0, 1])
async def test_what_was_given_up_at_the_vendor_takes_all_that_status_shows(
    case: Case, bench: Bench, decision: Decision, runs: int
) -> None:
    """A decision has led to a failed task: each way out of that is taken, beside those of the state before it."""
    await resolve_tasks(case.settings(), GiveUp(), ["instagram/000005"], case.world())
    for _ in range(runs):
        bench.change(lambda ledger: ledger.begin_run(at=9.0, host="here", pid=1))
    assert bench.task(5).state is State.FAILED
    await resolve_tasks(case.settings(), decision, ["instagram/000005"], case.world())
    state = bench.task(5).state
    assert state is {Resubmit: State.PLANNED, GiveUp: State.FAILED}.get(type(decision), State.SUBMITTED)


async def test_all_is_fetched_again_also_what_was_given_up(case: Case, bench: Bench) -> None:
    """As `retry` says of a failed task with an id."""
    await resolve_tasks(case.settings(), GiveUp(), ["instagram/000005"], case.world())
    report = await resolve_tasks(case.settings(), Refetch(), None, case.world())
    assert "instagram/000005" in names(report)


async def test_an_adopted_id_can_be_corrected_at_any_time(case: Case, bench: Bench) -> None:
    """Also after runs that looked for it in vain, and once these held the task because the vendor denies it."""
    await resolve_tasks(case.settings(), Adopt("mistyped"), ["instagram/000001"], case.world())
    bench.change(lambda ledger: ledger.begin_run(at=9.0, host="here", pid=1))
    await resolve_tasks(case.settings(), Adopt("mistyped-too"), ["instagram/000001"], case.world())
    bench.change(lambda ledger: ledger.transitions.stall(KEYS[0], "denied", at=10.0))
    for decision in (Adopt("right"), Undo(), GiveUp(), Undo(), Resubmit(), Undo(), Refetch()):
        await resolve_tasks(case.settings(), decision, ["instagram/000001"], case.world())
    assert (bench.task(1).state, bench.task(1).task_id) == (State.SUBMITTED, "mistyped-too")


def test_what_is_held_or_failed_has_a_way_out() -> None:
    """No dead end: there is a decision for each such state, also without a task id, and the table allows each."""
    for state in (*HELD, State.FAILED):
        assert {Event.ADOPT, Event.RESUBMIT, Event.FINISH} <= set(DECISIONS[state])
    assert all((state, event) in TRANSITIONS for state, events in DECISIONS.items() for event in events)


@pytest.mark.parametrize("task_id", ["", "..", "two words", "a/b", "x" * 129, "the-key-itself"])
async def test_what_is_no_task_id_is_not_adopted(case: Case, bench: Bench, task_id: str) -> None:
    """What can't be an id, or is the key in its place, is neither kept in the ledger nor repeated."""
    with streams.private():
        streams.hide("the-key-itself")
        with pytest.raises(UsageError, match="can't be a task id") as caught:
            await resolve_tasks(case.settings(), Adopt(task_id), ["instagram/000001"], case.world())
    assert states(bench)[0] == "in_doubt"
    assert "the-key-itself" not in str(caught.value)


async def test_give_up_named_ones(case: Case, bench: Bench) -> None:
    """Only what is named is settled; what a killed run left is held from then on."""
    await resolve_tasks(case.settings(), GiveUp(), ["instagram/000002"], case.world())
    assert states(bench) == ["in_doubt", "failed", "failed", "planned", "submitted", "in_doubt"]
    assert "decision" in bench.task(2).reason


@pytest.mark.parametrize("chunk", [1, 2, 3, 6])
async def test_adopt(case: Case, bench: Bench, chunk: int) -> None:
    """A held or failed task gets the vendor's id that a person found, and is polled by the next run."""
    await resolve_tasks(case.settings(), Adopt("found"), [str(KEYS[chunk - 1])], case.world())
    assert (bench.task(chunk).state, bench.task(chunk).task_id) == (State.SUBMITTED, "found")


@pytest.mark.parametrize("platform", ["instagram", "activated"])
async def test_a_result_fetched_by_hand(case: Case, bench: Bench, tmp_path: Path, platform: str) -> None:
    """It is checked like a downloaded one, kept, and its verdicts stand in the master."""
    path = tmp_path / "by-hand.csv"
    path.write_text("\n".join([f"Number,{platform}", *(f"{number},no" for number in numbers_of(1, 3))]))
    await resolve_tasks(case.settings(), UseResult(path), ["instagram/000001"], case.world())
    assert bench.task(1).state is State.DONE
    assert (case.directory / "results" / "instagram" / "000001.csv").read_bytes() == path.read_bytes()
    await merge_job(case.settings(), case.world())
    assert case.cells("master.partial.csv")[:6] == ["no"] * 3 + ["held"] * 3


async def test_a_result_fetched_by_hand_on_another_machine(case: Case, tmp_path: Path) -> None:
    """Where the job has not run yet, the chunk that it is compared with is built anew out of the list."""

    async def on_made(_made: Made) -> Answer:
        return RESET

    async with serving(Script(takes_s=0.0, on_made=on_made)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == ExitCode.HELD
        chunk = case.directory / "chunks" / "000001.txt"
        content = chunk.read_text()
        shutil.rmtree(chunk.parent)
        path = tmp_path / "by-hand.csv"
        path.write_text("\n".join(["Number,instagram", *(f"{number},no" for number in content.split())]))
        report = await resolve_tasks(case.settings(), UseResult(path), ["instagram/000001"], case.world())
        assert (len(report.settled), chunk.read_text()) == (1, content)


@pytest.mark.parametrize(
    ("decision", "names", "words"),
    [
        (Resubmit(), ["instagram/000004"], "it is planned, and the next run sends it"),
        (Resubmit(), ["instagram/000005"], "under the task id t5, .* it takes --result FILE or --give-up"),
        (GiveUp(), ["instagram/000003"], "it is failed, so .* it takes --refetch, --adopt TASK_ID, --result FILE or"),
        (
            Refetch(),
            ["instagram/000001"],
            "no task id .* it takes --adopt TASK_ID, --resubmit, --result FILE or --give",
        ),
        (Undo(), ["instagram/000001"], "no decision to take back"),
        (Resubmit(), ["instagram/000001", "instagram/000004"], "planned"),
        (Resubmit(), ["instagram/000007"], "no such task"),
        (Resubmit(), ["amazon/000001"], "no such task"),
        (Resubmit(), ["000001"], "is no task"),
        (Adopt("t3"), ["instagram/000001"], "belongs to instagram/000003"),
        (Adopt("t9"), ["instagram/000001", "instagram/000002"], "exactly one"),
        (Adopt("t9"), None, "exactly one"),
        (Adopt("t9"), [], "exactly one"),
    ],
)
async def test_decisions_that_make_no_sense(
    case: Case, bench: Bench, decision: Decision, names: list[str] | None, words: str
) -> None:
    """They are 2, say why, and change nothing; all or none of the named tasks are settled."""
    with pytest.raises(UsageError, match=words):
        await resolve_tasks(case.settings(), decision, names, case.world())
    assert states(bench) == ["in_doubt", "stalled", "failed", "planned", "submitted", "in_doubt"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), ("Number,instagram\n+41790099999,no\n", "no number of the chunk"), ("", "no result of")],
)
async def test_a_result_that_does_not_fit(
    case: Case, bench: Bench, tmp_path: Path, content: str | None, words: str
) -> None:
    """A file of another task, an empty or a missing one is 2, and leaves nothing behind."""
    path = tmp_path / "by-hand.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=words):
        await resolve_tasks(case.settings(), UseResult(path), ["instagram/000001"], case.world())
    assert bench.task(1).state is State.IN_DOUBT
    assert not list((case.directory / "results").rglob("000001*"))
    assert not (case.directory / "verdicts" / "instagram" / "000001.bin").exists()


async def test_what_may_have_no_end_is_not_copied(case: Case, bench: Bench, tmp_path: Path) -> None:
    """A device or a pipe would fill the disk, or wait for ever; a file far larger than a result is none."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large.csv").open("wb") as large:
        large.truncate(1 << 40)
    for path, words in (
        (Path("/dev/zero"), "not a file"),
        (tmp_path / "pipe", "not a file"),
        (tmp_path, "not a file"),
        (tmp_path / "large.csv", "more than a result of this task may have"),
    ):
        with pytest.raises(UsageError, match=words):
            await resolve_tasks(case.settings(), UseResult(path), ["instagram/000001"], case.world())
    assert states(bench)[0] == "in_doubt"
    assert not list((case.directory / "results").rglob("000001*"))


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("x.csv", ["Number,amazon", "+41790010000,no"], "its column is named after amazon$"),
        (
            "x.csv",
            ["Number,amazon,activated", *(f"{n},no,no" for n in numbers_of(1, 3))],
            "named after amazon, and ins",
        ),
        ("x.csv", ["Number,instagram", "+41790010000,no"], "it has 1 of the 3 numbers of .* --partial: the other 2"),
        ("t3.csv", ["Number,instagram", *(f"{n},no" for n in numbers_of(1, 3))], "the task id of instagram/000003; if"),
    ],
)
async def test_a_file_that_may_be_another(
    case: Case, bench: Bench, tmp_path: Path, name: str, lines: list[str], words: str
) -> None:
    """Another platform's file, part of a file, and one that is called by another task's id are refused with reasons."""
    case.config += "[platforms.amazon]\nmin_rows = 1\n"
    path = tmp_path / name
    path.write_text("\n".join(lines))
    with pytest.raises(UsageError, match=words):
        await resolve_tasks(case.settings(), UseResult(path), ["instagram/000001"], case.world())
    assert bench.task(1).state is State.IN_DOUBT
    assert not list((case.directory / "results").rglob("000001*"))


async def test_part_of_a_result_and_a_better_one(case: Case, bench: Bench, tmp_path: Path) -> None:
    """With --partial it is taken, the others are unanswered; a better file takes its place."""
    path, whole = tmp_path / "part.csv", tmp_path / "whole.csv"
    path.write_text("\n".join(["Number,instagram", *(f"{number},no" for number in numbers_of(1, 1))]))
    whole.write_text("\n".join(["Number,instagram", *(f"{number},yes" for number in numbers_of(1, 3))]))
    report = await resolve_tasks(case.settings(), UseResult(path, partial=True), ["instagram/000001"], case.world())
    assert report.settled[0].missing == 2
    assert +Counter(bench.standing().verdicts) == {"no": 1, "unanswered": 2}
    await resolve_tasks(case.settings(), UseResult(whole), ["instagram/000001"], case.world())
    assert +Counter(bench.standing().verdicts) == {"yes": 3}
    await merge_job(case.settings(), case.world())
    assert case.cells("master.partial.csv")[:3] == ["yes"] * 3


async def test_a_zip_that_names_another_task(case: Case, bench: Bench, tmp_path: Path) -> None:
    """The folder inside of the vendor's zips is called by the task's id: its own is fine, another's is not."""
    rows = "\n".join(["Number,instagram", *(f"{number},no" for number in numbers_of(2, 3))])
    for folder in ("t3", "t2"):
        path = tmp_path / "result.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{folder}/all.csv", rows)
        if folder == "t3":
            with pytest.raises(UsageError, match="is the task id of instagram/000003"):
                await resolve_tasks(case.settings(), UseResult(path), ["instagram/000002"], case.world())
    await resolve_tasks(case.settings(), UseResult(path), ["instagram/000002"], case.world())
    assert bench.task(2).state is State.DONE


def test_what_was_decided_before(bench: Bench) -> None:
    """A task remembers what it was, and the option that was typed."""
    bench.change(lambda ledger: ledger.transitions.resubmit(KEYS[1], at=4.0))
    assert before(bench.task(2)) == (State.STALLED, "t2", "--resubmit")
    assert before(bench.task(3)) == (State.FAILED, "t3", "")


async def test_a_result_for_all_of_none(case: Case, tmp_path: Path) -> None:
    """With nothing held there is no task that a file could belong to."""
    with Ledger.create(ledger_path(case.directory), "empty"):
        pass
    with pytest.raises(UsageError, match="exactly one"):
        await resolve_tasks(case.settings(), UseResult(tmp_path / "x"), None, case.world())


@pytest.fixture
async def at_a_vendor(case: Case, tmp_path: Path) -> AsyncIterator[str]:
    """Have a vendor with a task of three rows and one of ten; return the address of the first's id, as the second's."""
    case.numbers(10)
    async with Sandbox(tmp_path / "vendor", pace=1e6) as vendor:
        case.base_url = vendor.base_url
        case.overrides = ["job.chunk_size=10"]
        assert await case.run(RunOptions(submit_only=True)) == 75
        shutil.rmtree(case.directory)
        case.overrides = []
        await plan_job(case.settings(), case.world())
        with Ledger.open(ledger_path(case.directory)) as ledger:
            ledger.change(lambda it: it.begin_run(at=1.0, host="here", pid=1))
            for key in KEYS[:2]:
                ledger.change(partial(_release, key=key))
        yield sandbox.read_tasks(tmp_path / "vendor")[0].id


def _release(ledger: Ledger, key: TaskKey) -> None:
    ledger.transitions.release(key, cost_nano=100, max_cost_nano=None, at=1.0, sent_name="bench-17.txt")
    ledger.transitions.doubt(key, "no answer", at=2.0)


async def test_an_id_of_a_task_with_other_rows_is_not_adopted(case: Case, at_a_vendor: str) -> None:
    """The vendor tells how many rows it has, ten for a chunk of three; whoever knows better says so."""
    name = str(KEYS[0])
    with pytest.raises(UsageError, match="has 10 rows at the vendor, and the chunk 3; look there for the one that was"):
        await resolve_tasks(case.settings(), Adopt(at_a_vendor), [name], case.world())
    report = await resolve_tasks(case.settings(), Adopt(at_a_vendor, partial=True), [name], case.world())
    assert (names(report), report.unchecked) == ([name], "")
    with Ledger.open_to_read(ledger_path(case.directory)) as ledger:
        assert ledger.platforms.standing()["instagram"].status_calls == 2


async def test_an_id_is_adopted_where_nobody_tells_the_rows(case: Case, at_a_vendor: str) -> None:
    """The vendor does not know it (yet), is out of reach, or there is no key: the report says so."""
    name = str(KEYS[0])
    report = await resolve_tasks(case.settings(), Adopt("mistyped"), [name], case.world())
    assert "404" in report.unchecked
    case.base_url = "http://127.0.0.1:9"
    report = await resolve_tasks(case.settings(), Adopt("mistyped-too"), [name], case.world())
    assert report.unchecked
    case.environ = {}
    report = await resolve_tasks(case.settings(), Adopt("mistyped-thrice"), [name], case.world())
    assert "EKYCPRO_API_KEY" in report.unchecked


async def test_an_id_that_the_vendor_named_for_another_task_is_not_adopted(case: Case, bench: Bench) -> None:
    """Also one that the other has lost, since it was sent again: it is of other numbers."""
    await resolve_tasks(case.settings(), Resubmit(), [str(KEYS[1])], case.world())
    assert bench.task(2).task_id is None
    with pytest.raises(UsageError, match="has named the task id t2 for instagram/000002"):
        await resolve_tasks(case.settings(), Adopt("t2"), [str(KEYS[0])], case.world())
