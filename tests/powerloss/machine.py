"""The job and its vendor at an address that outlives a power loss: what is recorded, and what goes on afterwards."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from orchestrator.config import load
from orchestrator.job.resolve import Adopt, Decision, Resubmit, resolve_tasks
from orchestrator.job.run import RunOptions
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.records import Task
from orchestrator.sandbox import FAULTS, Options, Sandbox
from orchestrator.settings import Settings
from orchestrator.tasks import HELD, Event, State, TaskKey
from tests.simulation.checks import check_all, key_of, promise
from tests.simulation.crashes import small_job
from tests.simulation.loop import START_S, VirtualLoop
from tests.simulation.playing import substituted
from tests.simulation.scenario import KEY, KNOWN, PlatformDraw, Scenario, stream
from tests.simulation.whole import Operator, Story

PORT = 18_080
MOST_ROUNDS = 100_000
MOST_RUNS = 8


@dataclass(frozen=True)
class Place:
    """Where a machine's disk, its vendor and an observer's notes are kept; the vendor's address is nobody else's."""

    base: Path
    seed: int
    host: str

    @property
    def disk(self) -> Path:
        return self.base / "disk"

    @property
    def vendor(self) -> Path:
        return self.base / "vendor"

    @property
    def marks(self) -> Path:
        return self.base / "marks.jsonl"

    def clear(self) -> None:
        """Remove everything, for the next one."""
        for part in self.base.iterdir():
            shutil.rmtree(part) if part.is_dir() else part.unlink()


def own_address() -> str:
    """Return an address of this computer that no other process of these tests uses."""
    pid = os.getpid()
    return f"127.{64 + (pid >> 16) % 64}.{pid >> 8 & 255}.{pid & 255}"


def job_of(seed: int) -> Scenario:
    """Give a small job: a few chunks on one to three platforms; one in three with a vendor that has faults."""
    chance = stream(seed, "power loss")
    small = small_job()
    count, chunk_size = chance.choice(((10, 5), (6, 2), (12, 4), (5, 5)))
    numbers = tuple(f"+417912345{n:02d}" for n in range(count))
    names = chance.sample(list(KNOWN), chance.choice((1, 2, 2, 3)))
    return replace(
        small,
        seed=seed,
        lines=(*numbers, "junk", numbers[0]),
        numbers=numbers,
        chunk_size=chunk_size,
        platforms=tuple(PlatformDraw(name, "main", 20.0, 4, canary=False) for name in names),
        formats=("csv", "xlsx") if chance.random() < 0.2 else ("csv",),
        sandbox_faults=FAULTS if chance.random() < 0.3 else (),
        options=Options(min_rows=dict.fromkeys(KNOWN, 1), link_lifetime_s=chance.choice((5, 3600))),
    )


def digest_of(ledger: sqlite3.Connection) -> str:
    """Return a hash of everything that a ledger says."""
    return hashlib.sha256("\n".join(ledger.iterdump()).encode()).hexdigest()[:16]


class Machine(Operator):
    """An operator whose vendor has a directory and an address that stay.

    Where the disk has `lied` about its syncs, a chunk file may be torn.
    """

    def __init__(self, place: Place, loop: VirtualLoop, *, lied: bool = False) -> None:
        super().__init__(job_of(place.seed), place.disk, loop)
        self.place = place
        self._lied = lied
        self._base_url = ""

    @property
    def vendor(self) -> Path:
        return self.place.vendor

    def settings(self, *, healed: bool) -> Settings:
        path = self.folder / "config.toml"
        path.write_text(self.scenario.toml({"main": self._base_url}, healed=True))
        return load(path)

    def does_as_told(self, told: str) -> bool:
        """Remove a torn chunk file, as the message says; no other disk leaves one."""
        found = re.match(r"(\S+/chunks/[0-9]{6}\.txt): not a chunk file; remove it", told)
        if not self._lied or found is None:
            return False
        Path(found[1]).unlink()
        return True

    async def beside_the_vendor(self, act: Callable[[], Awaitable[None]]) -> Story:
        """Do something while the vendor is there."""
        self.folder.joinpath("list.txt").write_text("\n".join(self.scenario.lines) + "\n")
        sandbox = Sandbox(
            self.vendor,
            seed=self.scenario.seed,
            faults=self.scenario.sandbox_faults,
            pace=self.scenario.pace,
            host=self.place.host,
            port=PORT,
            key=KEY,
            clock=self.vendor_clock,
            options=self.scenario.options,
        )
        async with sandbox:
            self._base_url = sandbox.base_url
            await act()
        return self.story

    async def see_it_through(self) -> None:
        """Run the job to its end, decide what is held, and check that nothing is missing and nothing paid twice."""
        settings = self.settings(healed=True)
        for _ in range(MOST_RUNS):
            await self._run(settings, RunOptions(), partial(self._bounded, self.scenario.bound_s()))
            if all(task.state is State.DONE for task in self._tasks(*State)):
                break
            for task in self._tasks(*HELD):
                await resolve_tasks(settings, self._answer(task), [str(task.key)], self.world())
        self.by_hand = self._taken_by_hand()
        check_all(self)
        tasks = self._tasks(*State)
        undone = [f"{task.key} is {task.state}: {task.reason}" for task in tasks if task.state is not State.DONE]
        promise(tasks and not undone, f"the job is not complete after {MOST_RUNS} runs: {undone}")
        paid = sorted(str(key_of(record)) for record in self.charged() if key_of(record) not in self.by_hand)
        promise(paid == sorted(str(task.key) for task in tasks if task.key not in self.by_hand), f"charged were {paid}")

    def _taken_by_hand(self) -> set[TaskKey]:
        """Return the tasks whose results a person has named, in this life or an earlier one."""
        with Ledger.open_to_read(ledger_path(self.directory)) as ledger:
            finished = [
                (name, detail) for _, _, _, name, event, *_, detail in ledger.tasks.events() if event == Event.FINISH
            ]
        return {TaskKey.parse(name) for name, detail in finished if json.loads(detail).get("by") == "decision"}

    def _answer(self, task: Task) -> Decision:
        """Decide what costs nothing: take what the vendor has, and send again only what it has not."""
        there = [record.id for record in self.charged() if key_of(record) == task.key]
        return Adopt(there[0]) if there else Resubmit()


def live(machine: Callable[[VirtualLoop], Machine], act: Callable[[Machine], Awaitable[None]], from_s: float) -> Story:
    """Start a machine at `from_s` of virtual time, its vendor beside it, and let it act."""
    loop = VirtualLoop(lambda: 0.001)
    loop.most_rounds = MOST_ROUNDS
    loop._virtual_s = max(from_s, START_S)
    born = machine(loop)
    with substituted(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        story = runner.run(born.beside_the_vendor(lambda: act(born)))
    promise(not loop.complaints, f"nobody caught: {loop.complaints[:3]}")
    gc.collect()  # connections that an error has left in a cycle must not outlive the address
    return story
