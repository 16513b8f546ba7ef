"""Group commit on the event loop, in virtual time, with a real ledger."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from orchestrator.errors import StorageError
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.ledger.writer import AT_ONCE
from orchestrator.tasks import IllegalTransitionError, TaskKey
from tests.ledgers import reader_of, release, released, sqlite_of

pytestmark = pytest.mark.looptime


@pytest.fixture
async def writer(ledger: Ledger) -> AsyncIterator[LedgerWriter]:
    opened = LedgerWriter(ledger)
    yield opened
    await opened.close()


@pytest.fixture
def commits(ledger: Ledger) -> list[str]:
    """Collect the commits that reach SQLite."""
    seen: list[str] = []
    sqlite_of(ledger)._sql.set_trace_callback(
        lambda statement: seen.append(statement) if statement == "COMMIT" else None
    )
    return seen


class Gate:
    """A change that keeps the ledger's thread busy until it is opened."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.entered = asyncio.Event()
        self.opened = threading.Event()

    def __call__(self, _: Ledger) -> str:
        self.loop.call_soon_threadsafe(self.entered.set)
        assert self.opened.wait(10)
        return "through"


def grow(ledger: Ledger) -> None:
    release(1)(ledger)
    ledger.transitions.doubt(TaskKey("instagram", 1), "long " * 10_000, at=1.0)


async def all_of(writer: LedgerWriter, *changes: Callable[[Ledger], Any], small: bool = False) -> list[Any]:
    ask = writer.do_small if small else writer.do
    return await asyncio.gather(*map(ask, changes), return_exceptions=True)


small = pytest.mark.parametrize("small", [False, True], ids=["do", "do_small"])


@small
async def test_a_change_is_durable_when_its_result_is_there(
    ledger: Ledger, writer: LedgerWriter, *, small: bool
) -> None:
    """`do` and `record` return what the change returned, and a reader sees the change by then."""
    serial, _ = await all_of(writer, lambda it: it.begin_run(at=2.0, host="here", pid=9), release(1), small=small)
    assert serial == 2
    with reader_of(ledger) as reader:
        assert (reader.runs.serial, released(reader)) == (2, [1])


@small
async def test_changes_of_one_moment_share_a_commit(writer: LedgerWriter, commits: list[str], *, small: bool) -> None:
    """A hundred callers cost one sync."""
    await all_of(writer, *[lambda it: it.platforms.count_status_calls("instagram", 1)] * 100, small=small)
    assert len(commits) == 1


async def test_changes_that_come_during_a_commit_share_the_next(
    ledger: Ledger, writer: LedgerWriter, commits: list[str]
) -> None:
    """While one commit is on its way the others gather, and go together with the next."""
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(writer.do(gate))
        await gate.entered.wait()
        for chunk in (1, 2, 3, 4):
            group.create_task(writer.do(release(chunk)))
            await asyncio.sleep(0.01)
        gate.opened.set()
    assert first.result() == "through"
    assert len(commits) == 2
    assert released(ledger) == [1, 2, 3, 4]


async def test_changes_are_made_in_the_order_of_asking(writer: LedgerWriter) -> None:
    """A change may rely on each one that was asked for before, within a commit and from one to the next."""
    order: list[int] = []
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.do(lambda _: order.append(0)))
        group.create_task(writer.do(gate))
        await gate.entered.wait()
        for number in range(1, 20):
            group.create_task(writer.do(lambda _, number=number: order.append(number)))  # type: ignore[misc]  # mypy can't infer a default
        gate.opened.set()
    assert order == list(range(20))


async def test_only_the_sync_of_a_small_change_is_the_threads(ledger: Ledger, writer: LedgerWriter) -> None:
    """`record` makes the change on the event loop, and what only reads never leaves it; `do` needs no turn of it."""
    threads: dict[str, int] = {}

    def note(statement: str) -> None:
        threads[statement.split(maxsplit=1)[0]] = threading.get_ident()

    sqlite_of(ledger)._sql.set_trace_callback(note)
    here = threading.get_ident()
    await writer.do_small(release(1))
    assert (threads["UPDATE"] == here, threads["COMMIT"] == here) == (True, False)
    assert await writer.do_small(released) == [1]
    assert threads["COMMIT"] == here
    await writer.do(release(2))
    assert (threads["UPDATE"] == here, threads["COMMIT"] == here) == (False, False)


async def test_many_changes_of_one_moment_let_the_loop_breathe(writer: LedgerWriter, commits: list[str]) -> None:
    """No more than some go together, so that the event loop is not held for long."""
    await all_of(writer, *[lambda it: it.platforms.count_status_calls("instagram", 1)] * (AT_ONCE + 1), small=True)
    assert len(commits) == 2


@small
async def test_a_failing_change_fails_its_caller_alone(ledger: Ledger, writer: LedgerWriter, *, small: bool) -> None:
    """The exception comes out at the one who asked; changes of the same commit are made, and later ones too."""
    outcomes = await all_of(writer, release(1), release(1), release(2), small=small)
    assert [type(outcome) for outcome in outcomes] == [type(None), IllegalTransitionError, type(None)]
    await writer.do(release(3))
    assert released(ledger) == [1, 2, 3]


