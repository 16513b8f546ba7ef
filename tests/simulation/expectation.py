"""What the master has to say, computed apart from the program: from the list, from what the vendor has, from decisions.

Of several tasks that hold a number the last planned one decides its cell. What a task says is known from the sandbox's
pure functions; the ledger is asked only where each task stands, and which id it took.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.records import Task
from orchestrator.sandbox import TaskRecord, missing_numbers, verdict
from orchestrator.tasks import HELD, UNFINISHED, State
from tests.simulation.listing import kept_names
from tests.simulation.promises import promise

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulation.errands import Errands

Cells = dict[str, dict[str, str]]
"""By platform and number."""


def cells_of(operator: Errands) -> Cells:
    """Return every cell as it should be now."""
    records = {record.id: record for record in operator.charged()}
    cells: Cells = {name: dict.fromkeys(operator.accepted, "pending") for name in operator.names}
    for task in sorted(operator._tasks(*State), key=lambda task: task.key.chunk):
        if task.key.platform in cells:
            cells[task.key.platform] |= _words(operator, task, operator.numbers_of(task), records)
    return operator.otherwise_known(cells)


def _words(operator: Errands, task: Task, numbers: Sequence[str], records: dict[str, TaskRecord]) -> dict[str, str]:
    """Return what one task says of each of its numbers."""
    promise(len(numbers) == task.rows, f"{task.key}: its chunk file has {len(numbers)} numbers")
    if task.state is not State.DONE:
        return dict.fromkeys(numbers, _word(task.state))
    seed, platform = operator.scenario.seed, operator.kind_of(task.key.platform)
    right = {number: verdict(seed, platform, number).lower() for number in numbers}
    sha256 = operator.read(lambda ledger: ledger.tasks.result_sha256(task.key), "")
    if (served := operator.served(sha256)) is not None:
        return {number: served.get(number, "unanswered") for number in numbers}
    if task.key in operator.by_hand:
        return right
    record = records.get(task.task_id or "")
    promise(record is not None, f"{task.key} is done by a task that the vendor does not have")
    assert record is not None
    promise((record.sha256, record.platform) == (task.sha256, platform), f"{task.key} took the result of another")
    if "missing_rows" in operator.scenario.sandbox_faults:
        right |= dict.fromkeys(missing_numbers(seed, record.id, numbers), "unanswered")
    return right


def _word(state: State) -> str:
    if state in HELD:
        return "held"
    if state in UNFINISHED:
        return "pending"
    return "failed" if state is State.RETRIED else state.value


def check_master(operator: Errands, *, partial: bool = False) -> None:
    """See that every accepted number stands there once, in order, each cell as the last task that held it says."""
    path = operator.directory / ("master.partial.csv" if partial else "master.csv")
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    names = operator.names
    expected = [*["Number", *names], *kept_names(operator.scenario.keep)]
    promise(header == expected, f"the master's columns are {header}, not {expected}")
    promise(tuple(row[0] for row in rows) == operator.accepted, "the master's numbers are not the list's")
    _check_chunks(operator)
    cells = cells_of(operator)
    for number, *found in rows:
        right = [*(cells[name][number] for name in names), *operator.kept[number]]
        promise(found == right, f"{number}: the master says {found}, not {right}")
    for kind, read in (("xlsx", _workbook), ("parquet", _parquet)):
        if kind in operator.scenario.formats:
            promise(read(path.with_suffix(f".{kind}")) == [header, *rows], f"master.{kind} differs from master.csv")


def _check_chunks(operator: Errands) -> None:
    """See that the chunks for all platforms are the list, and the others ask only for what is in it.

    Each goes in the list's order, and all together do, save for a trial, which comes first and is drawn from all of it.
    """
    places = {number: place for place, number in enumerate(operator.accepted)}
    ends: list[int] = []
    numbers: dict[str, list[str]] = defaultdict(list)
    for chunk, only in operator.chunks().items():
        its = operator.chunk_numbers(chunk)
        numbers[only] += its
        at = [places[number] for number in its if number in places]
        promise(at == sorted(at), f"chunk {chunk} is not in the list's order")
        ends += [at[0]] * (not only)
    promise(sorted(numbers.pop("", ())) == sorted(operator.accepted), "the chunks do not give the list")
    promise(ends[1:] == sorted(ends[1:]), "the chunks are not in the list's order")
    known = set(operator.accepted)
    for name, more in numbers.items():
        promise(known.issuperset(more), f"a retry of {name} holds strangers")


def _workbook(path: Path) -> list[list[str]]:
    from python_calamine import CalamineWorkbook  # noqa: PLC0415 - few seeds need it

    rows = CalamineWorkbook.from_path(path).get_sheet_by_name("Master").to_python()
    return [[str(cell) for cell in row] for row in rows]


def _parquet(path: Path) -> list[list[str]]:
    from pyarrow import parquet as pq  # noqa: PLC0415 - few seeds need it

    table = pq.read_table(path)
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return [table.column_names, *(list(row) for row in rows)]
