"""One fault alone against the whole program: a run while it lasts, then a run after it has healed.

The job has two chunks of five numbers and two platforms, of which only one is at the vendor that has the fault. The
HTTP client, the ledger and the files are real; time is virtual, and workers are turns of the loop.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
import ssl
from collections import Counter
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

from orchestrator.config import load
from orchestrator.errors import ExitCode, OrchestratorError
from orchestrator.job.resolve import Adopt, Decision, Resubmit, resolve_tasks
from orchestrator.job.retry import retry_job
from orchestrator.job.run import RunOptions, RunReport, run_job
from orchestrator.job.world import World
from orchestrator.jobdir.layout import LOG
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.records import Task
from orchestrator.sandbox import Options, Sandbox, TaskRecord, read_breaches, read_tasks, verdict
from orchestrator.settings import Settings
from orchestrator.tasks import State
from tests.faults.front import ChosenFront, Stroke
from tests.faults.rows import End, Strike
from tests.simulation.checks import BrokenPromiseError, key_of, promise
from tests.simulation.faults import Mischief
from tests.simulation.front import Front
from tests.simulation.hostile import Trap
from tests.simulation.loop import LIFE, Life, VirtualLoop
from tests.simulation.playing import scratch, substituted
from tests.simulation.scenario import DAY_S, EPOCH, KEY

MOST_ROUNDS = 200_000
ENDS_WITHIN_S = 3 * DAY_S
PASSES_AFTER_S = 100.0
NIGHT_S = 6 * 3600.0
STYLES = ("instagram", "amazon")
NUMBERS = tuple(f"+4179123450{n}" for n in range(10))
MASTER_CODES = frozenset(
    {ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.HELD, ExitCode.VENDOR_STOP, ExitCode.OVER_BUDGET}
)
WORDS = {State.IN_DOUBT: "held", State.STALLED: "held", State.FAILED: "failed"}

CONFIG = """
[job]
name = "fault"
inputs = ["list.txt"]
directory = "job"
chunk_size = {chunk_size}
[polling]
min_interval_s = 0.2
max_interval_s = 300.0
give_up_after_h = 0.25
[backoff]
base_delay_s = 0.5
max_delay_s = 60.0
give_up_after_s = 150.0
[budget]
max_cost = 1.0
[output]
formats = ["csv"]
[workers]
count = 1
"""


class Bench:
    """A job in a folder, its two vendors, and a person who starts it and decides.

    `struck` is the platform at the vendor with the fault, the other of `STYLES` is the calm one, while the fault lasts.
    """

    chunk_size = 5
    with_calm = True

    def __init__(self, folder: Path, loop: VirtualLoop, strike: Strike, struck: str, *, once: bool) -> None:
        self.folder, self.loop, self.strike, self.struck = folder, loop, strike, struck
        self.calm = tuple(name for name in STYLES if name != struck and self.with_calm and not once)
        timed = strike.place in {"address", "connection"}
        self.stroke = Stroke(
            strike.place, strike.fault, which=strike.which, times=1 if (once and not timed) or strike.is_sleep else None
        )
        self.passes = once and timed
        self.trap = Trap()
        self.offset_s = self.slept_s = 0.0
        self.numbers: tuple[str, ...] = NUMBERS
        self.stderr = io.StringIO()
        self.said = ""
        self.summary: dict[str, Any] = {}
        self.retried = False
        self.front: ChosenFront
        self.tls = False

    # --- the world ---------------------------------------------------------------------------------------------------

    @property
    def directory(self) -> Path:
        return self.folder / "job"

    def vendor_clock(self) -> float:
        return EPOCH + self.loop.time() + self.slept_s

    def world(self) -> World:
        dice = random.Random(len(self.stderr.getvalue()))  # noqa: S311 - jitter
        return World(lambda: self.vendor_clock() + self.offset_s, dice, {"EKYCPRO_API_KEY": KEY}, None, self.stderr)

    def settings(self) -> Settings:
        lines = [CONFIG.format(chunk_size=self.chunk_size)]
        vendors = {"main": self.front.base_url} | ({"other": self.other.base_url} if self.calm else {})
        for name, url in vendors.items():
            lines.append(f'[vendors.{name}]\nbase_url = "{url}"\nrequests_per_second = 50.0')
        for name in (self.struck, *self.calm):
            vendor = "main" if name == self.struck else "other"
            lines.append(f'[platforms.{name}]\nvendor = "{vendor}"\nrequests_per_second = 20.0\nmin_rows = 1')
        path = self.folder / "config.toml"
        path.write_text("\n".join([*lines, ""]))
        return load(path)

    async def play(self, live: Callable[[], Any]) -> None:
        """Serve both vendors while `live` goes on."""
        (self.folder / "list.txt").write_text("\n".join(self.numbers) + "\n")
        sandbox = Sandbox(
            self.folder / "vendor",
            pace=float(self.chunk_size),
            key=KEY,
            clock=self.vendor_clock,
            options=Options(min_rows=dict.fromkeys(STYLES, 1)),
        )
        async with sandbox:
            api, results = (url.removeprefix("http://") for url in (sandbox.base_url, sandbox.result_url))
            self.front = ChosenFront(api, results, self.stroke, self.note, host=self.strike.host)
            self.front.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if self.tls else None
            self.front.on_sleep = self.sleep
            self.front.gateway.trap = await self.trap.start()
            await self.front.start()
            self.other = Front(api, results, Mischief(random.Random(1), (), 0.0), self.note)  # noqa: S311 - calm
            await self.other.start()
            try:
                await live()
            finally:
                await self.front.stop()
                await self.other.stop()
                await self.trap.stop()

    def note(self, event: str, **fields: object) -> None:
        """Take in what the vendors tell; nobody reads it here."""

    def sleep(self) -> None:
        """Suspend the machine: hours go by of which the loop's clock knows nothing, and all connections are dead."""
        self.slept_s += NIGHT_S
        self.front.cut_all()

    async def heal(self) -> None:
        """End the fault."""
        self.stroke.healed = True

    # --- commands ----------------------------------------------------------------------------------------------------

    async def run(self, options: RunOptions | None = None) -> ExitCode:
        """Do one run, and return how it ended; what it said is then in `said`."""
        life, told, logged = Life(), len(self.stderr.getvalue()), len(self._logged())
        context = copy_context()
        context.run(LIFE.set, life)
        run = context.run(asyncio.create_task, run_job(self.settings(), options or RunOptions(), self.world()))
        await asyncio.wait([run], timeout=ENDS_WITHIN_S)
        if not run.done():
            run.cancel()
            raise BrokenPromiseError("a run does not end")
        code = self._ended(run)
        kept = [*self._logged()[logged:], self.summary]  # what has no line on the console stands there
        self.said = self.stderr.getvalue()[told:] + "\n".join(
            " ".join(f"{name}={value}" for name, value in its.items()) for its in kept
        )
        await asyncio.sleep(1.0)
        promise(not life.alive(), f"tasks outlive their run: {life.alive()[:3]}")
        promise(code is not ExitCode.INTERNAL, self.said)
        return code

    def _logged(self) -> list[dict[str, Any]]:
        log = self.directory / LOG
        return [json.loads(line) for line in log.read_bytes().splitlines()] if log.is_file() else []

    def _ended(self, run: asyncio.Task[RunReport]) -> ExitCode:
        try:
            outcome = run.result()
        except OrchestratorError as error:
            self.stderr.write(f"{error}\n")
            return error.exit_code
        self.summary = dict(outcome.summary)
        self.stderr.write(f"{self.summary['reason']}\n{self.summary['next']}\n")
        return outcome.exit_code

    async def settle(self) -> None:
        """Settle what the fault has left as a person does who finds every task that the vendor has."""
        taken = {task.task_id for task in self.tasks()}
        for task in self.tasks():
            there = [record.id for record in self.charged() if key_of(record) == task.key]
            free = [task_id for task_id in there if task_id not in taken]
            decision: Decision | None = None
            if task.state is State.IN_DOUBT:
                decision = Adopt(there[0]) if there else Resubmit()
            elif task.state is State.FAILED and there:
                decision = Adopt(there[0])
            elif task.state is State.STALLED and free:
                decision = Adopt(free[0])
            self.retried = self.retried or (task.state is State.FAILED and not there)
            if decision is not None:
                await resolve_tasks(self.settings(), decision, [str(task.key)], self.world())
        if self.retried:
            await retry_job(self.settings(), self.world())

    # --- looking -----------------------------------------------------------------------------------------------------

    def tasks(self) -> list[Task]:
        if not ledger_path(self.directory).exists():
            return []
        with Ledger.open_to_read(ledger_path(self.directory)) as ledger:
            return ledger.tasks.select(*State)

    def charged(self) -> list[TaskRecord]:
        return read_tasks(self.folder / "vendor")

    def end(self, code: ExitCode) -> End:
        """Return how things stand for the platform with the fault."""
        states = Counter(task.state.value for task in self.tasks() if task.key.platform == self.struck)
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return End(int(code), told, sum(key_of(record).platform == self.struck for record in self.charged()))

    def check_the_calm(self, code: ExitCode) -> None:
        """Check that the other platform did not suffer, and that the master says what is known."""
        others = {task.state for task in self.tasks() if task.key.platform in self.calm}
        refused = code in {ExitCode.USAGE, ExitCode.LOCKED}
        promise(refused or others <= {State.DONE}, f"the tasks of the other platform are {others}")
        if code in MASTER_CODES:
            self.check_master()

    def check_master(self) -> None:
        """Check every cell of the master against the state of its task."""
        path = self.directory / "master.csv"
        if not path.exists():
            path = self.directory / "master.partial.csv"
        with path.open(encoding="utf-8", newline="") as file:
            (_, *names), *rows = list(csv.reader(file))
        promise([row[0] for row in rows] == list(self.numbers), "the master's numbers are not the list's")
        cells = {(name, row[0]): row[place] for row in rows for place, name in enumerate(names, 1)}
        for task in self.tasks():
            for number in (self.directory / "chunks" / f"{task.key.chunk:06d}.txt").read_text().split():
                right = WORDS.get(task.state, "pending")
                if task.state is State.DONE:
                    right = verdict(0, task.key.platform, number).lower()
                if task.state is not State.RETRIED:
                    cell = cells[task.key.platform, number]
                    promise(cell == right, f"{task.key} is {task.state}, and a cell says {cell}")

    def check_all_is_well(self) -> None:
        """Check that the job is complete, that nothing was paid twice, and that nobody was told what he must not."""
        self.check_master()
        left = {task.state for task in self.tasks()} - {State.DONE, State.RETRIED}
        promise(not left, f"after the end tasks are {left}")
        times = Counter(key_of(record) for record in self.charged())
        promise(set(times.values()) == {1}, f"charged: {times}")
        promise(not self.trap.connections, "a redirect or a link was followed to where none may lead")
        promise(not read_breaches(self.folder / "vendor"), "the result host was told the key")
        promise(KEY not in self.stderr.getvalue(), "the log tells the key")


def played(make: Callable[[Path, VirtualLoop], Bench], live: Callable[[Bench], Callable[[], Any]]) -> Bench:
    """Make a bench on a loop and in a folder of its own, and live through `live` of it."""
    loop = VirtualLoop(lambda: 0.001)
    loop.most_rounds = MOST_ROUNDS
    with scratch() as folder, substituted():
        bench = make(folder, loop)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(bench.play(live(bench)))
    promise(not loop.complaints, f"nobody caught: {loop.complaints[:3]}")
    return bench
