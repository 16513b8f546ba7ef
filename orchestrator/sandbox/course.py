"""How far a task is: a pure function of when it was made and what time it is. Nothing runs in the background."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.sandbox.catalog import ApiStyle
from orchestrator.sandbox.chance import chance

_PENDING_SHARE, _WORKED_SHARE = 0.05, 0.95
_SLOWEST, _FASTEST = 1.25, 0.75


class TaskStatus(StrEnum):
    """What a status answer says; `completed` exists in the simple style only, `failed` means the file is lost."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    EXPORTED = "exported"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """Where a task stands: `rows_done` of its rows are worked off; `updated_at` in seconds since the epoch."""

    status: TaskStatus
    rows_done: int
    updated_at: float


@dataclass(frozen=True, slots=True)
class TaskCourse:
    """The times of one task, in seconds since the epoch."""

    style: ApiStyle
    rows: int
    created_at: float
    starts_at: float
    worked_at: float
    exported_at: float

    def at(self, now: float) -> TaskProgress:
        if now >= self.exported_at:
            return TaskProgress(TaskStatus.EXPORTED, self.rows, self.exported_at)
        if now < self.starts_at:
            return TaskProgress(TaskStatus.PENDING, 0, self.created_at)
        if now >= self.worked_at:
            status = TaskStatus.COMPLETED if self.style is ApiStyle.SIMPLE else TaskStatus.PROCESSING
            return TaskProgress(status, self.rows, self.worked_at)
        share = (now - self.starts_at) / (self.worked_at - self.starts_at)
        return TaskProgress(TaskStatus.PROCESSING, int(self.rows * share), now)


def course(seed: int, pace: float, task_id: str, style: ApiStyle, rows: int, created_at: float) -> TaskCourse:
    """Lay out a task's times: `rows / pace` seconds in all, give or take a quarter; `pace` inf means at once."""
    factor = _FASTEST + (_SLOWEST - _FASTEST) * chance(seed, "course", task_id)
    takes_s = rows / pace * factor
    return TaskCourse(
        style=style,
        rows=rows,
        created_at=created_at,
        starts_at=created_at + _PENDING_SHARE * takes_s,
        worked_at=created_at + _WORKED_SHARE * takes_s,
        exported_at=created_at + takes_s,
    )
