"""A ledger in a database whose connections break, whose server dies, and whose coordinators come back."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import LeaseLostError, LockedError, StorageError, UsageError
from orchestrator.ledger import Database, Ledger
from orchestrator.ledger import lease as leases
from orchestrator.ledger import postgres as postgres_module
from orchestrator.ledger import postgres_schema as schema
from orchestrator.ledger.postgres import PostgreSQL, has_job
from orchestrator.ledger.sqlite import SQLite
from orchestrator.records import Plan
from orchestrator.tasks import State, TaskKey
from tests.conftest import Child
from tests.ledgers import everything, new_job, planned_job, postgres_of, reader_of, release, released
from tests.poolers import Pooler
from tests.postgres import Proxy, Server

MakePlan = Callable[..., Plan]


@pytest.fixture
def begun(postgres: Server, make_plan: MakePlan) -> Database:
    """Give a job that is planned in a database, and whose lease is free."""
    return planned_job(postgres, make_plan(40), lease_s=2.0)


# --- what is committed -----------------------------------------------------------------------------------------------


def test_a_connection_that_breaks_at_any_message(begun: Database, proxy: Proxy) -> None:
    """Whatever is lost, a question or its answer: the change has happened once when it returns, and never in part."""
    happened: list[int] = []
    with Ledger(PostgreSQL.open(replace(begun, url=proxy.url()))) as ledger:
        for answer_lost in (False, True):
            for message in range(1, 6):
                proxy.answer_lost = answer_lost
                proxy.cut_at = proxy.messages + message
                chunk = len(happened) + 1
                ledger.change(release(chunk))
                happened.append(chunk)
                proxy.cut_at = None
                with reader_of(ledger) as reader:
                    assert everything(reader) == everything(ledger)
                    assert released(reader) == happened


@pytest.mark.parametrize("message", [3, 12], ids=["opening", "amid"])
def test_a_reading_that_is_cut_off(begun: Database, proxy: Proxy, message: int) -> None:
    """It is begun anew, as often as makes sense."""
    proxy.cut_at = message
    with Ledger(PostgreSQL.open_to_read(replace(begun, url=proxy.url()))) as reader:
        assert len(reader.tasks.select(State.PLANNED)) == 120
    assert proxy.cut_at is None


def test_a_commit_whose_answer_was_lost_is_looked_up(
    begun: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has happened, so it is not sent again; and the epoch has risen, so that nothing older can follow."""
    looked: list[bool] = []
    settle = leases.settle

    def watched(*arguments: Any) -> Any:
        lease, found = settle(*arguments)
        looked.append(found)
        return lease, found

    monkeypatch.setattr(leases, "settle", watched)
    with Ledger(PostgreSQL.open(replace(begun, url=proxy.url()))) as ledger:
        before = postgres_of(ledger)._lease
        proxy.answer_lost, proxy.cut_at = True, proxy.messages + 1
        ledger.change(release(1))
        after = postgres_of(ledger)._lease
        assert before is not None
        assert after is not None
        assert (looked, after.epoch, after.position) == ([True], before.epoch + 1, before.position + 1)


