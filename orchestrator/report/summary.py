"""summary.json: where a job stands and what to do next, for programs and for people. Pure but for `write`.

Everything in it is read from the ledger, or is what the run knows about itself (`RunFacts`).
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from orchestrator.errors import ExitCode
from orchestrator.files import write_json
from orchestrator.jobdir.layout import ENRICHED, SUMMARY
from orchestrator.jobdir.verdict_words import in_order
from orchestrator.records import ReusedSums
from orchestrator.redact import mask_numbers, printable
from orchestrator.report.cost_ledger import JobMoney, PlatformMoney, job_money, platform_money, usd
from orchestrator.report.printed import duration, money, plural
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.master import MasterReport
    from orchestrator.records import InputAccount, ListCounts, Standing, Task, Token

SCHEMA_VERSION = 1

MAX_CALLING_CODES = 50
MAX_HELD_NAMES = 100
"""More held tasks than that are counted, not named; `status --held` names them all. More findings are in run.jsonl."""

_NEXT = {
    ExitCode.DONE: "",
    ExitCode.SOME_FAILED: (
        "{failed} failed for good: orchestrator status --held {arguments} says why, and shows what can be decided on "
        "each; orchestrator retry {arguments} plans their numbers again, and {again} sends them"
    ),
    ExitCode.USAGE: "this run sent nothing: correct what the reason names, then {again}",
    ExitCode.HELD: (
        "{held} held, which the vendor may or may not have: orchestrator status --held {arguments}, look for the files "
        "that it names on the vendor's website, or ask its support, then orchestrator resolve TASK {arguments} with "
        "--adopt TASK_ID, --resubmit, --result FILE or --give-up, then {again}"
    ),
    ExitCode.VENDOR_STOP: "put the key or the balance right at the vendor, then {again}",
    ExitCode.OVER_BUDGET: "if the rest is worth it, set [budget] max_cost{enough} in {config}, then {again}",
    ExitCode.LOCKED: "wait for the other run to end, or stop it, then {again}",
    ExitCode.INTERNAL: (
        "this is a fault of the program: report it, with the reason and run.jsonl, to whoever gave it to you; nothing "
        "is lost, and {again} goes on"
    ),
    ExitCode.STORAGE: "repair the disk, then {again}",
    ExitCode.AGAIN: "{again}",
}


class Closed(TypedDict):
    """What differs in the summary of a job that was purged."""

    state: str
    next: str
    master: list[MasterContent]
    enriched: list[EnrichedContent]


CLOSED: Closed = {"state": "purged", "next": "", "master": [], "enriched": []}
"""What is said of a job that was purged."""

_BEYOND_QUOTE = (
    "if the rest is worth it, quote it anew with orchestrator plan {arguments} --out FILE, then give run that --quote"
)
"""After exit code 5, where no budget would help."""
_STOPPED = "nothing more is sent until somebody has done what the reason says; then {again}"
"""After exit code 3, where no task is held."""

_REST = "to send or fetch the rest: {again}"
"""After a trial, after `retry`, and once it was decided on all that was held."""

_COMMAND = re.compile(r"orchestrator run .*?(?= goes on$| sends them$|$)", re.DOTALL)
_ARGUMENT = r"""(?:'[^']*'|"'"|[^\s'"])+"""
_QUOTE = re.compile(rf"\s--quote\s{_ARGUMENT}")
_CONFIG = re.compile(rf"^(\S+ run -c ){_ARGUMENT}")
_MASTER = re.compile(r"master[\w.-]*", re.ASCII)
_ENRICHED = re.compile(rf"{ENRICHED}/[^/\\]+")

_FINISHED = frozenset({ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.HELD})


class UnreadContent(TypedDict):
    """What of an input was left unread, how many rows that is, and why."""

    what: str
    rows: int
    why: str


class AccountContent(TypedDict):
    """What became of what was read: `read` = `accepted` + `duplicates` + `rejected`."""

    read: int
    accepted: int
    duplicates: int
    rejected: int
    unread: list[UnreadContent]


class PartContent(AccountContent):
    """The account of a sheet or member of an input."""

    name: str
    hidden: bool


class InputSummary(AccountContent):
    """The account of an input; `columns` are those of a table that its numbers were read from, guessed or named."""

    path: str
    columns: list[str]
    guessed: bool
    parts: list[PartContent]


class ReusedContent(TypedDict):
    """What was taken from earlier jobs: numbers by verdict, and when the oldest of them was checked.

    `asked_again` are further ones that were known as well, and fill a file that would else be too short.
    """

    numbers: int
    yes: int
    no: int
    asked_again: int
    oldest: str | None


class ReusedByJob(ReusedContent):
    """The same for all platforms; `oldest_days` is how old the oldest was when the run began."""

    oldest_days: float | None


class PlatformContent(TypedDict):
    """Where a platform stands, in tasks; `verdicts` counts numbers, `cost` is in USD."""

    tasks: int
    done: int
    failed: int
    held: int
    unfinished: int
    skipped: int
    planned: int
    at_the_vendor: int
    verdicts: dict[str, int]
    submits: int
    status_calls: int
    cost: float
    money: PlatformMoney
    reused: NotRequired[ReusedContent]


class MasterContent(TypedDict):
    """A file of the master, named from the job's directory."""

    path: str
    sha256: str
    rows: int


