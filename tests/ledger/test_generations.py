"""Further generations in the ledger: a longer list, a retry, a platform that joins, a job that is closed."""

from __future__ import annotations

import dataclasses

import pytest

from orchestrator.ledger import Ledger
from orchestrator.records import Chunk, InputFile, Listed, PlannedPlatform
from orchestrator.tasks import State, TaskKey
from tests.ledger.conftest import MakePlan, Reach
from tests.ledgers import everything

AMAZON = PlannedPlatform("amazon", "main", {"path": "/amazon"}, 1)


def states(ledger: Ledger, platform: str) -> dict[int, State]:
    return {task.key.chunk: task.state for task in ledger.tasks.select(*State, platform=platform)}


def test_a_longer_list(ledger: Ledger, make_plan: MakePlan) -> None:
    """Known chunks keep their tasks; the new ones are planned on each platform; inputs and counts are the new ones."""
    counts = dataclasses.replace(make_plan().listed.counts, read=60, accepted=55)
    added = (Chunk(5, 40, 15, "e" * 64, generation=2),)
    listed = Listed((InputFile("/long", "l", 9),), counts, {"rejected.csv": "r" * 64}, b"order")
    ledger.change(lambda it: it.plan.extend(listed, added, (AMAZON,)))
    assert states(ledger, "amazon") == dict.fromkeys(range(1, 6), State.PLANNED)
    assert states(ledger, "instagram") == dict.fromkeys(range(1, 5), State.PLANNED)
    assert ledger.plan.listed() == listed
    assert ledger.plan.next_chunk() == (3, 6)
    ledger.change(lambda it: it.plan.add_platform(make_plan().platforms[0]))
    assert states(ledger, "instagram") == dict.fromkeys(range(1, 6), State.PLANNED)


def test_a_retry(ledger: Ledger, reach: Reach) -> None:
    """Its chunks are tasks of one platform only; the failed tasks there are settled, those elsewhere are not."""
    reach(ledger, TaskKey("amazon", 2), State.FAILED)
    reach(ledger, TaskKey("instagram", 2), State.FAILED)
    added = (Chunk(5, 10, 12, "e" * 64, generation=2, only="amazon"),)
    ledger.change(lambda it: it.plan_retry(AMAZON, added, at=9.0))
    assert states(ledger, "amazon") == {1: State.PLANNED, 2: State.RETRIED, 3: "planned", 4: "planned", 5: "planned"}
    assert states(ledger, "instagram")[2] is State.FAILED
    assert list(ledger.tasks.retry_states("amazon")) == [(2, 5, State.PLANNED)]
    assert list(ledger.tasks.retry_states("instagram")) == []
    assert [chunk for chunk, _ in ledger.tasks.states_by_chunk(["amazon"])] == [1, 2, 3, 4]
    assert (ledger.plan.chunk_numbers(), ledger.plan.chunk_numbers(retried=True)) == ([1, 2, 3, 4], [5])
    assert ledger.platforms.standing()["amazon"].tasks(State.PLANNED) == 4


def test_a_platform_that_joins_gets_no_task_of_a_retry(ledger: Ledger) -> None:
    """A chunk of another platform's retry is a part of the list that the first chunks hold already."""
    added = (Chunk(5, 10, 12, "e" * 64, generation=2, only="amazon"),)
    ledger.change(lambda it: it.plan_retry(AMAZON, added, at=9.0))
    ledger.change(lambda it: it.plan.add_platform(PlannedPlatform("late", "main", {}, 1)))
    assert sorted(states(ledger, "late")) == [1, 2, 3, 4]


def test_planning_a_platform_twice_changes_nothing(ledger: Ledger) -> None:
    """Neither its tasks nor what is fixed about it."""
    before = everything(ledger)
    ledger.change(lambda it: it.plan.add_platform(dataclasses.replace(AMAZON, fixed={"path": "/other"})))
    assert everything(ledger) == before


def test_a_closed_job_stays_closed(ledger: Ledger) -> None:
    """The first closing counts."""
    closed = [ledger.runs.closed]
    ledger.change(lambda it: it.runs.close_job(at=5.0))
    ledger.change(lambda it: it.runs.close_job(at=6.0))
    assert [*closed, ledger.runs.closed] == [False, True]
    assert ledger.connection.value("SELECT closed_at FROM job") == pytest.approx(5.0)


def test_kept_columns_are_noted(ledger: Ledger) -> None:
    """Their names and the setting that they come from, and for each chunk the hash of their file."""
    ledger.change(lambda it: it.plan.note_columns(("city",), {"keep_columns": ["city"]}, {2: "c" * 64}))
    assert ledger.plan.counts().columns == ("city",)
    assert ledger.plan.reading()["keep_columns"] == ["city"]
    assert [chunk.columns_sha256 for chunk in ledger.plan.chunks()] == ["", "c" * 64, "", ""]
