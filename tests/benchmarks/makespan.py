"""Measure how near dispatch comes to the vendor's own time, in virtual time.

    python -m tests.benchmarks.makespan 100_000_000

What is real: the dispatcher with its schedule, pace, caution, back-off, looks and ledger (SQLite), in default settings,
two platforms of one vendor, `canary = false`. What is simulated: time, the vendor and its network (a submit takes
1.7 s, a look 0.2 s, a download 2 s), commits (5 ms) and workers (0.5 s a result). There is no HTTP, no list, no master.

Task times vary around the vendor's example (20,000 numbers in 29 minutes): lognormal, sigma 0.35, of which up to 10 %
is waiting in a queue, and 0.5 to 3 % is between the last row and the export. How a task tells its progress is a shape.

The bound is the vendor's own time: the same tasks, in the same order, on `max_in_flight` servers that are never idle
while a task is left, and without any network.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

from orchestrator.dispatch.backoff import Health
from orchestrator.dispatch.caution import Caution
from orchestrator.dispatch.context import RunContext
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.platform_run import PlatformRun, VendorRun
from orchestrator.dispatch.receipts import Seal
from orchestrator.ledger import Ledger, LedgerWriter, ledger_path
from orchestrator.records import Chunk, LastingCaution, ListCounts, Listed, Plan, PlannedPlatform
from orchestrator.results.check import ResultReport
from orchestrator.settings import BackoffSettings, PlatformSettings, PollingSettings, Style, VendorSettings
from orchestrator.tasks import State
from orchestrator.vendor_api.meanings import Accepted, SubmitAnswer, TaskReport
from tests.simulation import loop
from tests.simulation.loop import VirtualLoop

if TYPE_CHECKING:
    from orchestrator.results import ResultCheck
    from orchestrator.vendor_api.client import Leave, VendorClient
    from orchestrator.workers import PieceLimits, Workers

ROWS = 20_000
EXAMPLE_S = 1740.0
SIGMA = 0.35
QUEUE_SHARE = 0.1
EXPORT_SHARES = (0.005, 0.03)
BLOCK_ROWS = 1_000
BURSTS = 20
SUBMIT_S, LOOK_S, DOWNLOAD_S, CHECK_S, COMMIT_S = 1.5, 0.2, 2.0, 0.5, 0.005
SHA256 = "0" * 64
PLATFORMS = ("instagram", "amazon")
SHAPES = ("even", "blocks", "bursts", "mixed", "silent")
VENDOR = VendorSettings(base_url="http://127.0.0.1")
BACKOFF = BackoffSettings()


@dataclass(frozen=True, slots=True)
class Course:
    """What one task does at the vendor, in seconds from its making. `shares` are its rows done at even times."""

    takes_s: float
    begins_s: float
    worked_s: float
    shares: tuple[float, ...]

    def share(self, age_s: float) -> float:
        """Return the share of rows that the vendor tells."""
        place = (age_s - self.begins_s) / (self.worked_s - self.begins_s) * (len(self.shares) - 1)
        if place <= 0.0 or place >= len(self.shares) - 1:
            return self.shares[0 if place <= 0.0 else -1]
        before, after = self.shares[int(place)], self.shares[int(place) + 1]
        return before + (place % 1.0) * (after - before)


def course(shape: str, seed: object) -> Course:
    """Draw one task's course.

    Rows are told evenly; in blocks of 1,000; in bursts, 20 stretches of very different speed; or not at all before the
    export (silent). In a mixed job each task is one of the first three.
    """
    chance = random.Random(f"{seed}")  # noqa: S311 - a seed has to be repeatable
    takes_s = EXAMPLE_S * chance.lognormvariate(-(SIGMA**2) / 2, SIGMA)
    begins_s, worked_s = takes_s * chance.uniform(0.0, QUEUE_SHARE), takes_s * (1.0 - chance.uniform(*EXPORT_SHARES))
    match chance.choice(SHAPES[:3]) if shape == "mixed" else shape:
        case "even":
            return Course(takes_s, begins_s, worked_s, (0.0, 1.0))
        case "blocks":
            blocks = ROWS // BLOCK_ROWS
            steps = [float(step) / blocks for step in range(blocks + 1)]
            return Course(takes_s, begins_s, worked_s, tuple(s for step in steps for s in [step] * 50))
        case "bursts":
            speeds = itertools.accumulate((chance.lognormvariate(0.0, 0.8) for _ in range(BURSTS)), initial=0.0)
            sums = list(speeds)
            return Course(takes_s, begins_s, worked_s, tuple(s / sums[-1] for s in sums))
        case _:
            return Course(takes_s, begins_s, worked_s, (0.0, 0.0))


@dataclass(slots=True)
class Made:
    """A task at the vendor."""

    platform: str
    at: float
    course: Course
    looks: int = 0
    fetched_after_s: float = -1.0

    @property
    def exported_at(self) -> float:
        return self.at + self.course.takes_s


class ModelVendor:
    """A vendor that works on what it is given at once, and a client to it."""

    def __init__(self, shape: str, seed: int, max_in_flight: int) -> None:
        self._shape, self._seed, self._most = shape, seed, max_in_flight
        self.made: dict[str, Made] = {}
        self._ends: dict[str, list[float]] = {name: [] for name in PLATFORMS}

    def course(self, platform: str, chunk: int) -> Course:
        return course(self._shape, f"{self._seed} {platform} {chunk}")

    async def submit(
        self,
        platform: PlatformSettings,
        file: Path,
        file_name: str,
        *,
        leave: Leave,
        ready: Callable[[str], Awaitable[None]],
        release: Callable[[str], Awaitable[None]],
        last_look: Callable[[], None],
    ) -> SubmitAnswer:
        del file_name
        await leave()
        await asyncio.sleep(SUBMIT_S)
        await ready(SHA256)
        await release(SHA256)
        last_look()
        now = asyncio.get_running_loop().time()
        made = Made(platform.task_type, now, self.course(platform.task_type, int(file.stem)))
        self._take_place(made, now)
        task_id = f"{platform.task_type}-{int(file.stem)}"
        self.made[task_id] = made
        await asyncio.sleep(LOOK_S)
        return Accepted(task_id, ROWS)

    def _take_place(self, made: Made, now: float) -> None:
        """Check apart from the program that there are never too many tasks here that are not exported."""
        ends = self._ends[made.platform]
        while ends and ends[0] <= now:
            heapq.heappop(ends)
        heapq.heappush(ends, made.exported_at)
        assert len(ends) <= self._most

    async def status(self, platform: PlatformSettings, task_id: str, *, leave: Leave) -> TaskReport:
        del platform
        await leave()
        await asyncio.sleep(LOOK_S)
        made = self.made[task_id]
        made.looks += 1
        age_s = asyncio.get_running_loop().time() - made.at
        if age_s >= made.course.takes_s:
            return TaskReport(task_id, "exported", ROWS, ROWS, 0, f"https://results.example/{task_id}")
        if age_s < made.course.begins_s:
            return TaskReport(task_id, "pending", ROWS, 0, 0, None)
        done = int(ROWS * made.course.share(age_s))
        return TaskReport(task_id, "processing" if done < ROWS else "completed", ROWS, done, 0, None)

    async def download(self, url: str, part: Path, *, max_bytes: int) -> None:
        del part, max_bytes
        made = self.made[url.rpartition("/")[2]]
        made.fetched_after_s = asyncio.get_running_loop().time() - made.exported_at
        await asyncio.sleep(DOWNLOAD_S)


class ModelWorkers:
    """Workers that take their time and find every result good."""

    count = 2

    async def run(
        self, piece: Callable[..., Any], checks: Sequence[ResultCheck], limits: PieceLimits
    ) -> list[ResultReport]:
        del piece, limits
        await asyncio.sleep(CHECK_S * len(checks))
        verdicts = {"yes": ROWS // 3, "no": ROWS - ROWS // 3}
        return [
            ResultReport(verdicts, ROWS, 0, 0, 0, 0, 0, SHA256, SHA256, ".csv", ("instagram",), without_verdict=False)
            for _ in checks
        ]


def settings(name: str) -> PlatformSettings:
    """Return a platform as it is by default, without the canary."""
    return PlatformSettings(
        vendor="main",
        style=Style.V1,
        path="/v1/tasks",
        task_type=name,
        price_per_10000=1.0,
        result_columns=(name,),
        canary=False,
    )


def plan(directory: Path, chunks: int) -> None:
    """Make a job's ledger."""
    found = tuple(Chunk(n, (n - 1) * ROWS, ROWS, SHA256) for n in range(1, chunks + 1))
    platforms = tuple(PlannedPlatform(name, VENDOR.base_url, {}, 1) for name in PLATFORMS)
    made = Plan("bench", {}, Listed((), ListCounts()), found, platforms)
    with Ledger.create(ledger_path(directory), "bench") as ledger:
        ledger.change(lambda ledger: ledger.plan.replace(plan=made))


