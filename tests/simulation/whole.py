"""One seed of the whole program: its operator, who starts, stops, kills and decides, and the world around it.

Everything is real but these: time, which is virtual; threads, which are turns of the loop; and worker processes, whose
pieces run in such a turn as well. A kill keeps the directory as it is at that instant, and cuts off all else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from orchestrator.config import load
from orchestrator.dispatch.caution import DOUBTS
from orchestrator.errors import ExitCode
from orchestrator.job.resolve import Adopt, Decision, GiveUp, Resubmit, UseResult
from orchestrator.job.run import RunOptions
from orchestrator.job.world import World
from orchestrator.records import Task
from orchestrator.sandbox import Sandbox, verdict
from orchestrator.settings import Settings
from orchestrator.tasks import HELD, UNFINISHED, State, TaskKey
from orchestrator.workers import PieceLimits, Workers
from tests.simulation.address import Address
from tests.simulation.checks import (
    BrokenPromiseError,
    check_all,
    check_budget,
    check_purged,
    check_spacing,
    promise,
)
from tests.simulation.commands import purge_job, resolve_tasks, run_job, verify_job
from tests.simulation.coordinators import Coordinators
from tests.simulation.elsewhere import VirtualDatabase
from tests.simulation.errands import AGAIN
from tests.simulation.expectation import cells_of
from tests.simulation.faults import Mischief
from tests.simulation.front import Front
from tests.simulation.hostile import Trap, Truth, rows_of
from tests.simulation.loop import VirtualLoop
from tests.simulation.scenario import CURIOUS, EPOCH, KEY, LOOKS, Night, Scenario, stream

T = TypeVar("T")

LAST_RUNS = 12
FINAL = frozenset({ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.HELD})


class OnTheLoop(Workers):
    """The interface of the workers without processes: a piece runs in a turn of the loop."""

    async def run(self, piece: Callable[..., T], *args: object, limits: PieceLimits | None = None) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, partial(piece, *args))


@dataclass
class Story:
    """What happened: `trace` is the same for the same seed, down to the last digit."""

    seed: int
    trace: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    virtual_s: float = 0.0
    rounds: int = 0


class Operator(Coordinators):
    """A person, or a CI system, with one job, whose ledger may be in a `database`."""

    def __init__(
        self, scenario: Scenario, folder: Path, loop: VirtualLoop, database: VirtualDatabase | None = None
    ) -> None:
        super().__init__(folder, loop, stream(scenario.seed, "operator"))
        self.scenario = scenario
        self.story = Story(scenario.seed)
        self.mischief = Mischief(stream(scenario.seed, "mischief"), scenario.faults, scenario.rate)
        self.fronts: dict[str, Front] = {}
        self.trap = Trap()
        self.offset_s = self.slept_s = 0.0
        self.resubmits: Counter[TaskKey] = Counter()
        self._born_s = loop.time()
        self.begin_list()
        if scenario.away is not None:
            assert database is not None
            self.move(scenario.away, database)

    # --- the world ---------------------------------------------------------------------------------------------------

    def vendor_clock(self) -> float:
        return EPOCH + self.loop.time() + self.slept_s

    def clock(self) -> float:
        return self.vendor_clock() + self.offset_s

    def note(self, event: str, **fields: object) -> None:
        told = " ".join(f"{name}={value}" for name, value in fields.items())
        self.story.trace.append(f"{self.loop.time() - self._born_s:.6f} {event} {told}".rstrip())
        self.story.counts[event] += 1
        self.noted(event)
        if event in {"fault", "hostile"}:
            self.story.counts[f"{event} {fields[event]}"] += 1

    def noted(self, event: str) -> None:
        """Take the event in; for those that wait for one."""
        if event == "submitted":
            self.at_submit()

    def settings(self, *, healed: bool) -> Settings:
        path = self.folder / "config.toml"
        urls = {name: front.base_url for name, front in self.fronts.items()}
        if self.scenario.embedded:
            urls = dict.fromkeys(self.scenario.vendors, "sandbox")
        where = {"directory": self.kept_at, "database": self.elsewhere.database.url} if self.elsewhere else {}
        path.write_text(self.scenario.toml(urls, healed=healed, platforms=self.platforms, **where))
        return load(path)

    def world(self) -> World:
        chance = stream(self.scenario.seed, f"program {len(self.story.trace)}")
        return World(self.clock, chance, {"EKYCPRO_API_KEY": KEY}, None, self.ever_told)

    async def play(self) -> Story:
        """Live through the whole seed; raises `BrokenPromiseError`."""
        self.write_list()
        for at_s, jump_s in self.scenario.jumps:
            self.loop.call_later(at_s, self._jump, jump_s)
        for night in self.scenario.nights:
            self.loop.call_later(night.at_s, self._suspend, night)
        with self.elsewhere.known() if self.elsewhere else nullcontext():
            if self.scenario.embedded:
                await self._live()
            else:
                async with self._vendor() as sandbox:
                    await self._live_with(sandbox)
        return self.story

    def _called_for(self) -> list[str]:
        """Return the errands that a curious operator does when something came to nothing."""
        if not self.scenario.curiosity or not any(
            AGAIN.intersection(cells.values()) for cells in cells_of(self).values()
        ):
            return []
        return self.chance.choice((["retry"], ["mend"], ["mend", "retry"], ["retry", "retry"]))

    def _vendor(self) -> Sandbox:
        return Sandbox(
            self.vendor,
            seed=self.scenario.seed,
            faults=self.scenario.sandbox_faults,
            pace=self.scenario.pace,
            key=KEY,
            clock=self.vendor_clock,
            options=self.scenario.options,
        )

    async def _live_with(self, sandbox: Sandbox) -> None:
        api, results = (url.removeprefix("http://") for url in (sandbox.base_url, sandbox.result_url))
        trap = await self.trap.start()
        address = Address(self.loop, self.mischief, self.note) if self.scenario.secured else None
        for name in self.scenario.vendors:
            self.fronts[name] = front = Front(api, results, self.mischief, self.note, address=address)
            front.gateway.trap, front.truth, front.slow_s = trap, self.truth, self.scenario.slow_s
            front.kind_of = self.kind_of
            await front.start()
        try:
            with address.known() if address else nullcontext():
                await self._live()
        finally:
            for front in self.fronts.values():
                await front.stop()
            await self.trap.stop()

    def truth(self, task_id: str) -> tuple[str, Truth]:
        """Return a task's platform, as the vendor calls it, and the rows of its result as they should be."""
        record = next(record for record in self.charged() if record.id == task_id)
        faulty = "missing_rows" in self.scenario.sandbox_faults
        return record.platform, rows_of(record, self.vendor, self.scenario.seed, faulty=faulty)

    async def _live(self) -> None:
        await self._faulty_times()
        await self._better_times()
        for name in (*self._called_for(), *self.scenario.errands):
            await self.errand(name)
            if self.chance.random() < 0.5:
                await self.errand(self.chance.choice(LOOKS))
            await self._better_times()
        self._judge()
        await self._last_things()

    def _jump(self, jump_s: float) -> None:
        self.offset_s += jump_s
        self.note("clock jumps", by=jump_s)

    def _suspend(self, night: Night) -> None:
        """Let the world go on without this machine."""
        self.slept_s += night.lasts_s
        for front in self.fronts.values():
            front.lose_connections(silent=night.silent)
        if self.elsewhere:
            self.elsewhere.lose_connections()
        self.note("suspended", seconds=night.lasts_s, silent=night.silent)

    # --- times -------------------------------------------------------------------------------------------------------

    async def _faulty_times(self) -> None:
        for _ in range(self.scenario.faulty_runs):
            if self.chance.random() < self.scenario.curiosity:
                await self.errand(self.chance.choice(CURIOUS))
            settings = self.settings(healed=False)
            for _ in range(1 + self.scenario.repeats):  # as a loop does that looks at the exit code alone
                if self.is_taken_over():
                    code = await self.taken_over()
                else:
                    code = await self._run(settings, self._drawn_options(), self.drawn_end())
                settings = self.settings(healed=False)
                self._check_doubts()
                if not self.scenario.embedded:  # the embedded vendor's money is not counted
                    check_budget(self.charged(), self.scenario.max_cost(healed=False))
                if code not in {None, ExitCode.AGAIN}:
                    break
            await asyncio.sleep(self.chance.choice((0.0, 1.0, 100.0)))
            await self._decide(settings, hurry=False)

    async def _better_times(self) -> None:
        """Let the faults stop, and see the job through to its end."""
        settings = self.settings(healed=True)
        if self.scenario.heals_in_a_run and not self.mischief.healed:
            self.loop.call_later(self.chance.uniform(0.0, 300.0), self._heal)
        else:
            self._heal()
        tasks = len(self._tasks(*State)) + len(self.names) * len(self.accepted) // self.scenario.chunk_size
        for _ in range(LAST_RUNS):
            code = await self._run(settings, RunOptions(), partial(self._bounded, self.scenario.bound_s(tasks)))
            self._heal()
            self._check_doubts()
            ended = code in FINAL and not self._of_now(*UNFINISHED)
            self.altered = self.altered and code not in FINAL
            decided = await self._decide(settings, hurry=True)
            if ended and not decided and not await self.refetch_lost():
                return
            if code is ExitCode.HELD and not ended and not self._of_now(*HELD):
                await self.errand("retry")  # what failed, so that a platform that was stopped for it goes on
        raise BrokenPromiseError(f"the job has not ended after {LAST_RUNS} runs without faults")

    def _heal(self) -> None:
        if not self.mischief.healed:
            self.mischief.healed = True
            self.heal_elsewhere()
            for front in self.fronts.values():
                front.mend()
            self.note("healed")

    def _drawn_options(self) -> RunOptions:
        deadline_s = self.chance.choice((None, None, None, self.chance.uniform(0.0, 400.0)))
        return RunOptions(deadline_s=deadline_s, submit_only=self.chance.random() < 0.1)

    async def _last_things(self) -> None:
        """Look at what is left at the end; then the job may be purged, and is closed."""
        settings = self.settings(healed=True)
        await self.errand("verify")
        if not self.scenario.purged:
            return
        told = await self.do(purge_job(settings, self.world(), yes=False))
        promise((self.directory / "master.csv").exists(), "a purge that only tells has removed something")
        deed = await self.do(purge_job(settings, self.world(), yes=True))
        names = [[path.name for path in its.result.paths] for its in (told, deed)]
        promise(names[0] == names[1], f"purge told of {names[0]}, and removes {names[1]}")
        check_purged(self)
        await self.refused(run_job(settings, RunOptions(), self.world()), ExitCode.USAGE, "a purged job")
        await self.refused(verify_job(settings, self.world()), ExitCode.USAGE, "a purged job's verify")
        check_purged(self)

    def _check_doubts(self) -> None:
        """See that over all runs at most three doubts a platform wait for a decision, also after a kill."""
        unsure = Counter(task.key.platform for task in self._tasks(State.IN_DOUBT, State.RELEASED))
        promise(not unsure or max(unsure.values()) <= DOUBTS, f"so many doubts wait for a decision: {dict(unsure)}")

    # --- decisions ---------------------------------------------------------------------------------------------------

    async def _decide(self, settings: Settings, *, hurry: bool) -> int:
        """Settle some held tasks as a person would who looks at the vendor's list of tasks; return how many."""
        decided = 0
        for task in self._of_now(*HELD):
            if not hurry and self.chance.random() < 0.5:
                continue
            decision = self._decision(task)
            if decision is None:
                continue
            await resolve_tasks(settings, decision, [str(task.key)], self.world())
            decided += 1
        return decided

    def _decision(self, task: Task) -> Decision | None:
        taken = {other.task_id for other in self._tasks(*State)}
        there = [record for record in self.charged() if self.key_of(record) == task.key and record.id not in taken]
        kind = self.chance.random()
        what: Decision | None
        if kind < 0.1:
            what = GiveUp()
        elif kind < 0.2:
            what = self._by_hand(task)
        elif kind < 0.3:
            what = None
        elif there and kind < 0.95:
            what = Adopt(there[-1].id)
        elif task.state is State.STALLED and kind < 0.7:
            what = None
        else:
            what = Resubmit()
            self.resubmits[task.key] += 1
        self.note("decided", task=task.key, what=type(what).__name__)
        return what

    def _by_hand(self, task: Task) -> Decision:
        """Fetch a result by hand."""
        path = self.folder / "by-hand.csv"
        platform = task.key.platform
        numbers = self.numbers_of(task)
        lines = [f"{number},{verdict(self.scenario.seed, self.kind_of(platform), number)}" for number in numbers]
        path.write_text("\n".join([f"Number,{platform}", *lines, ""]))
        self.by_hand.add(task.key)
        return UseResult(path)

    # --- looking -----------------------------------------------------------------------------------------------------

    def is_secured(self) -> bool:
        return self.scenario.secured

    def may_be_misled(self) -> bool:
        return self.scenario.secured and not self.mischief.healed

    def served(self, sha256: str) -> dict[str, str] | None:
        """Return what each number has by a result that is not as the sandbox wrote it."""
        return next((front.served[sha256] for front in self.fronts.values() if sha256 in front.served), None)

    def sent(self) -> object:
        return len(self.charged()), [len(front.arrivals) for front in self.fronts.values()]

    def _of_now(self, *states: State) -> list[Task]:
        """Return the tasks in `states` of platforms that are in the configuration."""
        return [task for task in self._tasks(*states) if task.key.platform in self.names]

    def _judge(self) -> None:
        self.story.virtual_s = self.loop.time() - self._born_s
        self.story.rounds = self.loop.rounds
        check_all(self)
        promise(not self.trap.connections, "a redirect or a link was followed to where none may lead")
        for name, front in self.fronts.items():
            check_spacing(front.arrivals, self.scenario, name, self.woken)
