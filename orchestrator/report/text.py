"""Plain text for standard output. Pure: values in, text out, its tables at most `width` columns wide.

Long words (names, reasons) may exceed the width; numbers never do, since a table that is too wide is split. Sentences
are one line each, which a terminal wraps and a program can take apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WIDTH = 60
_UNIT = 1000
_GAP = "  "

HELP_WITH = {
    "not a number": "is it a table? [job] column names the right column",
    "no country code": 'if they are all of one country, name it: [job] default_region = "CH" reads them as Swiss',
    "excluded calling code": "[job] exclude_calling_codes keeps them out",
}
"""The setting that would turn rejected lines of a reason into accepted ones; said where no better advice is known."""

_DECIDED = {
    "resubmit": "to be sent again",
    "adopt": "at the vendor under the task id {task_id}",
    "finish": "done, by its result file",
    "give_up": "given up: its numbers are failed",
    "refetch": "to be fetched again",
    "undo": "as it was before {replaced}",
}


def count(number: int) -> str:
    """Write a whole number with thousands separators."""
    return f"{number:,}"


def money(usd: float | None) -> str:
    """Write an amount to the last digit that counts, and at least in cents."""
    if usd is None:
        return "unknown"
    whole, _, fraction = f"{usd:,.9f}".partition(".")
    return f"{whole}.{fraction.rstrip('0'):0<2} USD"


def duration(seconds: float) -> str:
    """Write a duration as the command line takes it, with its two largest units: `5h30m`, `90s` as `1m30s`."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if minutes:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    return f"{rest}s"


def seconds(number: float) -> str:
    """Write a duration as the command line takes it, and to the second: `5h30m`, `2h0m5s` as `2h5s`."""
    whole = max(1, round(number))
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int = WIDTH) -> list[str]:
    """Align columns, the first to the left; what does not fit `width` follows below, with the first column again."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines: list[str] = []
    for group in _column_groups(widths, width):
        lines += [_row([row[i] for i in group], [widths[i] for i in group]) for row in (header, *rows)]
    return lines


def plan_text(plan: Mapping[str, Any], width: int = WIDTH) -> str:
    """Say what `plan` found, from the content that `plan --json` prints."""
    lines = [*_numbers(plan["numbers"], width), *_rejects(plan["rejected_by_reason"], plan.get("advice", ()), width)]
    if from_text := plan["from_text"]:
        lines += ["", f"{count(from_text)} accepted numbers stood inside other text: see that they are meant"]
    lines += ["", f"{count(plan['chunks'])} chunk{'s' * (plan['chunks'] != 1)}", *_costs(plan, width)]
    return "\n".join([*lines, *_findings(plan)])


def summary_text(summary: Mapping[str, Any], width: int = WIDTH) -> str:
    """Say where a job stands, from the content of summary.json."""
    lines = [_headline(summary), "", *_numbers(summary["numbers"], width)]
    if platforms := summary["platforms"]:
        lines += ["", *_tasks(platforms, width), *_verdicts(platforms, width)]
    cost = f"cost so far {money(summary['cost'])}"
    limit = f" of at most {money(summary['max_cost'])}" if summary["max_cost"] is not None else ""
    return "\n".join([*lines, "", cost + limit, *master_lines(summary["master"]), *_findings(summary)])


def held_text(content: Mapping[str, Any], width: int = WIDTH) -> str:
    """List the held tasks with what a person needs to find them at the vendor, from what `status --held` gathered."""
    del width  # names and reasons are copied, so they are not broken
    lines = [line for task in content["held_tasks"] for line in _waiting(task)] or ["nothing is held"]
    if failed := content["failed_tasks"]:
        lines += ["", "failed", *(line for task in failed for line in _waiting(task))]
    if decided := content["decided_tasks"]:
        lines += ["", "decided, for the next run to act on"]
        for task in decided:
            lines += [
                f"{task['task']}  {_DECIDED[task['decision']].format_map(task)}",
                f"    {task['undo']}  # take it back",
            ]
    return "\n".join(lines)


def _waiting(task: Mapping[str, Any]) -> list[str]:
    numbers = f"{count(task['numbers'])} number{'s' * (task['numbers'] != 1)}"
    fields = {
        "sent as": task["sent_as"] or "not sent",
        "sent at": task["sent_at"] or "not sent",
        "cost": f"{money(task['cost'])}, which the vendor may have charged" if task["cost"] else "nothing so far",
        "task id": task["task_id"] or "not known",
        "reason": task["reason"],
    }
    lines = [f"{task['task']}  {task['state']}  {numbers}"]
    lines += [f"    {name:<9}{value}" for name, value in fields.items() if value]
    return lines + [f"    {way['command']}  # {way['when']}" for way in task["ways_out"]]


def settled_text(content: Mapping[str, Any], width: int = WIDTH) -> str:
    """Name the tasks that `resolve` settled, one a line, with what was decided and what that may cost."""
    del width
    lines = [_decision(settled) for settled in content["decisions"]]
    costs = [settled["cost"] for settled in content["decisions"]]
    if len(lines) > 1 and any(cost != 0 for cost in costs):
        lines.append(f"in all, this may cost {money(None if None in costs else sum(costs))}")
    lines += [f"{left['task']}  left out: {left['reason']}" for left in content["left_out"]]
    return "\n".join(lines)


def _decision(settled: Mapping[str, Any]) -> str:
    said = _DECIDED[settled["decision"]].format_map(settled)
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


def retry_text(content: Mapping[str, Any], width: int = WIDTH) -> str:
    """Say which numbers lack a verdict, and what is to be sent now."""
    lacking = {name: number for name, number in content["without_verdict"].items() if number}
    if not lacking:
        why = "" if content["findings"] else "every number has a verdict: "
        return "\n".join([f"{why}there is nothing to retry", *_findings(content)])
    lines = table(("without verdict", "numbers"), [(name, count(number)) for name, number in lacking.items()], width)
    heading = "to be sent" if content["planned"] else "would be sent"
    return "\n".join([*lines, "", heading, *_costs(content, width), *_findings(content)])


def merge_text(content: Mapping[str, Any], width: int = WIDTH) -> str:
    """Name the files of the master."""
    del width
    return "\n".join(master_lines(content["master"]))


def verify_text(content: Mapping[str, Any], width: int = WIDTH) -> str:
    """Say what was compared and found right, what was found wrong, and what was not compared."""
    right = table(("right", ""), [(what, count(number)) for what, number in content["right"].items()], width)
    left_out = _section("not compared", content["not_compared"])
    fine = ["", "all else is as it was written" if left_out else "all is as it was written"]
    return "\n".join([*right, *left_out, *(_findings(content) or fine)])


def purge_text(content: Mapping[str, Any], width: int = WIDTH) -> str:
    """Say what was removed, or would be, and which copies are elsewhere."""
    del width
    verb = "removed" if content["done"] else "would be removed"
    files = f"{count(content['files'])} file{'s' * (content['files'] != 1)}"
    lines = [f"{content['directory']}: {verb}: {files}, {size(content['size_bytes'])}"]
    lines += [f"- {path}" for path in content["paths"]]
    return "\n".join([*lines, *_section("out of reach, for you to remove", content["out_of_reach"])])


def master_lines(files: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the files of the master."""
    return [f"wrote {file['path']}, {count(file['rows'])} numbers" for file in files]


