"""A job whose ledger is in a database: begun, gone on with on an empty disk, and told from others."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from orchestrator.errors import StorageError, UsageError
from orchestrator.job.access import opened_to_read
from orchestrator.job.purge import purge_job
from orchestrator.job.run import _Run
from orchestrator.job.status import job_status
from orchestrator.job.verify import verify_job
from orchestrator.jobdir.layout import ledger_mark, ledger_path
from orchestrator.ledger.postgres import PostgreSQL
from orchestrator.tasks import State
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


async def test_no_commit_holds_up_the_loop(elsewhere: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a run works, nothing is sent to the database on the event loop: a network could hold all of it up."""
    on_the_loop: list[bool] = []
    works = False
    send, work = PostgreSQL._send, _Run._work

    def watched_send(*arguments: Any) -> Any:
        if works:
            on_the_loop.append(asyncio._get_running_loop() is not None)
        return send(*arguments)

    async def watched_work(*arguments: Any) -> Any:
        nonlocal works
        works = True
        try:
            return await work(*arguments)
        finally:
            works = False

    monkeypatch.setattr(PostgreSQL, "_send", watched_send)
    monkeypatch.setattr(_Run, "_work", watched_work)
    assert await elsewhere.run() == 0
    assert len(on_the_loop) > 4
    assert not any(on_the_loop)


async def test_a_directory_with_a_ledger_of_its_own(case: Case, postgres: Server) -> None:
    """A job that has begun there would be paid again from another ledger: without the URL it goes on."""
    assert await case.run() == 0
    database = new_job(postgres)
    elsewhere = [f'ledger.url="{database.url}"', f'job.name="{database.job}"']
    case.overrides = elsewhere
    with pytest.raises(UsageError, match=r"has its ledger here, and \[ledger\] url names another place; leave url out"):
        await case.run()
    case.overrides = []
    assert await case.run() == 0
    case.overrides = [*elsewhere, 'job.directory="anew"']
    assert await case.run() == 0


async def test_a_job_needs_its_url(elsewhere: Case) -> None:
    """Without it the job would begin anew in a file, and pay again; with it, it goes on."""
    assert await elsewhere.run() == 0
    named, elsewhere.overrides = elsewhere.overrides, []
    with pytest.raises(UsageError, match=r"is in a database; set \[ledger\] url as it was$"):
        await elsewhere.run()
    elsewhere.overrides = named
    assert await elsewhere.run() == 0
    assert elsewhere.charged() == 4


async def test_a_directory_of_another_job(elsewhere: Case, postgres: Server) -> None:
    """Chunks and results there are another job's: they are neither taken for this one's nor written over."""
    assert await elsewhere.run() == 0
    other = [f'ledger.url="{postgres.url()}"', f'job.name="{new_job(postgres).job}"']
    elsewhere.overrides = other
    with pytest.raises(UsageError, match=r"no ledger, but .* in its directory"):
        await elsewhere.run()
    elsewhere.overrides = [*other, 'job.directory="another"']
    assert await elsewhere.run() == 0
    elsewhere.overrides = other
    with pytest.raises(UsageError, match=r"lies there, of another job than .*; set another \[job\] directory"):
        await elsewhere.run()
    elsewhere.overrides = [*other, 'job.directory="another"']
    assert await elsewhere.run() == 0


async def test_without_the_extra(elsewhere: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message says what to install; without the URL nothing is needed."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=r"pip install 'numbercheck-orchestrator\[postgres\]', or leave url out"):
        await elsewhere.run()
    elsewhere.overrides = []
    assert await elsewhere.run() == 0


async def test_where_a_password_comes_from(
    elsewhere: Case, postgres: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """From a private file or the environment; without one the message says so, and none is ever said or kept."""
    rules = postgres.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local jobs locked scram-sha-256\n{before}")
    try:
        postgres.sql("CREATE ROLE locked LOGIN PASSWORD 's3cret-word' IN ROLE orchestrator; SELECT pg_reload_conf()")
        elsewhere.overrides[0] = f'ledger.url="{postgres.url("locked")}"'
        with pytest.raises(StorageError, match="put the password into the environment variable PGPASSWORD"):
            await elsewhere.run()
        monkeypatch.setenv("PGPASSWORD", "s3cret-word")
        assert await elsewhere.run() == 0
        monkeypatch.delenv("PGPASSWORD")
        secret = elsewhere.folder / "password"
        secret.write_text("s3cret-word\n")
        secret.chmod(0o600)
        elsewhere.overrides.append(f'ledger.password_file="{secret}"')
        assert await elsewhere.run() == 0
    finally:
        rules.write_text(before)
        postgres.sql("SELECT pg_reload_conf()")
    kept = [path.read_bytes() for path in elsewhere.directory.rglob("*") if path.is_file()]
    assert not any(b"s3cret" in content for content in kept)
    assert "s3cret" not in "".join((*capfd.readouterr(), elsewhere.said))


async def test_what_reads_and_what_purges(elsewhere: Case) -> None:
    """Status and verify read it where it is; purge blanks its hashes there, and the closed job stays closed."""
    assert await elsewhere.run() == 0
    settings = elsewhere.settings()
    assert job_status(settings).standings[0].tasks(State.DONE) == 4
    assert (await verify_job(settings, elsewhere.world())).findings == ()
    with opened_to_read(settings) as ledger:
        hashes = [chunk.sha256 for chunk in ledger.plan.chunks()]
    report = await purge_job(settings, elsewhere.world(), yes=True)
    assert "hashes of files in the log and the backups of the ledger's database" in report.out_of_reach
    with opened_to_read(settings) as ledger:
        assert not {*hashes} & {chunk.sha256 for chunk in ledger.plan.chunks()}
    with pytest.raises(UsageError, match=r"was purged, .* begin a new one with another \[job\] name and directory$"):
        await elsewhere.run()
    elsewhere.overrides[1] = elsewhere.overrides[1].replace("job-", "again-")
    elsewhere.overrides.append('job.directory="again"')
    assert await elsewhere.run() == 0
