"""One life of the recorded machine, run under strace: `python -m tests.powerloss.recorded BASE SEED HOST LIFE FROM_S`.

After every commit that the program was told is durable, a mark with a hash of the ledger is written outside the
machine's disk; so the log of calls says at each point what had been acknowledged. A life ends by a kill or a stop that
its name and the seed draw; the one named `last` sees the job through.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from orchestrator.job.plan import plan_job
from orchestrator.job.resolve import Decision, UseResult
from orchestrator.job.run import RunOptions
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.records import Task
from orchestrator.sandbox import verdict
from tests.ledgers import sqlite_of
from tests.powerloss.machine import Machine, Place, digest_of, live
from tests.simulation.loop import VirtualLoop
from tests.simulation.scenario import stream

LAST = "last"


class Recorded(Machine):
    """A machine that notes what was acknowledged, and that is killed."""

    def __init__(self, place: Place, loop: VirtualLoop, life: str) -> None:
        super().__init__(place, loop)
        self.life = life
        self.fate = stream(place.seed, f"life {life}")
        self._marks = os.open(place.marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._fatal_file = self._fatal_directory = 0

    def mark(self, ledger: Ledger, *, acknowledged: bool) -> None:
        line = {"acknowledged": acknowledged, "ledger": digest_of(sqlite_of(ledger)._sql), "time": self.loop.time()}
        os.write(self._marks, json.dumps(line).encode() + b"\n")

    async def act(self) -> None:
        if self.life != LAST:
            self._draw_death()
        if not ledger_path(self.directory).exists() and stream(self.place.seed, "plan").random() < 0.3:
            await self._plan_otherwise()
        if self.life == LAST:
            await self.see_it_through()
            return
        end = partial(self._stopped_at, self.fate.uniform(0.0, 4.0))
        await self._run(self.settings(healed=True), RunOptions(submit_only=self.fate.random() < 0.2), end)

    def _draw_death(self) -> None:
        kind = self.fate.random()
        if kind < 0.3:
            self.loop.alarm(int(10 ** self.fate.uniform(1.0, 3.0)), _die)
        elif kind < 0.6:
            self._fatal_file = self.fate.randrange(1, 60)
        elif kind < 0.8:
            self._fatal_directory = self.fate.randrange(1, 9)

    async def _plan_otherwise(self) -> None:
        """Look first at what smaller chunks would cost: a plan that the run then replaces, with its chunk files."""
        wanted = self.scenario
        self.scenario = replace(wanted, chunk_size=wanted.chunk_size - 1)
        await plan_job(self.settings(healed=True), self.world())
        self.scenario = wanted

    def _answer(self, task: Task) -> Decision:
        """Sometimes name a result that was fetched by hand."""
        if self.fate.random() < 0.5:
            return super()._answer(task)
        platform, path = task.key.platform, self.place.base / "by-hand.csv"
        rows = [f"{number},{verdict(self.scenario.seed, platform, number)}" for number in self.numbers_of(task)]
        path.write_text("\n".join([f"Number,{platform}", *rows, ""]))
        return UseResult(path)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Mark every commit, and every ledger that is made or opened; be killed at a file operation."""
        made, opened, seal = Ledger.create, Ledger.open, Ledger.seal

        def create(_: type[Ledger], path: Path, job_id: str) -> Ledger:
            ledger = made(path, job_id)
            self.mark(ledger, acknowledged=True)
            return ledger

        def open_(_: type[Ledger], path: Path) -> Ledger:
            ledger = opened(path)
            self.mark(ledger, acknowledged=False)
            return ledger

        def sealed(ledger: Ledger) -> None:
            seal(ledger)
            self.mark(ledger, acknowledged=True)

        with (
            patch.object(Ledger, "create", classmethod(create)),
            patch.object(Ledger, "open", classmethod(open_)),
            patch.object(Ledger, "seal", sealed),
            patch.object(os, "fsync", self._fatal(os.fsync)),
            patch.object(os, "replace", self._fatal(os.replace)),
            patch.object(os, "mkdir", self._made(os.mkdir)),
        ):
            yield

    def _fatal(self, function: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: Any, **options: Any) -> None:
            self._fatal_file -= 1
            if self._fatal_file == 0:
                _die()
            function(*arguments, **options)

        return counted

    def _made(self, mkdir: Callable[..., None]) -> Callable[..., None]:
        """Let the next file operation after the n-th directory be the fatal one: the directory's name is not synced."""

        def counted(path: Path, *arguments: Any, **options: Any) -> None:
            mkdir(path, *arguments, **options)
            if Path(path).is_relative_to(self.directory):
                self._fatal_directory -= 1
                if self._fatal_directory == 0:
                    self._fatal_file = 1

        return counted


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    base, seed, host, life, from_s = sys.argv[1:]
    place = Place(Path(base), int(seed), host)
    born: list[Recorded] = []

    def bear(loop: VirtualLoop) -> Recorded:
        born.append(Recorded(place, loop, life))
        return born[0]

    async def act(_: Machine) -> None:
        with born[0].watched():
            await born[0].act()

    live(bear, act, float(from_s))


if __name__ == "__main__":
    main()
