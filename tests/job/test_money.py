"""The cost ledger: what the program counts beside what the vendor's own record says that it charged."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from openpyxl import load_workbook

from orchestrator import sandbox
from orchestrator.api import job_status
from orchestrator.errors import ExitCode
from orchestrator.job.plan import plan_job
from orchestrator.job.run import RunOptions
from orchestrator.job.verify import verify_job
from orchestrator.ledger import ledger_path
from orchestrator.report.printed import money
from orchestrator.sandbox import Sandbox
from orchestrator.sandbox.state import Options
from tests.dispatch.harness import Answer, Made, Script, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.job.conftest import Case

TASK = 0.0003
"""What a full chunk of three numbers costs at 1 USD for 10,000."""


@pytest.fixture
def vendor_of(tmp_path: Path) -> Any:
    return lambda **options: Sandbox(tmp_path / "vendor", pace=1e6, options=Options(**options))


def charged(tmp_path: Path) -> float:
    """Return what the vendor's own record has."""
    return round(sum(task.cost for task in sandbox.read_tasks(tmp_path / "vendor")), 9)


async def verified(case: Case) -> tuple[str, ...]:
    return (await verify_job(case.settings(), case.world())).findings


@pytest.mark.parametrize("currency", ["USD", None])
async def test_the_cost_ledger_is_what_the_vendor_charged(
    case: Case, tmp_path: Path, vendor_of: Any, currency: str | None
) -> None:
    """Whether the vendor tells amounts or the prices alone are known: the sums agree, by platform and generation."""
    async with vendor_of(currency=currency) as vendor:
        case.base_url = vendor.base_url
        summary = (await case.outcome()).summary
    assert summary["cost"] == charged(tmp_path) == 0.001
    money = summary["money"]
    told = 0.001 if currency else 0.0
    assert money == {
        "planned": 0.0,
        "quoted": 0.001,
        "reserved": 0.0,
        "charged": 0.001,
        "in_doubt": 0.0,
        "refunded": 0.0,
        "told_by_vendor": told,
        "expected": 0.001,
        "not_in_usd": [],
        "warning": "",
    }
    platform = summary["platforms"]["instagram"]["money"]
    ((generation, sums),) = platform["generations"].items()
    assert (generation, {**money, **sums}) == ("1", money)
    assert await verified(case) == ()


async def test_what_the_vendor_tells_counts_in_the_place_of_the_price(
    case: Case, tmp_path: Path, vendor_of: Any
) -> None:
    """A vendor that takes twice the price is counted with what it takes, and the end that is dearer is told."""
    async with vendor_of(price_factor=2.0, estimate_factor=1.5) as vendor:
        case.base_url = vendor.base_url
        outcome = await case.outcome()
    money = outcome.summary["money"]
    assert outcome.exit_code == 0
    assert (
        (money["charged"], money["quoted"], money["refunded"])
        == (charged(tmp_path), 0.001, 0.001)
        == (0.002, 0.001, 0.001)
    )
    assert money["warning"].startswith("by what is spent so far the job will cost 0.002 USD in the end, 0.001 USD more")
    assert case.said.count("dearer_than_planned") == 1
    assert money["warning"] in outcome.summary["findings"]
    assert await verified(case) == ()


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7, 3.0])
async def test_a_job_stops_at_its_budget_to_the_task(case: Case, tmp_path: Path, vendor_of: Any, factor: float) -> None:
    """However the vendor's price differs from ours, its own record never exceeds max_cost, over runs and raises of it.

    The one exception nobody can avoid: what was on its way before the vendor told anything.
    """
    case.numbers(60)
    case.config = case.config.replace("max_cost = 1.0", "max_cost = 0.0061").replace(
        "canary = false", "canary = false\nmax_in_flight = 1"
    )
    async with vendor_of(price_factor=factor) as vendor:
        case.base_url = vendor.base_url
        codes = [await case.run() for _ in range(3)]
    bound = 0.0061
    assert charged(tmp_path) <= bound
    tasks = len(sandbox.read_tasks(tmp_path / "vendor"))
    assert tasks == min(20, int(bound / (TASK * factor) + 1e-9))
    assert codes == ([0, 0, 0] if tasks == 20 else [5, 5, 5])


async def test_an_estimate_that_is_too_low_frees_no_budget(case: Case, vendor_of: Any) -> None:
    """A vendor that expects nothing at first: the price counts until it has charged."""
    async with vendor_of(estimate_factor=0.0) as vendor:
        case.base_url = vendor.base_url
        report = await case.outcome(RunOptions(submit_only=True))
    assert (report.exit_code, report.summary["cost"]) == (ExitCode.AGAIN, 0.001)
    assert await verified(case) == ()


