"""`status`: what it takes, and what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.frame import commands, ending, job_command, put_either, text_width
from orchestrator.cli.resolve import DECIDED
from orchestrator.errors import ExitCode
from orchestrator.redact import mask_numbers, printable
from orchestrator.report import streams, summary
from orchestrator.report.printed import count, money, summary_text
from orchestrator.tasks import DECISIONS, Event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.job.status import StatusReport
    from orchestrator.records import Task
    from orchestrator.settings import Settings


@commands.command(short_help="Say where the job stands.", example="status --held -c spring.toml")
@click.option("--held", "list_held", is_flag=True, help="List what waits for a decision.")
@ending
@job_command
def status(settings: Settings, *, as_json: bool, list_held: bool) -> int:
    """Say where the job stands, also while it runs. Something held or failed, or a finding, is exit code 1."""
    from orchestrator.job.status import job_status

    report = job_status(settings)
    content = as_content(report, settings)
    if list_held:
        content |= held_content(report, settings)
    text = held_text(content) if list_held else summary_text(content, settings.job.directory, text_width())
    put_either(content, text, as_json=as_json)
    failed = any(platform["failed"] for platform in content["platforms"].values())
    return ExitCode.SOME_FAILED if report.held or report.findings or failed else ExitCode.DONE


def as_content(report: StatusReport, settings: Settings) -> dict[str, Any]:
    """Return what summary.json has, as the ledger knows it now."""
    last = report.last
    facts = summary.RunFacts(
        job=settings.job.name,
        job_id=report.job_id,
        serial=report.serial,
        config=streams.as_argument(settings.source),
        arguments=streams.job_arguments(settings),
        token=report.token,
        sandbox=report.sandbox,
        started_at=last.started_at if last else None,
        ended_at=last.ended_at if last else None,
        exit_code=None if last is None or last.exit_code is None else ExitCode(last.exit_code),
        reason=last.reason if last else "",
        max_cost=settings.budget.max_cost,
    )
    content = summary.build(facts, report.counts, report.standings, report.held, findings=report.findings)
    return content | summary.CLOSED if report.closed else content


def held_content(report: StatusReport, settings: Settings) -> dict[str, Any]:
    """Return what waits for a decision, what failed, and what was decided since the last run, a task at a time."""
    from orchestrator.job.budget import cost_again

    config = streams.as_argument(settings.source)
    return {
        "held_tasks": [held_task(task, config, again_usd=cost_again(settings, task)) for task in report.held],
        "failed_tasks": [held_task(task, config, again_usd=cost_again(settings, task)) for task in report.failed],
        "decided_tasks": [decided_task(task, config) for task in report.decided],
    }


def held_task(task: Task, config: str, *, again_usd: float | None) -> dict[str, Any]:
    """Return what a person needs to find a held or failed task at the vendor, and the ways out, to be copied.

    `config` is as the user would name it behind `-c`; `again_usd` is what another submit would cost, None for unknown.
    """
    takes = [event for event in DECISIONS[task.state] if event is not Event.REFETCH or task.task_id is not None]
    return {
        "task": str(task.key),
        "state": task.state.replace("_", " "),
        "numbers": task.rows,
        "sent_as": task.sent_name or None,
        "sent_at": summary.utc(task.released_at),
        "cost": summary.usd(task.cost_nano),
        "task_id": task.task_id,
        "reason": printable(mask_numbers(task.reason)),
        "ways_out": [
            {
                "decision": event.value,
                "when": _WAYS_OUT[event][1].format(again=money(again_usd), twice=_TWICE if task.task_id else ""),
                "cost": again_usd if event is Event.RESUBMIT else 0.0,
                "command": f"orchestrator resolve {task.key} {_WAYS_OUT[event][0]} -c {config}",
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


def decided_task(task: Task, config: str) -> dict[str, Any]:
    """Return what was decided of a task, and how to take it back."""
    event = str(json.loads(task.decided or "{}").get("event", ""))
    return {
        "task": str(task.key),
        "decision": event,
        "task_id": task.task_id,
        "undo": f"orchestrator resolve {task.key} --undo -c {config}",
    }


def held_text(content: Mapping[str, Any]) -> str:
    """List the held tasks with what a person needs to find them at the vendor, from what `status --held` gathered."""
    lines = [line for task in content["held_tasks"] for line in _waiting_lines(task)] or ["nothing is held"]
    if failed := content["failed_tasks"]:
        lines += ["", "failed", *(line for task in failed for line in _waiting_lines(task))]
    if decided := content["decided_tasks"]:
        lines += ["", "decided, for the next run to act on"]
        for task in decided:
            lines += [
                f"{task['task']}  {DECIDED[task['decision']].format_map(task)}",
                f"    {task['undo']}  # take it back",
            ]
    return "\n".join(lines)


def _waiting_lines(task: Mapping[str, Any]) -> list[str]:
    numbers = f"{count(task['numbers'])} number{'s' * (task['numbers'] != 1)}"
    fields = {
        "sent as": task["sent_as"] or "not sent",
        "sent at": task["sent_at"] or "not sent",
        "cost": f"{money(task['cost'])}, which the vendor may have charged" if task["cost"] else "nothing so far",
        "task id": task["task_id"] or "not known",
        "reason": task["reason"],
    }
    lines = [f"{task['task']}  {task['state']}  {numbers}"]
    lines += [f"    {name:<9}{value}" for name, value in fields.items() if value]
    return lines + [f"    {way['command']}  # {way['when']}" for way in task["ways_out"]]
