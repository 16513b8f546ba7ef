"""`run`: what it takes, and what it says."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.frame import commands, duration, ending, job_command, put_either, text_width, token, until_done
from orchestrator.errors import ExitCode
from orchestrator.report import streams
from orchestrator.report.printed import seconds, summary_text

if TYPE_CHECKING:
    from orchestrator.records import Token
    from orchestrator.settings import Settings


def tell_refused(code: int, reason: str) -> None:
    """Tell the CI system of an end without a run."""
    from orchestrator.report import pipeline

    pipeline.tell({"exit_code": code, "reason": reason}, None, os.environ)


@commands.command(
    short_help="Do the whole job, or go on with a begun one.",
    example="run -c spring.toml --deadline 5h30m",
    codes=True,
)
@click.option(
    "--deadline",
    callback=duration,
    metavar="5h30m",
    help="Stop in good order after so long; on GitHub and GitLab some minutes before the job's end.",
)
@click.option("--submit-only", is_flag=True, help="Stop once everything is submitted.")
@click.option("--extend", is_flag=True, help="Take a list that has grown; only its new numbers are sent.")
@click.option(
    "--after",
    callback=token,
    metavar="TOKEN",
    help='Refuse a ledger that is missing or older than summary.json said with "after"; 0 or nothing is a first run. '
    "Needless with [ledger] url.",
)
@click.option("--trial", is_flag=True, help="Stop once the trial is read, and say what the rest would cost and take.")
@click.option(
    "--quote",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Send what plan --out FILE quoted, or nothing.",
)
@partial(ending, in_order=True, refused=tell_refused)
@job_command
def run(  # noqa: PLR0913 - one keyword for each option
    settings: Settings,
    *,
    as_json: bool,
    deadline: float | None,
    submit_only: bool,
    extend: bool,
    after: Token | None,
    quote: Path | None,
    trial: bool,
) -> int:
    """Do the whole job, or go on with a begun one: plan, submit, poll, download, check, write the master.

    The only command that sends paid requests, each once. Stop it at any time (Ctrl-C, SIGTERM, --deadline) and type the
    same command again.
    """
    import gc

    from orchestrator.api import RunOptions, run_job
    from orchestrator.job.world import real_world
    from orchestrator.jobdir.layout import REPORT
    from orchestrator.report import pipeline, summary

    if deadline is None and (known := pipeline.default_deadline(os.environ, time.time())):
        deadline, why = known
        streams.say(f"the deadline is in {seconds(deadline)}, because {why}; --deadline sets another")
    options = RunOptions(
        deadline_s=deadline, submit_only=submit_only, extend=extend, after=after, quote=quote, trial=trial
    )
    work = run_job(settings, options, hear=streams.put_json if as_json else None, world=real_world())
    gc.freeze()  # what was imported stays, and each full collection would hold the event loop to look at it again
    try:
        content = until_done(work)
    finally:
        gc.unfreeze()
    text = summary_text(content, settings.job.directory, text_width())
    if (report := settings.job.directory / REPORT).is_file():
        text += f"\nreport {report}"
    put_either(content, text, as_json=as_json)
    pipeline.tell(content, settings.job.directory, os.environ)
    for message in filter(None, (content["reason"], summary.advice(content))):
        streams.say(message)
    return content["exit_code"] or ExitCode.DONE