async def test_a_currency_that_is_not_usd_is_told_and_not_added(case: Case, vendor_of: Any) -> None:
    """The price counts, and the log and the summary name the currency once."""
    async with vendor_of(currency="EUR", price_factor=7.0) as vendor:
        case.base_url = vendor.base_url
        summary = (await case.outcome()).summary
    assert summary["cost"] == 0.001
    assert summary["money"]["not_in_usd"] == summary["platforms"]["instagram"]["money"]["not_in_usd"] == ["EUR"]
    assert case.said.count("amounts_not_in_usd") == 1
    assert await verified(case) == ()


async def test_what_is_in_doubt_stays_counted_and_is_told_apart(case: Case, tmp_path: Path) -> None:
    """A submit whose answer is lost counts as in doubt until somebody decides, and for good when it is sent again."""
    async with Sandbox(tmp_path / "vendor", pace=1e6, faults=["reset_after"], seed=8) as vendor:
        case.numbers(45)
        case.base_url = vendor.base_url
        summary = (await case.outcome()).summary
        money = summary["money"]
        held = summary["platforms"]["instagram"]["held"]
        assert held > 0
        assert money["in_doubt"] == round(held * TASK, 9)
        assert (
            round(money["charged"] + money["in_doubt"] + money["reserved"], 9) == summary["cost"] == charged(tmp_path)
        )
        assert await verified(case) == ()


async def test_a_low_balance_is_told_in_advance_with_what_is_missing(
    case: Case, tmp_path: Path, vendor_of: Any
) -> None:
    """Nothing is sent to a vendor whose balance does not cover the rest; topped up, the same command does it."""
    async with vendor_of(balance=0.0008) as vendor:
        case.base_url = vendor.base_url
        outcome = await case.outcome()
        lacking = (
            "the balance is 0.0008 USD, what is left to send there costs 0.001 USD: 0.0002 USD are missing; top it up"
        )
        assert (outcome.exit_code, outcome.summary["reason"]) == (4, f"vendor main says stop: {lacking}")
        assert (await plan_job(case.settings(), case.world())).findings == (f"vendor main: {lacking}",)
        assert charged(tmp_path) == 0.0
    async with vendor_of() as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 0
    assert charged(tmp_path) == 0.001


async def test_a_balance_that_runs_out_on_the_way(case: Case, tmp_path: Path, vendor_of: Any) -> None:
    """402 pauses the vendor, what is there is collected, and what is missing is named; topped up, it goes on."""
    async with vendor_of(balance=0.0013, price_factor=1.5, currency=None) as vendor:
        case.base_url = vendor.base_url
        outcome = await case.outcome()
    assert outcome.exit_code == 4
    assert len(sandbox.read_tasks(tmp_path / "vendor")) == outcome.summary["platforms"]["instagram"]["done"] == 3
    assert "HTTP 402" in outcome.summary["reason"]
    assert outcome.summary["reason"].endswith("costs 0.0003 USD: 0.00005 USD are missing; top it up")
    port = int(vendor.base_url.rpartition(":")[2])
    async with Sandbox(tmp_path / "vendor", pace=1e6, port=port):
        assert await case.run() == 0
    assert len(sandbox.read_tasks(tmp_path / "vendor")) == 4


async def test_the_workbook_says_what_it_cost(case: Case, vendor_of: Any) -> None:
    """The Summary sheet is what those see who pay."""
    case.config = case.config.replace('["csv"]', '["xlsx"]')
    async with vendor_of() as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 0
    sheet = load_workbook(case.directory / "master.xlsx")["Summary"]
    facts = {row[0]: row[1] for row in sheet.iter_rows(max_col=2, values_only=True) if row[0]}
    assert facts["Charged"] == "0.001 USD"
    assert await verified(case) == ()


