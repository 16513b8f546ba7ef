"""What a person needs to decide on a held or failed task: where it is at the vendor, and the commands to copy. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict

from orchestrator.redact import mask_numbers, printable
from orchestrator.report.cost_ledger import usd
from orchestrator.report.printed import money
from orchestrator.report.summary import utc
from orchestrator.tasks import DECISIONS, Event

if TYPE_CHECKING:
    from orchestrator.records import Task


class WayOut(TypedDict):
    """A decision that a task takes, when it is the right one, what it costs, and the command."""

    decision: str
    when: str
    cost: float | None
    command: str


class WaitingTask(TypedDict):
    """A held or failed task; `cost` is what the vendor may have charged for it, in USD.

    `balance` is what became of the vendor's balance around it, None where it tells none.
    """

    task: str
    state: str
    numbers: int
    sent_as: str | None
    sent_at: str | None
    cost: float
    balance: str | None
    task_id: str | None
    reason: str
    ways_out: list[WayOut]


class DecidedTask(TypedDict):
    """A task of which a person decided since the last run."""

    task: str
    decision: str
    task_id: str | None
    undo: str


def waiting_task(task: Task, job: str, *, again_usd: float | None, balance: str | None = None) -> WaitingTask:
    """Return what a person needs to find a held or failed task at the vendor, and the ways out, to be copied.

    `job` is what names it behind any command, as `streams.job_arguments` does; `again_usd` is what another submit would
    cost, None for unknown, and `balance` what the vendor's balance hints at.
    """
    takes = [event for event in DECISIONS[task.state] if event is not Event.REFETCH or task.task_id is not None]
    return {
        "task": str(task.key),
        "state": task.state.replace("_", " "),
        "numbers": task.rows,
        "sent_as": task.sent_name or None,
        "sent_at": utc(task.released_at),
        "cost": usd(task.cost_nano),
        "balance": balance,
        "task_id": task.task_id,
        "reason": printable(mask_numbers(task.reason)),
        "ways_out": [
            {
                "decision": event.value,
                "when": _WAYS_OUT[event][1].format(again=money(again_usd), twice=_TWICE if task.task_id else ""),
                "cost": again_usd if event is Event.RESUBMIT else 0.0,
                "command": f"orchestrator resolve {task.key} {_WAYS_OUT[event][0]} {job}",
            }
            for event in takes
        ],
    }


_TWICE = ", although it has a task id and was paid for"
_WAYS_OUT = {
    Event.ADOPT: ("--adopt TASK_ID", "the vendor has it, under this id"),
    Event.RESUBMIT: ("--resubmit", "send it again, for {again}{twice}"),
    Event.FINISH: ("--result FILE", "you have its result file"),
    Event.GIVE_UP: ("--give-up", "do without"),
    Event.REFETCH: ("--refetch", "fetch its result again, for free"),
}
"""How each decision is typed, and when it is the right one."""


def decided_task(task: Task, job: str) -> DecidedTask:
    """Return what was decided of a task, and how to take it back."""
    event = str(json.loads(task.decided or "{}").get("event", ""))
    return {
        "task": str(task.key),
        "decision": event,
        "task_id": task.task_id,
        "undo": f"orchestrator resolve {task.key} --undo {job}",
    }
