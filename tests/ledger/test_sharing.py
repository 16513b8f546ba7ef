"""What jobs of one database share at a vendor: turns by its clock, and one budget in the releases' commits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from orchestrator.dispatch.pace import wait_to_leave
from orchestrator.errors import BudgetError, LeaseLostError, StorageError
from orchestrator.job.shared import vendor_pace
from orchestrator.ledger import Database, Ledger, LedgerWriter, ledger_path
from orchestrator.ledger import lease as leases
from orchestrator.ledger.postgres import PostgreSQL
from orchestrator.ledger.sharing import TURN, fingerprint
from orchestrator.records import Plan
from orchestrator.settings import VendorSettings
from orchestrator.tasks import State, TaskKey
from tests.ledgers import new_job, postgres_of, reader_of
from tests.postgres import Proxy, Server

MakePlan = Callable[..., Plan]
Planned = Callable[..., Ledger]

_VENDORS = count(1)
COST = 1_000


@pytest.fixture
def vendor() -> str:
    """Name a vendor that no other test knows."""
    return f"vendor-{next(_VENDORS)}"


@pytest.fixture
def planned(postgres: Server, make_plan: MakePlan) -> Iterator[Planned]:
    """Plan jobs of `chunks` chunks for instagram in the database; each is closed with the test."""
    with ExitStack() as stack:

        def make(chunks: int = 20, lease_s: float = 30.0) -> Ledger:
            ledger = stack.enter_context(Ledger(PostgreSQL.create(new_job(postgres, lease_s), "job")))
            ledger.change(lambda it: it.plan.replace(make_plan(chunks, ("instagram",))))
            ledger.change(lambda it: it.begin_run(at=1.0, host="here", pid=7))
            return ledger

        yield make


def share(ledger: Ledger, *vendors: str) -> None:
    ledger.connection.share({vendor: ["instagram"] for vendor in vendors})


def release(chunk: int, most: int | None, cost: int = COST) -> Callable[[Ledger], None]:
    key = TaskKey("instagram", chunk)
    return lambda it: it.transitions.release(key, cost_nano=cost, max_cost_nano=most, at=1.0)


def finish(chunk: int) -> Callable[[Ledger], None]:
    key = TaskKey("instagram", chunk)

    def change(ledger: Ledger) -> None:
        ledger.transitions.accept(key, f"id-{chunk}", total=10, at=2.0)
        ledger.transitions.finish(key, {"yes": 10}, at=3.0, detail={})

    return change


def released(ledger: Ledger) -> int:
    return len(ledger.tasks.select(State.RELEASED))


def spent(server: Server, vendor: str) -> int:
    ((nano,),) = server.sql(f"SELECT spent_nano FROM numbercheck.spending WHERE vendor = '{vendor}'")  # noqa: S608
    assert isinstance(nano, int)
    return nano


# --- turns -----------------------------------------------------------------------------------------------------------


def test_turns_follow_one_another(planned: Planned, vendor: str) -> None:
    """Each begins where the one before it ends; whoever had the last one goes on within it."""
    one, other = planned(), planned()
    ask = {"places": 10, "spacing_s": 0.1, "slack_s": 0.02}
    first = one.connection.turn(vendor, "a", **ask)  # type: ignore[arg-type]
    assert (first.begins_s, round(first.ends_s, 6), first.spacing_s) == (0.0, 1.02, 0.1)
    assert one.connection.turn(vendor, "a", **ask).begins_s == 0.0  # type: ignore[arg-type]
    second = other.connection.turn(vendor, "b", **ask)  # type: ignore[arg-type]
    assert 0.5 < second.begins_s <= 1.02
    assert second.ends_s - second.begins_s == pytest.approx(1.02)
    third = one.connection.turn(vendor, "a", **ask)  # type: ignore[arg-type]
    assert 1.5 < third.begins_s <= 2.04
    assert one.connection.turn(f"{vendor}-other", "a", **ask).begins_s == 0.0  # type: ignore[arg-type]


def test_no_two_turns_overlap(planned: Planned, vendor: str) -> None:
    """However many ask at once, by connections of their own."""
    lines = [postgres_of(planned(1))._line for _ in range(4)]
    clock = ("SELECT extract(epoch FROM clock_timestamp())::float8", ())
    given: list[tuple[float, float, float]] = []

    def ask(number: int) -> None:
        for turn in range(20):
            statement = TURN, (vendor, f"{number} {turn}", 1, 0.01, 0.01)
            (((before_s,),), ((begins_s, ends_s, spacing_s),), ((behind_s,),)) = lines[number].transact(
                [clock, statement, clock]
            )
            # The last time is read while the row is still locked: so these times have the order of the turns.
            given.append((behind_s, behind_s + begins_s, before_s + ends_s - spacing_s))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 80
    for (_, _, last_s), (_, first_s, _) in pairwise(sorted(given)):
        assert first_s - last_s >= 0.01 - 1e-6


def test_the_lowest_limit_of_jobs_that_are_told_different_ones(planned: Planned, vendor: str) -> None:
    """As long as somebody goes by it."""
    one, other = planned(), planned()
    assert one.connection.turn(vendor, "a", places=1, spacing_s=0.01, slack_s=0.0).spacing_s == 0.01
    assert other.connection.turn(vendor, "b", places=1, spacing_s=0.02, slack_s=0.0).spacing_s == 0.02
    assert one.connection.turn(vendor, "a", places=1, spacing_s=0.01, slack_s=0.0).spacing_s == 0.02


def test_the_lowest_limit_is_forgotten(planned: Planned, postgres: Server, vendor: str) -> None:
    """A minute after nobody has asked for it any more."""
    one = planned()
    one.connection.turn(vendor, "a", places=1, spacing_s=0.02, slack_s=0.0)
    postgres.sql(f"UPDATE numbercheck.turns SET spaced_at = spaced_at - 61 WHERE vendor = '{vendor}'")  # noqa: S608
    assert one.connection.turn(vendor, "a", places=1, spacing_s=0.01, slack_s=0.0).spacing_s == 0.01


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_jumps(planned: Planned, postgres: Server, vendor: str, hours: int) -> None:
    """One that was put back makes nobody wait for the time by which it was; nor does one that was put forward."""
    one, other = planned(), planned()
    one.connection.turn(vendor, "a", places=10, spacing_s=0.1, slack_s=0.0)
    columns = ("asked_at", "begins_at", "ends_at", "spaced_at")
    shift = ", ".join(f"{column} = {column} - {hours * 3600}" for column in columns)
    postgres.sql(f"UPDATE numbercheck.turns SET {shift} WHERE vendor = '{vendor}'")  # noqa: S608
    assert other.connection.turn(vendor, "b", places=1, spacing_s=0.1, slack_s=0.0).begins_s <= 1.0


def test_a_turn_over_a_connection_that_breaks(planned: Planned, postgres: Server, vendor: str) -> None:
    """It is asked for again: a turn that nobody heard of runs out."""
    proxy = Proxy(postgres.socket)
    try:
        first = postgres_of(planned(4))
        first.close()
        database = replace(first._database, url=proxy.url())
        with Ledger(PostgreSQL.open(database)) as ledger:
            for answer_lost in (False, True):
                proxy.answer_lost, proxy.cut_at = answer_lost, proxy.messages + 1
                assert ledger.connection.turn(vendor, "a", places=1, spacing_s=0.01, slack_s=0.0).begins_s < 1.0
            ledger.change(release(1, None))
            assert released(ledger) == 1
    finally:
        proxy.close()


def test_no_turn_for_one_that_lost_its_job(planned: Planned, vendor: str, postgres: Server) -> None:
    """A coordinator that was replaced asks for nothing, once it knows."""
    ledger = planned()
    name = postgres_of(ledger)._database.job
    postgres.sql(f"UPDATE numbercheck.lease SET epoch = epoch + 1 WHERE name = '{name}'")  # noqa: S608
    with pytest.raises(LeaseLostError):
        ledger.change(release(1, None))
    with pytest.raises(LeaseLostError):
        ledger.connection.turn(vendor, "a", places=1, spacing_s=0.01, slack_s=0.0)


async def test_two_runs_call_a_vendor_by_turns(planned: Planned, vendor: str) -> None:
    """Whichever of them sends, calls are as far apart as those of one."""
    settings = VendorSettings(base_url="https://vendor.example", requests_per_second=20.0)
    loop = asyncio.get_running_loop()
    writers = [LedgerWriter(planned(1)) for _ in range(2)]
    left: list[float] = []

    async def send(writer: LedgerWriter) -> None:
        pace = vendor_pace(settings, vendor, writer, now=loop.time())
        for _ in range(5):
            await wait_to_leave(pace)
            left.append(loop.time())

    await asyncio.gather(*map(send, writers))
    for writer in writers:
        await writer.close()
    assert len(left) == 10
    assert min(later - earlier for earlier, later in pairwise(sorted(left))) >= 0.04  # read a moment after it left


async def test_the_writer_asks_on_its_own_thread(planned: Planned, vendor: str) -> None:
    """Beside commits, and not at all once one has failed."""
    writer = LedgerWriter(planned())
    turn, _ = await asyncio.gather(
        writer.turn(vendor, "a", places=1, spacing_s=0.5, slack_s=0.1), writer.do_small(release(1, None))
    )
    assert (turn.begins_s, turn.spacing_s) == (0.0, 0.5)
    await writer.close()


# --- the budget ------------------------------------------------------------------------------------------------------


def test_what_both_spend_counts_for_both(planned: Planned, postgres: Server, vendor: str) -> None:
    """To the task: neither releases what does not fit with the other's; what was put off is given back to both."""
    one, other = planned(), planned()
    for ledger in (one, other):
        share(ledger, vendor)
    most = 5 * COST
    for chunk in (1, 2):
        one.change(release(chunk, most))
        other.change(release(chunk, most))
    one.change(release(3, most))
    assert spent(postgres, vendor) == most
    for ledger in (one, other):
        with pytest.raises(BudgetError, match=r"would exceed max_cost of 5e-06 USD, of which other jobs have spent"):
            ledger.change(release(4, most))
    one.change(lambda it: it.transitions.put_off(TaskKey("instagram", 3), "busy", at=2.0))
    other.change(release(3, most))
    assert (spent(postgres, vendor), released(one), released(other)) == (most, 2, 3)