class EnrichedContent(TypedDict):
    """An input that was written back with verdicts, named from the job's directory."""

    path: str
    rows: int


class Share(TypedDict):
    """A share of a trial's numbers, with the interval in which that of the list lies, 19 times in 20."""

    share: float
    low: float
    high: float


class TrialPlatform(TypedDict):
    """What the trial says of a platform; `state` is its task's, `rest_…` is what is still to be sent."""

    state: str
    numbers: int
    yes: Share
    unknown: Share
    unanswered: Share
    billed: int
    quoted: float | None
    charged: float
    took_s: float | None
    rest_tasks: int
    rest_numbers: int
    rest_cost: float | None


class TrialContent(TypedDict):
    """What the trial says; `read` is whether all of it is."""

    rows: int
    read: bool
    platforms: dict[str, TrialPlatform]
    rest_cost: float | None
    rest_expected_s: float
    budget_left: float | None
    balances: dict[str, float]


class Summary(TypedDict):
    """What summary.json has. Times are ISO 8601 in UTC, money is in USD."""

    schema_version: int
    job: str
    job_id: str
    serial: int
    sandbox: bool
    state: str
    exit_code: int | None
    reason: str
    next: str
    started_at: str | None
    ended_at: str | None
    again_after_s: float | None
    after: str
    inputs: list[InputSummary]
    numbers: dict[str, int]
    rejected_by_reason: dict[str, int]
    cost: float
    max_cost: float | None
    money: JobMoney
    platforms: dict[str, PlatformContent]
    calling_codes: dict[str, dict[str, int]]
    others_cost: NotRequired[float]
    reused: NotRequired[ReusedByJob]
    held: list[str]
    held_sent_as: dict[str, str]
    findings: list[str]
    nothing_left: bool
    master: list[MasterContent]
    enriched: NotRequired[list[EnrichedContent]]
    trial: NotRequired[TrialContent]
    master_made_of: NotRequired[dict[str, Any]]
    master_of_earlier_run: NotRequired[bool]


