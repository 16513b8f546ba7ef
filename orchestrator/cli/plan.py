"""`plan`: what it takes, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.costs import cost_lines, costs_content
from orchestrator.cli.frame import commands, ending, job_command, put_either, say_next, text_width, until_done
from orchestrator.errors import ExitCode
from orchestrator.report import streams
from orchestrator.report.printed import (
    SHOWN_INPUTS,
    WIDTH,
    count,
    findings,
    inputs_table,
    money,
    numbers_table,
    plural,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.job.plan import PlanReport
    from orchestrator.settings import Settings


HELP_WITH = {
    "empty cell": "[job] column names the right column, or several of them",
    "no country code": 'if they are all of one country, name it: [job] default_region = "CH" reads them as Swiss',
    "unknown country code": "a number without a plus sign needs [job] default_region, one with it a code that exists",
    "a number both with its calling code in front and without": (
        "write a plus sign in front of a calling code, and a zero in front of an area code"
    ),
    "excluded calling code": "[job] exclude_calling_codes keeps them out",
    "rounded by a spreadsheet": "export the list anew, with the column formatted as text",
    "a date": "[job] column names the right column",
    "behind a word or as an extension, and without a plus sign": "write a semicolon in front of it if it is a number",
    "beside a whole number, and without its calling or area code": "write it whole",
    "a formula without a value": "open the workbook in a spreadsheet program and save it",
    "some digits are hidden": "export the list with all of its digits",
    "more digits beside the number than an extension has": (
        "write two numbers whole, with a semicolon between them, and take away what is part of none"
    ),
    "a quote that is opened and not closed": "close it, or write two for one that is meant",
    "a row with more or fewer cells than the first one": "put quotes around cells with the delimiter in them",
    "no number in its column, and seven digits or more in another one": (
        "put quotes around cells with the delimiter in them; or name that column too: [job] column takes several"
    ),
    "line too long": "the list needs one number a line, or a table",
}
"""The setting that would turn rejected lines of a reason into accepted ones; said where no better advice is known."""

_OF_THE_COLUMN = {"empty cell", "a date"}
"""What is no surprise in a column that somebody has named."""

_OF_ANY_REASON = {"no country code", "unknown country code", "empty cell", "a date"}
"""What may be the fault of another column or region, of which better advice speaks where there is any."""


@commands.command(
    short_help="Read the list and show the cost; send nothing.",
    example="plan -c spring.toml --set job.chunk_size=5000",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a quote; run --quote FILE sends that and nothing else.",
)
@ending
@job_command
def plan(settings: Settings, *, as_json: bool, out: Path | None) -> int:
    """Read the list for real, write the chunk files, show rejects and cost; send nothing.

    A look at key, balance, budget, disk and clock says what would stop a run; such a finding is exit code 1, 4 or 5.
    """
    from orchestrator.api import plan_job
    from orchestrator.job.world import real_world

    report = until_done(plan_job(settings, out=out, world=real_world()))
    content = as_content(report)
    put_either(content, as_text(content, text_width()), as_json=as_json)
    if report.exit_code == ExitCode.DONE:
        say_next("run", settings, *(() if out is None else ("--quote", streams.as_argument(out))))
    return report.exit_code


def as_content(report: PlanReport) -> dict[str, Any]:
    """Return numbers, rejects and what would help, chunks, cost per platform and findings."""
    from orchestrator.report import summary

    return {
        "exit_code": int(report.exit_code),
        "inputs": summary.inputs(report.counts),
        "numbers": summary.numbers(report.counts),
        "rejected_by_reason": dict(report.counts.rejected_by_reason),
        "left_out": report.left_out,
        "saved": report.saved_usd,
        "advice": list(report.advice),
        "from_text": report.counts.from_text,
        "chunks": report.chunks,
        "nothing_left": report.nothing_left,
        "platforms": {
            name: costs
            | ({"expected_s": report.expected_s[name]} if name in report.expected_s else {})
            | ({"only_if": report.savings[name].content()} if name in report.savings else {})
            for name, costs in costs_content(report.platforms).items()
        },
        "expected_s": max(report.expected_s.values(), default=0.0),
        "balances": dict(report.balances),
        "quote": report.quote,
        "trial_rows": report.trial_rows,
        "cost": report.cost_usd,
        "max_cost": report.max_cost,
        "others_cost": report.others_usd,
        "sandbox": report.sandbox,
        "findings": list(report.findings),
    }


def as_text(plan: Mapping[str, Any], width: int = WIDTH) -> str:
    """Say what `plan` found, from the content that `plan --json` prints."""
    inputs = plan.get("inputs", ())
    lines = [*inputs_table(inputs, width), *_columns(inputs), *numbers_table(plan["numbers"], width)]
    # Who has named the column needs no word about it.
    helps = {*HELP_WITH} - (set() if any(entry["guessed"] for entry in inputs) else _OF_THE_COLUMN)
    if rejected := plan["rejected_by_reason"]:
        lines += ["", *table(("rejected", ""), [(reason, count(lost)) for reason, lost in rejected.items()], width)]
        # What this list's own rows told goes before what may help with any list.
        advice = plan.get("advice") or []
        helps -= {reason for reason in helps if any(said.startswith(f"{reason}: ") for said in advice)}
        helps -= _OF_ANY_REASON if advice else set()
        lines += [*advice, *(f"{reason}: {HELP_WITH[reason]}" for reason in rejected if reason in helps)]
    if left_out := plan.get("left_out", 0):
        saved = "" if plan["saved"] is None else f", which saves up to {money(plan['saved'])}"
        lines += ["", f"left out by exclude and line_types: {plural(left_out, 'number')}{saved}"]
    if from_text := plan["from_text"]:
        accepted = plural(from_text, "accepted number")
        lines += ["", f"{accepted} stood inside other text or second in a cell: see that this is meant"]
    lines += ["", f"{plural(plan['chunks'], 'chunk')}", *cost_lines(plan, width)]
    if trial := plan.get("trial_rows", 0):
        of = plural(trial, "number")
        lines += [f"a trial of {of}, drawn from all of the list, is sent first; run --trial sends it alone"]
    if plan.get("nothing_left"):
        lines += ["nothing is left to send"]
    lines += [f"the balance of vendor {name} is {money(usd)}" for name, usd in plan.get("balances", {}).items()]
    if quote := plan.get("quote"):
        lines += [f"wrote {quote}; run --quote {quote} sends this and nothing else"]
    return "\n".join([*lines, *findings(plan)])


def _columns(inputs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say from which column of each table its numbers were read, and why from that; a blank line behind it."""
    lines = []
    for entry in inputs[:SHOWN_INPUTS]:
        if names := [f'"{name}"' for name in entry["columns"]]:
            which = f"{entry['path']}: numbers are read from the column{'s' * (len(names) > 1)} {', '.join(names)}"
            why = "guessed by its header; [job] column names another" if entry["guessed"] else "as [job] column says"
            lines.append(f"{which}, {why}")
    return [*lines, ""] if lines else []
