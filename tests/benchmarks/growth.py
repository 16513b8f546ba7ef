"""See whether what the coordinator does for a task grows with the job: 500,000 of them planned, in virtual time.

    python -m tests.benchmarks.growth 500_000 100_000      # so many planned, so many of them played

As in `makespan`, time, vendor, network and workers are simulated, and the dispatcher with its ledger is real. What the
vendor knows of a task is forgotten once its result was fetched, so that what grows is the program's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from orchestrator.ledger import ledger_path
from tests.benchmarks.makespan import COMMIT_S, PLATFORMS, ModelVendor, dispatch, plan, settings
from tests.simulation import loop
from tests.simulation.loop import VirtualLoop

MARKS = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 300_000, 400_000, 500_000)
MEMORY = Path("/dev/shm")  # noqa: S108 - a name of our own is made in it


@dataclass(frozen=True, slots=True)
class Stand:
    """What it has come to once so many tasks were `fetched`: processor time, this process' memory, the ledger."""

    fetched: int
    cpu_s: float
    days: float
    memory_bytes: int
    ledger_bytes: int


Tell = Callable[[Stand, Stand], None]
"""Hears how it stood at a mark, and how it stands at the next one."""


class Forgetful(ModelVendor):
    """A vendor that counts what was fetched, and forgets it."""

    def __init__(self, seed: int, directory: Path, played: int, tell: Tell) -> None:
        super().__init__("mixed", seed, settings(PLATFORMS[0]).max_in_flight)
        self.directory, self.played = directory, played
        self.fetched = 0
        self._before, self._tell = self._stand(), tell
        self.stopping = asyncio.Event()

    async def download(self, url: str, part: Path, *, max_bytes: int) -> None:
        await super().download(url, part, max_bytes=max_bytes)
        del self.made[url.rpartition("/")[2]]
        self.fetched += 1
        if self.fetched in MARKS or self.fetched == self.played:
            before, self._before = self._before, self._stand()
            self._tell(before, self._before)
        if self.fetched == self.played:
            self.stopping.set()

    def _stand(self) -> Stand:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        files = ledger_path(self.directory).parent.iterdir()
        size_bytes = sum(file.stat().st_size for file in files)
        days = (asyncio.get_running_loop().time() - loop.START_S) / 86_400
        return Stand(self.fetched, time.process_time(), days, pages * os.sysconf("SC_PAGE_SIZE"), size_bytes)


def play(planned: int, played: int, tell: Tell, seed: int = 1) -> None:
    """Plan a job of so many tasks, and play it until so many were fetched; `tell` hears how it stands at each mark."""

    async def played_to_there(directory: Path) -> None:
        vendor = Forgetful(seed, directory, played, tell)
        await dispatch(directory, vendor, seed, finished=False, stopping=vendor.stopping)

    base = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base) as name, patch.object(loop, "SETTLE", 0):
        plan(Path(name), -(-planned // len(PLATFORMS)))
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(lambda: COMMIT_S)) as runner:
            runner.run(played_to_there(Path(name)))


HEADER = "| tasks done | ms of processor a task | memory | ledger | of the vendor's time |\n|---|---|---|---|---|"


def row(before: Stand, here: Stand) -> str:
    """Return a line of the table: what a task took since the mark before."""
    return (
        f"| {here.fetched:,} | {(here.cpu_s - before.cpu_s) / (here.fetched - before.fetched) * 1e3:.1f} "
        f"| {here.memory_bytes / 2**20:,.0f} MiB | {here.ledger_bytes / 10**6:,.0f} MB | {here.days:,.1f} days |"
    )


def main(planned: int, played: int) -> None:
    print(f"{planned:,} tasks planned, {played:,} of them played")  # noqa: T201
    print(HEADER)  # noqa: T201
    play(planned, played, lambda before, here: print(row(before, here), flush=True))  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000, int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