class MasterLeft(TypedDict):
    """What belongs to a master that an earlier run has written, and lies there still: `verdicts` are not of it."""

    master: list[MasterContent]
    master_made_of: dict[str, Any]
    enriched: list[EnrichedContent]
    calling_codes: dict[str, dict[str, int]]
    master_of_earlier_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a run knows about itself. Times are seconds since the epoch; `max_cost` is in USD.

    `config` is the file as the user would name it, `arguments` what names the job behind any command, and `options`
    what the next run is to have behind that; `token` says how far the ledger is. `needed_usd` is the max_cost that
    would do after exit code 5. `exit_code` is None while the run lasts; serial 0 and `started_at` None mean that there
    was no run yet. `planned_usd` is what the tasks that are still to be sent will cost, by platform, None without a
    price; `warning` is what the money that is spent gives reason for; `too_few` are sentences
    about numbers that fit `only_if` and no file can hold; `decided` says that a person has decided since the run ended,
    and `again` is the command for the next run where the last one has said it. `needs_after` is false of a ledger in a
    database: of that nobody has an older copy by mistake.
    """

    job: str
    job_id: str
    serial: int
    config: str
    arguments: str
    token: Token
    sandbox: bool
    started_at: float | None
    ended_at: float | None = None
    exit_code: ExitCode | None = None
    reason: str = ""
    again_after_s: float | None = None
    options: str = ""
    max_cost: float | None = None
    needed_usd: float | None = None
    others_usd: float = 0.0
    planned_usd: Mapping[str, float | None] = field(default_factory=dict)
    warning: str = ""
    too_few: tuple[str, ...] = ()
    needs_after: bool = True
    decided: bool = False
    again: str = ""


def after_argument(token: object, *, needed: bool) -> str:
    """Return the argument that has the next run refuse an older copy of the ledger, where there can be one."""
    return f" --after {token}" if needed else ""


def build(
    facts: RunFacts,
    counts: ListCounts,
    standings: Iterable[Standing],
    held: Sequence[Task] = (),
    master: MasterReport | None = None,
    findings: Sequence[Task] = (),
    removed: Sequence[Standing] = (),
) -> Summary:
    """Return the content of summary.json; `standings` are in the order of the configuration.

    What platforms cost that were `removed` from it is part of the job's cost, as it is of what max_cost limits.
    `findings` are tasks that are done with results that say too little. The verdicts are the cells of `master` where
    that was written, else those of finished tasks.
    """
    standings = list(standings)
    cells = master.counts if master else {}
    reused = sum((standing.reused for standing in standings), ReusedSums())
    state = "running" if facts.serial else "planned"
    if facts.exit_code is not None:
        state = "finished" if facts.exit_code in _FINISHED else "stopped"
    content: Summary = {
        "schema_version": SCHEMA_VERSION,
        "job": facts.job,
        "job_id": facts.job_id,
        "serial": facts.serial,
        "sandbox": facts.sandbox,
        "state": state,
        "exit_code": None if facts.exit_code is None else int(facts.exit_code),
        "reason": printable(mask_numbers(facts.reason)),
        "next": next_step(facts, standings),
        "started_at": utc(facts.started_at),
        "ended_at": utc(facts.ended_at),
        "again_after_s": facts.again_after_s,
        "after": str(facts.token),
        "inputs": inputs(counts),
        "numbers": numbers(counts),
        "rejected_by_reason": dict(counts.rejected_by_reason),
        "cost": usd(sum(standing.cost_nano for standing in (*standings, *removed))),
        "max_cost": None if facts.max_cost is None or math.isinf(facts.max_cost) else facts.max_cost,
        "money": job_money(standings, removed, facts.planned_usd, facts.warning),
        "platforms": {
            s.platform: _platform(s, cells.get(s.platform, s.verdicts), facts.planned_usd.get(s.platform))
            for s in standings
        },
        "calling_codes": _calling_codes(master) if master else {},
        "nothing_left": bool(standings) and not any(standing.unfinished for standing in standings),
        "held": [str(task.key) for task in held[:MAX_HELD_NAMES]],
        "held_sent_as": {str(task.key): task.sent_name for task in held[:MAX_HELD_NAMES] if task.sent_name},
        "findings": [
            *filter(None, (facts.warning,)),
            *facts.too_few,
            *(f"{task.key}: {printable(mask_numbers(task.reason))}" for task in findings[:MAX_HELD_NAMES]),
        ],
        "master": master_files(master) if master else [],
    }
    if facts.others_usd:
        content["others_cost"] = round(facts.others_usd, 9)
    if reused.tasks:
        ago_s = None if reused.oldest is None or facts.started_at is None else facts.started_at - reused.oldest
        days = None if ago_s is None else round(max(0.0, ago_s) / 86_400, 2)
        content["reused"] = {**reused_content(reused), "oldest_days": days}
    return content


def inputs(counts: ListCounts) -> list[InputSummary]:
    """Return what became of each input, and of the sheets or members of it."""
    return [
        {
            "path": account.name,
            **_account(account),
            "columns": [printable(mask_numbers(column)) for column in account.columns],
            "guessed": account.guessed,
            "parts": [{"name": part.name, "hidden": part.is_hidden, **_account(part)} for part in account.parts],
        }
        for account in counts.inputs
    ]


def _account(account: InputAccount) -> AccountContent:
    return {
        "read": account.read,
        "accepted": account.accepted,
        "duplicates": account.duplicates,
        "rejected": account.rejected,
        "unread": [{"what": one.what, "rows": one.rows, "why": one.why} for one in account.unread],
    }


def write(directory: Path, summary: Mapping[str, Any]) -> None:
    """Put `summary` into the job's directory; raises `StorageError`."""
    write_json(directory / SUMMARY, summary)


