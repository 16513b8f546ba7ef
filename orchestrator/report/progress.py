"""How far the job is, told while it runs: a log line a minute, and bars on a terminal.

Everything shown is read from the ledger when it is shown; nothing is counted here. Speed is the difference between
two readings.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import StorageError
from orchestrator.logger import log
from orchestrator.report.readings import CourseSoFar, Overview, Reading, reading, slowest_s, together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from orchestrator.report.log import LogSink
    from orchestrator.report.readings import MoneySoFar

    Read = Callable[[], Awaitable[Overview]]

FIRST_LINE_S = 30.0
LINE_INTERVAL_S = 60.0


class View(Protocol):
    """Shows how far the job is, every `interval_s`."""

    interval_s: float

    def show(self, courses: Mapping[str, CourseSoFar], money: MoneySoFar | None) -> None:
        """Show it; there are no platforms yet while the list is being read."""


class ProgressTeller:
    """Tells how far the job is, until it is cancelled; tells it once more then."""

    def __init__(self, read: Read, view: View | None = None) -> None:
        self._read = read
        self._view = view
        self._first: dict[str, Reading] = {}
        self._first_at = 0.0
        self._told: list[Reading] = []

    async def begin(self) -> None:
        """Measure speed from here on: what was before is none of the vendor's time."""
        self._first = {}
        await self._courses()

    async def run(self) -> None:
        """Run until cancelled; raises `StorageError` when the ledger can't be read."""
        loop = asyncio.get_running_loop()
        line_at = loop.time() + FIRST_LINE_S
        try:
            while True:
                courses, money = await self._courses()
                if self._view is not None:
                    self._view.show(courses, money)
                if loop.time() >= line_at:
                    line_at = loop.time() + LINE_INTERVAL_S
                    self._tell(courses, money)
                wait_s = line_at - loop.time()
                await asyncio.sleep(wait_s if self._view is None else min(wait_s, self._view.interval_s))
        finally:
            with suppress(StorageError):  # that the ledger failed is for others to say
                courses, money = await self._courses()
                if [course.now for course in courses.values()] != self._told:  # or it stands there already
                    self._tell(courses, money)

    def _tell(self, courses: Mapping[str, CourseSoFar], money: MoneySoFar | None) -> None:
        """Say how far all platforms are together, and each in short; nothing while there are none."""
        self._told = [course.now for course in courses.values()]
        if not courses:
            return
        now = together(self._told)
        left_s = slowest_s(courses.values())
        cost = {"cost_usd": round(money.spent_usd, 9), "planned_usd": money.planned_usd} if money else {}
        log.info(
            "progress",
            percent=now.percent,
            done=now.done,
            tasks=now.tasks,
            at_the_vendor=now.at_the_vendor,
            held=now.held,
            failed=now.failed,
            numbers_per_min=round(sum(course.numbers_per_min for course in courses.values())),
            **{name: usd for name, usd in cost.items() if usd is not None},
            **({} if left_s is None else {"left_s": round(left_s)}),
            by_platform={name: f"{course.now.done}/{course.now.tasks}" for name, course in courses.items()},
        )

    async def _courses(self) -> tuple[dict[str, CourseSoFar], MoneySoFar | None]:
        overview = await self._read()
        readings = {platform: reading(standing) for platform, standing in overview.standings.items()}
        now = asyncio.get_running_loop().time()
        if not self._first:
            self._first_at = now
        self._first = readings | self._first
        run_s = now - self._first_at
        return {name: CourseSoFar(self._first[name], one, run_s) for name, one in readings.items()}, overview.money


@contextmanager
def progress(read: Read, sink: LogSink, *, job: str, command: str, deadline_at: float) -> Iterator[ProgressTeller]:
    """Yield the progress that suits the console of `sink`; to be called on the event loop.

    Inside the block log lines scroll by above the bars, if there are any. `job` names the job, `command` lists what
    waits for a person in it; the run ends in good order at `deadline_at`, in the time of the loop.
    """
    console = sink.console
    if console is None or not console.bars:
        yield ProgressTeller(read)
        return
    from orchestrator.report.bars import Bars  # noqa: PLC0415 - only a terminal pays for rich

    bars = Bars(console.stream, asyncio.get_running_loop().time, colour=console.colour, job=job, command=command)
    bars.deadline_at = deadline_at
    with sink.diverted(bars.write_line), sink.told(bars.hear):
        try:
            yield ProgressTeller(read, bars)
        finally:
            bars.clear()