def test_the_look_itself_is_cut_off(begun: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises the epoch. If nobody hears of that, it is not taken for another coordinator's doing."""
    settle, cuts = leases.settle, 0

    def cut(*arguments: Any) -> Any:
        nonlocal cuts
        if cuts < 2:
            cuts += 1
            proxy.answer_lost, proxy.cut_at = True, proxy.messages + 1
        return settle(*arguments)

    monkeypatch.setattr(leases, "settle", cut)
    with Ledger(PostgreSQL.open(replace(begun, url=proxy.url(), lease_s=10.0))) as ledger:
        proxy.answer_lost, proxy.cut_at = True, proxy.messages + 1
        ledger.change(release(1))
        assert cuts == 2
        ledger.change(release(2))
        with reader_of(ledger) as reader:
            assert released(reader) == [1, 2]


def test_a_database_out_of_reach_ends_the_run(begun: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody could look up is never taken for done, nor done anew: the ledger takes nothing more."""
    monkeypatch.setattr(postgres_module, "PATIENCE_LEASES", 0.2)
    with Ledger(PostgreSQL.open(replace(begun, url=proxy.url()))) as ledger:
        proxy.closed = True
        proxy.cut()
        with pytest.raises(StorageError, match=r"out of reach: .*run the same command again$"):
            ledger.change(release(1))
        proxy.closed = False
        with pytest.raises(StorageError, match="out of reach"):
            ledger.change(release(2))
        assert not postgres_of(ledger).holds
        assert released(ledger) == []
    with Ledger(PostgreSQL.open_to_read(begun)) as reader:
        assert released(reader) == []


def test_a_server_that_is_killed_and_comes_back(make_plan: MakePlan) -> None:
    """A crash of the server is a break in the line: what it had acknowledged is there, and the run goes on."""
    server = Server()
    try:
        server.make()
        with Ledger(PostgreSQL.open(planned_job(server, make_plan(10)))) as ledger:
            for chunk in (1, 2):
                ledger.change(release(chunk))
                server.stop(signal.SIGQUIT)
                server.start()
            ledger.change(release(3))
            with reader_of(ledger) as reader:
                assert released(reader) == [1, 2, 3]
    finally:
        server.remove()


def test_a_database_that_takes_no_changes(begun: Database, postgres: Server) -> None:
    """Nothing of the change has happened, and the message says what to do; once it takes them again, all goes on."""
    with Ledger(PostgreSQL.open(begun)) as ledger:
        postgres.sql("ALTER ROLE orchestrator SET default_transaction_read_only = on")
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'orchestrator'")
        with pytest.raises(StorageError, match=r"read-only transaction; have the server take changes"):
            ledger.change(release(1))
        postgres.sql("ALTER ROLE orchestrator RESET default_transaction_read_only")
    with Ledger(PostgreSQL.open(begun)) as ledger:
        assert released(ledger) == []
        ledger.change(release(1))
        assert released(ledger) == [1]


@pytest.fixture
def small_database(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Give the name of a database on a small disk, and that disk; skip where none can be mounted."""
    disk = postgres.folder / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:  # noqa: S603
        pytest.skip("mounting a small disk needs root and the right to mount")
    try:
        place = disk / "tablespace"
        place.mkdir()
        who = postgres._as_whom
        os.chown(place, who["user"], who["group"])
        postgres.sql(f"CREATE TABLESPACE small LOCATION '{place}'", database="postgres")
        postgres.sql("CREATE DATABASE small OWNER orchestrator TABLESPACE small", database="postgres")
        yield "small", disk
    finally:
        postgres.sql("DROP DATABASE IF EXISTS small WITH (FORCE)", database="postgres")
        postgres.sql("DROP TABLESPACE IF EXISTS small", database="postgres")
        subprocess.run(["umount", str(disk)], check=True)  # noqa: S603, S607 - mounted above


def test_a_database_that_is_full(postgres: Server, small_database: tuple[str, Path], make_plan: MakePlan) -> None:
    """Each commit has happened or not, and the message says what to do; with more room all goes on where it was."""
    name, disk = small_database
    database = replace(new_job(postgres), url=postgres.url(database=name))

    def spoil(chunk: int) -> Callable[[Ledger], None]:
        key, words = TaskKey("instagram", chunk), os.urandom(100_000).hex()  # it can't be made smaller

        def change(ledger: Ledger) -> None:
            release(chunk)(ledger)
            ledger.transitions.doubt(key, words, at=2.0)

        return change

    def doubted(ledger: Ledger) -> list[int]:
        return [task.key.chunk for task in ledger.tasks.select(State.IN_DOUBT)]

    with Ledger(PostgreSQL.create(database, "job-1")) as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(400)))
        with pytest.raises(StorageError, match=r"No space left on device; give the server more room"):  # noqa: PT012
            for chunk in range(1, 401):
                ledger.change(spoil(chunk))
        done = doubted(ledger)
        assert done == list(range(1, len(done) + 1))
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)  # noqa: S603, S607 - mounted above
    with Ledger(PostgreSQL.open(database)) as ledger:
        assert doubted(ledger) == done
        ledger.change(spoil(len(done) + 1))
        with reader_of(ledger) as reader:
            assert doubted(reader) == [*done, len(done) + 1]


