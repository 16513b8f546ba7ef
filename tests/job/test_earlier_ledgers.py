"""Jobs that an earlier version of the program began go on with this one.

`earlier/version_N.tar.gz` is the folder of a job that was killed in its second run by the last program with ledgers of
version N: config, list, and all that had come to lie in `out`; the vendor is the embedded one, and the numbers are made
up. Of its 22 tasks 9 were done, 11 at the vendor, 2 planned.
"""

from __future__ import annotations

import csv
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator import sandbox
from orchestrator.config import load
from orchestrator.job.run import RunOptions, run_job
from orchestrator.job.status import job_status
from orchestrator.job.world import real_world
from orchestrator.ledger import Ledger, ledger_path, sqlite_schema
from orchestrator.settings import Settings

EARLIER = Path(__file__).parent / "earlier"


@pytest.fixture(params=sorted(sqlite_schema.STEPS))
def begun(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    with tarfile.open(EARLIER / f"version_{request.param}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    # Its vendor was slow, so that the kill found tasks in every state.
    return load(tmp_path / "config.toml", ["sandbox.pace=1_000_000", "sandbox.faults=[]"])


def layout(connection: sqlite3.Connection) -> dict[str, object]:
    """Everything that a ledger's tables are made of: columns as SQLite understands them, the rest as it was written."""
    kinds = connection.execute("SELECT name, type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    tables = [name for name, kind, _ in kinds if kind == "table"]
    columns = {name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in tables}
    return columns | {name: " ".join(sql.split()) for name, kind, sql in kinds if kind != "table"}


def test_steps_lead_to_what_is_created(begun: Settings, tmp_path: Path) -> None:
    """A ledger that took the steps has the same tables, columns, indexes and triggers as one that is made today."""
    Ledger.open(ledger_path(begun.job.directory)).close()
    Ledger.create(ledger_path(tmp_path / "new"), "job-1").close()
    with (
        closing(sqlite3.connect(ledger_path(begun.job.directory))) as stepped,
        closing(sqlite3.connect(ledger_path(tmp_path / "new"))) as created,
    ):
        assert layout(stepped) == layout(created)


def test_looking_changes_nothing(begun: Settings) -> None:
    """`status` shows the job without taking the step: it holds no lock, and may not write."""
    path = ledger_path(begun.job.directory)
    with closing(sqlite3.connect(path)) as connection:  # the kill left a log, which any reader takes in
        connection.execute("PRAGMA journal_mode = DELETE")
    before = path.read_bytes()
    report = job_status(begun)
    assert [standing.tasks() for standing in report.standings] == [11, 11]
    assert path.read_bytes() == before


async def test_the_job_goes_on_to_its_end(begun: Settings) -> None:
    """Every number gets its verdicts, and nothing that was sent before is sent again."""
    outcome = await run_job(begun, RunOptions(), real_world())
    assert (outcome.exit_code, outcome.summary["reason"]) == (0, "")
    with (begun.job.directory / "master.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    numbers = {line for line in (begun.source.parent / "numbers.txt").read_text().split() if line.startswith("+")}
    assert {number for number, *_ in rows} == numbers
    assert len(rows) == len(numbers)
    words = {"yes", "no", "unanswered", "ban", "unknown", "n/a"}
    assert {cell for _, *cells in rows for cell in cells} <= words
    charged = sandbox.read_tasks(begun.job.directory / "sandbox")
    assert len({(task.type, task.sha256) for task in charged}) == len(charged) == 22
