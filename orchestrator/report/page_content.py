"""What report.html says, as values that its template sets. Pure.

Rules: first where the job stands and what to do next; of what may be long, as much as a person reads, and how much more
there is; no number, no key, and nothing that moves a cursor or turns the direction of writing round. So whatever
somebody else worded (names of files and sheets, the vendor, the configuration) goes through `clean`, and the template
escapes all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from orchestrator import __version__
from orchestrator.errors import ExitCode
from orchestrator.jobdir.verdict_words import (
    MEANINGS,
    OWN_WORDS,
    UNANSWERED,
    VENDORS_WORD,
    folded,
    in_order,
    shown_words,
)
from orchestrator.records import NANO
from orchestrator.redact import Redactor, mask_numbers, printable
from orchestrator.report import plots
from orchestrator.report.printed import count, duration, money, plural, size
from orchestrator.report.summary import after_argument, command_in, utc
from orchestrator.report.ways_out import decided_task, waiting_task
from orchestrator.tasks import HELD, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.records import Passage, RunRecord, Standing, Task
    from orchestrator.settings import PlatformSettings
    from orchestrator.tasks import TaskKey

SHOWN_TASKS: Final = 20
SHOWN_CODES: Final = 12
SHOWN_INPUTS: Final = 50
SHOWN_PARTS: Final = 20
SHOWN_LINES: Final = 50
SHOWN_RUNS: Final = 10
SHOWN_PLATFORMS: Final = 40
LONGEST: Final = 600
"""Letters of a text that somebody else worded."""


_redactor = Redactor()

_ENDS: Final = {
    ExitCode.DONE: ("Done", "good"),
    ExitCode.SOME_FAILED: ("Finished, some tasks failed", "warn"),
    ExitCode.USAGE: ("Stopped: nothing was sent", "bad"),
    ExitCode.HELD: ("Waits for a decision", "warn"),
    ExitCode.VENDOR_STOP: ("Stopped by the vendor", "bad"),
    ExitCode.OVER_BUDGET: ("Over budget", "warn"),
    ExitCode.LOCKED: ("Held by another run", "warn"),
    ExitCode.INTERNAL: ("Internal error", "bad"),
    ExitCode.STORAGE: ("Disk or ledger failed", "bad"),
    ExitCode.AGAIN: ("To be continued", "going"),
}
_SANDBOX: Final = (
    "Sandbox: these verdicts come from the embedded vendor. They are made up and say nothing about anybody."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSources:
    """All that the page is made of: summary.json as it would be now, and what only the ledger has.

    `arguments` is what names the job behind any command. `held`, `failed` and `decided` may be the first of more, and
    `files` are names in the job's directory and their sizes. `balances` is what those of vendors hint at of doubts.
    """

    summary: Mapping[str, Any]
    arguments: str
    at: float
    platforms: Mapping[str, PlatformSettings]
    standings: Sequence[Standing]
    runs: Sequence[RunRecord] = ()
    held: Sequence[Task] = ()
    failed: Sequence[Task] = ()
    decided: Sequence[Task] = ()
    course: Sequence[Passage] = ()
    files: Sequence[tuple[str, int]] = ()
    balances: Mapping[TaskKey, str] = field(default_factory=dict)
    needs_after: bool = True

    @property
    def run(self) -> str:
        """The command of the next run, where the summary has none."""
        after = after_argument(self.summary["after"], needed=self.needs_after)
        return f"orchestrator run {self.arguments}{after}"


def clean(text: object) -> str:
    """Return what somebody else worded as it may be shown."""
    shown = printable(_redactor(mask_numbers(str(text))))
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


def page_content(sources: PageSources) -> dict[str, Any]:
    """Return what the template needs."""
    summary = sources.summary
    masters = {file["path"]: f"{count(file['rows'])} numbers" for file in summary["master"]}
    return {
        "job": clean(summary["job"]),
        "version": __version__,
        "written_at": _moment(sources.at),
        "serial": summary["serial"],
        "sandbox": _SANDBOX if summary["sandbox"] else "",
        **_standing(sources),
        "tiles": _tiles(sources),
        "funnels": _funnels(sources),
        **_verdicts(summary),
        "course": _course(sources.course),
        "pace": _pace(sources),
        "money": _money(summary),
        "held": _waiting(sources, sources.held, _tasks_in(sources, *HELD)),
        "failed": _waiting(sources, sources.failed, _tasks_in(sources, State.FAILED)),
        "decided": [_cleaned(decided_task(task, sources.arguments)) for task in sources.decided[:SHOWN_TASKS]],
        "more_decided": _more(sources.decided, SHOWN_TASKS),
        "findings": [clean(finding) for finding in summary["findings"][:SHOWN_LINES]],
        "more_findings": _more(summary["findings"], SHOWN_LINES),
        "status_held": clean(f"orchestrator status --held {sources.arguments}"),
        "inputs": _inputs(summary["inputs"]),
        "rejected": {clean(reason): count(lines) for reason, lines in summary["rejected_by_reason"].items()},
        "files": [
            {"name": clean(name), "rows": masters.get(name, ""), "size": size(size_bytes)}
            for name, size_bytes in sources.files[:SHOWN_LINES]
        ],
        "more_files": _more(sources.files, SHOWN_LINES),
        "runs": [
            {
                "serial": run.serial,
                "began": _moment(run.started_at),
                "took": "no end noted" if run.ended_at is None else duration(run.ended_at - run.started_at),
                "code": "" if run.exit_code is None else int(run.exit_code),
                "reason": clean(run.reason),
            }
            for run in sources.runs[:SHOWN_RUNS]
        ],
        "more_runs": count(summary["serial"] - SHOWN_RUNS) if summary["serial"] > SHOWN_RUNS else "",
    }


# --- where it stands -------------------------------------------------------------------------------------------------


def _standing(sources: PageSources) -> dict[str, Any]:
    summary = sources.summary
    code = summary["exit_code"]
    decided, planned = len(sources.decided), _tasks_in(sources, State.PLANNED)
    if summary["state"] == "purged":
        label, tone, steps = "Purged", "quiet", []
        said = [
            f"This job was purged after run {summary['serial']}. It is closed: nothing of it can be sent any more.",
            "This page holds nothing of what it was.",
        ]
    elif code is None:
        label, tone = ("Running", "going") if summary["serial"] else ("Planned", "quiet")
        done, tasks = _tasks_in(sources, State.DONE), sum(standing.tasks() for standing in sources.standings)
        so_far = f"{count(done)} of {count(tasks)} tasks done"
        said = [f"Run {summary['serial']} was under way when this page was written: {so_far}."]
        steps = [
            _step(
                "Nothing, while it runs: this page is renewed from time to time. If the run was killed, go on:",
                sources.run,
            )
        ]
        if held := _tasks_in(sources, *HELD):
            steps.append(
                _step(
                    f"{plural(held, 'task')} {_is(held)} held by now, and listed below. Decide once the run has ended: "
                    "the rest of the job goes on meanwhile."
                )
            )
    else:
        label, tone = _ENDS[ExitCode(code)]
        said = [f"Run {summary['serial']} ended at {_moment_of(summary['ended_at'])} with exit code {code}."]
        said += [f"{clean(summary['reason'])}."] if summary["reason"] else []
        if decided:
            were = "was" if decided == 1 else "were"
            said.append(f"Since then, {plural(decided, 'task')} {were} decided on; the next run acts on that.")
        elif planned and code in (ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.HELD):
            said.append(f"{plural(planned, 'task')} {_is(planned)} planned for the next run.")
        steps = _steps(sources)
    return {"label": label, "tone": tone, "said": said, "steps": steps}


def _steps(sources: PageSources) -> list[dict[str, str]]:  # noqa: PLR0911 - one for each kind of end
    """Say what to do next, each with the command to paste."""
    summary, arguments = sources.summary, sources.arguments
    held, failed = _tasks_in(sources, *HELD), _tasks_in(sources, State.FAILED)
    again = command_in(summary["next"]) or sources.run
    unanswered = sum(entry["verdicts"].get(UNANSWERED, 0) for entry in summary["platforms"].values())
    waits = len(sources.decided) or _tasks_in(sources, State.PLANNED)
    match ExitCode(summary["exit_code"]):
        case ExitCode.HELD if held:
            return [
                _step(
                    f"Decide on {plural(held, 'task')} that the vendor may or may not have, with the lines below, "
                    "which this command lists, too:",
                    f"orchestrator status --held {arguments}",
                ),
                _step("Then run again:", again),
            ]
        case ExitCode.HELD if sources.decided:
            return [_step("Run again:", again)]
        case ExitCode.SOME_FAILED | ExitCode.DONE if waits:
            return [_step("Run again:", again)]
        case ExitCode.SOME_FAILED:
            return [
                _step(
                    f"{plural(failed, 'task')} failed for good. Plan the numbers without a verdict again; that shows "
                    "the cost, and sends nothing:",
                    f"orchestrator retry {arguments}",
                ),
                _step("Then run again, which sends them:", again),
            ]
        case ExitCode.DONE if unanswered:
            return [
                _step(
                    f"Nothing, unless {plural(unanswered, 'missing answer')} {_is(unanswered)} worth asking for "
                    "again. This plans that, shows the cost, and sends nothing:",
                    f"orchestrator retry {arguments}",
                )
            ]
        case ExitCode.DONE:
            return [_step("Nothing: every number was asked for on every platform.")]
        case ExitCode.AGAIN:
            wait_s = summary["again_after_s"]
            return [_step(f"Run again{f', in {duration(wait_s)} or later' if wait_s else ''}:", again)]
        case _:
            before, _, after = summary["next"].partition(again)
            text = clean(before[:1].upper() + before[1:]).strip()
            return [_step(f"{text} …{clean(after)}" if after else text, again)]


def _step(text: str, command: str = "") -> dict[str, str]:
    return {"text": text, "command": clean(command)}


def _tiles(sources: PageSources) -> list[dict[str, str]]:
    """Return the figures that people look for first."""
    summary = sources.summary
    tasks = sum(standing.tasks() for standing in sources.standings) - _tasks_in(sources, State.SKIPPED, State.RETRIED)
    done, at_vendor = _tasks_in(sources, State.DONE), _tasks_in(sources, State.RELEASED, State.SUBMITTED)
    held, failed = _tasks_in(sources, *HELD), _tasks_in(sources, State.FAILED)
    limit = "" if summary["max_cost"] is None else f" of at most {money(summary['max_cost'])}"
    amount, unit = money(summary["cost"]).split(" ")
    spent = ("nothing", "the sandbox is free") if summary["sandbox"] else (amount, f"{unit}{limit}")
    return [
        {
            "name": "Numbers",
            "value": count(summary["numbers"]["accepted"]),
            "note": plural(len(sources.standings), "platform"),
        },
        {"name": "Tasks done", "value": count(done), "note": f"of {count(tasks)}", "bar": _width(done, tasks)},
        {"name": "At the vendor", "value": count(at_vendor), "note": plural(at_vendor, "task").partition(" ")[2]},
        {"name": "Spent", "value": spent[0], "note": spent[1]},
        {"name": "Held", "value": count(held), "note": "for a decision", "tone": "warn" if held else ""},
        {"name": "Failed", "value": count(failed), "note": "for good", "tone": "bad" if failed else ""},
    ]


# --- the list and its verdicts ---------------------------------------------------------------------------------------


def _funnels(sources: PageSources) -> list[dict[str, Any]]:
    """Return the way from lines to verdicts, in two parts: a number is asked for on every platform."""
    numbers = sources.summary["numbers"]
    rows: Counter[State] = Counter()
    answered = 0
    for standing in sources.standings:
        rows.update(standing.rows_by_state)
        answered += sum(number for word, number in standing.verdicts.items() if word not in OWN_WORDS)
    checks = sum(rows.values()) - rows[State.RETRIED]
    sent = checks - rows[State.PLANNED] - rows[State.SKIPPED]
    lines = [
        ("Lines and cells read", numbers["read"], ""),
        ("Duplicates", numbers["duplicates"], "left out: each number is asked for once"),
        ("Rejected", numbers["rejected"], "in rejected.csv, with the reason"),
        ("Numbers accepted", numbers["accepted"], "each stands in the master once"),
    ]
    asked = [
        ("To be checked", checks, f"numbers on {plural(len(sources.standings), 'platform')}"),
        ("Sent to the vendor", sent, ""),
        ("Results read", rows[State.DONE], ""),
        ("Verdicts", answered, "what is unanswered is no verdict"),
    ]
    return [
        _funnel("From lines to numbers", "lines", lines),
        _funnel("From numbers to verdicts", "checks", asked),
    ]


def _funnel(title: str, unit: str, steps: Sequence[tuple[str, int, str]]) -> dict[str, Any]:
    whole = steps[0][1]
    rows = [
        {
            "name": name,
            "number": count(number),
            "share": _percent(number, whole),
            "width": _width(number, whole),
            "note": note,
        }
        for name, number, note in steps
    ]
    return {"title": title, "unit": unit, "rows": rows}


def _verdicts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of verdicts, by platform and by calling code, which share their words and colours."""
    by_platform = {name: entry["verdicts"] for name, entry in summary["platforms"].items()}
    by_code = summary.get("calling_codes", {})
    total: Counter[str] = Counter()
    for counts in by_platform.values():
        total.update(counts)
    for counts in by_code.values():
        total.update(dict.fromkeys(counts, 0))
    words = shown_words(in_order(total))
    names = [clean(word) or "(empty)" for word in words]
    # The style sheet's colours: a known word has the same in every plot and every run.
    tints = [
        _TINTS.index(word) if word in _TINTS else len(_TINTS) + place % _FURTHER_TINTS
        for place, word in enumerate(words)
    ]
    of_master = summary["master"] and not summary.get("master_of_earlier_run")
    counted = "cells of the master" if of_master else "results read so far"
    return {
        "words": [
            {"word": name, "tint": tint, "meaning": MEANINGS.get(word, VENDORS_WORD)}
            for word, name, tint in zip(words, names, tints, strict=True)
        ],
        "counted": counted,
        "by_platform": _counts(by_platform, words, SHOWN_PLATFORMS, "platforms"),
        "by_code": _counts(by_code, words, SHOWN_CODES, "calling codes"),
    }