async def dispatch(
    directory: Path, vendor: ModelVendor, seed: int, *, finished: bool = True, stopping: asyncio.Event | None = None
) -> float:
    """Do the whole job; return how long it took. Unless it need not be `finished`, every task is done then."""
    clock = asyncio.get_running_loop().time
    began = clock()
    vendor_run = VendorRun(
        "main", cast("VendorClient", vendor), Pace(VENDOR.requests_per_second, now=began), Health(BACKOFF)
    )
    vendor_run.has_answered = True
    platforms = []
    for name in PLATFORMS:
        platform = settings(name)
        pace = Pace(platform.requests_per_second, now=began)
        platforms.append(
            PlatformRun(name, platform, vendor_run, pace, Caution(LastingCaution(), canary=platform.canary))
        )
    with Ledger.open(ledger_path(directory)) as ledger:
        ledger.change(lambda ledger: ledger.begin_run(at=began, host="here", pid=1))
        writer = LedgerWriter(ledger)
        context = RunContext(
            job_name="bench",
            directory=directory,
            ledger=writer,
            workers=cast("Workers", ModelWorkers()),
            polling=PollingSettings(),
            backoff=BACKOFF,
            max_cost_nano=None,
            clock=clock,
            random=random.Random(seed),  # noqa: S311 - jitter is no secret
            stopping=asyncio.Event() if stopping is None else stopping,
            seal=Seal(b"", 0),
        )
        await Dispatcher(context, platforms, downloads=2 * ModelWorkers.count + 2).run()
        took_s = clock() - began
        await writer.close()
        for name, standing in ledger.platforms.standing().items() if finished else ():
            assert standing.tasks(State.DONE) == standing.submits == len(ledger.tasks.select(State.DONE, platform=name))
    return took_s


