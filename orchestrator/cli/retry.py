"""`retry`: what it takes, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.costs import cost_lines, costs_content
from orchestrator.cli.frame import commands, ending, job_command, put_either, say_next_run, text_width, until_done
from orchestrator.report.printed import WIDTH, count, findings, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.job.retry import RetryReport
    from orchestrator.settings import Settings


@commands.command(short_help="Plan failed and unanswered numbers again.", example="retry -c spring.toml")
@click.option("--all", "every", is_flag=True, help="Plan also what could be had for free instead; it is paid again.")
@ending
@job_command
def retry(settings: Settings, *, as_json: bool, every: bool) -> int:
    """Plan failed and unanswered numbers as a further generation and show the cost; the next run sends it.

    What could be had for free instead is named and left out: results that the vendor may have still, or that are kept.
    """
    from orchestrator.job.retry import retry_job
    from orchestrator.job.world import real_world

    report = until_done(retry_job(settings, real_world(), every=every))
    content = as_content(report)
    put_either(content, as_text(content, text_width()), as_json=as_json)
    if report.planned and any(cost.tasks for cost in report.platforms):
        say_next_run(settings)
    return report.exit_code


def as_content(report: RetryReport) -> dict[str, Any]:
    """Return how many numbers lack a verdict, what is to be sent now, and what it costs."""
    return {
        "exit_code": int(report.exit_code),
        "without_verdict": dict(report.numbers),
        "planned": report.planned,
        "platforms": costs_content(report.platforms),
        "cost": report.cost_usd,
        "max_cost": report.max_cost,
        "others_cost": report.others_usd,
        "findings": list(report.findings),
    }


def as_text(content: Mapping[str, Any], width: int = WIDTH) -> str:
    """Say which numbers lack a verdict, and what is to be sent now."""
    lacking = {name: number for name, number in content["without_verdict"].items() if number}
    if not lacking:
        why = "" if content["findings"] else "every number has a verdict: "
        return "\n".join([f"{why}there is nothing to retry", *findings(content)])
    lines = table(("without verdict", "numbers"), [(name, count(number)) for name, number in lacking.items()], width)
    heading = "to be sent" if content["planned"] else "would be sent"
    return "\n".join([*lines, "", heading, *cost_lines(content, width), *findings(content)])
