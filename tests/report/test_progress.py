from __future__ import annotations

import asyncio
import io
import math
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import StorageError
from orchestrator.logger import log
from orchestrator.report.log import logging_to, wants_bars
from orchestrator.report.progress import ProgressTeller, progress
from orchestrator.report.readings import CourseSoFar, MoneySoFar, Overview, reading, slowest_s, together

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.records import Standing

    MakeStanding = Callable[..., Standing]

pytestmark = pytest.mark.looptime


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FakeLedger:
    """Gives one standing after the other; the last one for ever."""

    def __init__(self, *standings: Standing, money: MoneySoFar | None = None) -> None:
        self.standings = list(standings)
        self.money = money
        self.read_at: list[float] = []

    async def read(self) -> Overview:
        self.read_at.append(asyncio.get_running_loop().time())
        latest = self.standings.pop(0) if len(self.standings) > 1 else self.standings[0]
        return Overview({latest.platform: latest}, self.money)


async def run_for(shown: ProgressTeller, seconds: float) -> None:
    task = asyncio.create_task(shown.run())
    await asyncio.sleep(seconds)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


def lines_logged(stream: io.StringIO) -> list[str]:
    return [line.split(" progress  ")[1] for line in stream.getvalue().splitlines()]


def test_a_reading_sorts_tasks_by_what_people_ask_for(standing: MakeStanding) -> None:
    """Skipped tasks do not count; released ones are at the vendor; in doubt and stalled are both held."""
    now = reading(standing(planned=5, released=1, submitted=2, in_doubt=1, stalled=1, done=3, failed=1, skipped=7))
    assert (now.tasks, now.submitted, now.at_the_vendor, now.done, now.held, now.failed) == (14, 9, 3, 3, 2, 1)
    assert (now.rows_pending, now.rows_settled, now.percent) == (800, 600, 42)
    assert together([now, now]).rows_pending == 1_600
    assert together([now, now]).percent == 42


def test_nothing_is_all_done() -> None:
    """Without numbers there is no share of them."""
    assert together([]).percent == 0


def test_the_time_left_follows_from_the_speed_of_this_run(standing: MakeStanding) -> None:
    """What an earlier run did is no part of the speed: 2 of 6 open tasks in 60 s leave 120 s for the other 4."""
    course = CourseSoFar(
        reading(standing(planned=6, done=10)), reading(standing(planned=2, submitted=2, done=11, failed=1)), 60.0
    )
    assert (course.numbers_per_min, course.left_s) == (200.0, 120.0)


def test_the_time_left_is_unknown_before_the_first_result(standing: MakeStanding) -> None:
    """Nobody knows the speed of a vendor that has not answered yet; and a finished platform has no time left."""
    begun = CourseSoFar(reading(standing(planned=6)), reading(standing(submitted=6)), 50.0)
    done = CourseSoFar(reading(standing(done=6)), reading(standing(done=6)), 50.0)
    assert (begun.left_s, done.left_s, CourseSoFar(begun.now, begun.now, 0.0).left_s) == (None, 0.0, None)
    assert slowest_s([begun, done]) is None
    assert slowest_s([done, done]) == 0.0


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"CI": "true"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_bars_are_for_people(stream: io.StringIO, environ: dict[str, str], expected: bool) -> None:  # noqa: FBT001 - a table's column
    """Bars need a terminal that can move its cursor, and nobody watches one in CI."""
    assert wants_bars(stream, environ) is expected


async def test_lines_come_after_half_a_minute_then_every_minute_and_at_the_end(standing: MakeStanding) -> None:
    """A log that nobody watches gets a line at 30 s, 90 s, 150 s and at the end, if that says anything else."""
    ledger = FakeLedger(standing(submitted=4))
    stream = io.StringIO()
    with logging_to(stream, clock=lambda: 0.0, environ={}):
        await run_for(ProgressTeller(ledger.read), 200.0)
    assert ledger.read_at == [0.0, 30.0, 90.0, 150.0, 200.0]
    assert (
        lines_logged(stream)
        == ["percent=0 done=0 tasks=4 at_the_vendor=4 held=0 failed=0 numbers_per_min=0 by_platform=instagram:0/4"] * 3
    )


async def test_what_came_behind_the_last_minute_is_told(standing: MakeStanding) -> None:
    """The end is in the log, however soon it came after a line."""
    ledger, stream = FakeLedger(standing(done=3, submitted=1)), io.StringIO()
    with logging_to(stream, clock=lambda: 0.0, environ={}):
        task = asyncio.create_task(ProgressTeller(ledger.read).run())
        await asyncio.sleep(90.5)
        ledger.standings = [standing(done=4)]
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [line.split()[1] for line in lines_logged(stream)] == ["done=3", "done=3", "done=4"]


