"""`diff`: what it takes, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.frame import commands, ending, put_either, text_width, until_done
from orchestrator.errors import ExitCode
from orchestrator.jobdir.verdict_words import NOT_IN_JOB
from orchestrator.report.printed import WIDTH, count, numbers_table, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.master.changes import DiffReport


@commands.command(
    short_help="Compare the verdicts of two jobs.",
    example="diff runs/october runs/november -o changes.xlsx",
)
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@click.option(
    "-o", "out", type=click.Path(path_type=Path), metavar="OUT", help="Write what differs: .csv, .xlsx or .parquet."
)
@click.option("--json", "as_json", is_flag=True, help="End standard output with one line of JSON.")
@ending
def diff(*, old: str, new: str, out: Path | None, as_json: bool) -> int:
    """Compare two jobs: which numbers are new, gone, or have another verdict.

    They are named by their directories, or by their configuration files, as what is in a bucket or a database has to.

    Platforms are compared by their names; what only one of the jobs has asked is left out.
    """
    from orchestrator.job.diff import diff_jobs
    from orchestrator.job.other_jobs import refuse_url

    for job in (old, new):
        refuse_url(job)
    report = until_done(diff_jobs(Path(old).resolve(), Path(new).resolve(), out))
    content = as_content(report, out)
    put_either(content, as_text(content, text_width()), as_json=as_json)
    return ExitCode.DONE


def as_content(report: DiffReport, out: Path | None) -> dict[str, Any]:
    """Return how many numbers differ, and for each platform from which verdict to which; null is no verdict at all."""
    return {
        "exit_code": int(ExitCode.DONE),
        "numbers": {name: getattr(report, name) for name in ("new", "gone", "changed", "same")},
        "verdicts": {
            platform: [{"old": was or None, "new": now or None, "numbers": rows} for (was, now), rows in its.items()]
            for platform, its in report.verdicts.items()
        },
        "path": None if out is None else str(out.resolve()),
        "rows": report.rows,
    }


def as_text(content: Mapping[str, Any], width: int = WIDTH) -> str:
    """Say the same to people."""
    lines = numbers_table(content["numbers"], width)
    for platform, verdicts in content["verdicts"].items():
        rows = [(one["old"] or NOT_IN_JOB, one["new"] or NOT_IN_JOB, count(one["numbers"])) for one in verdicts]
        lines += ["", *(table((platform, "now", "numbers"), rows, width) if rows else [f"{platform}: no difference"])]
    if not content["verdicts"]:
        lines += ["", "the jobs have no platform in common"]
    if content["path"]:
        lines += ["", f"wrote {content['path']}, {count(content['rows'])} rows"]
    return "\n".join(lines)
