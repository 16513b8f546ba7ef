"""Runs and plans in the ledger, and what is read from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import MappingProxyType

import pytest

from orchestrator.errors import BudgetError
from orchestrator.ledger import Ledger
from orchestrator.records import Chunk, ListCounts, Listed, Plan, PlannedPlatform, RunRecord
from orchestrator.tasks import IllegalTransitionError, State, TaskKey
from tests.ledgers import everything

MakePlan = Callable[..., Plan]
Reach = Callable[[Ledger, TaskKey, State], None]

KEY = TaskKey("instagram", 1)


# --- runs ------------------------------------------------------------------------------------------------------------


def test_runs_are_counted_and_remembered(empty_ledger: Ledger) -> None:
    """Each run gets the next serial; how it ended is noted; one that was killed keeps no exit code."""
    ledger = empty_ledger
    assert (ledger.runs.job_id, ledger.runs.serial, ledger.runs.last()) == ("job-1", 0, None)
    assert ledger.change(lambda it: it.begin_run(at=1.0, host="here", pid=7)) == 1
    assert ledger.runs.last() == RunRecord(1, 1.0, None, None, "", "here", 7)
    assert ledger.change(lambda it: it.begin_run(at=2.0, host="there", pid=8)) == 2
    ledger.change(lambda it: it.runs.end(2, at=3.0, exit_code=75, reason="deadline"))
    assert ledger.runs.last() == RunRecord(2, 2.0, 3.0, 75, "deadline", "there", 8)
    assert ledger.runs.serial == 2


def test_a_new_run_holds_what_was_released_without_an_answer(ledger: Ledger, reach: Reach) -> None:
    """After a crash between release and answer nobody knows whether a task exists: it is in doubt, and stays paid."""
    for chunk, state in enumerate((State.RELEASED, State.SUBMITTED, State.PLANNED), start=1):
        reach(ledger, TaskKey("instagram", chunk), state)
    reach(ledger, TaskKey("elsewhere", 1), State.RELEASED)
    spent = ledger.platforms.spent_nano()
    ledger.change(lambda it: it.begin_run(at=20.0, host="here", pid=8))
    assert dict(ledger.tasks.states_by_chunk(["instagram"])) == {
        1: {"instagram": State.IN_DOUBT},
        2: {"instagram": State.SUBMITTED},
        3: {"instagram": State.PLANNED},
        4: {"instagram": State.PLANNED},
    }
    assert [task.key for task in ledger.tasks.select(State.IN_DOUBT)] == [TaskKey("elsewhere", 1), KEY]
    assert {event[2] for event in ledger.tasks.events() if event[4] == "doubt"} == {2}
    assert ledger.platforms.spent_nano() == spent


# --- the plan --------------------------------------------------------------------------------------------------------


def test_a_ledger_without_a_plan(empty_ledger: Ledger) -> None:
    """Before the first plan everything is empty, and nothing has begun."""
    ledger = empty_ledger
    assert (ledger.runs.begun, ledger.platforms.made_up(), ledger.plan.reading(), ledger.plan.inputs()) == (
        False,
        frozenset(),
        {},
        (),
    )
    assert (ledger.plan.counts(), ledger.platforms.fixed(), list(ledger.plan.chunks())) == (ListCounts(), {}, [])
    assert (ledger.platforms.standing(), ledger.platforms.spent_nano(), ledger.tasks.get(KEY)) == (
        {},
        0,
        None,
    )
    assert list(ledger.tasks.states_by_chunk(["instagram"])) == []


def test_a_plan_reads_back_as_it_was(ledger: Ledger, make_plan: MakePlan) -> None:
    """Name, reading, inputs in their order, counts, chunks and what is fixed: as planned."""
    plan = make_plan()
    assert ledger.plan.reading() == plan.reading
    assert ledger.plan.listed() == plan.listed
    assert tuple(ledger.plan.chunks()) == plan.chunks
    assert ledger.platforms.fixed() == {platform.name: platform.fixed for platform in plan.platforms}
    assert len(everything := ledger.tasks.select(State.PLANNED)) == 12
    assert ledger.tasks.select(State.PLANNED, most=5) == everything[:5]


def test_counts_may_be_any_mapping(ledger: Ledger, make_plan: MakePlan) -> None:
    """Frozen mappings are stored as well."""
    counts = ListCounts(1, 0, 0, 1, 0, MappingProxyType({"too short": 1}))
    ledger.change(lambda it: it.plan.replace(dataclasses.replace(make_plan(), listed=Listed((), counts))))
    assert ledger.plan.counts() == ListCounts(1, 0, 0, 1, 0, {"too short": 1})


def test_an_unbegun_job_is_planned_anew(ledger: Ledger, make_plan: MakePlan) -> None:
    """Nothing of the earlier plan is left, and counting starts again; an early refusal was free and does not count."""
    ledger.change(lambda it: it.transitions.refuse(KEY, "too few rows", at=5.0))
    ledger.change(lambda it: it.plan.replace(make_plan(2, ("amazon",))))
    assert list(ledger.platforms.standing()) == ["amazon"]
    assert dict(ledger.platforms.standing()["amazon"].tasks_by_state) == {State.PLANNED: 2}
    assert [chunk.chunk for chunk in ledger.plan.chunks()] == [1, 2]
    assert ledger.tasks.get(KEY) is None


@pytest.mark.parametrize("state", [State.RELEASED, State.SUBMITTED, State.DONE])
def test_a_begun_job_keeps_its_plan(ledger: Ledger, make_plan: MakePlan, reach: Reach, state: State) -> None:
    """From the first release on a new plan is an error, and changes nothing."""
    reach(ledger, KEY, state)
    before = everything(ledger)
    assert ledger.runs.begun
    with pytest.raises(IllegalTransitionError, match="keeps its plan"):
        ledger.change(lambda it: it.plan.replace(make_plan(2)))
    assert everything(ledger) == before


def test_an_adopted_task_begins_the_job(ledger: Ledger) -> None:
    """A task that a person knows to be at the vendor fixes the plan, even if this job never released any."""
    ledger.change(lambda it: it.transitions.refuse(KEY, "too few rows", at=5.0))
    assert not ledger.runs.begun
    ledger.change(lambda it: it.transitions.adopt(KEY, "id-1", at=6.0))
    assert ledger.runs.begun


def test_a_result_by_hand_begins_the_job(ledger: Ledger) -> None:
    """So does a result that a person brought: planning anew would count its verdicts twice."""
    ledger.change(lambda it: it.transitions.refuse(KEY, "too few rows", at=5.0))
    ledger.change(lambda it: it.transitions.finish(KEY, {"yes": 10}, at=6.0, detail={}))
    assert ledger.runs.begun


def test_a_put_off_release_has_begun_the_job(ledger: Ledger, reach: Reach) -> None:
    """The first release begins the job, whatever became of it."""
    reach(ledger, KEY, State.RELEASED)
    ledger.change(lambda it: it.transitions.put_off(KEY, "429", at=12.0))
    assert ledger.runs.begun


def test_a_platform_may_join_a_begun_job(ledger: Ledger, reach: Reach) -> None:
    """It gets a task a chunk; the others stay as they are."""
    reach(ledger, KEY, State.DONE)
    ledger.change(lambda it: it.plan.add_platform(PlannedPlatform("late", "main", {"path": "/late"}, 1)))
    assert dict(ledger.platforms.standing()["late"].tasks_by_state) == {State.PLANNED: 4}
    assert ledger.platforms.standing()["instagram"].tasks(State.DONE) == 1
    assert ledger.platforms.fixed()["late"] == {"path": "/late"}


def test_chunks_that_are_too_small_are_skipped(ledger: Ledger, make_plan: MakePlan) -> None:
    """A chunk of fewer rows than the platform takes is a skipped task, one of just as many is planned."""
    chunks = (Chunk(1, 0, 10, "a"), Chunk(2, 10, 9, "b"))
    platforms = (PlannedPlatform("picky", "main", {}, 10),)
    ledger.change(lambda it: it.plan.replace(dataclasses.replace(make_plan(), chunks=chunks, platforms=platforms)))
    assert dict(ledger.tasks.states_by_chunk(["picky"])) == {
        1: {"picky": State.PLANNED},
        2: {"picky": State.SKIPPED},
    }
    assert ledger.platforms.standing()["picky"].rows_by_state == {State.PLANNED: 10, State.SKIPPED: 9}
    assert ledger.platforms.standing()["picky"].unfinished == 1


# --- reading tasks ---------------------------------------------------------------------------------------------------


def test_tasks_are_listed_by_platform_and_chunk(ledger: Ledger, reach: Reach) -> None:
    """All platforms or one, any states, always in the same order; no state means no task."""
    for platform, chunk in (("instagram", 3), ("instagram", 1), ("amazon", 2)):
        reach(ledger, TaskKey(platform, chunk), State.SUBMITTED)
    reach(ledger, TaskKey("instagram", 2), State.STALLED)
    states = (State.SUBMITTED, State.STALLED)
    found = [str(task.key) for task in ledger.tasks.select(*states)]
    assert found == ["amazon/000002", "instagram/000001", "instagram/000002", "instagram/000003"]
    assert [str(task.key) for task in ledger.tasks.select(*states, platform="amazon")] == ["amazon/000002"]
    assert ledger.tasks.select(State.SUBMITTED, platform="unheard of") == []
    assert ledger.tasks.select() == []


def test_the_next_tasks_come_in_order_and_in_windows(ledger: Ledger, reach: Reach) -> None:
    """Planned tasks behind a chunk, at most `limit`, with rows and hash of their chunk."""
    reach(ledger, TaskKey("instagram", 2), State.RELEASED)
    window = ledger.tasks.planned("instagram", after_chunk=0, limit=2)
    assert [task.key.chunk for task in window] == [1, 3]
    assert [(task.rows, task.sha256) for task in window] == [(10, f"{1:064x}"), (10, f"{3:064x}")]
    assert [task.key.chunk for task in ledger.tasks.planned("instagram", after_chunk=3, limit=2)] == [4]
    assert ledger.tasks.planned("instagram", after_chunk=4, limit=2) == []


def test_planned_tasks_are_counted_by_size(ledger: Ledger, make_plan: MakePlan, reach: Reach) -> None:
    """What is still to be sent, for the price: skipped and released tasks do not count."""
    chunks = tuple(Chunk(number, 0, rows, "x") for number, rows in enumerate((10, 10, 10, 4, 2), start=1))
    platforms = (PlannedPlatform("instagram", "main", {}, 3),)
    ledger.change(lambda it: it.plan.replace(dataclasses.replace(make_plan(), chunks=chunks, platforms=platforms)))
    reach(ledger, TaskKey("instagram", 2), State.RELEASED)
    assert ledger.tasks.planned_sizes("instagram") == {10: 2, 4: 1}
    assert ledger.tasks.planned_sizes("unheard of") == {}


def test_states_stand_by_chunk_for_the_asked_platforms(ledger: Ledger, reach: Reach) -> None:
    """Chunk by chunk in order, each platform's state; platforms that were not asked for do not appear."""
    reach(ledger, TaskKey("amazon", 2), State.DONE)
    rows = list(ledger.tasks.states_by_chunk(["instagram", "amazon"]))
    assert [chunk for chunk, _ in rows] == [1, 2, 3, 4]
    assert rows[0][1] == {"instagram": State.PLANNED, "amazon": State.PLANNED}
    assert rows[1][1] == {"instagram": State.PLANNED, "amazon": State.DONE}
    assert list(ledger.tasks.states_by_chunk([])) == [(chunk, {}) for chunk in (1, 2, 3, 4)]


