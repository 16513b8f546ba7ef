"""`purge`: what it takes, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.frame import commands, ending, job_command, put_either, until_done
from orchestrator.errors import ExitCode
from orchestrator.report import streams
from orchestrator.report.printed import plural, section, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.job.purge import PurgeReport
    from orchestrator.settings import Settings


@commands.command(short_help="Remove what holds numbers; close the job.", example="purge --yes -c spring.toml")
@click.option("--yes", is_flag=True, help="Remove it; without, only say what would be removed.")
@ending
@job_command
def purge(settings: Settings, *, as_json: bool, yes: bool) -> int:
    """Remove what holds numbers and close the job, so that no later run can pay again.

    The ledger, the summary and the log stay; they hold no numbers. What can't be reached from here is listed.
    """
    from orchestrator.job.purge import purge_job
    from orchestrator.job.world import real_world

    report = until_done(purge_job(settings, real_world(), yes=yes))
    content = as_content(report, settings)
    put_either(content, as_text(content), as_json=as_json)
    if not yes:
        again = f"orchestrator purge --yes {streams.job_arguments(settings)}"
        streams.say(f"nothing was removed; {again} removes it and closes the job")
    return ExitCode.DONE


def as_content(report: PurgeReport, settings: Settings) -> dict[str, Any]:
    """Return what holds numbers, relative to the job's directory, and what is elsewhere."""
    directory = settings.job.directory
    return {
        "exit_code": int(ExitCode.DONE),
        "done": report.done,
        "directory": str(directory),
        "paths": [str(path.relative_to(directory)) for path in report.paths],
        "files": report.files,
        "size_bytes": report.size_bytes,
        "out_of_reach": list(report.out_of_reach),
    }


def as_text(content: Mapping[str, Any]) -> str:
    """Say what was removed, or would be, and which copies are elsewhere."""
    verb = "removed" if content["done"] else "would be removed"
    files = plural(content["files"], "file")
    lines = [f"{content['directory']}: {verb}: {files}, {size(content['size_bytes'])}"]
    lines += [f"- {path}" for path in content["paths"]]
    return "\n".join([*lines, *section("out of reach, for you to remove", content["out_of_reach"])])
