"""`enrich`: what it takes, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.frame import commands, ending, job_command, put_either, until_done
from orchestrator.errors import ExitCode
from orchestrator.report.printed import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.job.enriched_table import EnrichReport
    from orchestrator.settings import Settings


@commands.command(
    short_help="Write a table back with verdicts beside its rows.",
    example="enrich crm.xlsx -o crm-checked.xlsx -c spring.toml",
)
@click.argument("file", type=click.Path())
@click.option("-o", "out", type=click.Path(), metavar="OUT", required=True, help="Where to write it; not FILE.")
@ending
@job_command
def enrich(settings: Settings, *, file: str, out: str, as_json: bool) -> int:
    """Write a table back, each of its rows in its place, with the verdicts of each of its numbers.

    FILE may be an input of the job or any other table of the same people; it comes back as the kind of file that it is.
    FILE and OUT may be URLs in a bucket, such as s3://bucket/crm.csv.
    """
    from orchestrator.job.enrich import enrich_file
    from orchestrator.job.world import real_world

    report = until_done(enrich_file(settings, real_world(), file, out))
    content = as_content(report, out)
    put_either(content, as_text(content), as_json=as_json)
    return ExitCode.DONE


def as_content(report: EnrichReport, out: str) -> dict[str, Any]:
    """Return what was written, and where."""
    return {
        "exit_code": int(ExitCode.DONE),
        "path": out,
        "rows": report.rows,
        "numbers": report.numbers,
        "known": report.known,
        "plain": report.is_plain,
    }


def as_text(content: Mapping[str, Any]) -> str:
    """Say what was written, and how much of it the job knows."""
    rows, numbers, known = (count(content[name]) for name in ("rows", "numbers", "known"))
    plain = "; the sheet is a plain one now: nothing could be added to it as it was" * bool(content["plain"])
    return f"{content['path']}: {rows} rows, {numbers} numbers, {known} of them in the job{plain}"