async def test_what_a_removed_platform_cost_stays_in_every_total(case: Case, vendor_of: Any) -> None:
    """In summary, status, page, metrics and workbook: max_cost counts it too. Only its tasks and verdicts go."""
    alone = case.config.replace('["csv"]', '["xlsx"]') + '[notify]\nmetrics = "job.prom"\n'
    case.config = f"{alone}[platforms.tiktok]\nprice_per_10000 = 2.0\nmin_rows = 1\ncanary = false\n"
    async with vendor_of() as vendor:
        case.base_url = vendor.base_url
        before = (await case.outcome()).summary
        case.config = alone
        after = (await case.outcome()).summary
    instagram, tiktok = (before["platforms"][name]["cost"] for name in ("instagram", "tiktok"))
    assert tiktok > 0
    assert before["cost"] == after["cost"] == round(instagram + tiktok, 9)
    assert before["money"] == after["money"]
    assert list(after["platforms"]) == ["instagram"]
    now = await job_status(case.settings())
    assert (now["cost"], now["money"]) == (after["cost"], after["money"])
    events = map(json.loads, (case.directory / "run.jsonl").read_text().splitlines())
    assert [event["cost_usd"] for event in events if event["event"] == "progress"][-1] == after["cost"]
    page = (case.directory / "report.html").read_text("utf-8")
    assert f"{money(after['cost'])} of at most 1.00 USD count against the budget" in page
    assert f"{money(round(1 - after['cost'], 9))} of that is left" in page
    metrics = (case.folder / "job.prom").read_text()
    assert f'orchestrator_cost_usd{{batch="bench",platform="tiktok"}} {tiktok}' in metrics
    sheet = load_workbook(case.directory / "master.xlsx")["Summary"]
    facts = {row[0]: row[1] for row in sheet.iter_rows(max_col=2, values_only=True) if row[0]}
    assert facts["Charged"] == money(after["cost"])


async def test_a_removed_platform_of_the_embedded_vendor_cost_nothing(case: Case, vendor_of: Any) -> None:
    """Its prices were made up, so they are no part of what another vendor was paid."""
    real = case.config
    case.config = real.replace("[platforms.instagram]", "[platforms.tiktok]\nprice_per_10000 = 2.0\nmin_rows = 1")
    tried = (await case.outcome()).summary
    assert tried["cost"] > 0
    case.config = real
    async with vendor_of() as vendor:
        case.base_url = vendor.base_url
        paid = (await case.outcome()).summary
    assert paid["cost"] == paid["platforms"]["instagram"]["cost"] == 0.001


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE platforms SET cost_nano = cost_nano + 1",
        "UPDATE money SET charged_nano = charged_nano - 1",
        "UPDATE tasks SET cost_nano = cost_nano + 1 WHERE chunk = 2",
    ],
)
async def test_verify_counts_the_money_anew(case: Case, vendor_of: Any, damage: str) -> None:
    """A sum that is not what tasks and events give is a finding."""
    async with vendor_of() as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 0
    with closing(sqlite3.connect(ledger_path(case.directory))) as connection, connection:
        connection.execute(damage)
    findings = await verified(case)
    assert findings
    assert all(finding.startswith("instagram: ") for finding in findings)


ODD: tuple[object, ...] = (
    "NaN",
    "sNaN",
    "-Infinity",
    "-5",
    -0.01,
    "1,25",
    "1.000,50",
    "0x10",
    "",
    " ",
    True,
    None,
    [],
    {},
    "9" * 5_000,
    "1e400",
)


@pytest.mark.parametrize("amount", ODD, ids=lambda amount: repr(amount)[:12])
async def test_an_amount_that_is_none_counts_for_nothing(case: Case, amount: object) -> None:
    """In the answer to a submit, while the task is at work, at its end, and as it fails: then the price counts."""
    told = {"estimated_amount": {"amount": amount, "currency": "USD"}, "actual_amount": {"amount": amount}}

    async def on_made(made: Made) -> Answer:
        return web.json_response({"task_id": made.task_id, "total": made.rows, **told})

    async def on_status(made: Made) -> Answer:
        changes = {"status": "failed"} if made.chunk == 2 else {}
        return vendor.standing(made, **told, **changes)

    async with serving(Script(takes_s=0.0, on_made=on_made, on_status=on_status)) as vendor:
        case.base_url = vendor.base_url
        outcome = await case.outcome()
    assert outcome.exit_code == ExitCode.SOME_FAILED
    money = outcome.summary["money"]
    assert (money["charged"], money["quoted"], money["told_by_vendor"]) == (0.001, 0.001, 0.0)
    assert await verified(case) == ()


async def test_a_task_that_fails_and_is_charged_counts(case: Case) -> None:
    """And one that turns out to be free gives back what was reserved for it; neither goes below nothing."""

    async def on_status(made: Made) -> Answer:
        charged = {2: "0.0021", 3: "0"}.get(made.chunk)
        changes = (
            {} if charged is None else {"status": "failed", "actual_amount": {"amount": charged, "currency": "usd"}}
        )
        return vendor.standing(made, **changes)

    async with serving(Script(takes_s=0.0, on_status=on_status)) as vendor:
        case.base_url = vendor.base_url
        outcome = await case.outcome()
    assert outcome.exit_code == ExitCode.SOME_FAILED
    assert outcome.summary["cost"] == round(TASK + 0.0021 + 0.0 + 0.0001, 9)
    assert await verified(case) == ()