def test_where_a_platform_stands(ledger: Ledger, reach: Reach) -> None:
    """Tasks and rows by state, verdicts by word, submits, status calls and cost."""
    for chunk, state in enumerate((State.DONE, State.IN_DOUBT, State.STALLED), start=1):
        reach(ledger, TaskKey("instagram", chunk), state)
    ledger.change(lambda it: it.platforms.count_status_calls("instagram", 1))
    standing = ledger.platforms.standing()["instagram"]
    assert (standing.tasks(), standing.held, standing.unfinished) == (4, 2, 1)
    assert standing.tasks(State.DONE, State.STALLED) == 2
    assert standing.rows_by_state[State.DONE] == 10
    assert standing.verdicts == {"yes": 10}
    assert (standing.submits, standing.status_calls, standing.cost_nano) == (3, 1, 3_000)
    assert ledger.platforms.standing()["amazon"].submits == 0


# --- money -----------------------------------------------------------------------------------------------------------


def test_the_budget_is_over_all_platforms(ledger: Ledger) -> None:
    """A release that would exceed it is a `BudgetError` and changes nothing; one that just fits is fine."""

    def release(key: TaskKey, cost: int) -> None:
        ledger.change(lambda it: it.transitions.release(key, cost_nano=cost, max_cost_nano=1_000, at=1.0))

    release(TaskKey("instagram", 1), 600)
    before = everything(ledger)
    with pytest.raises(BudgetError, match=r"amazon/000001: .* max_cost of 1e-06 USD"):
        release(TaskKey("amazon", 1), 401)
    assert everything(ledger) == before
    release(TaskKey("amazon", 1), 400)
    with pytest.raises(BudgetError):
        release(TaskKey("amazon", 2), 1)
    release(TaskKey("amazon", 2), 0)
    assert ledger.platforms.spent_nano() == 1_000