async def test_a_line_says_percentage_money_and_time_left(standing: MakeStanding) -> None:
    """What a person asks of a long job, once it is known; money where it costs some, of what it is to cost in all."""
    course = (standing(planned=4), standing(submitted=2, done=1, in_doubt=1), standing(done=3, failed=1))
    ledger = FakeLedger(*course, money=MoneySoFar(0.0007, 2.0, 50.0))
    stream = io.StringIO()
    with logging_to(stream, clock=lambda: 0.0, environ={}):
        await run_for(ProgressTeller(ledger.read), 31.0)
    money, left = "cost=0.0007USD planned=2.00USD", "by_platform=instagram:"
    assert lines_logged(stream) == [
        f"percent=50 done=1 tasks=4 at_the_vendor=2 held=1 failed=0 numbers_per_min=400 {money} left=30s {left}1/4",
        f"percent=100 done=3 tasks=4 at_the_vendor=0 held=0 failed=1 numbers_per_min=774 {money} left=0s {left}3/4",
    ]


async def test_a_platform_that_joins_later_is_shown_too(standing: MakeStanding) -> None:
    """The first reading of each platform is its own."""
    ledger = FakeLedger(standing(submitted=1), standing("amazon", submitted=1))
    stream = io.StringIO()
    with logging_to(stream, clock=lambda: 0.0, environ={}):
        await run_for(ProgressTeller(ledger.read), 31.0)
    assert all("by_platform=amazon:0/1" in line for line in lines_logged(stream))


async def test_speed_is_measured_from_the_first_submit_on(standing: MakeStanding) -> None:
    """However long the list was read: 200 numbers in 20 s are 600 in a minute."""
    ledger = FakeLedger(standing(planned=4), standing(planned=4), standing(done=2, planned=2))
    stream = io.StringIO()
    with logging_to(stream, clock=lambda: 0.0, environ={}):
        teller = ProgressTeller(ledger.read)
        task = asyncio.create_task(teller.run())
        await asyncio.sleep(10.0)
        await teller.begin()
        await asyncio.sleep(20.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "numbers_per_min=600" in lines_logged(stream)[-1]


async def test_while_the_list_is_being_read_there_is_nothing_to_tell() -> None:
    """However long that takes: no line, and no loop that spins."""
    reads = 0

    async def read() -> Overview:
        nonlocal reads
        reads += 1
        return Overview({})

    stream = io.StringIO()
    with logging_to(stream, clock=lambda: 0.0, environ={}):
        await run_for(ProgressTeller(read), 600.0)
    assert stream.getvalue() == ""
    assert reads == 12


async def test_a_ledger_that_fails_ends_the_run_and_not_its_end(standing: MakeStanding) -> None:
    """`StorageError` comes out while the run works; when it is cancelled, cancellation is what comes out."""

    class BrokenLedger(FakeLedger):
        async def read(self) -> Overview:
            if asyncio.get_running_loop().time() > 20.0:
                raise StorageError("gone")
            return await super().read()

    broken = BrokenLedger(standing(submitted=1))
    await run_for(ProgressTeller(broken.read), 25.0)
    with pytest.raises(StorageError):
        await ProgressTeller(broken.read).run()


async def test_without_a_terminal_progress_is_lines(standing: MakeStanding) -> None:
    """The stream decides: here it is a file."""
    stream = io.StringIO()
    ledger = FakeLedger(standing(submitted=1))
    with (
        logging_to(stream, clock=lambda: 0.0, environ={}) as sink,
        progress(ledger.read, sink, job="spring, run 3", command="", deadline_at=math.inf) as shown,
    ):
        await run_for(shown, 31.0)
    assert len(lines_logged(stream)) == 1


async def test_on_a_terminal_log_lines_stand_above_the_bars(standing: MakeStanding) -> None:
    """Bars are redrawn every second; a log line takes their place, they come back below it, and are gone at the end."""
    stream = Terminal()
    ledger = FakeLedger(standing(submitted=2, done=2))
    with (
        logging_to(stream, clock=lambda: 0.0, environ={"TERM": "xterm", "NO_COLOR": "1"}, bars=True) as sink,
        progress(ledger.read, sink, job="spring, run 3", command="", deadline_at=math.inf) as shown,
    ):
        task = asyncio.create_task(shown.run())
        await asyncio.sleep(2.5)
        log.info("accepted", platform="instagram", task_id="3f1b")
        log.warning("held", task="instagram/000001")
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert ledger.read_at == [0.0, 1.0, 2.0, 3.0, 3.5]
    before, after = stream.getvalue().split("held  task=instagram/000001\n")
    assert "2/4" in before
    assert before.endswith("\x1b[3A\r\x1b[J1970-01-01T00:00:00Z warn  ")
    assert "2/4" in after
    assert "accepted" not in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[3A\r\x1b[J")