# --- the lease -------------------------------------------------------------------------------------------------------


def test_a_run_that_is_alive_is_not_taken_over(begun: Database) -> None:
    """Whoever comes second hears of it within the lease's time, and who it is."""
    with Ledger(PostgreSQL.open(begun)):
        began = time.monotonic()
        with pytest.raises(LockedError, match=rf"another run holds this job \(process {os.getpid()} on "):
            PostgreSQL.open(begun)
        assert time.monotonic() - began < 2 * begun.lease_s


def test_a_run_that_has_ended_is_not_waited_for(begun: Database) -> None:
    """It gives its lease back."""
    heard: list[str] = []
    with Ledger(PostgreSQL.open(begun, heard.append)):
        pass
    with Ledger(PostgreSQL.open(begun, heard.append)):
        pass
    assert heard == []


HOLDER = """
import sys
from orchestrator.ledger.database import Database
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.postgres import PostgreSQL
from orchestrator.tasks import TaskKey

def release(chunk):
    return lambda it: it.transitions.release(TaskKey("instagram", chunk), cost_nano=1, max_cost_nano=None, at=1.0)

ledger = Ledger(PostgreSQL.open(Database(sys.argv[1], sys.argv[2], lease_s=float(sys.argv[3]))))
for chunk in map(int, sys.stdin):
    try:
        ledger.change(release(chunk))
        print("released", flush=True)
    except Exception as error:
        print(type(error).__name__, ledger.connection.holds, flush=True)
"""


def ask(child: subprocess.Popen[str], chunk: int) -> str:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{chunk}\n")
    child.stdin.flush()
    return child.stdout.readline().strip()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_that_died_or_froze_is_taken_over(begun: Database, start_child: Child, end: signal.Signals) -> None:
    """The next one waits for the lease; the first, woken, can commit nothing, and knows it."""
    holder = start_child(HOLDER, begun.url, begun.job, begun.lease_s)
    assert ask(holder, 1) == "released"
    holder.send_signal(end)
    heard: list[str] = []
    began = time.monotonic()
    with Ledger(PostgreSQL.open(begun, heard.append)) as ledger:
        assert time.monotonic() - began < 3 * begun.lease_s
        assert heard[0].startswith("waiting for up to ")
        assert released(ledger) == [1]
        ledger.change(lambda it: it.begin_run(at=2.0, host="there", pid=2))
        if end is signal.SIGSTOP:
            holder.send_signal(signal.SIGCONT)
            assert ask(holder, 2) == "LeaseLostError False"
            assert ask(holder, 3) == "LeaseLostError False"
        assert released(ledger) == []
        assert [task.key.chunk for task in ledger.tasks.select(State.IN_DOUBT)] == [1]


def test_a_run_that_was_replaced_renews_nothing(begun: Database) -> None:
    """It finds out by that, and does not keep the lease of the other one alive."""
    first = PostgreSQL.open(begun)
    with first._lock, Ledger(PostgreSQL.open(begun)) as other:  # the first one's thread can't renew meanwhile
        line, name = postgres_of(other)._line, begun.job
        with postgres_of(other)._lock:
            before = leases.look(line, name)
            first._renew()
            after = leases.look(line, name)
    first.close()
    assert before is not None
    assert after is not None
    assert after.renewed_at == before.renewed_at
    assert not first.holds