def test_no_budget_is_asked_of_the_embedded_vendor(ledger: Ledger) -> None:
    """Without a `max_cost_nano` any cost passes."""
    ledger.change(lambda it: it.transitions.release(KEY, cost_nano=10**15, max_cost_nano=None, at=1.0))
    assert ledger.platforms.spent_nano() == 10**15


@pytest.mark.parametrize("answer", ["put_off", "refuse"])
def test_an_answer_without_a_task_gives_the_cost_back(ledger: Ledger, reach: Reach, answer: str) -> None:
    """Put off or refused: submit and cost are no longer counted, once."""
    reach(ledger, TaskKey("instagram", 2), State.SUBMITTED)
    reach(ledger, KEY, State.RELEASED)
    assert (ledger.platforms.spent_nano(), ledger.platforms.standing()["instagram"].submits) == (2_000, 2)
    ledger.change(lambda it: getattr(it.transitions, answer)(KEY, "no", at=12.0))
    assert (ledger.platforms.spent_nano(), ledger.platforms.standing()["instagram"].submits) == (1_000, 1)
    task = ledger.tasks.get(KEY)
    assert task is not None
    assert (task.cost_nano, task.reason) == (0, "no")


def test_an_early_refusal_cost_nothing_and_gives_nothing_back(ledger: Ledger, reach: Reach) -> None:
    """A refusal before the release leaves the sums alone."""
    reach(ledger, TaskKey("instagram", 2), State.SUBMITTED)
    ledger.change(lambda it: it.transitions.refuse(KEY, "too large", at=12.0))
    assert (ledger.platforms.spent_nano(), ledger.platforms.standing()["instagram"].submits) == (1_000, 1)