def test_a_race_for_the_last_dollar(planned: Planned, postgres: Server, vendor: str) -> None:
    """Two coordinators that release at once, in commits of several: never more than fits, and all of what fits."""
    ledgers = [planned(40), planned(40)]
    most = 25 * COST
    for ledger in ledgers:
        share(ledger, vendor)
    refused: list[BudgetError] = []

    async def spend(writer: LedgerWriter) -> None:
        asked = [writer.do_small(release(chunk, most)) for chunk in range(1, 41)]
        refused.extend(
            error for error in await asyncio.gather(*asked, return_exceptions=True) if isinstance(error, BudgetError)
        )

    async def both() -> None:
        writers = [LedgerWriter(ledger) for ledger in ledgers]
        await asyncio.gather(*map(spend, writers))
        for writer in writers:
            await writer.close()

    asyncio.run(both())
    assert sum(map(released, ledgers)) == 25
    assert len(refused) == 80 - 25
    assert spent(postgres, vendor) == most
    for ledger in ledgers:
        assert ledger.platforms.spent_nano() == released(ledger) * COST


def test_a_refused_release_takes_nothing_with_it(planned: Planned, vendor: str) -> None:
    """What others spent meanwhile is found out in the commit: its release is refused, its other changes are made."""
    one, other = planned(), planned()
    for ledger in (one, other):
        share(ledger, vendor)
    one.change(release(1, None))
    other.change(release(1, None, cost=9 * COST))  # one has not heard of it
    assert one.connection.others_nano == 0
    outcomes = one.commit([finish(1), release(2, 5 * COST), lambda it: it.tasks.get(TaskKey("instagram", 3))])
    assert outcomes[0] is None
    assert isinstance(outcomes[1], BudgetError)
    assert [task.key.chunk for task in one.tasks.select(State.DONE)] == [1]
    assert one.connection.others_nano == 9 * COST
    one.change(release(2, 20 * COST))
    assert released(one) == 1


