"""`resolve`: what it takes, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.frame import commands, ending, job_command, put_either, say_next, say_next_run, until_done
from orchestrator.errors import ExitCode, UsageError
from orchestrator.report import streams
from orchestrator.report.printed import count, money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.job.adopt_log import AdoptedLog
    from orchestrator.job.resolve import Decision, ResolveReport
    from orchestrator.settings import Settings


DECIDED = {
    "resubmit": "to be sent again",
    "adopt": "at the vendor under the task id {task_id}",
    "finish": "done, by its result file",
    "give_up": "given up: its numbers are failed",
    "refetch": "to be fetched again",
    "undo": "as it was before {replaced}",
}


@commands.command(
    short_help="Settle held tasks, for the next run to act on.",
    example="resolve instagram/000017 --adopt 8f14e45f -c spring.toml",
)
@click.argument("names", nargs=-1, metavar="[TASK]...")
@click.option("--all", "every", is_flag=True, help="Settle every held task.")
@click.option("--resubmit", is_flag=True, help="Send it again: the vendor does not have it. It is paid again.")
@click.option("--adopt", metavar="TASK_ID", help="The vendor has it, under this id.")
@click.option("--result", type=click.Path(path_type=Path), metavar="FILE", help="This is its result file.")
@click.option(
    "--partial",
    is_flag=True,
    help="Take a FILE that lacks numbers, which become unanswered, or a TASK_ID with another number of rows.",
)
@click.option("--refetch", is_flag=True, help="Fetch its result again, under the task id that is known. It is free.")
@click.option("--give-up", is_flag=True, help="Do without: its numbers become failed.")
@click.option("--undo", is_flag=True, help="Take the last decision back, if nothing has come of it.")
@click.option(
    "--adopt-log",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Take the ids of tasks from a run's log, into a ledger that lost them.",
)
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
    adopt_log: Path | None,
) -> int:
    """Settle held tasks, such as instagram/000017, by exactly one decision; the next run acts on it.

    `orchestrator status --held` lists them, with the file name to look for on the vendor's website. Until something has
    come of a decision, another one takes its place. Tasks that --all passes over because of their ids are exit code 1.

    Where ledger or directory were lost, plan the same list again: --adopt-log FILE then takes what a run has said, as a
    CI system keeps it, and names every task that the vendor has accepted. Lines that it can't use are exit code 1.
    """
    from orchestrator.job.resolve import Adopt, GiveUp, Refetch, Resubmit, Undo, UseResult, resolve_tasks
    from orchestrator.job.world import real_world

    decisions: list[Decision] = []
    decisions += [Resubmit()] if resubmit else []
    decisions += [Adopt(adopt, partial=partial)] if adopt is not None else []
    decisions += [UseResult(result, partial=partial)] if result is not None else []
    decisions += [GiveUp()] if give_up else []
    decisions += [Refetch()] if refetch else []
    decisions += [Undo()] if undo else []
    if len(decisions) + (adopt_log is not None) != 1:
        raise UsageError(
            "decide by exactly one of --resubmit, --adopt TASK_ID, --result FILE, --give-up, --refetch, --undo and "
            "--adopt-log FILE"
        )
    if adopt_log is not None:
        if names or every or partial:
            raise UsageError(
                "--adopt-log FILE says itself which tasks it settles; leave the tasks, --all and --partial out"
            )
        return _adopt_log(settings, adopt_log, as_json=as_json)
    decision = decisions[0]
    if partial and result is None and adopt is None:
        raise UsageError("--partial belongs to --result FILE or --adopt TASK_ID")
    if bool(names) == every:
        raise UsageError("name the tasks to settle, or give --all for every held one")
    if len(names) != 1 and isinstance(decision, Adopt | UseResult):
        raise UsageError("--adopt and --result settle exactly one task; name it")
    report = until_done(resolve_tasks(settings, decision, None if every else names, real_world()))
    content = as_content(report)
    put_either(content, as_text(content), as_json=as_json)
    if report.withdrawn:
        retries = ", ".join(report.withdrawn)
        streams.say(
            f"withdrew what retry had planned for the same numbers, and no run has sent ({retries}): once the result "
            "is there, orchestrator retry plans what they lack then"
        )
    if report.unchecked:
        streams.say(f"how many rows it has at the vendor is not known: {report.unchecked}; the next run looks at it")
    if report.settled:
        say_next("status --held", settings) if undo else say_next_run(settings)
    elif undo:
        streams.say("there is no decision since the last run that could be taken back")
    elif not report.left_out:
        again = f"; {report.decided:,} were decided on since the last run: --all --undo takes that back"
        streams.say(f"nothing is held{again * bool(report.decided)}")
    return int(content["exit_code"])


def _adopt_log(settings: Settings, path: Path, *, as_json: bool) -> int:
    from orchestrator.job.adopt_log import adopt_log
    from orchestrator.job.world import real_world

    content = log_content(until_done(adopt_log(settings, path, real_world())))
    put_either(content, log_text(content), as_json=as_json)
    say_next("status --held", settings) if content["held"] else say_next_run(settings)
    return int(content["exit_code"])


def log_content(adopted: AdoptedLog) -> dict[str, Any]:
    """Return which tasks have their ids again, which are held, and of which lines nothing came."""
    return {
        "exit_code": int(ExitCode.SOME_FAILED if adopted.odd else ExitCode.DONE),
        "adopted": adopted.adopted,
        "known": adopted.known,
        "held": adopted.held,
        "odd": [{"line": line, "reason": reason} for line, reason in adopted.odd],
    }


def log_text(content: Mapping[str, Any]) -> str:
    """Say the same, the odd lines one by one."""
    lines = [f"{task}  {DECIDED['adopt'].format(task_id=its)}" for task, its in content["adopted"].items()]
    lines += [f"{task}  held: it may be at the vendor" for task in content["held"]]
    lines += [f"line {odd['line']}: {odd['reason']}" for odd in content["odd"]]
    known = f"; the ledger knows {count(content['known'])} already" * bool(content["known"])
    return "\n".join([*lines, f"ids that tasks have again: {count(len(content['adopted']))}{known}"])


def as_content(report: ResolveReport) -> dict[str, Any]:
    """Return what was decided, what each decision may cost, and what `--all` passed over."""
    return {
        "exit_code": int(ExitCode.SOME_FAILED if report.left_out else ExitCode.DONE),
        "settled": [settled.task for settled in report.settled],
        "decisions": [
            {
                "task": settled.task,
                "decision": settled.decision.value,
                "cost": settled.cost,
                "cost_so_far": settled.paid,
                "task_id": settled.task_id,
                "replaced": settled.replaced or None,
                "missing": settled.missing,
            }
            for settled in report.settled
        ],
        "unchecked": report.unchecked or None,
        "withdrawn": list(report.withdrawn),
        "left_out": [{"task": o.task, "task_id": o.task_id, "reason": o.reason} for o in report.left_out],
    }


def as_text(content: Mapping[str, Any]) -> str:
    """Name the tasks that `resolve` settled, one a line, with what was decided and what that may cost."""
    lines = [_decision(settled) for settled in content["decisions"]]
    costs = [settled["cost"] for settled in content["decisions"]]
    if len(lines) > 1 and any(cost != 0 for cost in costs):
        lines.append(f"in all, this may cost {money(None if None in costs else sum(costs))}")
    lines += [f"{left['task']}  left out: {left['reason']}" for left in content["left_out"]]
    return "\n".join(lines)


def _decision(settled: Mapping[str, Any]) -> str:
    said = DECIDED[settled["decision"]].format_map(settled)
    if settled["decision"] == "undo":
        return f"{settled['task']}  {said}"
    if settled["missing"]:
        said += f", {count(settled['missing'])} of its numbers are unanswered"
    said += f"; this may cost {money(settled['cost'])}" if settled["cost"] != 0 else "; this costs nothing"
    if settled["decision"] in ("resubmit", "give_up") and settled["cost_so_far"]:
        said += f"; {money(settled['cost_so_far'])} may have been paid for it already"
    if settled["decision"] == "resubmit" and settled["task_id"]:
        said += f" (its task id was {settled['task_id']}: it is paid for twice)"
    said += f"; in the place of {settled['replaced']}" if settled["replaced"] else ""
    return f"{settled['task']}  {said}"
