"""A database whose role, or whose database, is set up for other guests than this program: short times, odd words."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from orchestrator.errors import StorageError
from orchestrator.ledger import Database, Ledger
from orchestrator.ledger.postgres import PostgreSQL
from orchestrator.records import Plan
from tests.ledgers import everything, new_job, planned_job, postgres_of, reader_of, release, released
from tests.postgres import Proxy, Server

MakePlan = Callable[..., Plan]


def options(**settings: str) -> str:
    """Say settings of a session in a URL, as a role or a database may have them."""
    return "&options=" + "".join(f"-c%20{name}%3D{value}%20" for name, value in settings.items())


@pytest.mark.parametrize(
    "setting",
    [
        {"idle_in_transaction_session_timeout": "10"},
        {"statement_timeout": "40"},
        {"lock_timeout": "1"},
        {"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on"},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_short_times_on_a_slow_network(
    postgres: Server, proxy: Proxy, make_plan: MakePlan, setting: dict[str, str]
) -> None:
    """What a role is told of times ends no transaction of several trips between which a network lies."""
    proxy.delay_s = 0.03
    name = f"slow_{next(iter(setting))}"
    postgres.sql(f"CREATE DATABASE {name} OWNER orchestrator", database="postgres")
    url = proxy.url(database=name) + options(**setting)
    with Ledger(PostgreSQL.create(Database(url, "spring"), "job-1")) as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(40)))
        ledger.change(release(1))
        with reader_of(ledger) as reader:
            assert everything(reader) == everything(ledger)
        ledger.connection.compact()


def test_a_session_that_may_not_be_idle(postgres: Server, make_plan: MakePlan) -> None:
    """Its end is noticed with the next commit, or the next renewal, and made good."""
    database = new_job(postgres, lease_s=3.0)
    database = replace(database, url=database.url + options(idle_session_timeout="100"))
    with Ledger(PostgreSQL.create(database, "job-1")) as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(40)))
        for chunk in (1, 2, 3):
            with postgres_of(ledger)._lock:  # or it is renewed meanwhile
                # Behind a pipeline the server does not count: a message follows on the one that ended it.
                postgres_of(ledger)._line.plainly("SELECT 1")
                gone(postgres, database)
            ledger.change(release(chunk))
            assert postgres_of(ledger).holds
        with reader_of(ledger) as reader:
            assert released(reader) == [1, 2, 3]


def gone(server: Server, database: Database) -> None:
    """Return once the server has ended the session that has the job's lease."""
    left = f"SELECT 1 FROM pg_stat_activity JOIN numbercheck.lease ON pid = backend WHERE name = '{database.job}'"  # noqa: S608
    while server.sql(left):
        pass


def test_a_server_that_hides_which_one_it_is_for_a_moment(postgres: Server, make_plan: MakePlan) -> None:
    """That it can't say so now is no failover: it is asked again. One that never says so is another thing."""
    postgres.sql("CREATE DATABASE hiding OWNER orchestrator", database="postgres")
    postgres.sql("CREATE ROLE hiding LOGIN; GRANT orchestrator TO hiding", database="postgres")
    postgres.sql("ALTER ROLE hiding SET search_path = shadows, pg_catalog; ALTER ROLE hiding SET role = orchestrator")
    postgres.sql(
        """
        CREATE SCHEMA shadows; GRANT USAGE ON SCHEMA shadows TO PUBLIC; CREATE SEQUENCE shadows.asked;
        GRANT ALL ON SEQUENCE shadows.asked TO PUBLIC;
        CREATE FUNCTION shadows.pg_control_system(OUT system_identifier bigint) LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('shadows.asked') = 2 THEN RAISE 'canceled' USING ERRCODE = '57014'; END IF;
            system_identifier := 7;
        END $$;
        """,
        database="hiding",
    )
    database = Database(postgres.url("hiding", "hiding"), "spring", lease_s=3.0)
    with Ledger(PostgreSQL.create(database, "job-1")) as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(4)))
        postgres_of(ledger)._line.cut()
        ledger.change(release(1))
        assert released(ledger) == [1]
        assert postgres.sql("SELECT last_value FROM shadows.asked", database="hiding") == [(3,)]
    postgres.sql("REVOKE USAGE ON SCHEMA shadows FROM PUBLIC", database="hiding")
    postgres.sql("ALTER ROLE hiding RESET search_path")
    postgres.sql("REVOKE EXECUTE ON FUNCTION pg_control_system FROM PUBLIC", database="hiding")
    hidden = replace(database, job="autumn")
    with Ledger(PostgreSQL.create(hidden, "job-2")) as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(4)))
        postgres_of(ledger)._line.cut()
        ledger.change(release(1))


def test_a_backend_that_the_system_kills(make_plan: MakePlan) -> None:
    """The server ends all its sessions then and recovers: the commit is looked up, and the run goes on."""
    server = Server()
    try:
        server.make()
        with Ledger(PostgreSQL.open(planned_job(server, make_plan(10)))) as ledger:
            for chunk in (1, 2):
                ((pid,),) = server.sql("SELECT backend FROM numbercheck.lease")
                assert isinstance(pid, int)
                os.kill(pid, signal.SIGKILL)
                ledger.change(release(chunk))
            with reader_of(ledger) as reader:
                assert everything(reader) == everything(ledger)
                assert released(reader) == [1, 2]
    finally:
        server.remove()


def test_a_server_without_a_place_for_one_more(make_plan: MakePlan) -> None:
    """It is tried for as long as it may be out of reach, and said; where a place comes free, the run goes on."""
    import psycopg  # noqa: PLC0415 - its extra may be missing

    server = Server(settings=("max_connections=8", "superuser_reserved_connections=1"))
    try:
        server.make()
        database = new_job(server, lease_s=4.0)
        with Ledger(PostgreSQL.create(database, "job-1")) as ledger:
            ledger.change(lambda it: it.plan.replace(make_plan(10)))
            others = [psycopg.connect(server.url()) for _ in range(6)]
            with pytest.raises(
                StorageError, match=r"out of reach: .*(too many clients|slots are reserved).*same command"
            ):
                PostgreSQL.open_to_read(database)
            with postgres_of(ledger)._lock:
                postgres_of(ledger)._line.close()
                while len(others) < 7:  # its place is free once the server has noticed
                    with suppress(psycopg.OperationalError):
                        others.append(psycopg.connect(server.url()))
            timer = threading.Timer(1.0, others.pop().close)
            timer.start()
            ledger.change(release(1))
            timer.join()
            for other in others:
                other.close()
            with reader_of(ledger) as reader:
                assert released(reader) == [1]
    finally:
        server.remove()