def test_a_release_that_has_happened_is_not_refused(
    planned: Planned, postgres: Server, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer was lost, and another job has spent what was left meanwhile: sent once more it would fail."""
    proxy, other, settle = Proxy(postgres.socket), planned(), leases.settle
    share(other, vendor)

    def spend_first(*arguments: Any) -> Any:
        other.change(release(1, None, 5 * COST))
        return settle(*arguments)

    monkeypatch.setattr(leases, "settle", spend_first)
    try:
        first = postgres_of(planned())
        first.close()
        with Ledger(PostgreSQL.open(replace(first._database, url=proxy.url()))) as ledger:
            share(ledger, vendor)
            proxy.answer_lost, proxy.cut_at = True, proxy.messages + 1
            ledger.change(release(1, 2 * COST))
            assert (released(ledger), ledger.platforms.spent_nano()) == (1, COST)
        assert spent(postgres, vendor) == 6 * COST
    finally:
        proxy.close()


def test_what_had_ended_before_does_not_count(planned: Planned, postgres: Server, vendor: str) -> None:
    """A job that has come to its end is no matter of those that begin after it; one that has not is, wholly."""
    ended, unfinished = planned(2), planned(2)
    for ledger in (ended, unfinished):
        share(ledger, vendor)
    for chunk in (1, 2):
        ended.change(release(chunk, None, cost=100 * COST))
        ended.change(finish(chunk))
    unfinished.change(release(1, None))
    unfinished.change(finish(1))
    ended.close()
    unfinished.close()
    later = planned()
    share(later, vendor)
    assert later.connection.others_nano == COST
    later.change(release(1, None))
    assert spent(postgres, vendor) == 202 * COST
    later.change(release(2, 3 * COST))
    with pytest.raises(BudgetError):
        later.change(release(3, 3 * COST))


def test_a_job_that_goes_on_after_its_end(planned: Planned, vendor: str) -> None:
    """What others spent while it had nothing to do is no part of what it shares from then on."""
    one = planned(1)
    share(one, vendor)
    one.change(release(1, None))
    one.change(finish(1))
    database = postgres_of(one)._database
    one.close()
    between = planned(1)
    share(between, vendor)
    between.change(release(1, None, cost=50 * COST))
    between.change(finish(1))
    between.close()
    with Ledger(PostgreSQL.open(database)) as again:
        share(again, vendor)
        assert again.connection.others_nano == 0


def test_what_others_spent_is_seen_without_a_run(planned: Planned, vendor: str) -> None:
    """By whoever reads, and by a job that has never been there; what is seen is what would count."""
    one, other, third = planned(), planned(), planned()
    for ledger in (one, other):
        share(ledger, vendor)
    one.change(release(1, None, 3 * COST))
    other.change(release(1, None))
    with reader_of(other) as reader:
        assert reader.connection.others_spent() == 3 * COST
    assert other.connection.others_spent([vendor]) == 3 * COST
    assert (third.connection.others_spent(), third.connection.others_spent([vendor])) == (0, 4 * COST)
    share(third, vendor)
    assert third.connection.others_nano == 4 * COST


def test_a_job_that_is_replaced_counts_on(planned: Planned, vendor: str) -> None:
    """A run that was killed leaves what it spent; the next one of the job knows what the others have."""
    one, other = planned(), planned()
    for ledger in (one, other):
        share(ledger, vendor)
    one.change(release(1, None))
    other.change(release(1, None, cost=7 * COST))
    database = postgres_of(one)._database
    one.close()
    with Ledger(PostgreSQL.open(database)) as again:
        share(again, vendor)
        assert again.connection.others_nano == 7 * COST
        again.change(release(2, None))
    share(other, vendor)
    assert other.connection.others_nano == 2 * COST


def test_a_job_with_two_vendors(planned: Planned, postgres: Server, make_plan: MakePlan, vendor: str) -> None:
    """At each it shares with whoever calls that one; its own budget is for both."""
    one, other = planned(), planned()
    with Ledger(PostgreSQL.create(new_job(postgres), "job")) as both:
        both.change(lambda it: it.plan.replace(make_plan(4, ("instagram", "amazon"))))
        both.connection.share({f"{vendor}-b": ["amazon"], f"{vendor}-a": ["instagram"]})
        share(one, f"{vendor}-a")
        share(other, f"{vendor}-b")
        one.change(release(1, None))
        other.change(release(1, None, cost=2 * COST))
        both.change(release(1, 10 * COST))
        assert both.connection.others_nano == 3 * COST
        amazon = TaskKey("amazon", 1)
        both.change(lambda it: it.transitions.release(amazon, cost_nano=4 * COST, max_cost_nano=10 * COST, at=1.0))
        one.change(release(2, None))
        other.change(release(2, None))
        assert (one.connection.others_nano, other.connection.others_nano) == (COST, 4 * COST)


def test_another_job_that_froze_in_the_middle_of_a_commit(planned: Planned, vendor: str, postgres: Server) -> None:
    """Its transaction holds what both charge. It is waited for until the database ends it, and nothing is lost."""
    import psycopg  # noqa: PLC0415 - its extra may be missing

    one, other = planned(), planned()
    for ledger in (one, other):
        share(ledger, vendor)
    with psycopg.connect(postgres.url()) as frozen:
        frozen.execute("SET idle_in_transaction_session_timeout = '7s'")
        frozen.execute("UPDATE numbercheck.spending SET spent_nano = spent_nano WHERE vendor = %s", (vendor,))
        began = time.monotonic()
        one.change(release(1, 5 * COST))
        assert time.monotonic() - began > 5.0
        assert released(one) == 1
        with pytest.raises(psycopg.Error):
            frozen.commit()


# --- what nobody is to find out --------------------------------------------------------------------------------------


def test_a_fingerprint_tells_keys_and_vendors_apart(planned: Planned, tmp_path: Path) -> None:
    """However an address is spelt it is the same vendor; another key, host or database is another one."""
    salt = "salt"
    same = {
        fingerprint(url, "key", salt)
        for url in ("https://api.example.com", "https://API.example.com:443/", "https://api.example.com/v2")
    }
    assert len(same) == 1
    others = {
        fingerprint("https://api.example.com", "kez", salt),
        fingerprint("https://api.example.org", "key", salt),
        fingerprint("http://api.example.com", "key", salt),
        fingerprint("https://api.example.com", "key", "another"),
    }
    assert len(others | same) == 5
    one, other = planned(1), planned(1)
    marks = {ledger.connection.fingerprint("https://api.example.com", "s3cret") for ledger in (one, other)}
    assert len(marks) == 1
    assert "s3cret" not in marks.pop()
    with Ledger.create(ledger_path(tmp_path), "job") as alone:
        assert not alone.connection.fingerprint("https://api.example.com", "key")


def test_trying_keys_is_slow() -> None:
    """A key of few letters would else be found from what the database has."""
    began = time.process_time()
    fingerprint("https://api.example.com", "key", "salt")
    assert time.process_time() - began > 0.01


def test_tables_of_before(postgres: Server, make_plan: MakePlan) -> None:
    """Those that jobs share are added to a database that has none, beside what it holds."""
    postgres.sql("CREATE DATABASE unshared OWNER orchestrator", database="postgres")
    database = Database(postgres.url(database="unshared"), "spring")
    with Ledger(PostgreSQL.create(database, "job")) as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(4, ("instagram",))))
        ledger.change(release(1, None))
    postgres.sql(
        "DROP TABLE numbercheck.spenders, numbercheck.spending, numbercheck.turns, numbercheck.salt; "
        "DROP FUNCTION numbercheck.charge, numbercheck.share, numbercheck.turn; "
        "UPDATE numbercheck.schema_version SET shape = 'before'",
        database="unshared",
    )
    with Ledger(PostgreSQL.open(database)) as ledger:
        share(ledger, "vendor")
        ledger.change(release(2, 2 * COST))
        with pytest.raises(BudgetError):
            ledger.change(release(3, 2 * COST))
    with Ledger(PostgreSQL.open_to_read(database)) as reader, pytest.raises(StorageError, match="not open for writing"):
        reader.connection.turn("v", "a", places=1, spacing_s=1.0, slack_s=0.0)
