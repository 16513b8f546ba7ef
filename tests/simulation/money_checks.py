"""What has to hold of money, out of the vendor's record of charges and the files that it was sent.

The sums are made here once more, of decimals; of the program only what it tells is read: summary.json and the master.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orchestrator.ledger import Ledger, ledger_path
from orchestrator.sandbox import TaskRecord, verdict
from orchestrator.tasks import HELD, State
from tests.simulation.checks import charged_once, doubted_tasks, key_is_private, summary_is_right
from tests.simulation.expectation import cells_of
from tests.simulation.promises import promise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.simulation.money import MoneyOperator

CENT = Decimal("0.000000001")
ANSWERS = ("yes", "no")


def usd(records: Iterable[TaskRecord]) -> Decimal:
    """Return what tasks were charged."""
    return sum((Decimal(str(record.cost)) for record in records), Decimal(0))


def check_money(operator: MoneyOperator) -> None:
    """Check everything at the end of a seed."""
    with Ledger.open_to_read(ledger_path(operator.directory)) as ledger:
        tasks = ledger.tasks.select(*State)
        events = list(ledger.tasks.events())
        findings = ledger.platforms.money_findings()
    promise(not findings, f"the cost ledger: {findings}")
    charged = operator.charged()
    reserved, doubted = doubted_tasks(events, tasks)
    charged_once(operator, tasks, charged)
    summary_is_right(operator, reserved, doubted, charged)
    summary = json.loads((operator.directory / "summary.json").read_text())
    _sums_agree(summary)
    for platform, told in summary["platforms"].items():
        paid = [record for record in charged if operator.key_of(record).platform == platform]
        unsure = any(key.platform == platform for key in doubted)
        _charged_as_told(platform, told["money"], paid, unsure=unsure)
    check_known(operator)
    check_conditions(operator)
    check_cells(operator)
    key_is_private(operator)


def _sums_agree(summary: dict[str, Any]) -> None:
    """Platforms and generations add up to the job's sums."""
    names = ("quoted", "reserved", "charged", "in_doubt", "refunded", "told_by_vendor")
    for name in names:
        whole = _decimal(summary["money"][name])
        parts = sum((_decimal(its["money"][name]) for its in summary["platforms"].values()), Decimal(0))
        promise(whole == parts, f"{name} of the job is {whole}, of its platforms {parts}")
        for platform, its in summary["platforms"].items():
            generations = sum((_decimal(one[name]) for one in its["money"]["generations"].values()), Decimal(0))
            promise(generations == _decimal(its["money"][name]), f"{name} of {platform}: generations say {generations}")
    money = summary["money"]
    spent = sum((_decimal(money[name]) for name in ("reserved", "charged", "in_doubt")), Decimal(0))
    promise(spent == _decimal(summary["cost"]), f"cost is {summary['cost']}, reserved, charged and in doubt {spent}")


def _charged_as_told(platform: str, money: dict[str, Any], paid: list[TaskRecord], *, unsure: bool) -> None:
    """Compare with the vendor's record: the same, or, where something was ever in doubt, no less."""
    spent = sum((_decimal(money[name]) for name in ("reserved", "charged", "in_doubt")), Decimal(0))
    took = usd(paid)
    promise(took <= spent, f"{platform}: the vendor has charged {took}, the ledger counts {spent}")
    promise(unsure or took == spent, f"{platform}: the vendor has charged {took}, the ledger counts {spent}, no doubts")


def check_known(operator: MoneyOperator) -> None:
    """See that nothing is asked that the month before knows, save for what fills a file."""
    for platform, known in operator.known.items():
        fills = operator.fills * (operator.priced()[platform].least - 1)
        asked = {
            number
            for record in operator.charged()
            if operator.key_of(record).platform == platform
            for number in operator.uploaded(record)
        }
        again = asked & known.keys()
        promise(len(again) <= fills, f"{platform} was asked for {len(again)} numbers that are known")