async def test_a_cancelled_caller_leaves_its_change(ledger: Ledger, writer: LedgerWriter) -> None:
    """Cancellation escapes at once; what was asked for is committed all the same, and nobody else is disturbed."""
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(writer.do(gate))
        await gate.entered.wait()
        waiting = group.create_task(writer.do(release(1)))
        other = group.create_task(writer.do(release(2)))
        await asyncio.sleep(0)
        first.cancel()
        waiting.cancel()
        await asyncio.sleep(0)
        assert first.cancelled()
        assert waiting.cancelled()
        gate.opened.set()
    await other
    assert released(ledger) == [1, 2]


async def test_a_deadline_is_kept_while_a_commit_hangs(writer: LedgerWriter) -> None:
    """`asyncio.timeout` round a change ends on time, by the loop's clock, although the thread is still busy."""
    gate = Gate()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await writer.do(gate)
    assert loop.time() - begun == pytest.approx(0.05)
    gate.opened.set()


async def test_virtual_time_stands_still_during_a_commit(writer: LedgerWriter) -> None:
    """A commit takes no time of the loop's clock."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for chunk in (1, 2, 3):
        await writer.do(release(chunk))
    assert loop.time() == begun


@small
async def test_after_a_failed_commit_nothing_is_written(ledger: Ledger, writer: LedgerWriter, *, small: bool) -> None:
    """A failed commit fails all its callers and all later ones, even if the disk is well again."""
    pages = ledger.connection.value("PRAGMA page_count")
    sqlite_of(ledger)._sql.execute(f"PRAGMA max_page_count = {pages}")
    outcomes = await all_of(writer, release(2), grow, release(3), small=small)
    assert [type(outcome) for outcome in outcomes] == [StorageError] * 3
    sqlite_of(ledger)._sql.execute("PRAGMA max_page_count = 100000")
    with pytest.raises(StorageError, match="disk is full"):
        await writer.do(release(4))
    assert released(ledger) == []


async def test_those_who_came_during_a_failing_commit_fail_as_well(ledger: Ledger, writer: LedgerWriter) -> None:
    """Nobody waits for ever for a commit that will not come."""
    gate = Gate()
    pages = ledger.connection.value("PRAGMA page_count")
    sqlite_of(ledger)._sql.execute(f"PRAGMA max_page_count = {pages}")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(all_of(writer, gate, grow))
        await gate.entered.wait()
        second = group.create_task(all_of(writer, release(2), release(3)))
        await asyncio.sleep(0)
        gate.opened.set()
    assert [type(outcome) for outcome in first.result() + second.result()] == [StorageError] * 4


async def test_an_error_of_the_program_leaves_nobody_waiting(ledger: Ledger) -> None:
    """What is neither an error of a change nor of the disk ends the writer; callers are told, `close` tells what."""

    def broken(_: Ledger) -> None:
        raise ZeroDivisionError

    writer = LedgerWriter(ledger)
    ledger.commit = broken  # type: ignore[method-assign, assignment]  # stands for any fault below
    outcomes = await all_of(writer, release(1), release(2))
    assert [type(outcome) for outcome in outcomes] == [StorageError] * 2
    assert "the ledger's writer died of ZeroDivisionError" in str(outcomes[0])
    with pytest.raises(StorageError, match="died"):
        await writer.do(release(3))
    with pytest.raises(ZeroDivisionError):
        await writer.close()


async def test_close_waits_for_what_was_asked_for(ledger: Ledger) -> None:
    """Everything asked for before is committed; the ledger stays open; asking later is an error."""
    writer = LedgerWriter(ledger)
    asked = [asyncio.create_task(writer.do(release(chunk))) for chunk in (1, 2, 3)]
    await asyncio.sleep(0)
    await writer.close()
    await asyncio.gather(*asked)
    assert released(ledger) == [1, 2, 3]
    with pytest.raises(RuntimeError, match="closed"):
        await writer.do(release(4))
    await writer.close()


async def test_close_of_an_unused_writer(ledger: Ledger) -> None:
    """There is nothing to wait for."""
    await LedgerWriter(ledger).close()


async def test_a_cancelled_close_leaves_no_thread_behind(ledger: Ledger) -> None:
    """It waits for the commit on its way only: then the ledger can be closed, and whoever still waits is told."""
    writer = LedgerWriter(ledger)
    gate = Gate()
    first = asyncio.create_task(writer.do(gate))
    await gate.entered.wait()
    late = asyncio.create_task(writer.do(release(1)))
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    threading.Timer(0.05, gate.opened.set).start()
    closing.cancel()
    outcomes = await asyncio.gather(closing, first, late, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, str, StorageError]
    assert released(ledger) == []


@pytest.mark.parametrize("empty_ledger", ["sqlite"], indirect=True)
async def test_reading_through_the_writer_costs_no_sync(ledger: Ledger, writer: LedgerWriter) -> None:
    """A read sees every change before it, and writes nothing to the log."""
    await writer.do(release(1))
    log = sqlite_of(ledger).path.with_name("ledger.sqlite-wal")
    before = log.stat().st_size
    assert await writer.do(released) == [1]
    assert log.stat().st_size == before
