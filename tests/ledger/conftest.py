"""A planned ledger in a real file, and ways to bring its tasks to a state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.ledger import Ledger, ledger_path
from orchestrator.ledger.postgres import PostgreSQL
from orchestrator.records import Plan
from orchestrator.tasks import State, TaskKey
from tests.ledgers import everything, new_job, reader_of
from tests.postgres import Server

MakePlan = Callable[..., Plan]
Reach = Callable[[Ledger, TaskKey, State], None]

COST_NANO = 1_000


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """Open a ledger of either kind without a plan; what was committed to a database has to be what its mirror has."""
    if request.param == "sqlite":
        with Ledger.create(ledger_path(tmp_path), "job-1") as opened:
            yield opened
        return
    server: Server = request.getfixturevalue("postgres")
    with Ledger(PostgreSQL.create(new_job(server), "job-1")) as opened:
        yield opened
        with reader_of(opened) as reader:
            assert everything(reader) == everything(opened)


@pytest.fixture
def ledger(empty_ledger: Ledger, make_plan: MakePlan) -> Ledger:
    """Open a planned ledger of either kind in its first run."""
    plan = make_plan()
    empty_ledger.change(lambda it: it.plan.replace(plan))
    empty_ledger.change(lambda it: it.begin_run(at=1.0, host="here", pid=7))
    return empty_ledger


@pytest.fixture(scope="session")
def reach() -> Reach:
    """Bring a planned task to a state, by transitions."""

    def to(ledger: Ledger, key: TaskKey, state: State) -> None:
        ways: dict[State, list[Callable[[Ledger], object]]] = {
            State.PLANNED: [],
            State.RELEASED: [lambda it: it.transitions.release(key, cost_nano=COST_NANO, max_cost_nano=None, at=10.0)],
        }
        ways[State.IN_DOUBT] = [*ways[State.RELEASED], lambda it: it.transitions.doubt(key, "reset", at=11.0)]
        ways[State.SUBMITTED] = [
            *ways[State.RELEASED],
            lambda it: it.transitions.accept(key, f"id-{key}", total=10, at=11.0),
        ]
        ways[State.STALLED] = [*ways[State.SUBMITTED], lambda it: it.transitions.stall(key, "no progress", at=12.0)]
        ways[State.FAILED] = [*ways[State.SUBMITTED], lambda it: it.transitions.fail(key, "damaged", at=12.0)]
        ways[State.DONE] = [
            *ways[State.SUBMITTED],
            lambda it: it.transitions.finish(key, {"yes": 10}, at=12.0, detail={}),
        ]
        ways[State.RETRIED] = [*ways[State.FAILED], lambda it: it.transitions.retry(key, at=13.0)]
        for step in ways[state]:
            ledger.change(step)

    return to
