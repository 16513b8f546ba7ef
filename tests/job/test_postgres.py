"""A job whose ledger is in a database: begun, gone on with on an empty disk, and told from others."""

from __future__ import annotations

import pytest

from orchestrator.job.access import opened_to_read
from orchestrator.jobdir.layout import ledger_mark, ledger_path
from tests.job.conftest import Case
from tests.ledgers import new_job
from tests.postgres import Server


@pytest.fixture
def elsewhere(case: Case, postgres: Server) -> Case:
    """Give a job of ten numbers in chunks of three, with its ledger in a database."""
    database = new_job(postgres)
    case.overrides = [f'ledger.url="{database.url}"', f'job.name="{database.job}"', "ledger.lease_s=2"]
    return case


async def test_a_whole_job(elsewhere: Case) -> None:
    """No file of a ledger lies in the directory, and all else is as ever."""
    assert await elsewhere.run() == 0
    assert elsewhere.cells() != []
    assert not ledger_path(elsewhere.directory).exists()
    assert await elsewhere.run() == 0
    assert elsewhere.charged() == 4
    with opened_to_read(elsewhere.settings()) as ledger:
        assert (ledger.runs.serial, ledger.runs.job_id) == (2, ledger_mark(elsewhere.directory).read_text())