def read(directory: Path) -> dict[str, Any]:
    """Return the summary in the job's directory, of which `master` names files beside it, each with its hash.

    Raises `OSError` when there is none, `ValueError` when it is none of ours.
    """
    try:
        content: dict[str, Any] = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
        ours = all(_MASTER.fullmatch(entry["path"]) and isinstance(entry["sha256"], str) for entry in content["master"])
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError("not a summary") from error
    if not ours:
        raise ValueError("not a summary")
    return content


def master_left(directory: Path, job_id: str, is_there: Callable[[Path], bool]) -> MasterLeft | None:
    """Return what the summary in the directory says of a master of this job that `is_there`; None without either.

    A summary that can't be read, or in which that part is not as we write it, is as good as none.
    """
    try:
        content = read(directory)
        master: list[MasterContent] = [
            {"path": file["path"], "sha256": file["sha256"], "rows": int(file["rows"])}
            for file in content["master"]
            if is_there(directory / file["path"])
        ]
        enriched: list[EnrichedContent] = [
            {"path": table["path"], "rows": int(table["rows"])}
            for table in content["enriched"]
            if _ENRICHED.fullmatch(table["path"]) and is_there(directory / table["path"])
        ]
        by_code = content["calling_codes"].items()
        codes = {code: {word: int(number) for word, number in counts.items()} for code, counts in by_code}
        if content["job_id"] != job_id or not master:
            return None
        return {
            "master": master,
            "master_made_of": dict(content["master_made_of"]),
            "enriched": enriched,
            "calling_codes": codes,
            "master_of_earlier_run": True,
        }
    except (OSError, LookupError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def renew_master(
    directory: Path, master: MasterReport, made_of: Mapping[str, object], enriched: Sequence[EnrichedContent] = ()
) -> None:
    """Tell of another master in the summary that a run has left, if there is one; raises `StorageError`."""
    told = {
        "master": master_files(master),
        "enriched": list(enriched),
        "master_made_of": dict(made_of),
        "calling_codes": _calling_codes(master),
    }
    try:
        content = read(directory)
        content.pop("master_of_earlier_run", None)
        for name, counts in master.counts.items():
            content["platforms"].get(name, {})["verdicts"] = in_order(counts)
        write(directory, content | told)
    except (OSError, ValueError, RecursionError):  # writing what is nested takes a deeper stack than reading it
        return


def close(directory: Path) -> None:
    """Say in the summary that the job was purged, and that no master is left; raises `StorageError`."""
    with suppress(OSError, ValueError, RecursionError):
        write(directory, read(directory) | CLOSED)


def renew_token(directory: Path, token: Token) -> None:
    """Say how far the ledger is in the summary that a run has left, if there is one; raises `StorageError`.

    So the last summary always knows the ledger that lies beside it, whatever command came after the run.
    """
    try:
        content = read(directory)
        if content.get("after") != str(token):
            write(directory, with_token(content, token))
    except (OSError, LookupError, ValueError, RecursionError):
        return


def with_token(content: Mapping[str, Any], token: Token) -> dict[str, Any]:
    """Return a summary that says how far the ledger is now, also in the command for the next run."""
    step = str(content["next"]).replace(f" --after {content.get('after')}", f" --after {token}")
    return {**content, "after": str(token), "next": step}


def left_by_run(directory: Path, job_id: str, token: Token) -> dict[str, Any]:
    """Return the summary of the last run with the ledger's token of now; empty where that has left none."""
    try:
        content = read(directory)
        return with_token(content, token) if (content["job_id"], content["serial"]) == (job_id, token.serial) else {}
    except (OSError, LookupError, ValueError, RecursionError):
        return {}


def command_in(step: str) -> str:
    """Return the command for the next run out of a next step; "" where there is none."""
    found = _COMMAND.search(step)
    return found[0] if found else ""


def with_config(command: str, config: str) -> str:
    """Return a command for the next run that names the configuration as it is named here: the job may have moved."""
    return _CONFIG.sub(lambda found: found[1] + config, command)


def without_quote(command: str) -> str:
    """Return a command for the next run that is not held to a quote: what is sent again was not quoted."""
    return _QUOTE.sub("", command)


def numbers(counts: ListCounts) -> dict[str, int]:
    """Return the part of the counts that adds up: `read` = `accepted` + `duplicates` + `rejected`."""
    return {name: getattr(counts, name) for name in ("read", "accepted", "duplicates", "rejected")}


def master_files(master: MasterReport) -> list[MasterContent]:
    """Return path, hash and rows of each file of the master."""
    return [{"path": file.path, "sha256": file.sha256, "rows": file.rows} for file in master.files]


def utc(at: float | None) -> str | None:
    """Write a moment, in seconds since the epoch, as ISO 8601 in UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def next_step(facts: RunFacts, standings: Iterable[Standing]) -> str:
    """Return the whole command for the next run, behind what a person has to do first; empty when there is none."""
    if facts.exit_code is None:
        return ""
    standings = list(standings)
    held = any(standing.held for standing in standings)
    step = _NEXT[facts.exit_code]
    if facts.exit_code is ExitCode.HELD and not held:
        step = _REST if facts.decided else _STOPPED
    elif facts.exit_code in {ExitCode.DONE, ExitCode.SOME_FAILED} and any(one.unfinished for one in standings):
        step = _REST
    after = after_argument(facts.token, needed=facts.needs_after)
    if facts.exit_code is ExitCode.OVER_BUDGET and facts.needed_usd is None and "--quote" in facts.options:
        step = _BEYOND_QUOTE
    again = facts.again or f"orchestrator run {facts.arguments}{facts.options}{after}"
    if facts.decided or facts.exit_code is ExitCode.SOME_FAILED or (facts.exit_code is ExitCode.HELD and held):
        again = without_quote(again)  # a run that is held to it is refused
    return step.format(
        again=again,
        arguments=facts.arguments,
        config=facts.config,
        held=plural(sum(standing.held for standing in standings), "task"),
        failed=plural(sum(standing.tasks(State.FAILED) for standing in standings), "task"),
        enough="" if facts.needed_usd is None else f" to {money(facts.needed_usd)} or more",
    )


def advice(summary: Mapping[str, Any]) -> str:
    """Return the next step of a summary as a sentence for people; empty when there is nothing to do."""
    if summary["exit_code"] != ExitCode.AGAIN:
        return str(summary["next"])
    wait_s = summary["again_after_s"]
    wait = f", in {duration(wait_s)} or later" if wait_s else ""
    return f"run the same command again{wait}: {summary['next']}"


def _calling_codes(master: MasterReport) -> dict[str, dict[str, int]]:
    return dict(list(master.by_calling_code.items())[:MAX_CALLING_CODES])


def reused_content(reused: ReusedSums) -> ReusedContent:
    """Return what was taken from earlier jobs for a platform."""
    return {
        "numbers": reused.numbers,
        "yes": reused.yes,
        "no": reused.no,
        "asked_again": reused.asked_again,
        "oldest": utc(reused.oldest),
    }


def _platform(standing: Standing, verdicts: Mapping[str, int], planned_usd: float | None) -> PlatformContent:
    planned = standing.tasks(State.PLANNED)
    content: PlatformContent = {
        "tasks": standing.tasks(),
        "done": standing.tasks(State.DONE),
        "failed": standing.tasks(State.FAILED),
        "held": standing.held,
        "unfinished": standing.unfinished,
        "skipped": standing.tasks(State.SKIPPED),
        "planned": planned,
        "at_the_vendor": standing.unfinished - planned,
        "verdicts": in_order({word: number for word, number in verdicts.items() if number}),
        "submits": standing.submits,
        "status_calls": standing.status_calls,
        "cost": usd(standing.cost_nano),
        "money": platform_money(standing, planned_usd),
    }
    if standing.reused.tasks:
        content["reused"] = reused_content(standing.reused)
    return content