def _counts(
    table: Mapping[str, Mapping[str, int]], words: Sequence[str], most: int, what: str
) -> dict[str, Any] | None:
    """Return a table of counts with its plot; None without any count."""
    rows = {clean(name): folded(counts, words) for name, counts in list(table.items())[:most]}
    if not any(map(sum, (counts.values() for counts in rows.values()))):
        return None
    if rest := list(table.values())[most:]:
        others: Counter[str] = Counter(dict.fromkeys(words, 0))
        for counts in rest:
            others.update(folded(counts, words))
        rows[f"{count(len(rest))} other {what}"] = dict(others)
    top = max(rows, key=lambda name: sum(rows[name].values()))
    said = ", ".join(f"{clean(word)} {count(number)}" for word, number in rows[top].items() if number)
    return {
        "plot": plots.stacked_bars(rows, words),
        "text": f"{plural(len(rows), 'bar')}, the longest for {top}: {said}. The table below has all counts.",
        "rows": [
            {
                "name": name,
                "cells": [(count(number), _percent(number, sum(counts.values()))) for number in counts.values()],
                "total": count(sum(counts.values())),
            }
            for name, counts in rows.items()
        ],
    }


_TINTS: Final = ("yes", "no", "ban", "unknown", "n/a", *OWN_WORDS)
_FURTHER_TINTS: Final = 5


