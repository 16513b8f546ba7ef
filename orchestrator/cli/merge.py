"""`merge`: what it takes, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.cli.frame import commands, ending, job_command, put_either, until_done
from orchestrator.errors import ExitCode
from orchestrator.report import streams
from orchestrator.report.printed import count, master_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.master import MasterReport
    from orchestrator.settings import Settings


@commands.command(
    short_help="Build the master from what is there.",
    example="merge -c spring.toml --set 'output.formats=[\"csv\"]'",
)
@ending
@job_command
def merge(settings: Settings, *, as_json: bool) -> int:
    """Build the master from what is there; while cells are pending its files are called master.partial.*."""
    from orchestrator.job.merge import merge_job
    from orchestrator.job.world import real_world

    report = until_done(merge_job(settings, real_world()))
    content = as_content(report)
    put_either(content, as_text(content, settings.job.directory), as_json=as_json)
    if report.pending:
        again = f"orchestrator run {streams.job_arguments(settings)}"
        streams.say(f"{count(report.pending)} cells are pending; {again} goes on")
    return ExitCode.DONE


def as_content(report: MasterReport) -> dict[str, Any]:
    """Return the files of the master, and what stands in them."""
    from orchestrator.report import summary

    return {
        "exit_code": int(ExitCode.DONE),
        "pending": report.pending,
        "verdicts": report.counts,
        "master": summary.master_files(report),
    }


def as_text(content: Mapping[str, Any], directory: Path) -> str:
    """Name the files of the master."""
    return "\n".join(master_lines(content["master"], directory))
