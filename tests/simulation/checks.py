"""What has to hold after every seed, computed apart from the program: from the list, and from what the vendor has."""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.ledger import Ledger, Task, ledger_path
from orchestrator.sandbox import TaskRecord, cost, missing_numbers, read_breaches, verdict
from orchestrator.tasks import HELD, Event, State, TaskKey

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.whole import Operator

NANO = 1_000_000_000
TOLERANCE_S = 1e-6


class BrokenPromiseError(AssertionError):
    """The program did not do what it promises."""


def promise(holds: object, text: str) -> None:
    if not holds:
        raise BrokenPromiseError(text)


def key_of(record: TaskRecord) -> TaskKey:
    """Read which task a file belongs to from the name it was sent under: JOB-PLATFORM-CHUNK-HASH8.txt."""
    _, platform, chunk, _ = record.file_name.rsplit("-", 3)
    return TaskKey(platform, int(chunk))


def check_all(operator: Operator) -> None:
    """Check everything that can be seen from outside at the end of a seed."""
    with Ledger.open_to_read(ledger_path(operator.directory)) as ledger:
        tasks = ledger.tasks(*State)
        events = list(ledger.events())
        spent = {name: standing.cost_nano for name, standing in ledger.standing().items()}
    for event in events:
        operator.note("ledger", is_=event[3:8])
    charged = operator.charged()
    _charged_once(operator, charged)
    _spent_as_charged(operator, tasks, events, spent, charged)
    _master_is_right(operator, tasks, charged)
    _key_is_private(operator)


def _charged_once(operator: Operator, charged: Sequence[TaskRecord]) -> None:
    for key, times in Counter(key_of(record) for record in charged).items():
        wished = 1 + operator.resubmits[key]
        promise(times <= wished, f"{key} was charged {times} times, and {wished - 1} resubmits were asked for")


def _spent_as_charged(
    operator: Operator,
    tasks: Sequence[Task],
    events: Sequence[tuple[Any, ...]],
    spent: dict[str, int],
    charged: Sequence[TaskRecord],
) -> None:
    """Compare what the ledger says was spent with what was charged; tasks that were held may not exist."""
    paid = Counter(key_of(record) for record in charged)
    reserved: Counter[TaskKey] = Counter()
    doubted: set[TaskKey] = set()
    for _, _, _, name, event, origin, *_ in events:
        key = TaskKey.parse(name)
        reserved[key] += event == Event.RELEASE
        reserved[key] -= event == Event.PUT_OFF or (event == Event.REFUSE and origin == State.RELEASED)
        if event in {Event.DOUBT, Event.STALL}:
            doubted.add(key)
    expected: Counter[str] = Counter()
    for task in tasks:
        each = round(cost(task.key.platform, task.rows) * NANO)
        expected[task.key.platform] += each * reserved[task.key]
        promise(
            paid[task.key] <= reserved[task.key], f"{task.key}: charged {paid[task.key]}, known {reserved[task.key]}"
        )
        known = task.key in doubted or paid[task.key] == reserved[task.key]
        promise(
            known, f"{task.key} is {task.state}: charged {paid[task.key]} times, counted {reserved[task.key]} times"
        )
    promise(dict(+expected) == {name: nano for name, nano in spent.items() if nano}, f"{spent} is not {expected}")
    first = [r for r in charged if not operator.resubmits[key_of(r)]]
    promise(sum(r.cost for r in first) <= operator.scenario.max_cost(healed=True), "more was spent than allowed")


def _master_is_right(operator: Operator, tasks: Sequence[Task], charged: Sequence[TaskRecord]) -> None:
    """Every accepted number once, in order, each cell as the task that held the number says."""
    with (operator.directory / "master.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    names = [platform.name for platform in operator.scenario.platforms]
    promise(header == ["Number", *names], f"the master's columns are {header}")
    promise(tuple(row[0] for row in rows) == operator.scenario.numbers, "the master's numbers are not the list's")
    records = {record.id: record for record in charged}
    cells = {(name, row[0]): row[place] for row in rows for place, name in enumerate(names, 1)}
    seen: Counter[str] = Counter()
    for task in tasks:
        numbers = operator.numbers_of(task)
        promise(len(numbers) == task.rows, f"{task.key}: its chunk file has {len(numbers)} numbers")
        seen[task.key.platform] += len(numbers)
        allowed = _allowed(operator, task, numbers, records)
        for number in numbers:
            cell = cells[task.key.platform, number]
            promise(cell in allowed[number], f"{task.key} is {task.state}: a cell says {cell}, not {allowed[number]}")
    promise(all(seen[name] == len(rows) for name in names), f"the chunks hold {seen}, the list {len(rows)}")


def _allowed(
    operator: Operator, task: Task, numbers: Sequence[str], records: dict[str, TaskRecord]
) -> dict[str, set[str]]:
    """Return what may stand in each number's cell."""
    if task.state is not State.DONE:
        word = "held" if task.state in HELD else task.state.value
        return {number: {word} for number in numbers}
    seed, platform = operator.scenario.seed, task.key.platform
    right = {number: verdict(seed, platform, number).lower() for number in numbers}
    if task.key in operator.by_hand:
        return {number: {word} for number, word in right.items()}
    record = records.get(task.task_id or "")
    promise(record is not None, f"{task.key} is done by a task that the vendor does not have")
    assert record is not None
    promise((record.sha256, record.platform) == (task.sha256, platform), f"{task.key} took the result of another")
    missing: frozenset[str] = frozenset()
    if "missing_rows" in operator.scenario.sandbox_faults:
        missing = missing_numbers(seed, record.id, numbers)
    return {number: {"unanswered"} if number in missing else {word} for number, word in right.items()}


def _key_is_private(operator: Operator) -> None:
    from tests.simulation.scenario import KEY  # noqa: PLC0415 - the two modules know each other

    promise(not read_breaches(operator.vendor), "the result host was told the key")
    promise(KEY not in operator.ever_told.getvalue(), "the log tells the key")


def check_spacing(arrivals: Sequence[tuple[float, str]], scenario: Scenario, vendor: str) -> None:
    """No two requests of a vendor, or of a platform, are closer than its limit allows."""
    limits = {platform.name: platform.rate for platform in scenario.platforms if platform.vendor == vendor}
    limits[""] = scenario.vendors[vendor]
    last: dict[str, float] = defaultdict(lambda: -math.inf)
    for at, platform in arrivals:
        for name in dict.fromkeys(("", platform)):
            if name in limits:
                gap_s, rate = at - last[name], limits[name]
                whose = name or f"vendor {vendor}"
                promise(gap_s >= 1 / rate - TOLERANCE_S, f"{whose}: requests {gap_s:.6f} s apart at {rate:g} a second")
                last[name] = at
