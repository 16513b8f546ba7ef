"""A ledger in a database from which nothing comes any more: no answer, no refusal, no end of the connection."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from orchestrator.errors import LockedError, StorageError
from orchestrator.ledger import Database, Ledger
from orchestrator.ledger import lease as leases
from orchestrator.ledger import line as lines
from orchestrator.ledger import postgres as postgres_module
from orchestrator.ledger.line import LineLostError
from orchestrator.ledger.postgres import PostgreSQL, has_job
from orchestrator.records import Plan
from orchestrator.tasks import State
from tests.ledgers import everything, planned_job, postgres_of, reader_of, release, released
from tests.postgres import Proxy, Server

MakePlan = Callable[..., Plan]
Swallows = Callable[[int, bool, bytes], bool]

LOST: dict[str, Callable[[bool], bool]] = {
    "questions": lambda of_client: of_client,
    "answers": lambda of_client: not of_client,
    "both": lambda _of_client: True,
}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all bounds be short; that there are such is what is tested."""
    monkeypatch.setattr(lines, "CONNECT_S", 1)
    monkeypatch.setattr(lines, "SILENCE_S", 1)
    monkeypatch.setattr(lines, "LOCK_S", 0)
    monkeypatch.setattr(lines, "WATCH_S", 0.1)


@pytest.fixture
def begun(postgres: Server, make_plan: MakePlan) -> Database:
    """Give a job that is planned in a database, and whose lease is free."""
    return planned_job(postgres, make_plan(400), lease_s=6.0)


def behind(proxy: Proxy, database: Database) -> Database:
    return replace(database, url=proxy.url())


