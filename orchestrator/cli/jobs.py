"""The commands of a job."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.frame import commands, duration, ending, job_command, put_either, token, until_done
from orchestrator.errors import ExitCode, UsageError
from orchestrator.report import streams

if TYPE_CHECKING:
    from orchestrator.job.resolve import Decision
    from orchestrator.records import Token
    from orchestrator.settings import Settings


@commands.command(short_help="Write a commented config and a sample list.", example="init spring")
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@ending
def init(directory: Path) -> int:
    """Write config.toml, with comments, and a sample list into DIRECTORY, which is here when left out.

    They make a whole job for the embedded vendor, which costs nothing. Nothing is overwritten.
    """
    from orchestrator.config import write_starter

    paths = write_starter(directory)
    streams.put("\n".join(f"wrote {path}" for path in paths))
    streams.say(f"next: orchestrator plan -c {streams.as_argument(paths[0])}")
    return ExitCode.DONE


@commands.command(
    short_help="Read the list and show the cost; send nothing.",
    example="plan -c spring.toml --set job.chunk_size=5000",
)
@ending
@job_command
def plan(settings: Settings, *, as_json: bool) -> int:
    """Read the list for real, write the chunk files, show rejects and cost; send nothing.

    A look at key, balance, budget, disk and clock says what would stop a run; such a finding is exit code 1, 4 or 5.
    """
    from orchestrator.cli import contents
    from orchestrator.job.plan import plan_job
    from orchestrator.job.world import real_world
    from orchestrator.report import text

    report = until_done(plan_job(settings, real_world()))
    put_either(contents.of_plan(report), text.plan_text, as_json=as_json)
    if report.exit_code == ExitCode.DONE:
        _say_next("run", settings)
    return report.exit_code


@commands.command(
    short_help="Do the whole job, or go on with a begun one.",
    example="run -c spring.toml --deadline 5h30m",
    codes=True,
)
@click.option("--deadline", callback=duration, metavar="5h30m", help="Stop in good order after so long.")
@click.option("--submit-only", is_flag=True, help="Stop once everything is submitted.")
@click.option("--extend", is_flag=True, help="Take a list that has grown; only its new numbers are sent.")
@click.option(
    "--after",
    callback=token,
    metavar="TOKEN",
    help='Refuse a ledger that is missing or older than summary.json said with "after"; 0 or nothing is a first run.',
)
@partial(ending, in_order=True)
@job_command
def run(
    settings: Settings,
    *,
    as_json: bool,
    deadline: float | None,
    submit_only: bool,
    extend: bool,
    after: Token | None,
) -> int:
    """Do the whole job, or go on with a begun one: plan, submit, poll, download, check, write the master.

    The only command that sends paid requests, each once. Stop it at any time (Ctrl-C, SIGTERM, --deadline) and type the
    same command again.
    """
    import gc

    from orchestrator.job.run import RunOptions, run_job
    from orchestrator.job.world import real_world
    from orchestrator.report import summary, text

    options = RunOptions(deadline_s=deadline, submit_only=submit_only, extend=extend, after=after)
    work = run_job(settings, options, real_world())
    gc.freeze()  # what was imported stays, and each full collection would hold the event loop to look at it again
    try:
        outcome = until_done(work)
    finally:
        gc.unfreeze()
    put_either(outcome.summary, text.summary_text, as_json=as_json)
    for message in filter(None, (outcome.summary["reason"], summary.advice(outcome.summary))):
        streams.say(message)
    return outcome.exit_code


@commands.command(short_help="Say where the job stands.", example="status --held -c spring.toml")
@click.option("--held", "list_held", is_flag=True, help="List what waits for a decision.")
@ending
@job_command
def status(settings: Settings, *, as_json: bool, list_held: bool) -> int:
    """Say where the job stands, also while it runs. Something held or failed, or a finding, is exit code 1."""
    from orchestrator.cli import contents
    from orchestrator.job.status import job_status
    from orchestrator.report import text

    report = job_status(settings)
    content = contents.of_status(report, settings)
    if list_held:
        content |= contents.of_held(report, settings)
    put_either(content, text.held_text if list_held else text.summary_text, as_json=as_json)
    failed = any(platform["failed"] for platform in content["platforms"].values())
    return ExitCode.SOME_FAILED if report.held or report.findings or failed else ExitCode.DONE


@commands.command(
    short_help="Settle held tasks, for the next run to act on.",
    example="resolve instagram/000017 --adopt 8f14e45f -c spring.toml",
)
@click.argument("names", nargs=-1, metavar="[TASK]...")
@click.option("--all", "every", is_flag=True, help="Settle every held task.")
@click.option("--resubmit", is_flag=True, help="Send it again: the vendor does not have it. It is paid again.")
@click.option("--adopt", metavar="TASK_ID", help="The vendor has it, under this id.")
@click.option("--result", type=click.Path(path_type=Path), metavar="FILE", help="This is its result file.")
@click.option("--partial", is_flag=True, help="Take a FILE that lacks numbers; they become unanswered.")
@click.option("--refetch", is_flag=True, help="Fetch its result again, under the task id that is known. It is free.")
@click.option("--give-up", is_flag=True, help="Do without: its numbers become failed.")
@click.option("--undo", is_flag=True, help="Take the last decision back, if nothing has come of it.")
@ending
@job_command
def resolve(  # noqa: PLR0913 - one keyword for each option
    settings: Settings,
    *,
    as_json: bool,
    names: tuple[str, ...],
    every: bool,
    resubmit: bool,
    adopt: str | None,
    result: Path | None,
    partial: bool,
    refetch: bool,
    give_up: bool,
    undo: bool,
) -> int:
    """Settle held tasks, such as instagram/000017, by exactly one decision; the next run acts on it.

    `orchestrator status --held` lists them, with the file name to look for at the vendor. Until something has come of a
    decision, another one takes its place. Tasks that --all passes over because of their ids are exit code 1.
    """
    from orchestrator.cli import contents
    from orchestrator.job.resolve import Adopt, GiveUp, Refetch, Resubmit, Undo, UseResult, resolve_tasks
    from orchestrator.job.world import real_world
    from orchestrator.report import text

    decisions: list[Decision] = []
    decisions += [Resubmit()] if resubmit else []
    decisions += [Adopt(adopt)] if adopt is not None else []
    decisions += [UseResult(result, partial=partial)] if result is not None else []
    decisions += [GiveUp()] if give_up else []
    decisions += [Refetch()] if refetch else []
    decisions += [Undo()] if undo else []
    if len(decisions) != 1:
        raise UsageError(
            "decide by exactly one of --resubmit, --adopt TASK_ID, --result FILE, --give-up, --refetch and --undo"
        )
    decision = decisions[0]
    if partial and result is None:
        raise UsageError("--partial belongs to --result FILE")
    if bool(names) == every:
        raise UsageError("name the tasks to settle, or give --all for every held one")
    if len(names) != 1 and isinstance(decision, Adopt | UseResult):
        raise UsageError("--adopt and --result settle exactly one task; name it")
    report = until_done(resolve_tasks(settings, decision, None if every else names, real_world()))
    content = contents.of_resolve(report)
    put_either(content, text.settled_text, as_json=as_json)
    if report.settled:
        _say_next("status --held" if undo else "run", settings)
    elif undo:
        streams.say("there is no decision since the last run that could be taken back")
    elif not report.left_out:
        again = f"; {report.decided:,} were decided on since the last run: --all --undo takes that back"
        streams.say(f"nothing is held{again * bool(report.decided)}")
    return int(content["exit_code"])


@commands.command(short_help="Plan failed and unanswered numbers again.", example="retry -c spring.toml")
@click.option("--all", "every", is_flag=True, help="Plan also what could be had for free instead; it is paid again.")
@ending
@job_command
def retry(settings: Settings, *, as_json: bool, every: bool) -> int:
    """Plan failed and unanswered numbers as a further generation and show the cost; the next run sends it.

    What could be had for free instead is named and left out: results that the vendor may have still, or that are kept.
    """
    from orchestrator.cli import contents
    from orchestrator.job.retry import retry_job
    from orchestrator.job.world import real_world
    from orchestrator.report import text

    report = until_done(retry_job(settings, real_world(), every=every))
    put_either(contents.of_retry(report), text.retry_text, as_json=as_json)
    if report.planned and any(cost.tasks for cost in report.platforms):
        _say_next("run", settings)
    return report.exit_code


@commands.command(
    short_help="Build the master from what is there.",
    example="merge -c spring.toml --set 'output.formats=[\"csv\"]'",
)
@ending
@job_command
def merge(settings: Settings, *, as_json: bool) -> int:
    """Build the master from what is there; while cells are pending its files are called master.partial.*."""
    from orchestrator.cli import contents
    from orchestrator.job.merge import merge_job
    from orchestrator.job.world import real_world
    from orchestrator.report import text

    report = until_done(merge_job(settings, real_world()))
    put_either(contents.of_merge(report), text.merge_text, as_json=as_json)
    if report.pending:
        again = f"orchestrator run {streams.job_arguments(settings)}"
        streams.say(f"{text.count(report.pending)} cells are pending; {again} goes on")
    return ExitCode.DONE


@commands.command(short_help="Recount and re-hash the job's files.", example="verify -c spring.toml")
@ending
@job_command
def verify(settings: Settings, *, as_json: bool) -> int:
    """Recount and re-hash: list = master + rejected + duplicates, and every verdict from the right task.

    It changes nothing. What is not right is exit code 1.
    """
    from orchestrator.cli import contents
    from orchestrator.job.verify import verify_job
    from orchestrator.job.world import real_world
    from orchestrator.report import text

    report = until_done(verify_job(settings, real_world()))
    put_either(contents.of_verify(report), text.verify_text, as_json=as_json)
    return report.exit_code


@commands.command(short_help="Remove what holds numbers; close the job.", example="purge --yes -c spring.toml")
@click.option("--yes", is_flag=True, help="Remove it; without, only say what would be removed.")
@ending
@job_command
def purge(settings: Settings, *, as_json: bool, yes: bool) -> int:
    """Remove what holds numbers and close the job, so that no later run can pay again.

    The ledger, the summary and the log stay; they hold no numbers. What can't be reached from here is listed.
    """
    from orchestrator.cli import contents
    from orchestrator.job.purge import purge_job
    from orchestrator.job.world import real_world
    from orchestrator.report import text

    report = until_done(purge_job(settings, real_world(), yes=yes))
    put_either(contents.of_purge(report, settings), text.purge_text, as_json=as_json)
    if not yes:
        again = f"orchestrator purge --yes {streams.job_arguments(settings)}"
        streams.say(f"nothing was removed; {again} removes it and closes the job")
    return ExitCode.DONE


def _say_next(command: str, settings: Settings) -> None:
    streams.say(f"next: orchestrator {command} {streams.job_arguments(settings)}")