@pytest.mark.parametrize("state", [State.IN_DOUBT, State.STALLED])
def test_what_a_resubmitted_task_may_have_cost_stays_counted(ledger: Ledger, reach: Reach, state: State) -> None:
    """Both submits are in the sums; a refund of the second one does not give back the first."""
    reach(ledger, KEY, state)
    ledger.change(lambda it: it.transitions.resubmit(KEY, at=20.0))
    reach(ledger, KEY, State.RELEASED)
    assert (ledger.platforms.spent_nano(), ledger.platforms.standing()["instagram"].submits) == (2_000, 2)
    ledger.change(lambda it: it.transitions.put_off(KEY, "429", at=21.0))
    assert (ledger.platforms.spent_nano(), ledger.platforms.standing()["instagram"].submits) == (1_000, 1)


def test_giving_up_gives_no_money_back(ledger: Ledger, reach: Reach) -> None:
    """The vendor may have charged for a task in doubt."""
    reach(ledger, KEY, State.IN_DOUBT)
    ledger.change(lambda it: it.transitions.give_up(KEY, at=20.0))
    assert ledger.platforms.spent_nano() == 1_000


def test_the_latest_runs_come_first(ledger: Ledger) -> None:
    """A report shows some of them; one that was killed has no end."""
    ledger.change(lambda it: it.runs.end(1, at=5.0, exit_code=75, reason="the deadline"))
    ledger.change(lambda it: it.begin_run(at=6.0, host="there", pid=8))
    assert [(run.serial, run.ended_at, run.exit_code) for run in ledger.runs.latest(5)] == [
        (2, None, None),
        (1, 5.0, 75),
    ]
    assert ledger.runs.latest(1) == [ledger.runs.last()]
