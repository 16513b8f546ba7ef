"""How far the job is, told while it runs: bars on a terminal, a log line a platform elsewhere.

Everything shown is read from the ledger when it is shown; nothing is counted here. Speed is the difference between
two readings.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import StorageError
from orchestrator.logger import log
from orchestrator.report.printed import duration
from orchestrator.report.readings import Reading, reading, time_left_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from orchestrator.records import Standing
    from orchestrator.report.log import LogSink

    ReadStandings = Callable[[], Awaitable[Mapping[str, Standing]]]

FIRST_LINE_S = 30.0
LINE_INTERVAL_S = 60.0


class View(Protocol):
    """Shows readings."""

    first_s: float
    interval_s: float

    def show(self, platform: str, first: Reading, now: Reading) -> None:
        """Take one platform's latest reading; `first` is that at the start of this run."""

    def flush(self) -> None:
        """Show what was taken."""


class ProgressTeller:
    """Tells how the job in `standings` is doing, until it is cancelled; tells it once more then."""

    def __init__(self, standings: ReadStandings, view: View) -> None:
        self._standings = standings
        self._view = view
        self._first: dict[str, Reading] = {}

    async def run(self) -> None:
        """Run until cancelled; raises `StorageError` when the ledger can't be read."""
        await self._read()
        wait_s = self._view.first_s
        try:
            while True:
                await asyncio.sleep(wait_s)
                await self._tell()
                wait_s = self._view.interval_s
        finally:
            with suppress(StorageError):  # that the ledger failed is for others to say
                await self._tell()

    async def _tell(self) -> None:
        for platform, now in (await self._read()).items():
            self._view.show(platform, self._first[platform], now)
        self._view.flush()

    async def _read(self) -> dict[str, Reading]:
        at = asyncio.get_running_loop().time()
        readings = {platform: reading(standing, at) for platform, standing in (await self._standings()).items()}
        self._first = readings | self._first
        return readings


class Lines:
    """A plain line a platform, for logs that nobody watches."""

    first_s = FIRST_LINE_S
    interval_s = LINE_INTERVAL_S

    def show(self, platform: str, first: Reading, now: Reading) -> None:
        """Log the line at once."""
        fields: dict[str, object] = {
            "platform": platform,
            "done": f"{now.done}/{now.tasks}",
            "submitted": now.submitted,
            "at_the_vendor": now.at_the_vendor,
        }
        fields |= {name: value for name, value in (("held", now.held), ("failed", now.failed)) if value}
        if left := time_left_s(first, now):
            fields["time_left"] = duration(left)
        log.info("progress", **fields)

    def flush(self) -> None:
        """Nothing is kept back."""


@contextmanager
def progress(standings: ReadStandings, sink: LogSink) -> Iterator[ProgressTeller]:
    """Yield the progress that suits the stream of `sink`; to be called on the event loop.

    Inside the block log lines scroll by above the bars, if there are any.
    """
    console = sink.console
    if console is None or not console.bars:
        yield ProgressTeller(standings, Lines())
        return
    from orchestrator.report.bars import Bars, drawing_console  # noqa: PLC0415 - only a terminal pays for rich

    bars = Bars(console.stream, drawing_console(), asyncio.get_running_loop().time)
    with sink.diverted(bars.write_line):
        yield ProgressTeller(standings, bars)