def check_conditions(operator: MoneyOperator) -> None:
    """See that no number was sent whose verdict on the other platform does not fit, by the vendor's own truth."""
    uploads: dict[str, set[str]] = defaultdict(set)
    for record in operator.charged():
        uploads[operator.key_of(record).platform].update(operator.uploaded(record))
    for key in operator.by_hand:  # the operator had an answer that the vendor was not paid for
        uploads[key.platform].update(operator.chunk_numbers(key.chunk))
    for name, platform in operator.priced().items():
        other, word = platform.only_if
        for number in uploads[name] if other else ():
            known = operator.known[other].get(number)
            right = verdict(operator.scenario.seed, operator.kind_of(other), number).lower()
            promise(word in (known, right), f"{name} was asked for {number}, which {other} says is {right}")
            promise(known or number in uploads[other], f"{name} was asked for {number} before {other} was")


def check_cells(operator: MoneyOperator) -> None:
    """See that each number stands in the master once, with what was said of it, and that all that fits was asked."""
    with (operator.directory / "master.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["Number"]: row for row in csv.DictReader(file)}
    promise(tuple(rows) == operator.accepted, "the master's numbers are not the list's")
    cells = cells_of(operator)
    short: dict[str, int] = defaultdict(int)
    for name, platform in operator.priced().items():
        other, word = platform.only_if
        for number, row in rows.items():
            right = cells[name][number]
            if other and right == "skipped":
                right = row[other] if row[other] in ("held", "pending") else "skipped"
                short[name] += row[other] == word
            promise(row[name] == right, f"{number}: {name} is {row[name]}, not {right}")
        promise(short[name] < platform.least, f"{name} was not asked for {short[name]} numbers that fit")


def check_quote_held(operator: MoneyOperator, quote: dict[str, Any]) -> None:
    """See that no platform was sent more than the quote has, or for more."""
    for name, said in quote["platforms"].items():
        paid = [record for record in operator.charged() if operator.key_of(record).platform == name]
        promise(usd(paid) <= _decimal(said["cost"]), f"{name} was charged {usd(paid)}, and {said['cost']} quoted")
        rows = sum(record.rows for record in paid)
        most = said["tasks"] + sum(operator.resubmits.values())
        promise("only_if" in said or len(paid) <= most, f"{name}: {len(paid)} tasks were sent, {most} quoted")
        again = sum(times for (its, _), times in operator.asked_again.items() if its == name)
        resent = sum(operator.resubmits.values()) * operator.scenario.chunk_size * 2
        promise(rows <= said["numbers"] + again + resent, f"{name}: {rows} numbers were sent, {said['numbers']} quoted")


def check_trial(operator: MoneyOperator, before: int) -> None:
    """See that a run of the trial alone sends nothing but trials, one a platform."""
    sent = operator.charged()[before:]
    _look_at_intervals(operator)
    size = operator.read(lambda ledger: ledger.plan.trial_rows(), 0)
    held = operator._tasks(*HELD, State.RELEASED)
    promise(
        all(record.rows <= size for record in sent), f"{[record.rows for record in sent]} rows were sent as a trial"
    )
    promise(len(sent) <= len(operator.names) + len(held), f"{len(sent)} tasks were sent as a trial")


def _look_at_intervals(operator: MoneyOperator) -> None:
    """Count how often the interval of yes holds the share that the vendor knows of all that is asked."""
    summary = json.loads((operator.directory / "summary.json").read_text())
    for name, its in summary.get("trial", {"platforms": {}})["platforms"].items():
        if its["state"] != State.DONE or "missing_rows" in operator.scenario.sandbox_faults:
            continue
        asked = [number for number in operator.accepted if number not in operator.known[name]]
        words = [verdict(operator.scenario.seed, operator.kind_of(name), number).lower() for number in asked]
        held = its["yes"]["low"] <= words.count("yes") / len(words) <= its["yes"]["high"]
        operator.note("interval held" if held else "interval missed", platform=name, rows=its["numbers"])


def _decimal(told: float) -> Decimal:
    return Decimal(str(told)).quantize(CENT)
