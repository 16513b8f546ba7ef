from __future__ import annotations

import asyncio
import io
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import StorageError
from orchestrator.logger import log
from orchestrator.report.log import logging_to, wants_bars
from orchestrator.report.progress import Lines, ProgressTeller, progress
from orchestrator.report.readings import reading, tasks_text, time_left_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.records import Standing

    MakeStanding = Callable[..., Standing]

pytestmark = pytest.mark.looptime


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FakeLedger:
    """Gives one standing after the other; the last one for ever."""

    def __init__(self, *standings: Standing) -> None:
        self.standings = list(standings)
        self.read_at: list[float] = []

    async def read(self) -> Mapping[str, Standing]:
        self.read_at.append(asyncio.get_running_loop().time())
        latest = self.standings.pop(0) if len(self.standings) > 1 else self.standings[0]
        return {latest.platform: latest}


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
    now = reading(
        standing(planned=5, released=1, submitted=2, in_doubt=1, stalled=1, done=3, failed=1, skipped=7), 10.0
    )
    assert (now.tasks, now.submitted, now.at_the_vendor, now.done, now.held, now.failed) == (14, 9, 3, 3, 2, 1)
    assert (now.rows_pending, now.rows_settled) == (800, 600)
    assert tasks_text(now) == "3/14 done, 3 at the vendor, 2 held, 1 failed"


def test_nothing_held_is_not_mentioned(standing: MakeStanding) -> None:
    """A job that goes well says so in few words."""
    assert tasks_text(reading(standing(planned=1_000, done=234), 0.0)) == "234/1,234 done, 0 at the vendor"


def test_the_time_left_follows_from_the_speed_of_this_run(standing: MakeStanding) -> None:
    """What an earlier run did is no part of the speed: 2 of 6 open tasks in 60 s leave 120 s for the other 4."""
    first = reading(standing(planned=6, done=10), 100.0)
    now = reading(standing(planned=2, submitted=2, done=11, failed=1), 160.0)
    assert time_left_s(first, now) == 120.0


def test_the_time_left_is_unknown_before_the_first_result(standing: MakeStanding) -> None:
    """Nobody knows the speed of a vendor that has not answered yet; and a finished platform has no time left."""
    first = reading(standing(planned=6), 0.0)
    assert time_left_s(first, reading(standing(submitted=6), 50.0)) is None
    done = reading(standing(done=6), 50.0)
    assert time_left_s(done, done) == 0.0


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
    """A log that nobody watches gets a line a platform at 30 s, 90 s, 150 s and once more at the end."""
    ledger = FakeLedger(standing(submitted=4))
    stream = io.StringIO()
    with logging_to(stream, clock=lambda: 0.0, environ={}):
        await run_for(ProgressTeller(ledger.read, Lines()), 200.0)
    assert ledger.read_at == [0.0, 30.0, 90.0, 150.0, 200.0]
    assert lines_logged(stream) == ["platform=instagram done=0/4 submitted=4 at_the_vendor=4"] * 4


async def test_a_line_says_what_waits_and_how_long_it_will_take(standing: MakeStanding) -> None:
    """Held and failed tasks appear once there are any, and an estimate once something was settled."""
    ledger = FakeLedger(standing(planned=4), standing(submitted=2, done=1, in_doubt=1), standing(done=3, failed=1))
    stream = io.StringIO()
    with logging_to(stream, clock=lambda: 0.0, environ={}):
        await run_for(ProgressTeller(ledger.read, Lines()), 31.0)
    assert lines_logged(stream) == [
        "platform=instagram done=1/4 submitted=4 at_the_vendor=2 held=1 time_left=30s",
        "platform=instagram done=3/4 submitted=4 at_the_vendor=0 failed=1",
    ]


async def test_a_platform_that_joins_later_is_shown_too(standing: MakeStanding) -> None:
    """The first reading of each platform is its own."""
    ledger = FakeLedger(standing(submitted=1), standing("amazon", submitted=1))
    stream = io.StringIO()
    with logging_to(stream, clock=lambda: 0.0, environ={}):
        await run_for(ProgressTeller(ledger.read, Lines()), 31.0)
    assert lines_logged(stream) == ["platform=amazon done=0/1 submitted=1 at_the_vendor=1"] * 2


async def test_a_ledger_that_fails_ends_the_run_and_not_its_end(standing: MakeStanding) -> None:
    """`StorageError` comes out while the run works; when it is cancelled, cancellation is what comes out."""

    class BrokenLedger(FakeLedger):
        async def read(self) -> Mapping[str, Standing]:
            if asyncio.get_running_loop().time() > 20.0:
                raise StorageError("gone")
            return await super().read()

    broken = BrokenLedger(standing(submitted=1))
    await run_for(ProgressTeller(broken.read, Lines()), 25.0)
    with pytest.raises(StorageError):
        await ProgressTeller(broken.read, Lines()).run()


async def test_without_a_terminal_progress_is_lines(standing: MakeStanding) -> None:
    """The stream decides: here it is a file."""
    stream = io.StringIO()
    ledger = FakeLedger(standing(submitted=1))
    with logging_to(stream, clock=lambda: 0.0, environ={}) as sink, progress(ledger.read, sink) as shown:
        await run_for(shown, 31.0)
    assert len(lines_logged(stream)) == 2


async def test_on_a_terminal_log_lines_stand_above_the_bars(standing: MakeStanding) -> None:
    """Bars are redrawn every second; a log line erases them, is written whole, and they come back below it."""
    stream = Terminal()
    ledger = FakeLedger(standing(submitted=2, done=2))
    environ = {"TERM": "xterm"}
    with (
        logging_to(stream, clock=lambda: 0.0, environ=environ, bars=True) as sink,
        progress(ledger.read, sink) as shown,
    ):
        task = asyncio.create_task(shown.run())
        await asyncio.sleep(2.5)
        log.warning("held", platform="instagram", task_id="t" * 100)
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    text = stream.getvalue()
    assert ledger.read_at == [0.0, 1.0, 2.0, 3.0, 3.5]
    before, after = text.split("held  platform=instagram task_id=" + "t" * 100 + "\n")
    assert "2/4 done, 2 at the vendor" in before
    assert before.endswith("\x1b[1A\r\x1b[J1970-01-01T00:00:00Z \x1b[33mwarn \x1b[0m ")
    assert "2/4 done, 2 at the vendor" in after
