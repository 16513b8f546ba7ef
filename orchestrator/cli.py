"""The command line: what may be typed, what is printed, and with which code it ends.

Rules:

- Data goes to standard output, messages to standard error; with --json the last line of standard output is one JSON
  object, also after an error.
- Every command ends with one of `ExitCode`, or with 128 plus a signal's number. No exception gets past `_ending`.
- Only what a command needs is imported, when it runs: `orchestrator --help` has to be there at once.
"""

from __future__ import annotations

import functools
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator import __version__
from orchestrator.errors import ExitCode, OrchestratorError, UsageError
from orchestrator.report import streams
from orchestrator.report.redact import mask_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.job import Decision, PlanReport, StatusReport
    from orchestrator.sandbox import Sandbox
    from orchestrator.settings import Settings

    Command = Callable[..., int]

INTERRUPTED = 128 + signal.SIGINT

START = """\
Checks very large lists of phone numbers with a paid bulk API.

Where to start:

  orchestrator init     writes config.toml and a sample list
  orchestrator plan     reads the list, shows the cost, sends nothing
  orchestrator run      the whole job; stop it and run it again at will
  orchestrator --help   all commands and exit codes
"""

EXIT_CODES = """\b
Exit codes:
   0  done
   1  finished, but some tasks failed for good; or a finding
   2  bad command, config or input, or a changed list: sent nothing
   3  something is held and needs a decision
   4  the vendor said stop: key or balance
   5  over budget
   6  another run holds this job
  70  internal error
  74  disk or ledger failed: mend it and run again
  75  stopped in good order, or the vendor is out of reach; run again
"""

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_SECONDS = (86_400, 3_600, 60, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` default to those of the process. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return int(commands.main(arguments, prog_name="orchestrator", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        if "--json" in arguments:  # options are not parsed yet, or not parsable
            streams.put_json({"exit_code": int(ExitCode.USAGE), "reason": error.format_message()})
        return ExitCode.USAGE
    except click.Abort:
        return INTERRUPTED
    finally:
        streams.flush_all()


def parse_duration(text: str) -> float:
    """Return the seconds in `90s`, `5h30m` or `2d`; raises `ValueError`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is no duration; write it like 90s, 45m or 5h30m")
    return float(sum(int(part or 0) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True)))


def _duration(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _ending(command: Command) -> Command:
    """Turn everything that can come out of `command` into a message and an exit code."""

    @functools.wraps(command)
    def ended(**options: Any) -> int:
        try:
            return command(**options)
        except OrchestratorError as error:
            code, reason = int(error.exit_code), str(error)
        except KeyboardInterrupt:
            code, reason = INTERRUPTED, "interrupted"
        except Exception as error:  # noqa: BLE001 - the last door: what comes here is a fault of the program
            code, reason = ExitCode.INTERNAL, streams.crash(error)
        return _refuse(code, reason, as_json=bool(options.get("as_json")))

    return ended


def _refuse(code: int, reason: str, *, as_json: bool) -> int:
    streams.say(reason)
    if as_json:
        streams.put_json({"exit_code": int(code), "reason": mask_numbers(reason)})
    return code


def _job_command(command: Command) -> Command:
    """Give a command the options that all commands of a job have, and its settings."""

    @functools.wraps(command)
    def configured(*, config: Path, overrides: Sequence[str], **options: Any) -> int:
        from orchestrator.config import load

        return command(load(config, overrides), **options)

    click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        default=Path("config.toml"),
        show_default=True,
        help="The job's configuration.",
    )(configured)
    click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, for this call only.")(
        configured
    )
    click.option("--json", "as_json", is_flag=True, help="End standard output with one line of JSON.")(configured)
    return configured


@click.group(invoke_without_command=True, epilog=EXIT_CODES)
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Check very large lists of phone numbers with a paid bulk API.

    A job is one list, some platforms and one directory, described by a TOML file. Only `run` sends paid requests.
    """
    if context.invoked_subcommand is None:
        streams.put(START.rstrip())


@commands.command(epilog="Example: orchestrator init spring")
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@_ending
def init(directory: Path) -> int:
    """Write a commented config and a sample list into DIRECTORY."""
    from orchestrator.config import write_starter

    paths = write_starter(directory)
    streams.put("\n".join(f"wrote {path}" for path in paths))
    streams.say(f"next: orchestrator plan -c {paths[0]}")
    return ExitCode.DONE


@commands.command(epilog="Example: orchestrator plan -c spring.toml --set job.chunk_size=5000")
@_ending
@_job_command
def plan(settings: Settings, *, as_json: bool) -> int:
    """Read the list for real, write the chunk files, show the cost; send nothing."""
    import asyncio

    from orchestrator import job
    from orchestrator.report import text

    report = asyncio.run(job.plan(settings, job.real_world()))
    content = _plan_content(report)
    _put_either(content, text.plan_text, as_json=as_json)
    if report.exit_code == ExitCode.DONE:
        streams.say(f"next: orchestrator run -c {streams.as_argument(settings.source)}")
    return report.exit_code


@commands.command(epilog="Example: orchestrator run -c spring.toml --deadline 5h30m\n\n" + EXIT_CODES)
@click.option("--deadline", callback=_duration, metavar="5h30m", help="Stop in good order after so long.")
@click.option("--submit-only", is_flag=True, help="Stop once everything is submitted.")
@click.option(
    "--after", type=click.IntRange(min=0), metavar="N", help="Refuse a ledger that is missing or older than its run N."
)
@_ending
@_job_command
def run(
    settings: Settings,
    *,
    as_json: bool,
    deadline: float | None,
    submit_only: bool,
    after: int | None,
) -> int:
    """Do the whole job, or go on with a begun one."""
    import asyncio

    from orchestrator import job
    from orchestrator.report import text

    options = job.RunOptions(deadline_s=deadline, submit_only=submit_only, after=after)
    outcome = asyncio.run(job.run(settings, options, job.real_world()))
    _put_either(outcome.summary, text.summary_text, as_json=as_json)
    for message in filter(None, (outcome.summary["reason"], outcome.summary["next"])):
        streams.say(message)
    return outcome.exit_code


@commands.command(epilog="Example: orchestrator status --held -c spring.toml")
@click.option("--held", "list_held", is_flag=True, help="List what waits for a decision.")
@_ending
@_job_command
def status(settings: Settings, *, as_json: bool, list_held: bool) -> int:
    """Say where the job stands."""
    from orchestrator import job
    from orchestrator.report import summary, text

    report = job.status(settings)
    content = _status_content(report, settings)
    if list_held:
        content["held_tasks"] = [summary.held_task(task, settings.job.name) for task in report.held]
    _put_either(content, text.held_text if list_held else text.summary_text, as_json=as_json)
    failed = any(platform["failed"] for platform in content["platforms"].values())
    return ExitCode.SOME_FAILED if report.held or failed else ExitCode.DONE


@commands.command(epilog="Example: orchestrator resolve instagram/000017 --adopt 8f14e45f -c spring.toml")
@click.argument("names", nargs=-1, metavar="[TASK]...")
@click.option("--all", "every", is_flag=True, help="Settle every held task.")
@click.option("--resubmit", is_flag=True, help="Send again: the vendor does not have it. It is paid again.")
@click.option("--adopt", metavar="TASK_ID", help="The vendor has it, under this id.")
@click.option("--result", type=click.Path(path_type=Path), metavar="FILE", help="This is its result file.")
@click.option("--give-up", is_flag=True, help="Do without: its numbers become failed.")
@_ending
@_job_command
def resolve(  # noqa: PLR0913 - one keyword for each option
    settings: Settings,
    *,
    as_json: bool,
    names: tuple[str, ...],
    every: bool,
    resubmit: bool,
    adopt: str | None,
    result: Path | None,
    give_up: bool,
) -> int:
    """Settle held tasks, such as instagram/000017, for the next run to act on."""
    import asyncio

    from orchestrator import job

    decision = _decision(resubmit=resubmit, adopt=adopt, result=result, give_up=give_up)
    if bool(names) == every:
        raise UsageError("name the tasks to settle, or give --all for every held one")
    if len(names) != 1 and isinstance(decision, job.Adopt | job.UseResult):
        raise UsageError("--adopt and --result settle exactly one task; name it")
    settled = asyncio.run(job.resolve(settings, decision, None if every else names, job.real_world()))
    content = {"exit_code": int(ExitCode.DONE), "settled": list(settled)}
    _put_either(content, lambda content: "\n".join(content["settled"]), as_json=as_json)
    streams.say(f"next: orchestrator run -c {streams.as_argument(settings.source)}" if settled else "nothing is held")
    return ExitCode.DONE


@commands.command(epilog="Example: orchestrator merge -c spring.toml --set 'output.formats=[\"csv\"]'")
@_ending
@_job_command
def merge(settings: Settings, *, as_json: bool) -> int:
    """Build the master from what is there."""
    import asyncio

    from orchestrator import job
    from orchestrator.report import summary, text

    report = asyncio.run(job.merge(settings, job.real_world()))
    content = {
        "exit_code": int(ExitCode.DONE),
        "pending": report.pending,
        "verdicts": report.counts,
        "master": summary.master_files(report),
    }
    _put_either(content, lambda content: "\n".join(text.master_lines(content["master"])), as_json=as_json)
    if report.pending:
        again = f"orchestrator run -c {streams.as_argument(settings.source)}"
        streams.say(f"{text.count(report.pending)} cells are pending; {again} goes on")
    return ExitCode.DONE


@commands.command(epilog="Example: orchestrator sandbox --port 8080 --faults all --pace 5000")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="0 takes a free one.", show_default=True)
@click.option(
    "--directory", type=click.Path(path_type=Path), default=Path("runs/sandbox"), show_default=True, help="Its state."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides verdicts and faults.")
@click.option("--faults", default="", metavar="A,B|all", help="What goes wrong.")
@click.option("--pace", type=float, default=20_000.0, show_default=True, metavar="NUMBERS_PER_S", help="Work speed.")
@_ending
def sandbox(*, port: int, directory: Path, seed: int, faults: str, pace: float) -> int:
    """Serve the embedded vendor until SIGINT or SIGTERM; print its base URL."""
    import asyncio

    from orchestrator.sandbox import Sandbox

    chosen = [name.strip() for name in faults.split(",") if name.strip()]
    try:
        vendor = Sandbox(directory, seed=seed, faults=chosen, pace=pace, port=port)
    except ValueError as error:
        raise UsageError(f"sandbox: {error}") from error
    asyncio.run(_serve(vendor))
    return ExitCode.DONE


async def _serve(vendor: Sandbox) -> None:
    import asyncio

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await vendor.start()
    except OSError as error:
        raise UsageError(f"sandbox: {error.strerror or error}; choose another --port or --directory") from error
    try:
        streams.put(vendor.base_url)
        await stop.wait()
    finally:
        await vendor.stop()


def _decision(*, resubmit: bool, adopt: str | None, result: Path | None, give_up: bool) -> Decision:
    from orchestrator import job

    decisions: list[Decision] = []
    decisions += [job.Resubmit()] if resubmit else []
    decisions += [job.Adopt(adopt)] if adopt is not None else []
    decisions += [job.UseResult(result)] if result is not None else []
    decisions += [job.GiveUp()] if give_up else []
    if len(decisions) != 1:
        raise UsageError("decide by exactly one of --resubmit, --adopt TASK_ID, --result FILE and --give-up")
    return decisions[0]


def _plan_content(report: PlanReport) -> dict[str, Any]:
    from orchestrator.report import summary

    return {
        "exit_code": int(report.exit_code),
        "numbers": summary.numbers(report.counts),
        "rejected_by_reason": dict(report.counts.rejected_by_reason),
        "from_text": report.counts.from_text,
        "chunks": report.chunks,
        "platforms": {
            p.platform: {"tasks": p.tasks, "numbers": p.rows, "skipped": p.skipped, "cost": p.cost_usd}
            for p in report.platforms
        },
        "cost": report.cost_usd,
        "max_cost": report.max_cost,
        "findings": list(report.findings),
    }


def _status_content(report: StatusReport, settings: Settings) -> dict[str, Any]:
    from orchestrator.report import summary

    last = report.last
    facts = summary.RunFacts(
        job=settings.job.name,
        job_id=report.job_id,
        serial=report.serial,
        config=streams.as_argument(settings.source),
        sandbox=settings.is_sandbox,
        started_at=last.started_at if last else None,
        ended_at=last.ended_at if last else None,
        exit_code=None if last is None or last.exit_code is None else ExitCode(last.exit_code),
        reason=last.reason if last else "",
        max_cost=settings.budget.max_cost,
    )
    return summary.build(facts, report.counts, report.standings, report.held)


def _put_either(content: Mapping[str, Any], as_text: Callable[[Mapping[str, Any]], str], *, as_json: bool) -> None:
    if as_json:
        streams.put_json(content)
    elif text := as_text(content):
        streams.put(text)