def bound_s(vendor: ModelVendor, chunks: int, max_in_flight: int) -> float:
    """Return the vendor's own time: each task begins in the moment in which one before it ends."""
    ends = []
    for name in PLATFORMS:
        servers = [0.0] * min(max_in_flight, chunks)
        for chunk in range(1, chunks + 1):
            heapq.heappush(servers, heapq.heappop(servers) + vendor.course(name, chunk).takes_s)
        ends.append(max(servers))
    return max(ends)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one job came to: `over` is its makespan above the bound, as a share; `looks` are status calls per task.

    `delay_s` is the mean time between a task's export and the beginning of its download.
    """

    makespan_s: float
    bound_s: float
    looks: float
    delay_s: float

    @property
    def over(self) -> float:
        return self.makespan_s / self.bound_s - 1.0


def play(shape: str, seed: int, chunks: int) -> Outcome:
    """Dispatch a job of `chunks` chunks in virtual time."""
    max_in_flight = settings(PLATFORMS[0]).max_in_flight
    vendor = ModelVendor(shape, seed, max_in_flight)
    # There is no socket here that a moment's wait could bring something on.
    with tempfile.TemporaryDirectory() as name, patch.object(loop, "SETTLE", 0):
        plan(Path(name), chunks)
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(lambda: COMMIT_S)) as runner:
            took_s = runner.run(dispatch(Path(name), vendor, seed))
    made = vendor.made.values()
    return Outcome(
        took_s,
        bound_s(vendor, chunks, max_in_flight),
        sum(one.looks for one in made) / len(made),
        sum(one.fetched_after_s for one in made) / len(made),
    )


def main(numbers: int, shapes: Sequence[str], seeds: int) -> None:
    """Print a line for each shape and seed."""
    chunks = -(-numbers // ROWS)
    print(f"{numbers:,} numbers x {len(PLATFORMS)} platforms = {chunks * len(PLATFORMS):,} tasks")  # noqa: T201
    print("shape   seed   makespan h   bound h    over   looks a task   export to download s   cpu s")  # noqa: T201
    for shape in shapes:
        for seed in range(1, seeds + 1):
            began = time.process_time()
            found = play(shape, seed, chunks)
            print(  # noqa: T201
                f"{shape:<7} {seed:>4} {found.makespan_s / 3600:>12.2f} {found.bound_s / 3600:>9.2f} {found.over:>7.2%}"
                f" {found.looks:>14.2f} {found.delay_s:>22.1f} {time.process_time() - began:>7.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 100_000_000,
        sys.argv[2].split(",") if len(sys.argv) > 2 else SHAPES,
        int(sys.argv[3]) if len(sys.argv) > 3 else 1,
    )
