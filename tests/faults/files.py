"""Faults of result files, each against the whole program: those of the results' own table, and what ends its parser."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from orchestrator.workers import PieceLimits
from tests.faults.bench import Bench, played
from tests.faults.dying import dying
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
REFUSED = "Refused: fetched again; the same twice is put aside, and nothing of it is believed; the task has failed."
TAKEN = "Fetched again; the same twice is what the vendor made: taken, with a finding; the verdicts are then {}."
KEPT = "Read; every verdict is as without it."
COUNTED = "Read; the verdicts are then {}."
COSTS = "Costs that file only: fetched again, and put aside; the task has failed, the run goes on."
TINY = PieceLimits(cpu_s=30.0, memory_bytes=1 << 20)
SHORT = PieceLimits(cpu_s=0.001, memory_bytes=None)

TOO_FEW = Fault(
    "fewer rows than the vendor says it answered", lambda rows: text(rows[:-100]), "the vendor reported 400"
)
"""The one that takes a vendor to tell."""


FILES = [*hostile.FILES, TOO_FEW]


SUSPECT = {
    "only a header": {"unanswered": 400},
    "numbers rounded to a float's notation": {"unanswered": 400},
    "mostly foreign rows": {"yes": 1, "unanswered": 399},
    TOO_FEW.name: {"yes": 100, "no": 200, "unanswered": 100},
}
"""Files that can be read, and can hardly be meant; by name, what they say all the same."""


@dataclass(frozen=True)
class Death:
    """What ends the process that reads a file; `puts` stands in for something of the dispatcher."""

    name: str
    says: str
    puts: dict[str, Callable[..., Any]]


DEATHS = [
    Death(
        "Kills its parser",
        "killed its worker process",
        {"result_reader.take_results": dying, "result_versions.check_result": dying},
    ),
    Death(
        "Needs more memory than its rows justify",
        "needs more memory",
        dict.fromkeys(("result_reader.check_limits", "result_versions.check_limits"), lambda _: TINY),
    ),
    Death(
        "Takes more processor time than its rows justify",
        "takes too long",
        dict.fromkeys(("result_reader.check_limits", "result_versions.check_limits"), lambda _: SHORT),
    ),
]


def told(fault: Fault) -> str:
    """Say what the program does about a fault."""
    if is_refused(fault):
        return REFUSED
    counts = SUSPECT.get(fault.name, fault.counts)
    if counts is None:
        return KEPT
    words = ", ".join(f"{count} times `{word}`" for word, count in counts.items())
    return (TAKEN if fault.name in SUSPECT else COUNTED).format(words)


def is_refused(fault: Fault) -> bool:
    """Whether nothing of the file is believed."""
    return bool(fault.reason) and fault.name not in SUSPECT


ROWS = [
    *(
        Row(
            GROUP,
            f"{fault.name[:1].upper()}{fault.name[1:]}",
            told(fault),
            STRIKE,
            FAILED if is_refused(fault) else DONE,
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
        if is_refused(self.fault):
            await super().live()
            return
        await self.prepare()
        self.end = self.bench.end(await self.bench.run())
        self.said = self.bench.said
        self.verdicts = self.bench.summary["platforms"]["instagram"]["verdicts"]

    async def prepare(self) -> None:
        await super().prepare()
        self.bench.front.gateway.uncounted = self.fault is not TOO_FEW
        made = self.fault.make(self.bench.table)  # once: a zip has the time in it, and the vendor gives the same file
        self.bench.front.result_file = lambda _: made

    async def heal(self) -> None:
        kept = list((self.bench.directory / "results" / "quarantine").iterdir())
        promise(len(kept) == 1, f"put aside: {kept}")
        promise(not list(self.bench.directory.glob("verdicts/*/*")), "verdicts of a file that was refused")

    @property
    def expected(self) -> Counter[str]:
        """The verdicts that the fault leaves, by word."""
        plain = Counter(str(word) for _, word in self.bench.table[1:])
        counts = SUSPECT.get(self.fault.name, self.fault.counts)
        return plain if counts is None else Counter(counts)


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
        for name, stand_in in self.death.puts.items():
            patch(f"orchestrator.dispatch.{name}", stand_in).start()
        try:
            yield
        finally:
            patch.stopall()

    async def prepare(self) -> None:
        await super().prepare()
        wide = [[*row, "x" * 20_000] for row in self.bench.table]
        self.bench.front.result_file = lambda _: text(wide)

    async def heal(self) -> None:
        patch.stopall()


def die(death: Death) -> Faulty:
    """Live through a death."""
    with scratch() as folder:
        loop = asyncio.new_event_loop()
        bench = FileBench(folder, loop)
        life = Deadly(bench, death)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(bench.play(life.live))
    return life