def test_a_mirror_that_fails_behind_a_commit(begun: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed stands; and nothing is committed that is made of what the mirror does not know."""
    with Ledger(PostgreSQL.open(begun)) as ledger:
        ledger.change(release(1))

        def full() -> None:
            raise StorageError("the mirror: database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(postgres_of(ledger).mirror, "commit", full)
            with pytest.raises(StorageError, match="disk is full"):
                ledger.change(release(2))
        with pytest.raises(StorageError, match="disk is full"):
            ledger.change(release(3))
    with Ledger(PostgreSQL.open(begun)) as ledger:
        assert released(ledger) == [1, 2]


def test_a_run_that_froze_in_the_middle_of_a_commit(begun: Database, postgres: Server) -> None:
    """Its transaction holds the lease's row; it is ended, and not waited for."""
    import psycopg  # noqa: PLC0415 - its extra may be missing

    with Ledger(PostgreSQL.open(begun)) as ledger:
        lease = postgres_of(ledger)._lease
        postgres_of(ledger)._broken = StorageError("frozen")  # so it neither renews nor ends the lease
        assert lease is not None
        frozen = psycopg.connect(begun.url)
        statement, values = lease.fence(lease.position + 1)
        frozen.execute(statement, values)
        began = time.monotonic()
        with Ledger(PostgreSQL.open(begun)) as other:
            assert time.monotonic() - began < 4 * begun.lease_s
            other.change(release(1))
        with pytest.raises(psycopg.OperationalError):
            frozen.commit()
        frozen.close()


def test_what_a_run_had_on_its_way_comes_too_late(begun: Database, caplog: pytest.LogCaptureFixture) -> None:
    """A fence of an earlier epoch, or of another position, fails, and all of its transaction with it."""
    with Ledger(PostgreSQL.open(begun)) as ledger:
        connection = postgres_of(ledger)
        lease = connection._lease
        assert lease is not None
        for wrong in (lease._replace(epoch=lease.epoch - 1), lease._replace(position=lease.position - 1)):
            with connection._lock, pytest.raises(LeaseLostError, match="another coordinator has taken this job over"):
                connection._line.transact([wrong.fence(lease.position + 1)])
        ledger.change(release(1))
        assert released(ledger) == [1]
    assert not caplog.records, "the library says itself what is raised"


def test_a_dead_holder_behind_a_clock_that_was_put_back(begun: Database, postgres: Server) -> None:
    """Its lease runs out as others do: it is not waited for by as much as the clock was put back."""
    postgres.sql(
        "UPDATE numbercheck.lease SET ended = false, lease_s = 1, renewed_at = clock_timestamp() + interval '1 day' "  # noqa: S608
        f"WHERE name = '{begun.job}'"
    )
    began = time.monotonic()
    PostgreSQL.open(begun).close()
    assert time.monotonic() - began < 30


def test_a_row_that_a_person_has_locked(postgres: Server, make_plan: MakePlan) -> None:
    """It is waited for, as long as the server might be out of reach as well."""
    import psycopg  # noqa: PLC0415 - its extra may be missing

    with Ledger(PostgreSQL.create(new_job(postgres), "job-1")) as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(4)))
        with psycopg.connect(postgres.url("postgres")) as person:
            person.execute("LOCK TABLE numbercheck.tasks IN ACCESS EXCLUSIVE MODE")
            timer = threading.Timer(6.0, person.rollback)  # longer than one statement waits for a lock
            timer.start()
            ledger.change(release(1))
            timer.join()
        with reader_of(ledger) as reader:
            assert released(reader) == [1]


# --- the server ------------------------------------------------------------------------------------------------------


