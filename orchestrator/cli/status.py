"""`status`: what it takes, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.frame import commands, ending, job_command, put_either, text_width
from orchestrator.cli.resolve import DECIDED
from orchestrator.errors import ExitCode
from orchestrator.report import streams, summary
from orchestrator.report.printed import count, money, summary_text
from orchestrator.report.ways_out import decided_task, waiting_task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.job.status import StatusReport
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

    job = streams.job_arguments(settings)
    return {
        "held_tasks": [waiting_task(task, job, again_usd=cost_again(settings, task)) for task in report.held],
        "failed_tasks": [waiting_task(task, job, again_usd=cost_again(settings, task)) for task in report.failed],
        "decided_tasks": [decided_task(task, job) for task in report.decided],
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
