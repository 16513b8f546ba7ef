"""Plain text for standard output. Pure: values in, text out, its tables at most `width` columns wide.

Long words (names, reasons) may exceed the width; numbers never do, since a table that is too wide is split. Sentences
are one line each, which a terminal wraps and a program can take apart.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EXIT_CODES
from orchestrator.jobdir.verdict_words import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

WIDTH = 60
SHOWN_INPUTS = 50
_COUNTS = ("read", "accepted", "duplicates", "rejected")
_UNIT = 1000
_GAP = "  "


def count(number: int) -> str:
    """Write a whole number with thousands separators."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """Write how many there are of something: `1 task`, `2,000 tasks`."""
    return f"{count(number)} {noun}{'s' * (number != 1)}"


def money(usd: float | None) -> str:
    """Write an amount to the last digit that counts, and at least in cents."""
    if usd is None:
        return "unknown"
    whole, _, fraction = f"{usd:,.9f}".partition(".")
    return f"{whole}.{fraction.rstrip('0'):0<2} USD"


def setting(value: object) -> str:
    """Write a value of the configuration as it stands there; what is None does not."""
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)


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
    groups, room = [[0]], width - widths[0]
    for i, needed in enumerate(widths[1:], 1):
        if len(groups[-1]) > 1 and needed + len(_GAP) > room:
            groups.append([0])
            room = width - widths[0]
        groups[-1].append(i)
        room -= needed + len(_GAP)
    lines: list[str] = []
    for group in groups:
        for row in (header, *rows):
            cells = (f"{row[i]:{'>' if i else '<'}{widths[i]}}" for i in group)
            lines += [_GAP.join(cells).rstrip()]
    return lines


def summary_text(summary: Mapping[str, Any], directory: Path, width: int = WIDTH) -> str:
    """Say where the job in `directory` stands, from the content of summary.json."""
    lines = [_headline(summary), "", *inputs_table(summary.get("inputs", ()), width)]
    lines += numbers_table(summary["numbers"], width)
    if platforms := summary["platforms"]:
        names = ("done", "at_the_vendor", "planned", "held", "failed", "skipped", "submits", "status_calls")
        rows = [(name, *(count(entry[key]) for key in ("tasks", *names))) for name, entry in platforms.items()]
        lines += ["", *without_zeros(("tasks", "all", *(name.replace("_", " ") for name in names)), rows, width)]
        total: Counter[str] = Counter()
        for entry in platforms.values():
            total.update(entry["verdicts"])
        if words := in_order(total):
            rows = [(name, *(count(its["verdicts"].get(word, 0)) for word in words)) for name, its in platforms.items()]
            lines += ["", *table(("verdicts", *words), rows, width)]
    # With nothing left to send, nobody has to be told any more what the rest will be like.
    if (
        (trial := summary.get("trial"))
        and trial["read"]
        and any(its["rest_tasks"] for its in trial["platforms"].values())
    ):
        lines += ["", *trial_lines(trial, width)]
    limit = f" of at most {money(summary['max_cost'])}" if summary["max_cost"] is not None else ""
    if others := summary.get("others_cost"):
        limit += f", beside {money(others)} by other jobs with the same key"
    cost = "cost: none, the embedded vendor is free" if summary["sandbox"] else f"cost so far {money(summary['cost'])}"
    tables = [f"wrote {directory / one['path']}, {count(one['rows'])} rows" for one in summary.get("enriched", ())]
    written = [*master_lines(summary["master"], directory), *tables]
    if summary.get("master_of_earlier_run"):
        written = [f"an earlier run {line}" for line in written]
    written += _list_lines(summary, directory)
    waiting = section("for a person", _waiting(platforms.values()))
    return "\n".join([*lines, "", cost + limit * (not summary["sandbox"]), *written, *waiting, *findings(summary)])


def trial_lines(trial: Mapping[str, Any], width: int) -> list[str]:
    """Say what the trial found, and what the rest would cost and take."""

    def percent(share: Mapping[str, float]) -> str:
        return f"{share['share']:.1%} ({share['low']:.1%} to {share['high']:.1%})"

    done = {name: one for name, one in trial["platforms"].items() if one["state"] == "done"}
    shares = [(name, *(percent(one[word]) for word in ("yes", "unknown", "unanswered"))) for name, one in done.items()]
    costs = [
        (
            name,
            count(one["billed"]),
            money(one["quoted"]),
            money(one["charged"]),
            "unknown" if one["took_s"] is None else duration(one["took_s"]),
            count(one["rest_numbers"]),
            money(one["rest_cost"]),
        )
        for name, one in done.items()
    ]
    against = [f"{money(trial['budget_left'])} are left of max_cost"] * (trial["budget_left"] is not None)
    against += [f"the balance of vendor {name} was {money(usd)}" for name, usd in trial["balances"].items()]
    rest = f"the rest costs {money(trial['rest_cost'])} and takes some {duration(trial['rest_expected_s'])}"
    return [
        *table(("trial", "yes", "unknown", "unanswered"), shares, width),
        *table(("trial", "billed", "quoted", "charged", "took", "rest", "rest cost"), costs, width),
        "; ".join([rest, *against]),
    ]


def master_lines(files: Iterable[Mapping[str, Any]], directory: Path) -> list[str]:
    """Name the files of the master, which lie in `directory`, as they can be opened from anywhere."""
    return [f"wrote {directory / file['path']}, {count(file['rows'])} numbers" for file in files]


def _list_lines(summary: Mapping[str, Any], directory: Path) -> list[str]:
    """Say where each line stands that became no number of the master; a closed job has no such files."""
    from orchestrator.jobdir.layout import DUPLICATES, REJECTED  # noqa: PLC0415 - what --help prints needs no settings

    if summary.get("state") == "purged":
        return []
    counts = (
        (summary["numbers"]["rejected"], "reject", REJECTED),
        (summary["numbers"]["duplicates"], "duplicate", DUPLICATES),
    )
    return [f"{plural(lines, what)} in {directory / name}" for lines, what, name in counts if lines]


def _waiting(platforms: Iterable[Mapping[str, Any]]) -> list[str]:
    """Count what a person may do something about, whatever else ended the run."""
    total: Counter[str] = Counter()
    for entry in platforms:
        total.update({"held": entry["held"], "failed": entry["failed"]})
        total["unanswered"] += entry["verdicts"].get("unanswered", 0)
    said = (
        (total["held"], "task", "held: status --held lists them, resolve decides"),
        (total["failed"], "task", "failed for good: retry plans their numbers again"),
        (total["unanswered"], "number", "unanswered: retry plans them again"),
    )
    return [f"{plural(number, noun)} {what}" for number, noun, what in said if number]


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
    if code is None:
        return f"{job}: run {serial} running, or killed{mark}"
    return f"{job}: run {serial} ended {summary['ended_at']}{mark}\nexit code {code}: {EXIT_CODES[code]}"


def inputs_table(inputs: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Say what became of each input, and of each sheet or member of one; no lines without any."""
    rows, unread = [], []
    for entry in inputs[:SHOWN_INPUTS]:
        rows.append((entry["path"], *(count(entry[name]) for name in _COUNTS)))
        for part in entry["parts"]:
            name = f"  {part['name']}{' (hidden)' * part['hidden']}"
            rows.append((name, *(count(part[name]) for name in _COUNTS)))
        for one in entry["unread"]:
            what = f"{one['what']}, {plural(one['rows'], 'row')}" if one["rows"] else one["what"]
            unread.append(f"{entry['path']}: left unread: {what} ({one['why']})")
    if not rows:
        return []
    more = [f"and {count(len(inputs) - SHOWN_INPUTS)} more inputs"] * (len(inputs) > SHOWN_INPUTS)
    return [*table(("inputs", *_COUNTS), rows, width), *more, *unread, ""]


def numbers_table(numbers: Mapping[str, int], width: int) -> list[str]:
    """Show the counts that add up."""
    return table(("numbers", *numbers), [("", *map(count, numbers.values()))], width)


def findings(content: Mapping[str, Any]) -> list[str]:
    """List the findings under a heading; no lines without any."""
    return section("findings", content["findings"])


def section(title: str, sentences: Sequence[str]) -> list[str]:
    """List sentences under a heading; no lines without any."""
    return ["", title, *(f"- {sentence}" for sentence in sentences)] if sentences else []


def without_zeros(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Align columns, save for those that are nothing but zeros."""
    kept = [i for i in range(len(header)) if any(row[i] != "0" for row in rows)]
    return table([header[i] for i in kept], [[row[i] for i in kept] for row in rows], width)