def test_a_failover_that_may_lack_commits(make_plan: MakePlan) -> None:
    """On another timeline a run stops; a later one goes on only when a person says which timeline was looked into."""
    server, copy = Server(), Server()
    try:
        server.make()
        database = replace(new_job(server), lease_s=1.0)
        with Ledger(PostgreSQL.create(database, "job-1")) as ledger:
            ledger.change(lambda it: it.plan.replace(make_plan(10)))
            copied_from(server, copy)
            ledger.change(release(1))  # the copy never hears of it
            server.stop(signal.SIGQUIT)
            copy.start()
            copy.command("pg_ctl", "promote", "-w", "-D", copy.data)
            server.socket.unlink(missing_ok=True)
            server.socket.symlink_to(copy.socket)
            with pytest.raises(StorageError, match=r"failed over in the middle of a run \(timeline 1 → 2\)"):
                ledger.change(release(2))
        with pytest.raises(StorageError, match=r"--set ledger.timeline=2 behind the next command says that you have"):
            PostgreSQL.open(database)
        with Ledger(PostgreSQL.open(replace(database, timeline=2))) as ledger:
            assert released(ledger) == []
            ledger.change(release(3))
        with Ledger(PostgreSQL.open(database)) as ledger:
            assert released(ledger) == [3]
    finally:
        server.remove()
        copy.remove()


def copied_from(server: Server, copy: Server) -> None:
    """Make a standby that follows nobody: it has what the server has at this moment."""
    if who := server._as_whom:
        os.chown(copy.folder, who["user"], who["group"])
    server.command(
        "pg_basebackup", "-h", server.folder, "-p", str(server.port), "-U", "postgres", "-D", copy.data, "--no-sync",
        "-X", "stream", "-c", "fast",
    )  # fmt: skip
    (copy.data / "standby.signal").touch()


def test_behind_a_pooler(begun: Database, postgres: Server) -> None:
    """Each transaction may reach another backend: nothing of a session is relied on."""
    with (
        Pooler(postgres) as pooler,
        Ledger(PostgreSQL.open(database := replace(begun, url=pooler.url()))) as ledger,
    ):
        for chunk in range(1, 21):
            ledger.change(release(chunk))
            with reader_of(ledger) as reader:
                assert released(reader) == list(range(1, chunk + 1))
        with pytest.raises(LockedError):
            PostgreSQL.open(database)


# --- whose it is -----------------------------------------------------------------------------------------------------


def test_events_are_append_only_there_as_well(begun: Database, postgres: Server) -> None:
    """No statement takes one away or says another thing, TRUNCATE included; its owner's neither."""
    import psycopg  # noqa: PLC0415 - its extra may be missing

    with Ledger(PostgreSQL.open(begun)) as ledger:
        ledger.change(release(1))
    for statement in (
        "DELETE FROM numbercheck.events",
        "UPDATE numbercheck.events SET detail = 'x'",
        "UPDATE numbercheck.events SET chunk = chunk + 1",
        "TRUNCATE numbercheck.events",
    ):
        with pytest.raises(psycopg.errors.RaiseException, match="events are append-only"):
            postgres.sql(statement, role="orchestrator")


def test_jobs_share_a_database(postgres: Server, make_plan: MakePlan) -> None:
    """Each has its own ledger, whatever the others do."""
    one, other = new_job(postgres), new_job(postgres)
    with Ledger(PostgreSQL.create(one, "job-1")) as first, Ledger(PostgreSQL.create(other, "job-2")) as second:
        for ledger in (first, second):
            ledger.change(lambda it: it.plan.replace(make_plan()))
        first.change(release(1))
        second.change(release(2))
        for ledger, chunks in ((first, [1]), (second, [2])):
            with reader_of(ledger) as reader:
                assert (reader.runs.job_id, released(reader)) == (ledger.runs.job_id, chunks)
        assert (has_job(one), has_job(replace(one, job="nobody's"))) == (True, False)


