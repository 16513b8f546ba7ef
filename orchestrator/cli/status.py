"""`status`: what it takes, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.frame import commands, ending, job_command, put_either, text_width, until_done
from orchestrator.cli.resolve import DECIDED
from orchestrator.errors import ExitCode
from orchestrator.report import streams
from orchestrator.report.printed import money, plural, summary_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.settings import Settings


@commands.command(short_help="Say where the job stands.", example="status --held -c spring.toml")
@click.option("--held", "list_held", is_flag=True, help="List what waits for a decision.")
@ending
@job_command
def status(settings: Settings, *, as_json: bool, list_held: bool) -> int:
    """Say where the job stands, also while it runs. Something held or failed, or a finding, is exit code 1."""
    from orchestrator.api import job_status
    from orchestrator.report import summary

    content = until_done(job_status(settings, tasks=list_held))
    text = held_text(content) if list_held else summary_text(content, settings.job.directory, text_width())
    put_either(content, text, as_json=as_json)
    for message in filter(None, (content["reason"], summary.advice(content))) if not list_held else ():
        streams.say(message)
    waits = any(platform["failed"] or platform["held"] for platform in content["platforms"].values())
    return ExitCode.SOME_FAILED if waits or content["findings"] else ExitCode.DONE


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
    fields = {
        "sent as": task["sent_as"] or "not sent",
        "sent at": task["sent_at"] or "not sent",
        "cost": f"{money(task['cost'])}, which the vendor may have charged" if task["cost"] else "nothing so far",
        "balance": task["balance"],
        "task id": task["task_id"] or "not known",
        "reason": task["reason"],
    }
    lines = [f"{task['task']}  {task['state']}  {plural(task['numbers'], 'number')}"]
    lines += [f"    {name:<9}{value}" for name, value in fields.items() if value]
    return lines + [f"    {way['command']}  # {way['when']}" for way in task["ways_out"]]
