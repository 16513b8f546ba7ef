"""One seed of the whole program: its operator, who starts, stops, kills and decides, and the world around it.

Everything is real but these: time, which is virtual; threads, which are turns of the loop; and worker processes, whose
pieces run in such a turn as well. A kill keeps the directory as it is at that instant, and cuts off all else.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from orchestrator import job
from orchestrator.config import load
from orchestrator.errors import ExitCode, LockedError, OrchestratorError
from orchestrator.job import RunOptions, World
from orchestrator.ledger import Ledger, Task, ledger_path
from orchestrator.sandbox import Sandbox, TaskRecord, read_tasks, verdict
from orchestrator.settings import Settings
from orchestrator.tasks import HELD, UNFINISHED, State, TaskKey
from orchestrator.workers import PieceLimits, Workers
from tests.simulation.checks import BrokenPromiseError, check_all, check_spacing, key_of
from tests.simulation.faults import Mischief
from tests.simulation.front import Front
from tests.simulation.loop import LIFE, Life, VirtualLoop
from tests.simulation.scenario import EPOCH, KEY, Scenario, stream

T = TypeVar("T")

STOPS_WITHIN_S = 20.0
"""How long an orderly stop may take: four seconds of grace, and a slow disk."""
LAST_RUNS = 12
FINAL = frozenset({ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.HELD})


class OnTheLoop(Workers):
    """The interface of the workers without processes: a piece runs in a turn of the loop."""

    async def run(self, piece: Callable[..., T], *args: object, limits: PieceLimits | None = None) -> T:
        async with self._slots:
            return await asyncio.get_running_loop().run_in_executor(None, partial(piece, *args))


@dataclass
class Story:
    """What happened: `trace` is the same for the same seed, down to the last digit."""

    seed: int
    trace: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    virtual_s: float = 0.0
    rounds: int = 0


class Operator:
    """A person, or a CI system, with one job."""

    def __init__(self, scenario: Scenario, folder: Path, loop: VirtualLoop) -> None:
        self.scenario, self.folder, self.loop = scenario, folder, loop
        self.story = Story(scenario.seed)
        self.chance = stream(scenario.seed, "operator")
        self.mischief = Mischief(stream(scenario.seed, "mischief"), scenario.faults, scenario.rate)
        self.fronts: dict[str, Front] = {}
        self.offset_s = 0.0
        self.resubmits: Counter[TaskKey] = Counter()
        self.by_hand: set[TaskKey] = set()
        self.ever_told = io.StringIO()
        self._born_s = loop.time()

    # --- the world ---------------------------------------------------------------------------------------------------

    @property
    def vendor(self) -> Path:
        return self.folder / "vendor"

    @property
    def directory(self) -> Path:
        return self.folder / "job"

    def vendor_clock(self) -> float:
        return EPOCH + self.loop.time()

    def clock(self) -> float:
        return self.vendor_clock() + self.offset_s

    def note(self, event: str, **fields: object) -> None:
        told = " ".join(f"{name}={value}" for name, value in fields.items())
        self.story.trace.append(f"{self.loop.time() - self._born_s:.6f} {event} {told}".rstrip())
        self.story.counts[event] += 1
        self.noted(event)
        if event == "fault":
            self.story.counts[f"fault {fields['fault']}"] += 1

    def noted(self, event: str) -> None:
        """Take the event in; for those that wait for one."""

    def settings(self, *, healed: bool) -> Settings:
        path = self.folder / "config.toml"
        urls = {name: front.base_url for name, front in self.fronts.items()}
        path.write_text(self.scenario.toml(urls, healed=healed))
        return load(path)

    def world(self) -> World:
        chance = stream(self.scenario.seed, f"program {len(self.story.trace)}")
        return World(self.clock, chance, {"EKYCPRO_API_KEY": KEY}, None, self.ever_told)

    async def play(self) -> Story:
        """Live through the whole seed; raises `BrokenPromiseError`."""
        self.folder.joinpath("list.txt").write_text("\n".join(self.scenario.lines) + "\n")
        sandbox = Sandbox(
            self.vendor,
            seed=self.scenario.seed,
            faults=self.scenario.sandbox_faults,
            pace=self.scenario.pace,
            key=KEY,
            clock=self.vendor_clock,
            options=self.scenario.options,
        )
        async with sandbox:
            api, results = (url.removeprefix("http://") for url in (sandbox.base_url, sandbox.result_url))
            for name in self.scenario.vendors:
                self.fronts[name] = Front(api, results, self.mischief, self.note)
                await self.fronts[name].start()
            for at_s, jump_s in self.scenario.jumps:
                self.loop.call_later(at_s, self._jump, jump_s)
            try:
                await self._faulty_times()
                await self._better_times()
            finally:
                for front in self.fronts.values():
                    await front.stop()
        self._judge()
        return self.story

    def _jump(self, jump_s: float) -> None:
        self.offset_s += jump_s
        self.note("clock jumps", by=jump_s)

    # --- runs --------------------------------------------------------------------------------------------------------

    async def _faulty_times(self) -> None:
        for _ in range(self.scenario.faulty_runs):
            settings = self.settings(healed=False)
            await self._run(settings, self._drawn_options(), self._drawn_end())
            await asyncio.sleep(self.chance.choice((0.0, 1.0, 100.0)))
            await self._decide(settings, hurry=False)

    async def _better_times(self) -> None:
        """Let the faults stop, and see the job through to its end."""
        settings = self.settings(healed=True)
        if self.scenario.heals_in_a_run:
            self.loop.call_later(self.chance.uniform(0.0, 300.0), self._heal)
        else:
            self._heal()
        bound_s = self.scenario.bound_s()
        for _ in range(LAST_RUNS):
            code = await self._run(settings, RunOptions(), partial(self._bounded, bound_s))
            if not self.mischief.healed:
                self._heal()
            if code in FINAL and not self._tasks(*UNFINISHED):
                decided = await self._decide(settings, hurry=True)
                if not decided:
                    return
            else:
                await self._decide(settings, hurry=True)
        raise BrokenPromiseError(f"the job has not ended after {LAST_RUNS} runs without faults")

    def _heal(self) -> None:
        if not self.mischief.healed:
            self.mischief.healed = True
            self.note("healed")

    def _drawn_options(self) -> RunOptions:
        deadline_s = self.chance.choice((None, None, None, self.chance.uniform(0.0, 400.0)))
        return RunOptions(deadline_s=deadline_s, submit_only=self.chance.random() < 0.1)

    def _drawn_end(self) -> Callable[[asyncio.Task[Any], Life], Coroutine[Any, Any, None]]:
        kind = self.chance.random()
        at_s = self.chance.choice((0.05, 1.0, 30.0, 1000.0)) * self.chance.random()
        if kind < 0.35:
            return partial(self._killed_in_round, int(10 ** self.chance.uniform(0.5, 3.7)))
        if kind < 0.5:
            return partial(self._killed_at, at_s)
        if kind < 0.75:
            return partial(self._stopped_at, at_s)
        return partial(self._stopped_at, 6 * 3600.0)

    async def _run(
        self,
        settings: Settings,
        options: RunOptions,
        end: Callable[[asyncio.Task[Any], Life], Coroutine[Any, Any, None]],
    ) -> ExitCode | None:
        """Do one run and end it as `end` says; return its exit code, None when it was killed."""
        life = Life()
        context = copy_context()
        context.run(LIFE.set, life)
        self.note("run", submit_only=options.submit_only, deadline=options.deadline_s)
        run = context.run(asyncio.create_task, job.run(settings, options, self.world()))
        await end(run, life)
        await self._bury(life)
        if run.cancelled() or (life.killed and run.exception()):
            return None
        code = self._code_of(run)
        self.note("ended", code=int(code))
        if code in {ExitCode.INTERNAL, ExitCode.STORAGE, ExitCode.LOCKED, ExitCode.USAGE}:
            raise BrokenPromiseError(f"a run ended with {code.value}: {self.ever_told.getvalue()[-3000:]}")
        return code

    def _code_of(self, run: asyncio.Task[Any]) -> ExitCode:
        try:
            return run.result().exit_code  # type: ignore[no-any-return]  # of an Outcome
        except OrchestratorError as error:
            self.ever_told.write(f"{error}\n")
            return error.exit_code

    async def _bury(self, life: Life) -> None:
        """See that a run that is over has left nothing behind."""
        await asyncio.sleep(1.0)
        if left := life.alive():
            raise BrokenPromiseError(f"{len(left)} tasks outlive their run: {left[:3]}")

    async def _bounded(self, bound_s: float, run: asyncio.Task[Any], life: Life) -> None:
        del life
        begun_s = self.loop.time()
        await asyncio.wait([run], timeout=bound_s)
        if not run.done():
            run.cancel()
            raise BrokenPromiseError(f"a run has not ended within {bound_s:.0f} virtual seconds without faults")
        self.note("took", seconds=round(self.loop.time() - begun_s, 6))

    async def _stopped_at(self, at_s: float, run: asyncio.Task[Any], life: Life) -> None:
        """Stop in good order; sometimes look in before that."""
        del life
        await asyncio.wait([run], timeout=at_s / 2)
        if not run.done() and self.chance.random() < 0.3:
            await self._second_run()
        await asyncio.wait([run], timeout=at_s / 2)
        if run.done():
            return
        if not self.loop.deliver(signal.SIGTERM):
            run.cancel()  # before the handlers are there a signal just ends the process
        self.note("sigterm")
        await asyncio.wait([run], timeout=STOPS_WITHIN_S)
        if not run.done():
            raise BrokenPromiseError(f"an orderly stop takes more than {STOPS_WITHIN_S:g} s")

    async def _second_run(self) -> None:
        """Start the job once more beside itself."""
        try:
            await job.run(self.settings(healed=False), RunOptions(), self.world())
        except LockedError:
            self.note("locked")
        else:
            raise BrokenPromiseError("two runs hold one job")

    async def _killed_at(self, at_s: float, run: asyncio.Task[Any], life: Life) -> None:
        timer = self.loop.call_later(at_s, self._kill, run, life)
        await self._after_a_kill(run, life)
        timer.cancel()

    async def _killed_in_round(self, rounds: int, run: asyncio.Task[Any], life: Life) -> None:
        self.loop.alarm(rounds, partial(self._kill, run, life))
        await self._after_a_kill(run, life)
        self.loop.alarm(1 << 60, lambda: None)

    def _kill(self, run: asyncio.Task[Any], life: Life) -> None:
        """Keep the directory as it is now, and cut off everything that could still change it."""
        if run.done():
            return
        self.note("killed")
        life.killed = True
        if self.directory.exists():
            shutil.copytree(self.directory, self.folder / "kept")
        for task in life.alive():
            task.cancel()

    async def _after_a_kill(self, run: asyncio.Task[Any], life: Life) -> None:
        await asyncio.wait([run], timeout=6 * 3600.0)
        if not run.done():
            raise BrokenPromiseError("a run has not ended within six hours")
        if not life.killed:
            return
        await asyncio.sleep(2.0)
        while any(task.cancel() for task in life.alive()):  # noqa: ASYNC110 - there is nobody to set an event
            await asyncio.sleep(2.0)
        for file in life.files:
            file.close()
        if self.directory.exists():
            shutil.rmtree(self.directory)
        if (self.folder / "kept").exists():
            (self.folder / "kept").rename(self.directory)

    # --- decisions ---------------------------------------------------------------------------------------------------

    async def _decide(self, settings: Settings, *, hurry: bool) -> int:
        """Settle some held tasks as a person would who looks at the vendor's list of tasks; return how many."""
        decided = 0
        for task in self._tasks(*HELD):
            if not hurry and self.chance.random() < 0.5:
                continue
            decision = self._decision(task)
            if decision is None:
                continue
            await job.resolve(settings, decision, [str(task.key)], self.world())
            decided += 1
        return decided

    def _decision(self, task: Task) -> job.Decision | None:
        taken = {other.task_id for other in self._tasks(*State)}
        there = [record for record in self.charged() if key_of(record) == task.key and record.id not in taken]
        kind = self.chance.random()
        what: job.Decision | None
        if kind < 0.1:
            what = job.GiveUp()
        elif kind < 0.2:
            what = self._by_hand(task)
        elif kind < 0.3:
            what = None
        elif there and kind < 0.95:
            what = job.Adopt(there[-1].id)
        elif task.state is State.STALLED and kind < 0.7:
            what = None
        else:
            what = job.Resubmit()
            self.resubmits[task.key] += 1
        self.note("decided", task=task.key, what=type(what).__name__)
        return what

    def _by_hand(self, task: Task) -> job.Decision:
        """Fetch a result by hand."""
        path = self.folder / "by-hand.csv"
        platform = task.key.platform
        numbers = self.numbers_of(task)
        lines = [f"{number},{verdict(self.scenario.seed, platform, number)}" for number in numbers]
        path.write_text("\n".join([f"Number,{platform}", *lines, ""]))
        self.by_hand.add(task.key)
        return job.UseResult(path)

    # --- looking -----------------------------------------------------------------------------------------------------

    def charged(self) -> list[TaskRecord]:
        return read_tasks(self.vendor)

    def _tasks(self, *states: State) -> list[Task]:
        if not ledger_path(self.directory).exists():
            return []
        with Ledger.open_to_read(ledger_path(self.directory)) as ledger:
            return ledger.tasks(*states)

    def numbers_of(self, task: Task) -> list[str]:
        return (self.directory / "chunks" / f"{task.key.chunk:06d}.txt").read_text().split()

    def _judge(self) -> None:
        self.story.virtual_s = self.loop.time() - self._born_s
        self.story.rounds = self.loop.rounds
        check_all(self)
        for name, front in self.fronts.items():
            check_spacing(front.arrivals, self.scenario, name)