def test_a_role_that_may_do_no_more(postgres: Server) -> None:
    """One that owns our schema alone needs no right in the database; without either, the message says what it lacks."""
    postgres.sql("CREATE DATABASE narrow", database="postgres")
    postgres.sql("CREATE ROLE narrow LOGIN", database="postgres")
    database = Database(postgres.url("narrow", "narrow"), "spring")
    with pytest.raises(StorageError, match="permission denied for database narrow; see orchestrator help postgres"):
        PostgreSQL.create(database, "job-1")
    postgres.sql("CREATE SCHEMA numbercheck AUTHORIZATION narrow", database="narrow")
    PostgreSQL.create(database, "job-1").close()
    assert has_job(database)


def test_tables_of_an_earlier_release(postgres: Server, make_plan: MakePlan) -> None:
    """What they lack is added to them, once, and what they hold stays; those of a later release are left alone."""
    postgres.sql("CREATE DATABASE earlier OWNER orchestrator", database="postgres")
    database = Database(postgres.url(database="earlier"), "spring")
    with Ledger(PostgreSQL.create(database, "job-1")) as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan()))
        now = everything(ledger)
    for statement in (
        "ALTER TABLE numbercheck.tasks DROP COLUMN failures",
        "DROP TABLE numbercheck.quarantine",
        "UPDATE numbercheck.schema_version SET version = 1",
    ):
        postgres.sql(statement, database="earlier")
    with Ledger(PostgreSQL.open(database)) as ledger:
        assert everything(ledger) == now
        ledger.change(release(1))
    postgres.sql("UPDATE numbercheck.schema_version SET version = 99", database="earlier")
    with pytest.raises(StorageError, match="have version 99, this program knows 3; go on with the release"):
        PostgreSQL.open(database)


def test_a_change_of_the_schema_is_a_new_version() -> None:
    """Programs that differ in it would each put its own functions back, one job after the other."""
    shape = schema.shape(schema.tables_of(SQLite.mirror("")))
    assert (schema.VERSION, shape[:12]) == (3, "816353c2b8bd"), "raise VERSION, and write the new shape here"


def test_a_database_that_holds_no_utf8(postgres: Server) -> None:
    """What a vendor says in another script could not be kept, so it is refused before anything is sent."""
    postgres.sql(
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0", database="postgres"
    )
    with pytest.raises(StorageError, match=r"has the encoding LATIN1, .* made with ENCODING 'UTF8'"):
        has_job(Database(postgres.url(database="latin"), "spring"))


ODD_SETTINGS = (
    *("client_encoding = LATIN1", "default_transaction_isolation = serializable", "role = orchestrator"),
    *("statement_timeout = '40ms'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '20ms'"),
    *("array_nulls = off", "extra_float_digits = -15", "bytea_output = escape", "standard_conforming_strings = off"),
    *("search_path = shadows, pg_catalog", "datestyle = 'SQL, DMY'", "timezone = 'Asia/Kolkata'"),
    *("intervalstyle = iso_8601", "default_table_access_method = nonesuch", "client_min_messages = debug5"),
)
_SHADOWS = """
CREATE SCHEMA shadows; GRANT USAGE ON SCHEMA shadows TO PUBLIC; CREATE TABLE shadows.lease (x int);
CREATE FUNCTION shadows.fence(bigint, bigint, bigint, bigint) RETURNS void LANGUAGE sql AS 'SELECT';
"""