def size(size_bytes: float) -> str:
    """Write a size with the unit that fits."""
    for unit in ("bytes", "kB", "MB"):
        if size_bytes < _UNIT:
            return f"{size_bytes:,.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
        size_bytes /= _UNIT
    return f"{size_bytes:,.1f} GB"


def _headline(summary: Mapping[str, Any]) -> str:
    job, serial, code = summary["job"], summary["serial"], summary["exit_code"]
    mark = " (sandbox: no verdict is real)" if summary["sandbox"] else ""
    if summary.get("state") == "purged":
        return f"{job}: purged after run {serial}; it is closed, and nothing of it can be sent any more{mark}"
    if not serial:
        return f"{job}: not begun{mark}"
    end = f"ended {summary['ended_at']}, exit code {code}" if code is not None else "running, or killed"
    return f"{job}: run {serial} {end}{mark}"


def _numbers(numbers: Mapping[str, int], width: int) -> list[str]:
    return table(("numbers", *numbers), [("", *map(count, numbers.values()))], width)


def _rejects(by_reason: Mapping[str, int], advice: Sequence[str], width: int) -> list[str]:
    if not by_reason:
        return []
    body = table(("rejected", ""), [(reason, count(number)) for reason, number in by_reason.items()], width)
    static = [f"{reason}: {HELP_WITH[reason]}" for reason in by_reason if reason in HELP_WITH]
    return ["", *body, *(advice or static)]


def _costs(plan: Mapping[str, Any], width: int) -> list[str]:
    rows = [
        (name, *(count(costs[key]) for key in ("tasks", "numbers", "skipped")), money(costs["cost"]))
        for name, costs in plan["platforms"].items()
    ]
    body = _without_zeros(("platform", "tasks", "numbers", "skipped", "cost"), rows, width)
    limit = "no max_cost is set" if plan["max_cost"] is None else f"max_cost {money(plan['max_cost'])}"
    return [*body, f"planned cost {money(plan['cost'])}, {limit}"]


def _tasks(platforms: Mapping[str, Mapping[str, Any]], width: int) -> list[str]:
    names = ("tasks", "done", "at_the_vendor", "planned", "held", "failed", "skipped", "submits", "status_calls")
    rows = [(platform, *(count(entry[name]) for name in names)) for platform, entry in platforms.items()]
    return _without_zeros(("tasks", "all", *(name.replace("_", " ") for name in names[1:])), rows, width)


def _verdicts(platforms: Mapping[str, Mapping[str, Any]], width: int) -> list[str]:
    words = list(dict.fromkeys(word for entry in platforms.values() for word in entry["verdicts"]))
    if not words:
        return []
    rows = [(name, *(count(entry["verdicts"].get(word, 0)) for word in words)) for name, entry in platforms.items()]
    return ["", *table(("verdicts", *words), rows, width)]


def _findings(content: Mapping[str, Any]) -> list[str]:
    return _section("findings", content["findings"])


def _section(title: str, sentences: Sequence[str]) -> list[str]:
    return ["", title, *(f"- {sentence}" for sentence in sentences)] if sentences else []


def _without_zeros(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    kept = [i for i in range(len(header)) if any(row[i] != "0" for row in rows)]
    return table([header[i] for i in kept], [[row[i] for i in kept] for row in rows], width)


def _column_groups(widths: Sequence[int], width: int) -> list[list[int]]:
    """Put as many columns as fit beside the first into each group."""
    groups: list[list[int]] = [[0]]
    room = width - widths[0]
    for i, needed in enumerate(widths[1:], 1):
        if len(groups[-1]) > 1 and needed + len(_GAP) > room:
            groups.append([0])
            room = width - widths[0]
        groups[-1].append(i)
        room -= needed + len(_GAP)
    return groups


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        f"{cell:{'>' if i else '<'}{width}}" for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return _GAP.join([first, *others]).rstrip()
