"""Standings and tasks as a ledger would give them, and the log into strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.records import Standing, Task
from orchestrator.tasks import State, TaskKey

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS_A_TASK = 100


def make_standing(platform: str = "instagram", *, verdicts: dict[str, int] | None = None, **tasks: int) -> Standing:
    by_state = {State(name): number for name, number in tasks.items()}
    return Standing(
        platform=platform,
        tasks_by_state=by_state,
        rows_by_state={state: number * ROWS_A_TASK for state, number in by_state.items()},
        verdicts=verdicts or {},
        submits=sum(by_state.values()) - by_state.get(State.PLANNED, 0),
        status_calls=4,
        cost_nano=700_000,
    )


def make_task(chunk: int = 17, *, state: State = State.IN_DOUBT, task_id: str | None = None, reason: str = "") -> Task:
    return Task(
        key=TaskKey("instagram", chunk),
        state=state,
        rows=20_000,
        sha256="ab12cd34" * 8,
        task_id=task_id,
        cost_nano=2_000_000_000,
        submitted_at=1_763_756_102.0,
        progress_at=None,
        total=0,
        success=0,
        reason=reason,
        sent_name=f"spring-instagram-{chunk:06d}-ab12cd34.txt",
        released_at=1_763_756_102.0,
    )


@pytest.fixture
def standing() -> Callable[..., Standing]:
    return make_standing


@pytest.fixture
def task() -> Callable[..., Task]:
    return make_task