def test_a_role_with_settings_of_its_own(postgres: Server, make_plan: MakePlan) -> None:
    """What a role, or the URL, says of a session is no matter of the program's: what it writes is what it reads."""
    postgres.sql("CREATE ROLE odd LOGIN; GRANT orchestrator TO odd", database="postgres")
    postgres.sql("CREATE DATABASE odd OWNER orchestrator", database="postgres")
    postgres.sql(_SHADOWS, database="odd")
    for setting in ODD_SETTINGS:
        postgres.sql(f"ALTER ROLE odd SET {setting}")
    url = f"{postgres.url('odd', 'odd')}&client_encoding=LATIN1"
    database = Database(url, "Ünï'\"%s; NULL" * 30)
    with Ledger(PostgreSQL.create(database, "job-1")) as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(4)))
        ledger.change(
            lambda it: it.transitions.release(TaskKey("instagram", 1), cost_nano=1, max_cost_nano=None, at=0.1)
        )
        ledger.change(
            lambda it: it.transitions.doubt(TaskKey("instagram", 1), "grüße ☃ NULL \\ 'x'", at=1764500000.123456)
        )
        turn = ledger.connection.turn("vendor", "a", places=1, spacing_s=0.123456789, slack_s=0.0)
        assert turn.spacing_s == 0.123456789
        with reader_of(ledger) as reader:
            assert everything(reader) == everything(ledger)
        ledger.connection.compact()


def test_a_schema_of_our_name_that_is_another_ones(postgres: Server) -> None:
    """It is left alone; one of ours that has lost its version is brought up to date."""
    postgres.sql("CREATE DATABASE others OWNER orchestrator", database="postgres")
    database = Database(postgres.url(database="others"), "spring")
    postgres.sql(
        "CREATE SCHEMA numbercheck; CREATE TABLE numbercheck.lease (x int)", role="orchestrator", database="others"
    )
    with pytest.raises(StorageError, match="not of this program, with a table lease; name another database"):
        PostgreSQL.create(database, "job-1")
    postgres.sql("DROP SCHEMA numbercheck CASCADE", database="others")
    PostgreSQL.create(database, "job-1").close()
    postgres.sql("DELETE FROM numbercheck.schema_version", database="others")
    PostgreSQL.open(database).close()


def test_a_password_stays_out_of_what_is_said(postgres: Server) -> None:
    """It is handed to the library alone: no message and no representation has it."""
    database = replace(new_job(postgres), url="postgresql://nobody@/jobs?host=/nonexistent", password="s3cret-word")
    with pytest.raises(StorageError, match="out of reach") as caught:
        PostgreSQL.create(database, "job-1")
    assert "s3cret" not in f"{caught.value} {database!r} {database}"


def test_of_several_hosts_the_one_that_takes_changes(postgres: Server) -> None:
    """Also where a copy is named first."""
    copy = Server()
    try:
        copied_from(postgres, copy)
        copy.start()
        url = f"postgresql://orchestrator@/jobs?host={copy.folder},{postgres.folder}&port={copy.port},{postgres.port}"
        PostgreSQL.create(replace(new_job(postgres), url=url), "job-1").close()
        with pytest.raises(StorageError, match="server is in hot standby mode; see that the server can be reached"):
            has_job(replace(new_job(postgres), url=copy.url()))
    finally:
        copy.remove()


def test_a_database_that_was_restored(make_plan: MakePlan) -> None:
    """What it lacks nobody can see in it: so whoever goes on is told that it is another one, once."""
    server, restored = Server(), Server()
    try:
        database = replace(new_job(server.make()), lease_s=1.0)
        with Ledger(PostgreSQL.create(database, "job-1")) as ledger:
            ledger.change(lambda it: it.plan.replace(make_plan(10)))
        copied_from(server, restored)
        restored.start()
        restored.command("pg_ctl", "promote", "-w", "-D", restored.data)
        told: list[str] = []
        for _ in range(2):
            PostgreSQL.open(replace(database, url=restored.url()), told.append).close()
        assert len(told) == 1
        assert "if it was restored from a backup, stop, and name that run's token with --after" in told[0]
    finally:
        server.remove()
        restored.remove()


def test_a_url_that_the_library_does_not_understand(postgres: Server) -> None:
    """The message names the key."""
    with pytest.raises(UsageError, match=r"^\[ledger\] url: .*nonsense"):
        PostgreSQL.create(Database("postgresql://db/jobs?nonsense=1", "spring"), "job-1")
