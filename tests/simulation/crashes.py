"""A small job that is killed at its n-th ledger commit, vendor call or file operation, and goes on.

The n-th point of a kind is counted while the job runs; what the point would have done does not happen any more.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from orchestrator.errors import ExitCode
from orchestrator.job.resolve import Adopt, Decision, Resubmit
from orchestrator.job.run import RunOptions
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.records import Task
from orchestrator.sandbox import Options
from orchestrator.tasks import Event, State, TaskKey
from tests.simulation.checks import BrokenPromiseError
from tests.simulation.elsewhere import VirtualDatabase
from tests.simulation.loop import Life, VirtualLoop
from tests.simulation.playing import scratch, substituted
from tests.simulation.scenario import KNOWN, Away, PlatformDraw, Scenario, drawn
from tests.simulation.whole import Operator, Story

KINDS = ("commit", "committed", "call", "file")
CALLS = frozenset({"asked", "submitted", "status", "fetched"})
WRITES = os.O_WRONLY | os.O_RDWR


class KilledError(BaseException):
    """The process is gone in this instant."""


def small_job(seed: int = 1) -> Scenario:
    """Give a job of two platforms with two chunks each, of both styles, without any fault."""
    whole = drawn(seed, faults=())
    numbers = tuple(f"+4179123450{n}" for n in range(10))
    platforms = tuple(PlatformDraw(name, "main", 20.0, 4, canary=False) for name in ("instagram", "amazon"))
    return replace(
        whole,
        lines=(*numbers, "junk", numbers[0]),
        numbers=numbers,
        chunk_size=5,
        platforms=platforms,
        vendors={"main": 50.0},
        polling=(0.2, 2.0, 1.0),
        backoff=(0.1, 1.0, 60.0),
        budget_share=1.0,
        formats=("csv",),
        trial_rows=0,
        table="txt",
        keep=False,
        growth=(),
        newcomer=None,
        embedded=False,
        nights=(),
        curiosity=0.0,
        errands=(),
        purged=False,
        takes_s=1.0,
        sandbox_faults=(),
        options=Options(min_rows=dict.fromkeys(KNOWN, 1)),
        jumps=(),
        slow_disk=False,
        heals_in_a_run=False,
    )


Place = tuple[str, int]
"""The n-th point of a kind, counted from 1; 0 is none, and only counts."""


class Doomed(Operator):
    """An operator whose runs are killed at these `places`, one after the other; the job is seen through after them.

    `points` is how many of the last one's kind were passed, `released` are the tasks that the ledger had as released in
    the moment of a kill, `doubted` those that ever were in doubt.
    """

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        loop: VirtualLoop,
        places: Sequence[Place],
        database: VirtualDatabase | None = None,
    ) -> None:
        super().__init__(scenario, folder, loop, database)
        if self.elsewhere is not None:
            self.elsewhere.passed = self.passed
        self.places = places
        self.points = 0
        self.code: ExitCode | None = None
        self.master = b""
        self.released: set[TaskKey] = set()
        self.doubted: set[TaskKey] = set()
        self.struck = 0
        self._run_and_life: tuple[asyncio.Task[Any], Life] | None = None

    async def _faulty_times(self) -> None:
        for _ in self.places:
            self.points = 0
            self.code = await self._run(self.settings(healed=False), RunOptions(), self._doomed)

    async def _doomed(self, run: asyncio.Task[Any], life: Life) -> None:
        self._run_and_life = run, life
        await self._after_a_kill(run, life)
        self._run_and_life = None

    def _decision(self, task: Task) -> Decision:
        """Do what costs nothing: take what the vendor has, and send again only what it has not."""
        there = [record.id for record in self.charged() if self.key_of(record) == task.key]
        return Adopt(there[0]) if there else Resubmit()

    def _judge(self) -> None:
        super()._judge()
        self.master = (self.directory / "master.csv").read_bytes()
        events = self.read(lambda ledger: list(ledger.tasks.events()), ())
        self.doubted = {TaskKey.parse(name) for _, _, _, name, event, *_ in events if event == Event.DOUBT}

    def noted(self, event: str) -> None:
        if event in CALLS:
            self.passed("call")

    def passed(self, kind: str) -> None:
        """Count a point; at the fatal one nothing that the run does counts any more."""
        if self._run_and_life is None or kind != self.places[self.struck][0]:
            return
        self.points += 1
        if self.points == self.places[self.struck][1]:
            run_and_life, self._run_and_life = self._run_and_life, None
            self.struck += 1
            self._kill(*run_and_life)
            self.released |= self._released_in(self.folder / "kept")
            if kind != "call":  # that one is the vendor's, who lives on
                raise KilledError

    def _released_in(self, kept: Path) -> set[TaskKey]:
        """Look into a copy of what a kill has left, so that nothing but the next run opens it."""
        if self.elsewhere is not None:
            return self.read(lambda ledger: {task.key for task in ledger.tasks.select(State.RELEASED)}, set())  # type: ignore[no-any-return]  # read is of Any
        look = self.folder / "look"
        if not ledger_path(kept).exists():
            return set()
        shutil.copytree(kept, look)
        with Ledger.open_to_read(ledger_path(look)) as ledger:
            released = {task.key for task in ledger.tasks.select(State.RELEASED)}
        shutil.rmtree(look)
        return released

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Put the points in."""
        with ExitStack() as stack:
            for name, watched in (("replace", self._replace), ("open", self._open)):
                stack.enter_context(patch.object(os, name, watched(getattr(os, name))))
            for name in ("fsync", "mkdir", "rmdir", "unlink"):
                stack.enter_context(patch.object(os, name, self._changed(getattr(os, name))))
            stack.enter_context(patch.object(Ledger, "seal", self._seal(Ledger.seal)))
            yield

    def _ours(self, path: object) -> bool:
        name = str(Path(f"/proc/self/fd/{path}").readlink()) if isinstance(path, int) else os.fspath(str(path))
        return name.startswith(f"{self.directory}")

    def _replace(self, replace_: Callable[..., None]) -> Callable[..., None]:
        def watched(source: object, target: object, **options: Any) -> None:
            if self._ours(target):
                self.passed("file")
            replace_(source, target, **options)

        return watched

    def _open(self, open_: Callable[..., int]) -> Callable[..., int]:
        def watched(path: object, flags: int, *args: Any, **options: Any) -> int:
            if flags & WRITES and self._ours(path):
                self.passed("file")
            return open_(path, flags, *args, **options)

        return watched

    def _changed(self, change: Callable[..., None]) -> Callable[..., None]:
        def watched(path: object, *args: Any, **options: Any) -> None:
            if self._ours(path):
                self.passed("file")
            change(path, *args, **options)

        return watched

    def _seal(self, seal: Callable[[Ledger], None]) -> Callable[[Ledger], None]:
        def watched(ledger: Ledger) -> None:
            self.passed("commit")
            seal(ledger)
            self.passed("committed")

        return watched


def crash(*places: Place, away: Away | None = None, database: VirtualDatabase | None = None) -> tuple[Story, Doomed]:
    """Kill the small job at these places, one run after the other, go on to its end, and check every promise.

    `away` and `database` say where its ledger and its files are.
    """
    loop = VirtualLoop(lambda: 0.001)
    loop.most_rounds = 50_000
    with scratch() as folder, substituted():
        operator = Doomed(replace(small_job(), away=away), folder, loop, places, database)
        with operator.watching(), asyncio.Runner(loop_factory=lambda: loop) as runner:
            story = runner.run(operator.play())
        if complaints := [complaint for complaint in loop.complaints if "KilledError" not in complaint]:
            raise BrokenPromiseError(f"nobody caught: {complaints[:3]}")
    return story, operator


def points(kind: str, *before: Place, away: Away | None = None, database: VirtualDatabase | None = None) -> int:
    """Count the points of a kind in a run that nothing disturbs, after others that were killed at some place."""
    _, operator = crash(*before, (kind, 0), away=away, database=database)
    if operator.code is not (ExitCode.HELD if before else ExitCode.DONE):
        raise BrokenPromiseError(f"undisturbed, the small job ends with {operator.code}")
    return operator.points