# --- what happened over time -----------------------------------------------------------------------------------------


def _course(course: Sequence[Passage]) -> dict[str, Any] | None:
    """Return the tasks over time: sent, at the vendor, done; None before the first."""
    if not course:
        return None
    sent, at_vendor, done = 0, 0, 0
    lines: dict[str, list[tuple[float, int]]] = {"sent": [], "at the vendor": [], "done": []}
    latest = course[0].began_at
    for passage in course:
        before = (sent, at_vendor, done)
        sent, at_vendor, done = sent + passage.submits, at_vendor + passage.at_the_vendor, done + passage.done
        for at, numbers in ((passage.began_at, before), (passage.ended_at, (sent, at_vendor, done))):
            latest = max(latest, at)  # a clock may have been set back
            for points, number in zip(lines.values(), numbers, strict=True):
                points.append((latest, max(0, number)))
    first, last = course[0].began_at, latest
    most = max(number for _, number in lines["at the vendor"])
    return {
        "plot": plots.course_lines(lines),
        "text": (
            f"From {_moment(first)} to {_moment(last)}: {count(sent)} tasks were sent and {count(done)} are done; at "
            f"most {count(most)} were at the vendor at a time, {count(max(0, at_vendor))} at the end."
        ),
        "lines": list(lines),
    }


