from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sandbox.catalog import ApiStyle
from orchestrator.sandbox.course import TaskStatus, course

ORDER = [TaskStatus.PENDING, TaskStatus.PROCESSING, TaskStatus.COMPLETED, TaskStatus.EXPORTED]


def test_a_simple_task_goes_through_all_statuses() -> None:
    """pending, processing with growing counts, completed, exported."""
    task = course(0, 100.0, "t", ApiStyle.SIMPLE, 10_000, 5_000.0)
    seen = [task.at(5_000.0 + second) for second in range(130)]
    statuses = [progress.status for progress in seen]
    assert sorted(set(statuses), key=ORDER.index) == ORDER
    assert statuses == sorted(statuses, key=ORDER.index)
    done = [progress.rows_done for progress in seen]
    assert done == sorted(done)
    assert len(set(done)) > 50
    assert (done[0], done[-1]) == (0, 10_000)


def test_v1_knows_no_completed() -> None:
    """The documented v1 statuses are pending, processing, exported."""
    task = course(0, 100.0, "t", ApiStyle.V1, 10_000, 0.0)
    assert {task.at(float(second)).status for second in range(130)} == set(ORDER) - {TaskStatus.COMPLETED}


@given(st.integers(1, 10**7), st.floats(1, 1e6), st.text(max_size=5))
def test_a_task_takes_rows_by_pace_give_or_take_a_quarter(rows: int, pace: float, task_id: str) -> None:
    """The clock alone decides; tasks do not wait for each other."""
    task = course(0, pace, task_id, ApiStyle.V1, rows, 0.0)
    assert 0.75 <= task.exported_at * pace / rows <= 1.25
    assert task.at(task.exported_at).status is TaskStatus.EXPORTED
    assert task.at(math.nextafter(task.exported_at, 0)).status is not TaskStatus.EXPORTED


def test_tasks_of_one_size_differ() -> None:
    """Task times vary, as the vendor's do."""
    assert len({course(0, 1.0, f"t{n}", ApiStyle.V1, 100, 0.0).exported_at for n in range(20)}) == 20


def test_without_a_pace_limit_a_task_is_exported_at_once() -> None:
    """For measuring a client, the vendor takes no time at all."""
    progress = course(0, math.inf, "t", ApiStyle.SIMPLE, 100, 7.0).at(7.0)
    assert (progress.status, progress.rows_done, progress.updated_at) == (TaskStatus.EXPORTED, 100, 7.0)


def test_updated_at_never_runs_ahead() -> None:
    """The last update is not in the future, and stays once the task is exported."""
    task = course(0, 1.0, "t", ApiStyle.SIMPLE, 100, 0.0)
    assert all(task.at(float(now)).updated_at <= now for now in range(200))
    assert task.at(1e6).updated_at == task.exported_at
