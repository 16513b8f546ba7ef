"""report.html: the job on one page, for people who did not start it; read from the ledger and summary.json.

It is written in a worker process: drawing takes longer than the event loop may wait, and reading the events of a
million tasks longer than a commit may. Nothing comes from it: whether it is there, and what it says, changes no run.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from orchestrator.errors import ExitCode
from orchestrator.files import disk_errors, replacing
from orchestrator.jobdir.layout import DUPLICATES, MASTERS, REJECTED, REPORT, enriched_folder, word_lists
from orchestrator.report import summary
from orchestrator.report.balance_hints import balance_hints
from orchestrator.report.cost_ledger import usd
from orchestrator.report.page_content import (
    SHOWN_RUNS,
    SHOWN_TASKS,
    PageSources,
    page_content,
)
from orchestrator.tasks import HELD, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from jinja2 import Template

    from orchestrator.ledger import Ledger, LedgerPlace
    from orchestrator.records import Task
    from orchestrator.settings import PlatformSettings

COURSE_PARTS: Final = 160
"""Points of the plot of tasks over time; more than that a screen does not show."""

_LAST: Final = ("state", "exit_code", "reason", "next", "started_at", "ended_at", "again_after_s", "after")
_MADE: Final = ("master", "calling_codes")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOrder:
    """What a worker needs beside the ledger: what only the settings know. `at` is now, in seconds since the epoch."""

    place: LedgerPlace
    job: str
    config: str
    arguments: str
    platforms: Mapping[str, PlatformSettings]
    max_cost: float | None
    at: float


def write_page(order: PageOrder) -> None:
    """Write report.html into the job's directory, in the place of the one that is there; raises `StorageError`."""
    with order.place.open_to_read() as ledger:
        content = page_content(_gathered(order, ledger))
    page = _template().render(content)
    with replacing(order.place.directory / REPORT) as file:
        file.write(page.encode("utf-8", "backslashreplace"))


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only the worker that writes the page pays for it

    ours = files("orchestrator.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    style = ours.joinpath("page.css").read_text("utf-8")
    return environment.from_string(ours.joinpath("page.html.jinja").read_text("utf-8"), {"style": style})


def _gathered(order: PageOrder, ledger: Ledger) -> PageSources:
    standings = ledger.platforms.standing()
    ours = [standings[name] for name in order.platforms if name in standings]
    names = [standing.platform for standing in ours]
    closed = ledger.runs.closed

    def first(*states: State) -> list[Task]:
        found = (ledger.tasks.select(*states, platform=name, most=SHOWN_TASKS) for name in names)
        return list(islice((task for tasks in found for task in tasks), SHOWN_TASKS))

    told = _summary(order, ledger)
    if closed:  # nothing is left but that
        return PageSources(
            summary=told,
            arguments=order.arguments,
            at=order.at,
            platforms={},
            standings=(),
        )
    return PageSources(
        summary=told,
        arguments=order.arguments,
        at=order.at,
        platforms=order.platforms,
        standings=ours,
        runs=ledger.runs.latest(SHOWN_RUNS),
        held=first(*HELD),
        failed=first(State.FAILED),
        decided=ledger.tasks.decided(serial=ledger.runs.serial),
        course=ledger.tasks.course(COURSE_PARTS),
        needs_after=order.place.database is None,
        files=list(_files(order.place.directory)),
        balances=balance_hints(ledger, order.platforms),
    )


def _summary(order: PageOrder, ledger: Ledger) -> dict[str, Any]:
    """Return what summary.json would say now: the ledger's figures, and what the last run and merge have left."""
    last = ledger.runs.last()
    standings = ledger.platforms.standing()
    ours = {name: standings[name] for name in order.platforms if name in standings}
    planned_usd = {}
    for name, standing in ours.items():
        platform, sizes = order.platforms[name], ledger.tasks.planned_sizes(name)
        nano = sum(standing.money.expected(platform.cost_nano(rows)) * tasks for rows, tasks in sizes.items())
        planned_usd[name] = None if platform.price_per_10000 is None and sizes else usd(nano)
    facts = summary.RunFacts(
        job=order.job,
        job_id=ledger.runs.job_id,
        serial=ledger.runs.serial,
        config=order.config,
        arguments=order.arguments,
        token=ledger.runs.token,
        needs_after=order.place.database is None,
        sandbox=not ledger.platforms.made_up().isdisjoint(order.platforms),
        started_at=last.started_at if last else None,
        ended_at=last.ended_at if last else None,
        exit_code=None if last is None or last.exit_code is None else ExitCode(last.exit_code),
        reason=last.reason if last else "",
        max_cost=order.max_cost,
        planned_usd=planned_usd,
    )
    findings = ledger.tasks.findings(most=summary.MAX_HELD_NAMES)
    removed = ledger.platforms.removed(order.platforms)
    content: dict[str, Any] = {
        **summary.build(facts, ledger.plan.counts(), list(ours.values()), findings=findings, removed=removed)
    }
    with suppress(OSError, ValueError, RecursionError, LookupError, AttributeError, TypeError):
        left = summary.read(order.place.directory)
        if (left["job_id"], left["serial"]) == (facts.job_id, facts.serial):
            content |= {name: left[name] for name in _LAST}
            content["money"]["warning"] = left.get("money", {}).get("warning", "")
            content = summary.with_token(content, facts.token)
            if left["master"]:
                content |= {name: left[name] for name in _MADE}
                content["master_of_earlier_run"] = left.get("master_of_earlier_run", False)
            if left["master"] and not content["master_of_earlier_run"]:
                for name, entry in content["platforms"].items():
                    entry["verdicts"] = left["platforms"][name]["verdicts"]
    return {**content, **summary.CLOSED} if ledger.runs.closed else content


def _files(directory: Path) -> Iterator[tuple[str, int]]:
    """Yield the files for people that are there, from the job's directory, and their sizes."""
    with disk_errors(directory):
        made = [directory / name for name in (*MASTERS, REJECTED, DUPLICATES)]
        enriched = enriched_folder(directory)
        made += sorted(enriched.iterdir()) if enriched.is_dir() else []
        for path in (*made, *word_lists(directory)):
            if path.is_file():
                yield path.relative_to(directory).as_posix(), path.stat().st_size