def _pace(sources: PageSources) -> dict[str, Any]:
    """Return how fast it goes, and how many calls that takes."""
    standings, course = sources.standings, sources.course
    submits = sum(standing.submits for standing in standings)
    calls = sum(standing.status_calls for standing in standings)
    facts = {
        "Status calls": f"{count(calls)}{f', {calls / submits:.1f} a task' if submits else ''}",
        "Submits put off by the vendor, and repeated": count(sum(passage.put_off for passage in course)),
        "Tasks planned again by retry": count(_tasks_in(sources, State.RETRIED)),
    }
    run = sources.runs[0] if sources.runs else None
    if run is not None:
        begun = [passage for passage in course if passage.ended_at >= run.started_at]
        until = sources.at if run.ended_at is None else run.ended_at
        done = sum(passage.done for passage in begun)
        if done > 0 and until > run.started_at:
            a_second = done / (until - run.started_at)
            facts = {f"Tasks done an hour, in run {run.serial}": f"about {count(round(a_second * _HOUR_S))}"} | facts
            unfinished = sum(standing.unfinished for standing in standings)
            if run.ended_at is None and unfinished:
                facts = {"Time left, at that pace": f"about {duration(unfinished / a_second)}"} | facts
    rows = [
        {
            "name": clean(standing.platform),
            "cells": [
                count(standing.tasks()),
                count(standing.tasks(State.PLANNED)),
                count(standing.tasks(State.RELEASED, State.SUBMITTED)),
                count(standing.tasks(State.DONE)),
                count(standing.held),
                count(standing.tasks(State.FAILED)),
                count(standing.tasks(State.SKIPPED)),
                count(standing.submits),
                count(standing.status_calls),
            ],
        }
        for standing in standings[:SHOWN_PLATFORMS]
    ]
    header = ["tasks", "planned", "at the vendor", "done", "held", "failed", "skipped", "submits", "status calls"]
    return {"facts": facts, "header": header, "rows": rows}