def connections(proxy: Proxy) -> int:
    return len(proxy._pairs)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_a_connection_that_is_forgotten_amid_commits(
    begun: Database, proxy: Proxy, lost: Callable[[bool], bool]
) -> None:
    """Whether the server has got a commit is looked up on a new connection; it has happened once, and all goes on."""
    with Ledger(PostgreSQL.open(behind(proxy, begun))) as ledger:
        for chunk in (1, 2):
            old = connections(proxy)
            proxy.swallows = lambda number, of_client, _data, old=old: number < old and lost(of_client)  # type: ignore[misc]
            with within(10):
                ledger.change(release(chunk))
            assert postgres_of(ledger).holds
            with reader_of(ledger) as reader:
                assert everything(reader) == everything(ledger)
                assert released(reader) == list(range(1, chunk + 1))


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_a_server_that_does_not_come_back(
    begun: Database, proxy: Proxy, lost: Callable[[bool], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends, with one message; what it could not look up it takes for nothing, and the next one finds it."""
    monkeypatch.setattr(postgres_module, "PATIENCE_LEASES", 0.1)
    ledger = Ledger(PostgreSQL.open(behind(proxy, begun)))
    proxy.swallows = lambda _number, of_client, _data: lost(of_client)
    with within(20):
        with pytest.raises(
            StorageError, match=r"out of reach: .*; see that the server can be reached, and run the same"
        ):
            ledger.change(release(1))
        assert not postgres_of(ledger).holds
        with pytest.raises(StorageError, match="out of reach"):
            ledger.change(release(2))
        ledger.close()
    # One whose answer was lost has happened; one of which the server has heard nothing has not.
    with Ledger(PostgreSQL.open(begun)) as again:
        assert released(again) == ([1] if lost(False) and not lost(True) else [])  # noqa: FBT003
        again.change(release(3))


def test_one_that_renews_its_lease(begun: Database, proxy: Proxy) -> None:
    """A renewal of which nothing is heard is given up, and the next one goes by a new connection."""
    with Ledger(PostgreSQL.open(behind(proxy, begun))) as ledger:
        connection = postgres_of(ledger)
        old = connections(proxy)
        proxy.swallows = lambda number, _of_client, _data: number < old
        with within(5):
            connection._look_after()
        assert not connection._line.is_open
        before = connection._heard_at
        connection._look_after()
        assert connection._heard_at > before
        with pytest.raises(LockedError):
            PostgreSQL.open(begun)


def test_a_connection_that_was_ended_is_soon_made_anew(begun: Database, postgres: Server) -> None:
    """What ends idle connections leaves a lease unrenewed for a moment, and not until the next renewal is due."""
    with Ledger(PostgreSQL.open(begun)) as ledger:
        line = lines.Line(begun)
        line.open()
        try:
            before = leases.look(line, begun.job)
            assert before is not None
            postgres.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity, numbercheck.lease "  # noqa: S608
                f"WHERE pid = backend AND name = '{begun.job}'"
            )
            began = time.monotonic()
            while (now := leases.look(line, begun.job)) is not None and now.epoch == before.epoch:
                assert time.monotonic() - began < 3.5, "the lease is renewed once in 2 s, and at once where that failed"
            assert postgres_of(ledger).holds
        finally:
            line.close()


@pytest.mark.parametrize("message", range(1, 12))
def test_silence_at_any_message_of_an_opening(
    begun: Database, proxy: Proxy, message: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for writing says so; one for reading is begun anew."""
    proxy.swallows = lambda number, _of_client, _data: number == 0 and proxy.messages >= message
    with within(10), Ledger(PostgreSQL.open_to_read(behind(proxy, begun))) as reader:
        assert len(reader.tasks.select(State.PLANNED)) == 1_200
    assert connections(proxy) == 2
    proxy.swallows = lambda number, _of_client, _data: number == 2 and proxy.messages - before >= message
    before = proxy.messages
    with (
        within(10),
        pytest.raises(StorageError, match=r"out of reach: .*; see that the server can be reached, and run"),
    ):
        PostgreSQL.open(behind(proxy, begun))
    monkeypatch.undo()
    with Ledger(PostgreSQL.open(begun)) as ledger:  # at most, its lease has to run out
        ledger.change(release(1))


def test_half_of_what_was_sent(begun: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server waits for the rest, without a limit of its own, and has the lease's row: it is ended."""
    monkeypatch.undo()
    with psycopg.connect(begun.url) as broken, psycopg.connect(begun.url, autocommit=True) as looking:
        job = looking.execute("SELECT job FROM numbercheck.lease WHERE name = %s", (begun.job,)).fetchone()
        assert job is not None
        broken.pgconn.enter_pipeline_mode()
        claim, values = leases._claim(job[0])
        for statement in ("BEGIN", claim % values, "UPDATE numbercheck.lease SET epoch = 9"):
            broken.pgconn.send_query_params(statement.encode(), None)
        broken.pgconn.send_flush_request()
        broken.pgconn.flush()
        with within(30), Ledger(PostgreSQL.open(begun)) as ledger:
            ledger.change(release(1))
            assert released(ledger) == [1]
        broken.close()


def test_a_machine_that_vanishes_amid_what_it_sends(begun: Database, postgres: Server) -> None:
    """The server asks, within seconds, whether it is still there: else it would keep its rows from others for hours."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    postgres.stop()
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
    over_tcp = Server(postgres.folder, settings=("listen_addresses=127.0.0.1", f"port={port}"))
    over_tcp.port = port
    try:
        over_tcp.start()
        line = lines.Line(replace(begun, url=f"postgresql://orchestrator@127.0.0.1:{port}/jobs"))
        line.open()
        ((seen,),) = line.transact([("SELECT " + ", ".join(f"current_setting('{name}')" for name in names), ())])
        line.close()
    finally:
        over_tcp.stop()
        postgres.start()
    assert seen == ("10", "5", "3")


def test_a_reading_that_stalls_in_its_middle(begun: Database, proxy: Proxy) -> None:
    """It is given up once nothing has come for a while, however much has, and begun anew."""
    read = 0

    def swallows(number: int, of_client: bool, data: bytes) -> bool:  # noqa: FBT001
        nonlocal read
        read += len(data) * (number == 0 and not of_client)
        return read > 60_000 and number == 0

    proxy.swallows = swallows
    with within(10), Ledger(PostgreSQL.open_to_read(behind(proxy, begun))) as reader:
        assert len(reader.tasks.select(State.PLANNED)) == 1_200
    assert connections(proxy) == 2


def test_a_reading_that_takes_its_time(begun: Database, proxy: Proxy) -> None:
    """As long as something comes it goes on, also for longer than a silence would be borne."""
    line = lines.Line(behind(proxy, begun))
    line.open()
    rows = "SELECT g, repeat('x', 9000), pg_sleep(0.1)::text FROM generate_series(1, 20) AS g"  # more than is kept back
    try:
        assert len(list(line.copied(f"COPY ({rows}) TO STDOUT (FORMAT binary)", ["int4", "text", "text"]))) == 20
    finally:
        line.close()


def test_a_wait_for_the_lease_of_another_one(begun: Database, proxy: Proxy) -> None:
    """Whoever waits for it hears of it when the database is out of reach meanwhile."""

    def told(said: str) -> None:
        assert said.startswith("waiting for up to ")
        proxy.swallows = lambda _number, _of_client, _data: True

    with (
        Ledger(PostgreSQL.open(begun)),
        within(10),
        pytest.raises(StorageError, match=r"out of reach: it answers nothing; see that the server can be reached"),
    ):
        PostgreSQL.open(behind(proxy, begun), told)


def test_silence_behind_a_refusal(begun: Database, proxy: Proxy) -> None:
    """The way back to a usable connection has its bound as well."""
    line = lines.Line(behind(proxy, begun))
    line.open()
    proxy.swallows = lambda _number, _of_client, data: b"ROLLBACK" in data
    with within(5), pytest.raises(LineLostError):
        line.transact([("SELECT 1 / 0", ())])
    assert not line.is_open


def test_a_turn_at_a_vendor(begun: Database, proxy: Proxy) -> None:
    """What may be asked for twice is, by a new connection."""
    with Ledger(PostgreSQL.open(behind(proxy, begun))) as ledger:
        old = connections(proxy)
        proxy.swallows = lambda number, of_client, _data: number < old and not of_client
        with within(10):
            assert ledger.connection.turn("silent", "a", places=1, spacing_s=0.01, slack_s=0.0).spacing_s == 0.01


def test_what_swallows_all_that_is_said(begun: Database, proxy: Proxy) -> None:
    """It is given up, also where nobody has the lease yet."""
    proxy.swallows = lambda _number, of_client, data: not of_client and data[:1] != b"R"  # what follows the greeting
    with within(10), pytest.raises(StorageError, match="out of reach"):
        has_job(behind(proxy, begun))


# --- a row that somebody holds ---------------------------------------------------------------------------------------


def test_a_lease_whose_row_is_locked(begun: Database, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end, and the message says what to do."""
    import psycopg  # noqa: PLC0415 - its extra may be missing

    monkeypatch.setattr(leases, "TAKE_TRIES", 2)
    monkeypatch.setattr(lines, "LOCK_S", 5)
    with psycopg.connect(postgres.url("postgres")) as person:
        person.execute("SELECT * FROM numbercheck.lease WHERE name = %s FOR UPDATE", (begun.job,))
        with within(15), pytest.raises(StorageError, match=r"lock timeout; another transaction there holds .* end it"):
            PostgreSQL.open(begun)
    PostgreSQL.open(begun).close()


def test_a_commit_that_can_not_be_looked_up(
    begun: Database, postgres: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the look is refused says nothing of the commit: it is not taken for one that was refused itself."""
    import psycopg  # noqa: PLC0415 - its extra may be missing

    monkeypatch.setattr(lines, "LOCK_S", 5)
    monkeypatch.setattr(postgres_module, "PATIENCE_LEASES", 0.1)
    ledger = Ledger(PostgreSQL.open(behind(proxy, begun)))
    person = psycopg.connect(postgres.url("postgres"))
    old, heard = connections(proxy), False

    def lock_behind_it(number: int, of_client: bool, data: bytes) -> bool:  # noqa: FBT001
        nonlocal heard
        if number < old and not of_client and data and not heard:
            heard = True  # the commit has happened; before anybody looks, the row is a person's
            person.execute("SELECT * FROM numbercheck.lease WHERE name = %s FOR UPDATE", (begun.job,))
            proxy.cut()
        return number < old and not of_client

    proxy.swallows = lock_behind_it
    try:
        with within(60), pytest.raises(StorageError, match=r"out of reach: .* lock timeout; another .* end it"):
            ledger.change(release(1))
        assert heard
    finally:
        person.rollback()
        person.close()
    with pytest.raises(StorageError, match="lock timeout"):
        ledger.change(release(2))
    ledger.close()
    with Ledger(PostgreSQL.open(begun)) as again:
        assert released(again) == [1]
