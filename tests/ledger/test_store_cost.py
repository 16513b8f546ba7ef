"""What the ledger costs must not grow with the job: counted in steps of SQLite's machine, not in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.ledger import Ledger, ledger_path
from orchestrator.records import Plan
from orchestrator.tasks import State, TaskKey
from tests.ledgers import sqlite_of

MakePlan = Callable[..., Plan]

FEW, MANY = 500, 50_000  # chunks on two platforms: 1,000 and 100,000 tasks
SLACK = 1.05


def _plan(ledger: Ledger, plan: Plan) -> None:
    ledger.change(lambda it: it.plan.replace(plan))


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory, make_plan: MakePlan) -> Iterator[tuple[Ledger, Ledger]]:
    """Give a small and a large job, alike but for the number of their tasks."""
    opened = []
    for chunks in (FEW, MANY):
        ledger = Ledger.create(ledger_path(tmp_path_factory.mktemp("job")), "job-1")
        _plan(ledger, make_plan(chunks, ("instagram", "amazon")))
        opened.append(ledger)
    yield opened[0], opened[1]
    for ledger in opened:
        ledger.close()


def steps(ledger: Ledger, work: Callable[[Ledger], object]) -> int:
    """Count the instructions that SQLite executes for `work`."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    sqlite_of(ledger)._sql.set_progress_handler(step, 1)
    try:
        work(ledger)
    finally:
        sqlite_of(ledger)._sql.set_progress_handler(None, 1)
    return count


def life(chunk: int) -> Callable[[Ledger], None]:
    """Live a whole life, a commit an event, as the dispatcher does."""
    key = TaskKey("instagram", chunk)
    events: list[Callable[[Ledger], Any]] = [
        lambda it: it.transitions.release(key, cost_nano=1, max_cost_nano=10**9, at=1.0),
        lambda it: it.transitions.accept(key, f"id-{chunk}", total=10, at=2.0),
        lambda it: it.transitions.note_status(key, status="processing", total=10, success=5, at=3.0),
        lambda it: it.transitions.finish(key, {"yes": 4, "no": 6}, at=4.0, detail={}),
    ]

    def live(ledger: Ledger) -> None:
        for event in events:
            ledger.change(event)

    return live


def release(chunk: int) -> Callable[[Ledger], None]:
    return lambda it: it.transitions.release(TaskKey("amazon", chunk), cost_nano=1, max_cost_nano=None, at=1.0)


def settle(chunk: int) -> Callable[[Ledger], None]:
    return lambda it: it.transitions.give_up(TaskKey("amazon", chunk), at=1.0)


READINGS: dict[str, Callable[[Ledger], object]] = {
    "standing": lambda ledger: ledger.platforms.standing(),
    "spent": lambda ledger: ledger.platforms.spent_nano(),
    "a task": lambda it: it.tasks.get(TaskKey("amazon", 250)),
    "the next tasks": lambda it: it.tasks.planned("instagram", after_chunk=250, limit=50),
    "no next tasks": lambda it: it.tasks.planned("instagram", after_chunk=MANY, limit=50),
    "tasks of a state": lambda it: it.tasks.select(State.SUBMITTED, State.STALLED, State.IN_DOUBT),
    "tasks of a state and a platform": lambda it: it.tasks.select(State.SUBMITTED, State.STALLED, platform="amazon"),
    "the first chunk's states": lambda it: next(it.tasks.states_by_chunk(["instagram", "amazon"])),
    "the first chunk": lambda it: next(it.plan.chunks()),
    "the last run": lambda ledger: ledger.runs.last(),
    "the owner of an id": lambda it: it.tasks.owner_of(TaskKey("amazon", 250), "some", "words", once=True),
}


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_costs_the_same_in_a_large_job(ledgers: tuple[Ledger, Ledger], name: str) -> None:
    """No reading that a run does again and again walks through all tasks, nor sorts them before the first row."""
    small, large = (steps(ledger, READINGS[name]) for ledger in ledgers)
    assert 0 < large <= small * SLACK
    assert large < 5_000


def test_a_life_costs_the_same_in_a_large_job(ledgers: tuple[Ledger, Ledger]) -> None:
    """From release to verdicts a task costs as many steps among 100,000 as among 1,000."""
    small, large = (steps(ledger, life(100)) for ledger in ledgers)
    assert 0 < large <= small * SLACK
    assert large < 2_500


def test_a_task_at_the_end_costs_what_the_first_one_did(ledgers: tuple[Ledger, Ledger]) -> None:
    """Events, ids and sums that pile up make no later task dearer."""
    _, large = ledgers
    life(1)(large)  # the first row of a table costs less
    first = steps(large, life(2))
    for chunk in range(3, 90):
        life(chunk)(large)
    assert steps(large, life(MANY)) <= first * SLACK


def test_a_run_begins_at_the_cost_of_what_it_must_mend(ledgers: tuple[Ledger, Ledger]) -> None:
    """Beginning a run looks at the tasks that were cut off only."""
    counts = []
    for ledger in ledgers:
        for chunk in (1, 2, 3):
            ledger.change(release(chunk))
        counts.append(steps(ledger, lambda it: it.change(lambda inner: inner.begin_run(at=1.0, host="here", pid=1))))
        assert [task.key.chunk for task in ledger.tasks.select(State.IN_DOUBT)] == [1, 2, 3]
        for chunk in (1, 2, 3):
            ledger.change(settle(chunk))
    small, large = counts
    assert 0 < large <= small * SLACK


def test_a_merge_walks_in_one_pass(ledgers: tuple[Ledger, Ledger]) -> None:
    """All states, chunk by chunk, cost the same for each chunk."""
    platforms = ["instagram", "amazon"]
    small, large = (steps(ledger, lambda it: list(it.tasks.states_by_chunk(platforms))) for ledger in ledgers)
    assert large / MANY <= small / FEW * SLACK