_HOUR_S: Final = 3600


_SUMS: Final = {"reserved": "reserved", "in doubt": "in_doubt", "charged": "charged"}
_FURTHER_SUMS: Final = {"refunded": "refunded", "told by the vendor": "told_by_vendor"}
"""Columns of money that is rare; without any they are left out."""


def _money(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cost ledger: what is planned, reserved, in doubt and charged, by platform and in all."""
    ledgers = {clean(name): entry["money"] for name, entry in list(summary["platforms"].items())[:SHOWN_PLATFORMS]}
    total = summary["money"]
    if removed := _of_removed(summary):
        ledgers["no longer in the configuration"] = removed
    columns = {"planned": "planned"} | _SUMS
    columns |= {title: key for title, key in _FURTHER_SUMS.items() if total[key]}
    # As many digits behind the point as the longest of the amounts needs.
    written = [money(its[key] or 0.0).split(" ")[0] for its in (total, *ledgers.values()) for key in columns.values()]
    digits = max(len(amount.partition(".")[2]) for amount in written)

    def amounts(its: Mapping[str, Any]) -> list[str]:
        return ["unknown" if its[key] is None else f"{its[key]:,.{digits}f}" for key in columns.values()]

    max_cost = summary["max_cost"]
    return {
        "free": summary["sandbox"],
        "header": list(columns),
        "rows": [{"name": name, "cells": amounts(its)} for name, its in ledgers.items()],
        "total": amounts(total) if len(ledgers) > 1 else [],
        "spent": money(summary["cost"]),
        "limit": "" if max_cost is None else money(max_cost),
        "left": "" if max_cost is None else money(max(0.0, round(max_cost - summary["cost"], 9))),
        "warning": clean(total["warning"]),
        "not_in_usd": [clean(currency) for currency in total["not_in_usd"][:SHOWN_LINES]],
    }


def _of_removed(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return what the platforms of the table lack to the sums of the job; empty where that is nothing.

    Planned is nothing of what is not in the configuration.
    """
    its = [entry["money"] for entry in summary["platforms"].values()]
    keys = (*_SUMS.values(), *_FURTHER_SUMS.values())
    lacking = {key: round(summary["money"][key] - sum(one[key] for one in its), 9) for key in keys}
    return {"planned": 0.0, **lacking} if any(lacking.values()) else {}


# --- what needs a person ---------------------------------------------------------------------------------------------


def _waiting(sources: PageSources, tasks: Sequence[Task], all_of_them: int) -> dict[str, Any]:
    """Return held or failed tasks with the commands that decide on them."""
    shown = []
    for task in tasks[:SHOWN_TASKS]:
        platform = sources.platforms.get(task.key.platform)
        free = sources.summary["sandbox"]
        priced = platform is not None and (platform.price_per_10000 is not None or free)
        again_usd = platform.cost_nano(task.rows) / NANO if platform and priced else None
        hint = sources.balances.get(task.key)
        told = waiting_task(task, sources.arguments, again_usd=again_usd, balance=hint)
        shown.append(
            _cleaned(told)
            | {
                "numbers": plural(task.rows, "number"),
                "sent_at": _moment_of(told["sent_at"]) if told["sent_at"] else "",
                "cost": f"{money(told['cost'])}, which the vendor may have charged" if told["cost"] else "",
                "ways_out": [_cleaned(way) for way in told["ways_out"]],
            }
        )
    return {
        "all": all_of_them,
        "tasks": shown,
        "more": count(all_of_them - len(shown)) if all_of_them > len(shown) else "",
    }


# --- inputs, files, runs ---------------------------------------------------------------------------------------------


def _inputs(inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what became of each input, and of its sheets or members, and what was left unread."""
    rows: list[dict[str, Any]] = []
    unread = []
    for entry in inputs:
        name = clean(entry["path"])
        if len(rows) < SHOWN_INPUTS:
            rows.append(_account(name, entry, part=False))
            rows += [
                _account(f"{clean(part['name'])}{' (hidden)' * part['hidden']}", part, part=True)
                for part in entry["parts"][:SHOWN_PARTS]
            ]
            if more := _more(entry["parts"], SHOWN_PARTS):
                rows.append({"name": f"and {more} more", "cells": ["", "", "", ""], "part": True})
        for one in entry["unread"]:
            what = f"{clean(one['what'])}, {plural(one['rows'], 'row')}" if one["rows"] else clean(one["what"])
            unread.append({"where": name, "what": what, "why": clean(one["why"])})
    return {
        "rows": rows,
        "more": _more(inputs, SHOWN_INPUTS),
        "unread": unread[:SHOWN_LINES],
        "more_unread": _more(unread, SHOWN_LINES),
    }


def _account(name: str, counts: Mapping[str, int], *, part: bool) -> dict[str, Any]:
    cells = [count(counts[word]) for word in ("read", "accepted", "duplicates", "rejected")]
    return {"name": name, "cells": cells, "part": part}


# --- words -----------------------------------------------------------------------------------------------------------


def _cleaned(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: clean(value) if isinstance(value, str) else value for name, value in told.items()}


def _more(things: Sequence[object], shown: int) -> str:
    return count(len(things) - shown) if len(things) > shown else ""


def _tasks_in(sources: PageSources, *states: State) -> int:
    return sum(standing.tasks(*states) for standing in sources.standings)


def _moment(at: float) -> str:
    return _moment_of(utc(at) or "")


def _moment_of(iso: str) -> str:
    return iso.replace("T", " ").removesuffix("Z") + " UTC" if iso else ""


def _width(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "0"


def _percent(part: int, whole: int) -> str:
    """Write a share; what is there is never 0 %, and what is not all never 100 %."""
    if not whole:
        return ""
    share = 100 * part / whole
    if 0 < share < _LEAST:
        return f"< {_LEAST} %"
    if 100 - _LEAST < share < 100:  # noqa: PLR2004 - per cent
        return f"> {100 - _LEAST} %"
    return f"{share:.1f} %"


_LEAST: Final = 0.1


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
