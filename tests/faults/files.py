"""Faults of result files, each against the whole program: those of the results' own table, and what ends its parser."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from orchestrator.dispatch import reading
from orchestrator.errors import DamagedResultError, StorageError
from orchestrator.results import ResultCheck, ResultReport
from orchestrator.workers import PieceLimits
from tests.faults.bench import Bench, played
from tests.faults.living import Faulty
from tests.faults.rows import End, Row, Strike
from tests.results.test_file_faults import Fault, text
from tests.simulation import hostile
from tests.simulation.checks import promise
from tests.simulation.playing import scratch

GROUP = "File"
ROWS_A_FILE = 400
STRIKE = Strike("download", "file: file")
FAILED, DONE = End(1, "1 failed", 1), End(0, "1 done", 1)
REFUSED = "Refused: fetched three times, then put aside, and nothing of it is believed; the task has failed."
KEPT = "Read; every verdict is as without it."
COUNTED = "Read; the verdicts are then {}."
COSTS = "Costs that file only: fetched three times, then put aside; the task has failed, the run goes on."
TINY = PieceLimits(cpu_s=30.0, memory_bytes=1 << 20)
SHORT = PieceLimits(cpu_s=0.001, memory_bytes=None)

TOO_FEW = Fault(
    "fewer rows than the vendor says it answered", lambda rows: text(rows[:-100]), "the vendor reported 400"
)
"""The one that takes a vendor to tell."""


FILES = [*hostile.FILES, TOO_FEW]


@dataclass(frozen=True)
class Death:
    """What ends the process that reads a file."""

    name: str
    says: str
    substitute: Callable[[], Any]


def killed(checks: Sequence[ResultCheck]) -> list[ResultReport | DamagedResultError | StorageError]:
    """Do what a parser does that runs into a bug of its own: it takes its process with it."""
    os.kill(os.getpid(), signal.SIGKILL)
    return []


DEATHS = [
    Death(
        "Kills its parser",
        "killed its worker process",
        lambda: patch.object(reading, "take_results", killed),
    ),
    Death(
        "Needs more memory than its rows justify",
        "needs more memory",
        lambda: patch.object(reading, "check_limits", lambda _: TINY),
    ),
    Death(
        "Takes more processor time than its rows justify",
        "takes too long",
        lambda: patch.object(reading, "check_limits", lambda _: SHORT),
    ),
]


def told(fault: Fault) -> str:
    """Say what the program does about a fault."""
    if fault.reason:
        return REFUSED
    if fault.counts is None:
        return KEPT
    return COUNTED.format(", ".join(f"{count} times `{word}`" for word, count in fault.counts.items()))


ROWS = [
    *(
        Row(
            GROUP,
            f"{fault.name[:1].upper()}{fault.name[1:]}",
            told(fault),
            STRIKE,
            FAILED if fault.reason else DONE,
            None,
            fault.reason,
        )
        for fault in FILES
    ),
    *(Row(GROUP, death.name, COSTS, STRIKE, FAILED, None, death.says) for death in DEATHS),
]


class FileBench(Bench):
    """One task of 400 numbers, and no other platform."""

    chunk_size = ROWS_A_FILE
    with_calm = False

    def __init__(self, folder: Path, loop: Any) -> None:
        super().__init__(folder, loop, STRIKE, "instagram", once=False)
        self.numbers = tuple(f"+4179{(i * 7919) % 10_000:04d}123" for i in range(ROWS_A_FILE))

    @property
    def table(self) -> list[list[object]]:
        """The plain result of which a fault makes its file: every third number has an account."""
        answers: list[list[object]] = [[number, "no" if i % 3 else "yes"] for i, number in enumerate(self.numbers)]
        return [["Number", "instagram"], *answers]


class BadFile(Faulty):
    """The vendor's result is the fault's file until it heals."""

    bench: FileBench

    def __init__(self, bench: FileBench, fault: Fault) -> None:
        super().__init__(bench)
        self.fault = fault
        self.verdicts: dict[str, int] = {}

    async def live(self) -> None:
        if self.fault.reason:
            await super().live()
            return
        await self.prepare()
        self.end = self.bench.end(await self.bench.run())
        self.said = self.bench.said
        self.verdicts = self.bench.summary["platforms"]["instagram"]["verdicts"]

    async def prepare(self) -> None:
        await super().prepare()
        self.bench.front.gateway.uncounted = self.fault is not TOO_FEW
        self.bench.front.result_file = lambda _: self.fault.make(self.bench.table)

    async def heal(self) -> None:
        kept = list((self.bench.directory / "results" / "quarantine").iterdir())
        promise(len(kept) == 1, f"put aside: {kept}")
        promise(not list(self.bench.directory.glob("verdicts/*/*")), "verdicts of a file that was refused")

    @property
    def expected(self) -> Counter[str]:
        """The verdicts that the fault leaves, by word."""
        plain = Counter(str(word) for _, word in self.bench.table[1:])
        return plain if self.fault.counts is None else Counter(self.fault.counts)


def read_by_all(fault: Fault) -> BadFile:
    """Live through a file."""
    lives: list[BadFile] = []

    def make(folder: Path, loop: Any) -> FileBench:
        lives.append(BadFile(FileBench(folder, loop), fault))
        return lives[0].bench

    played(make, lambda _: lives[0].live)
    return lives[0]


class Deadly(Faulty):
    """The process that reads the file dies of it, until it heals. Processes are real here, and so is time."""

    bench: FileBench

    def __init__(self, bench: FileBench, death: Death) -> None:
        super().__init__(bench)
        self.death = death

    @contextmanager
    def lasting(self) -> Iterator[None]:
        self._patch = self.death.substitute()
        self._patch.start()
        try:
            yield
        finally:
            patch.stopall()

    async def prepare(self) -> None:
        await super().prepare()
        wide = [[*row, "x" * 20_000] for row in self.bench.table]
        self.bench.front.result_file = lambda _: text(wide)

    async def heal(self) -> None:
        self._patch.stop()


def die(death: Death) -> Faulty:
    """Live through a death."""
    with scratch() as folder:
        loop = asyncio.new_event_loop()
        bench = FileBench(folder, loop)
        life = Deadly(bench, death)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(bench.play(life.live))
    return life
