"""What has to hold after every seed, computed apart from the program: from the list, and from what the vendor has."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.records import Task
from orchestrator.sandbox import TaskRecord, cost, read_breaches
from orchestrator.tasks import Event, State, TaskKey
from tests.ledgers import everything
from tests.simulation.expectation import check_master
from tests.simulation.gateway import UNREAL
from tests.simulation.listing import counts_of
from tests.simulation.promises import BrokenPromiseError, promise

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.whole import Operator

__all__ = [
    "TOLERANCE_S",
    "BrokenPromiseError",
    "check_all",
    "check_budget",
    "check_purged",
    "check_spacing",
    "key_of",
    "promise",
]

NANO = 1_000_000_000
TOLERANCE_S = 1e-6


def key_of(record: TaskRecord) -> TaskKey:
    """Read which task a file belongs to from the name it was sent under: JOB-PLATFORM-CHUNK-HASH8.txt."""
    _, platform, chunk, _ = record.file_name.rsplit("-", 3)
    return TaskKey(platform, int(chunk))


def check_all(operator: Operator) -> None:
    """Check everything that can be seen from outside at the end of a seed."""
    tasks = operator.read(lambda ledger: ledger.tasks.select(*State), ())
    events = operator.read(lambda ledger: list(ledger.tasks.events()), ())
    standings = operator.read(lambda ledger: ledger.platforms.standing(), {})
    spent = {name: standing.cost_nano for name, standing in standings.items()}
    money = operator.read(lambda ledger: ledger.platforms.money_findings(), ())
    promise(not money, f"the cost ledger: {money}")
    for event in events:
        operator.note("ledger", is_=event[3:8])
    charged = operator.charged()
    charged_once(operator, tasks, charged)
    reserved, doubted = doubted_tasks(events, tasks)
    _spent_as_charged(operator, tasks, reserved, doubted, spent, charged)
    summary_is_right(operator, reserved, doubted, charged)
    check_master(operator)
    key_is_private(operator)


def _never_looked_at(tasks: Sequence[Task]) -> set[TaskKey]:
    """Return tasks with an id that no vendor ever gave, whose platform left before a look could tell."""
    return {task.key for task in tasks if task.state is State.SUBMITTED and (task.task_id or "").startswith(UNREAL)}


def charged_once(operator: Operator, tasks: Sequence[Task], charged: Sequence[TaskRecord]) -> None:
    """See that a file is charged once, and once more a resubmit; a number once a platform, and once more a retry."""
    files = {task.key: task.sha256 for task in tasks}
    asked: Counter[tuple[str, str]] = Counter()
    for key, times in Counter(operator.key_of(record) for record in charged).items():
        wished = 1 + operator.resubmits[key]
        promise(times <= wished, f"{key} was charged {times} times, and {wished - 1} resubmits were asked for")
        asked.update({(key.platform, number): times - wished + 1 for number in operator.chunk_numbers(key.chunk)})
    for record in charged:
        promise(
            files[operator.key_of(record)] == record.sha256,
            f"{record.file_name}: the vendor has another file than the job",
        )
    for (platform, number), times in asked.items():
        wished = 1 + operator.asked_again[platform, number]
        promise(times <= wished, f"{platform} was paid {times} times for {number}, {wished} times were asked for")


def doubted_tasks(events: Sequence[tuple[Any, ...]], tasks: Sequence[Task]) -> tuple[Counter[TaskKey], set[TaskKey]]:
    """Return how often the ledger counts each task as paid, and which tasks were ever in doubt, or stalled."""
    reserved: Counter[TaskKey] = Counter()
    doubted: set[TaskKey] = set()
    for _, _, _, name, event, origin, *_ in events:
        key = TaskKey.parse(name)
        reserved[key] += event == Event.RELEASE
        reserved[key] -= event == Event.PUT_OFF or (event == Event.REFUSE and origin == State.RELEASED)
        if event in {Event.DOUBT, Event.STALL}:
            doubted.add(key)
    return reserved, doubted | _never_looked_at(tasks)


def _spent_as_charged(
    operator: Operator,
    tasks: Sequence[Task],
    reserved: Counter[TaskKey],
    doubted: set[TaskKey],
    spent: dict[str, int],
    charged: Sequence[TaskRecord],
) -> None:
    """Compare what the ledger says was spent with what was charged; tasks that were held may not exist."""
    paid = Counter(operator.key_of(record) for record in charged)
    expected: Counter[str] = Counter()
    for task in tasks:
        each = round(cost(operator.kind_of(task.key.platform), task.rows) * NANO)
        expected[task.key.platform] += each * reserved[task.key]
        promise(
            paid[task.key] <= reserved[task.key], f"{task.key}: charged {paid[task.key]}, known {reserved[task.key]}"
        )
        known = task.key in doubted or paid[task.key] == reserved[task.key]
        promise(
            known, f"{task.key} is {task.state}: charged {paid[task.key]} times, counted {reserved[task.key]} times"
        )
    promise(dict(+expected) == {name: nano for name, nano in spent.items() if nano}, f"{spent} is not {expected}")


def check_budget(charged: Sequence[TaskRecord], max_cost: float) -> None:
    """No more is charged than the configuration allows, resubmits and retries included."""
    cost_so_far = sum(record.cost for record in charged)
    promise(cost_so_far <= max_cost + 1 / NANO, f"{cost_so_far:.9f} was charged, and {max_cost:.9f} allowed")


def summary_is_right(
    operator: Operator, reserved: Counter[TaskKey], doubted: set[TaskKey], charged: Sequence[TaskRecord]
) -> None:
    """summary.json says what the vendor has charged, apart from tasks that were in doubt, and how the list was read."""
    summary = json.loads((operator.directory / "summary.json").read_text())
    promise(summary["numbers"] == counts_of(operator.lines), f"the list was counted {summary['numbers']}")
    promise(list(summary["platforms"]) == operator.names, f"the summary tells of {list(summary['platforms'])}")
    for name, told in summary["platforms"].items():
        keys = {record.id: operator.key_of(record) for record in charged}
        sure = [it for it in charged if keys[it.id].platform == name and keys[it.id] not in doubted]
        unsure = sum(times for key, times in reserved.items() if key in doubted and key.platform == name)
        promise(told["submits"] - unsure == len(sure), f"{name}: {told['submits']} submits, charged {len(sure)}")
        if not unsure:
            spent = sum(record.cost for record in sure)
            promise(math.isclose(told["cost"], spent, abs_tol=1e-9), f"{name}: cost {told['cost']}, charged {spent}")


def check_purged(operator: Operator) -> None:
    """Nothing in the job's directory holds a number any more."""
    numbers = [number.lstrip("+").encode() for number in operator.accepted]
    left = {path.name: path.read_bytes() for path in sorted(operator.directory.rglob("*")) if path.is_file()}
    if operator.elsewhere is not None:
        left |= operator.elsewhere.objects()
        left["the database"] = operator.read(lambda ledger: "\n".join(everything(ledger)).encode(), b"")
    for name, content in left.items():
        promise(not any(number in content for number in numbers), f"{name} holds numbers after a purge")


def key_is_private(operator: Operator) -> None:
    from tests.simulation.scenario import KEY  # noqa: PLC0415 - the two modules know each other

    promise(not read_breaches(operator.vendor), "the result host was told the key")
    promise(KEY not in operator.ever_told.getvalue(), "the log tells the key")


def check_spacing(
    arrivals: Sequence[tuple[float, str]], scenario: Scenario, vendor: str, woken: Collection[float]
) -> None:
    """No two requests of a vendor, or of a platform, are closer than its limit allows.

    One that a run had on its way when it was frozen arrives in the moment it is `woken`: its turn was before.
    """
    limits = {platform.kind: platform.rate for platform in scenario.everyone if platform.vendor == vendor}
    limits[""] = scenario.vendors[vendor]
    last: dict[str, float] = defaultdict(lambda: -math.inf)
    for at, platform in arrivals:
        for name in dict.fromkeys(("", platform)):
            if name in limits:
                gap_s, rate = at - last[name], limits[name]
                whose = name or f"vendor {vendor}"
                promise(gap_s >= 1 / rate - TOLERANCE_S, f"{whose}: requests {gap_s:.6f} s apart at {rate:g} a second")
                if at not in woken:
                    last[name] = at
