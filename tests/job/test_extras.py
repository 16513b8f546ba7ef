"""Columns beside the verdict: in the master of whoever names them, before or after the job has ended."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import numpy as np
import openpyxl
import pytest
from pyarrow import parquet as pq

from orchestrator.job.merge import merge_job
from orchestrator.job.purge import purge_job
from orchestrator.job.resolve import Refetch, resolve_tasks
from orchestrator.job.retry import retry_job
from orchestrator.job.verify import verify_job
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.sandbox.verdicts import further_cells
from orchestrator.tasks import TaskKey
from tests.job.conftest import CONFIG, Case

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = np.arange(41_790_000_000, 41_790_000_010)
ACTIVE = CONFIG.replace("[platforms.instagram]", "[platforms.whatsapp_active]\nmin_rows = 1")
CARRIER = CONFIG.replace("[platforms.instagram]", "[platforms.carrier]")


def further(platform: str, column: str) -> list[str]:
    return further_cells(0, platform, column, NUMBERS)


def columns(case: Case, name: str = "master.csv") -> dict[str, list[str]]:
    with (case.directory / name).open(newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def spoil(path: Path, harm: str) -> None:
    if harm == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")


async def test_a_known_platform_brings_its_columns(case: Case) -> None:
    """They stand behind its verdicts, and `verify` makes them once more from the raw results."""
    case.config = ACTIVE
    assert await case.run() == 0
    master = columns(case)
    own = ["activetime", "activedays", "business"]
    assert list(master) == ["Number", "whatsapp_active", *(f"whatsapp_active.{name}" for name in own)]
    for name in own:
        assert master[f"whatsapp_active.{name}"] == further("whatsapp_active", name)
    report = await verify_job(case.settings(), case.world())
    assert (report.findings, report.not_compared) == ((), ())
    assert report.right["master rows"] == 10


async def test_columns_that_are_asked_for_afterwards(case: Case) -> None:
    """Merge takes them from the raw results; nothing is sent, and a name that no result has is told."""
    case.config = ACTIVE
    case.overrides = ["platforms.whatsapp_active.extra_columns=[]"]
    assert await case.run() == 0
    assert list(columns(case)) == ["Number", "whatsapp_active"]
    charged = case.charged()
    case.overrides = ['platforms.whatsapp_active.extra_columns=["ActiveDays", "age"]']
    stderr = io.StringIO()
    await merge_job(case.settings(), case.world(stderr))
    master = columns(case)
    assert master["whatsapp_active.ActiveDays"] == further("whatsapp_active", "activedays")
    assert master["whatsapp_active.age"] == [""] * 10
    assert "column=age" in stderr.getvalue()
    assert ", activetime, activedays, business" in stderr.getvalue()
    assert case.charged() == charged


async def test_a_platform_without_a_verdict(case: Case) -> None:
    """Its own column says whether one that is wanted holds something; numbers and texts are told apart everywhere."""
    case.config = CARRIER + '[platforms.telegram_active]\nextra_columns = ["telegram_days"]\n'
    case.overrides = ['output.formats=["xlsx", "csv", "parquet"]', 'platforms.carrier.extra_columns=["city", "region"]']
    assert await case.run() == 0
    master = columns(case)
    cities, regions = further("carrier", "city"), further("carrier", "region")
    assert master["carrier"] == [
        "answered" if any(both) else "unanswered" for both in zip(cities, regions, strict=True)
    ]
    assert set(master["telegram_active"]) == {"answered"}
    assert master["carrier.city"] == further("carrier", "city")
    table = pq.read_table(case.directory / "master.parquet").to_pydict()
    assert [cell or "" for cell in table["carrier.region"]] == further("carrier", "region")
    sheet = openpyxl.load_workbook(case.directory / "master.xlsx")["Master"]
    assert [cell.value or "" for cell in sheet["C"][1:]] == further("carrier", "city")


@pytest.mark.parametrize(
    ("config", "before", "now"),
    [
        (CARRIER, 'carrier.extra_columns=["city", "region"]', 'carrier.extra_columns=["nothing"]'),
        (CARRIER, 'carrier.extra_columns=["city"]', 'carrier.result_columns=["region"]'),
        (ACTIVE, 'whatsapp_active.result_columns=["activated"]', 'whatsapp_active.result_columns=["nothing"]'),
        (ACTIVE, "whatsapp_active.result_columns=[]", "whatsapp_active.canary=true"),
    ],
)
async def test_verdicts_that_are_lost_after_other_columns_are_wanted(
    case: Case, config: str, before: str, now: str
) -> None:
    """They are made anew of the columns that they were read from, whatever is wanted by now."""
    case.config = config
    case.overrides = [f"platforms.{before}"]
    assert await case.run() == 0
    platform, charged = next(iter(case.settings().platforms)), case.charged()
    verdicts = columns(case)[platform]
    assert set(verdicts) - {"unanswered"}
    case.overrides = [f"platforms.{now}"]
    for path in case.directory.glob("verdicts/*/000002.*"):
        path.unlink()
    assert await case.run() == 0
    assert columns(case)[platform] == verdicts
    assert case.charged() == charged


async def test_numbers_are_numbers(case: Case) -> None:
    """A column of whole numbers is one in the workbook and in parquet."""
    case.config = ACTIVE
    case.overrides = ['output.formats=["xlsx", "parquet"]', 'platforms.whatsapp_active.extra_columns=["activedays"]']
    assert await case.run() == 0
    days = list(map(int, further("whatsapp_active", "activedays")))
    assert pq.read_table(case.directory / "master.parquet").to_pydict()["whatsapp_active.activedays"] == days
    sheet = openpyxl.load_workbook(case.directory / "master.xlsx")["Master"]
    assert [cell.value for cell in sheet["C"][1:]] == days


@pytest.mark.parametrize("harm", ["lost", "altered"])
async def test_a_result_that_is_not_there_any_more(case: Case, harm: str) -> None:
    """Its cells are empty, and it is named; the verdicts stay."""
    case.config = ACTIVE
    assert await case.run() == 0
    raw = next((case.directory / "results" / "whatsapp_active").glob("000002.*"))
    spoil(raw, harm)
    case.overrides = ['platforms.whatsapp_active.extra_columns=["activedays"]']
    stderr = io.StringIO()
    await merge_job(case.settings(), case.world(stderr))
    days = further("whatsapp_active", "activedays")
    assert columns(case)["whatsapp_active.activedays"] == [*days[:3], "", "", "", *days[6:]]
    assert "task=whatsapp_active/000002" in stderr.getvalue()
    assert "" not in columns(case)["whatsapp_active"]


@pytest.mark.parametrize("names", [["activedays", "activetime"], ["activedays"], ["business", "activetime"]])
async def test_files_of_results_that_are_fetched_again(case: Case, names: list[str]) -> None:
    """While a task is not done, what lies there of it may be of other columns: its cells are empty, the others right.

    Once the task is done again, no cell is empty.
    """
    case.config = ACTIVE
    case.overrides = ['platforms.whatsapp_active.extra_columns=["activetime", "activedays"]']
    assert await case.run() == 0
    await resolve_tasks(case.settings(), Refetch(), ["whatsapp_active/000002"], case.world())
    case.overrides = [f"platforms.whatsapp_active.extra_columns={json.dumps(names)}"]
    await merge_job(case.settings(), case.world())
    master = columns(case, "master.partial.csv")
    assert master["whatsapp_active"][3:6] == ["pending"] * 3
    for name in names:
        right = further("whatsapp_active", name)
        assert master[f"whatsapp_active.{name}"] == [*right[:3], "", "", "", *right[6:]]
    assert await case.run() == 0
    for name in names:
        assert columns(case)[f"whatsapp_active.{name}"] == further("whatsapp_active", name)
    assert (await verify_job(case.settings(), case.world())).findings == ()


async def test_files_of_results_that_are_failed_now(case: Case) -> None:
    """A task that came to nothing after all has no further cells, whichever were written while it was done.

    So it is with one of a retry, whose rows are empty then, or those of the retry once that is done.
    """
    case.config = ACTIVE
    assert await case.run() == 0
    lose(case, "whatsapp_active", 2)
    case.overrides = ['platforms.whatsapp_active.extra_columns=["activedays"]']
    days = further("whatsapp_active", "activedays")
    without = [*days[:3], "", "", "", *days[6:]]
    await merge_job(case.settings(), case.world())
    assert columns(case)["whatsapp_active.activedays"] == without
    await retry_job(case.settings(), case.world(), every=True)
    assert await case.run() == 0
    assert columns(case)["whatsapp_active.activedays"] == days
    lose(case, "whatsapp_active", 5)
    case.overrides = ['platforms.whatsapp_active.extra_columns=["business", "activedays"]']
    await merge_job(case.settings(), case.world())
    assert columns(case)["whatsapp_active.activedays"] == without


def lose(case: Case, platform: str, chunk: int) -> None:
    """Have a task that is done come to nothing, as one of which results are lost, here and at the vendor."""
    key = TaskKey(platform, chunk)

    def happen(ledger: Ledger) -> None:
        ledger.transitions.refetch(key, at=1.0, lost=True)
        ledger.transitions.fail(key, "its result is lost", at=1.0)

    ledger = Ledger.open(ledger_path(case.directory))
    ledger.change(happen)
    ledger.close()


async def test_an_extra_file_that_was_altered(case: Case) -> None:
    """It is no file of the ledger's: once it is removed, the next merge makes it anew."""
    case.config = ACTIVE
    assert await case.run() == 0
    before = columns(case)
    path = case.directory / "verdicts" / "whatsapp_active" / "000002.extras"
    spoil(path, "lost")
    await merge_job(case.settings(), case.world())
    assert columns(case) == before
    assert path.exists()


async def test_purge_removes_them(case: Case) -> None:
    """They hold what the results hold."""
    case.config = ACTIVE
    assert await case.run() == 0
    await purge_job(case.settings(), case.world(), yes=True)
    assert not list(case.directory.rglob("*.extras"))


async def test_names_that_no_result_has_stop_a_platform_without_a_verdict(case: Case) -> None:
    """Nothing is answered then: after three such results no more is sent, and the right names read them, free."""
    case.numbers(30)
    case.config = CARRIER
    case.overrides = ['platforms.carrier.extra_columns=["town"]', "platforms.carrier.max_in_flight=1"]
    outcome = await case.outcome()
    assert outcome.exit_code == 3
    assert "extra_columns" in outcome.summary["reason"]
    assert 3 <= case.charged() <= 5  # one more may leave while a result is read
    assert "one of: town" in case.said
    case.overrides[0] = 'platforms.carrier.extra_columns=["country_code"]'
    assert await case.run() == 0
    assert case.charged() == 10
    assert set(columns(case)["carrier"]) == {"answered"}
    assert "" not in columns(case)["carrier.country_code"]
