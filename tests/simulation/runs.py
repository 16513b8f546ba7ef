"""Commands of the program as processes: begun, stopped, killed and buried, in virtual time."""

from __future__ import annotations

import asyncio
import io
import itertools
import random
import shutil
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.errors import ExitCode, OrchestratorError
from orchestrator.job.resolve import Resubmit
from orchestrator.job.run import RunOptions
from orchestrator.job.world import World
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.records import Task, Token
from orchestrator.settings import Settings
from tests.simulation.checks import BrokenPromiseError, promise
from tests.simulation.commands import (
    job_status,
    merge_job,
    plan_job,
    purge_job,
    resolve_tasks,
    retry_job,
    run_job,
)
from tests.simulation.elsewhere import Elsewhere
from tests.simulation.loop import LIFE, Life, VirtualLoop

STOPS_WITHIN_S = 20.0
"""How long an orderly stop may take: four seconds of grace, and a slow disk."""
BAD = frozenset({ExitCode.INTERNAL, ExitCode.STORAGE, ExitCode.LOCKED, ExitCode.USAGE})
"""What no run may end with here, unless it is to be refused."""

End = Callable[[asyncio.Task[Any], Life], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Deed:
    """What became of a command: its result, or its error, or neither because it was killed."""

    result: Any = None
    error: OrchestratorError | None = None
    killed: bool = False

    @property
    def code(self) -> ExitCode | None:
        """Its exit code; None when it was killed."""
        if self.killed:
            return None
        return self.error.exit_code if self.error else getattr(self.result, "exit_code", ExitCode.DONE)


class Runs:
    """Starts commands on the loop, and ends them as a draw says."""

    directory: Path
    world: Callable[[], World]
    settings: Callable[..., Settings]
    note: Callable[..., None]

    def __init__(self, folder: Path, loop: VirtualLoop, chance: random.Random) -> None:
        self.folder, self.loop, self.chance = folder, loop, chance
        self.elsewhere: Elsewhere | None = None
        self.ever_told = io.StringIO()
        self.at_submit: Callable[[], object] = _nothing

    def owes_extension(self) -> bool:
        """Whether the list has grown and the begun job does not know yet."""
        return False

    def is_secured(self) -> bool:
        """Whether the vendor speaks TLS: how many rounds a handshake takes is not the same every time."""
        return False

    def may_be_misled(self) -> bool:
        """Whether the vendor's address may look wrong now: then a job that has not begun is refused."""
        return False

    def does_as_told(self, told: str) -> bool:
        """Do what a message asks for that ends a run; return whether there was anything to do."""
        del told
        return False

    def sent(self) -> object:
        """Return what changes with every request."""
        return None

    # --- commands ----------------------------------------------------------------------------------------------------

    async def do(self, work: Coroutine[Any, Any, Any], end: End | None = None) -> Deed:
        """Do one command and end it as `end` says, which by default waits for it."""
        run, life = self.begin(work)
        await (self._awaited if end is None else end)(run, life)
        await self._bury(life)
        self.show()
        if run.cancelled() or (life.killed and run.exception()):
            self.loop.stop_listening(life)
            return Deed(killed=True)
        return self._deed_of(run)

    @staticmethod
    def begin(work: Coroutine[Any, Any, Any]) -> tuple[asyncio.Task[Any], Life]:
        """Begin a command as a process of its own."""
        life = Life()
        context = copy_context()
        context.run(LIFE.set, life)
        return context.run(asyncio.create_task, work), life

    async def refused(self, work: Coroutine[Any, Any, Any], code: ExitCode, why: str) -> None:
        """See that a command is refused with `code`, and sends nothing."""
        before = self.sent()
        deed = await self.do(work)
        promise(deed.code is code, f"{why}: not refused with {code.value}, but ended with {deed.code}")
        promise(self.sent() == before, f"{why}: refused, and yet something was sent")
        self.note("refused", why=why)

    async def _run(self, settings: Settings, options: RunOptions, end: End) -> ExitCode | None:
        """Do one run and end it as `end` says; return its exit code, None when it was killed."""
        if self.owes_extension():
            if self.chance.random() < 0.3:
                await self.refused(run_job(settings, options, self.world()), ExitCode.USAGE, "a changed list")
            options = replace(options, extend=True)
        if options.after is None and self.chance.random() < 0.3:
            options = replace(options, after=self.token())
        self.note("run", submit_only=options.submit_only, deadline=options.deadline_s, extend=options.extend)
        misled = self.may_be_misled() and not self.begun()
        with self.troubled():
            deed = await self.do(run_job(settings, options, self.world()), end)
        return self._judged(deed, misled=misled)

    def _judged(self, deed: Deed, *, misled: bool = False) -> ExitCode | None:
        """Note how a run has ended, and see that it may end so."""
        code = deed.code
        if code is None:
            return None
        self.note("ended", code=int(code))
        if code is ExitCode.STORAGE:
            told = str(deed.error) if deed.error else deed.result.summary["reason"]
            if self.does_as_told(told) or self.may_be_out_of_reach(told):
                return code
        if code in BAD and not (misled and code is ExitCode.USAGE):
            raise BrokenPromiseError(f"a run ended with {code.value}: {self.ever_told.getvalue()[-3000:]}")
        return code

    def _code_of(self, run: asyncio.Task[Any]) -> ExitCode:
        return self._deed_of(run).code or ExitCode.INTERNAL

    def _deed_of(self, run: asyncio.Task[Any]) -> Deed:
        try:
            return Deed(run.result())
        except OrchestratorError as error:
            self.ever_told.write(f"{error}\n")
            return Deed(error=error)

    async def _bury(self, life: Life) -> None:
        """See that a run that is over has left nothing behind."""
        await asyncio.sleep(1.0)
        left = [task for task in life.alive() if not _serves(task)]
        if left:
            raise BrokenPromiseError(f"{len(left)} tasks outlive their run: {left[:3]}")

    # --- elsewhere ---------------------------------------------------------------------------------------------------

    @contextmanager
    def troubled(self) -> Iterator[None]:
        """Let troubles strike that have to do with a ledger and files elsewhere."""
        if self.elsewhere is None:
            yield
            return
        self.elsewhere.troubled = True
        try:
            yield
        finally:
            self.elsewhere.troubled = False

    def may_be_out_of_reach(self, told: str) -> bool:
        """Whether a command may have ended because of what befell database or bucket."""
        del told
        return False

    def show(self) -> None:
        """Have the job's files in the directory, wherever they are kept."""

    def keep_disk(self) -> None:
        """Keep the directory as a process leaves it that is killed now."""
        if self.directory.exists():
            shutil.copytree(self.directory, self.folder / "kept")

    def restore_disk(self) -> None:
        """Have what was kept in the place of the directory."""
        if self.directory.exists():
            shutil.rmtree(self.directory)
        if (self.folder / "kept").exists():
            (self.folder / "kept").rename(self.directory)

    # --- looking -----------------------------------------------------------------------------------------------------

    def serial(self) -> int | None:
        """Return how many runs the ledger has seen; None without one."""
        serial: int | None = self.read(lambda ledger: ledger.runs.serial, without=None)
        return serial

    def token(self) -> Token | None:
        """Return how far the ledger has come; None without one."""
        token: Token | None = self.read(lambda ledger: ledger.runs.token, without=None)
        return token

    def begun(self) -> bool:
        """Whether the job is fixed."""
        begun: bool = self.read(lambda ledger: ledger.runs.begun, without=False)
        return begun

    def read(self, look: Callable[[Ledger], Any], without: Any) -> Any:
        """Look into the ledger, or return `without` when there is none."""
        if self.elsewhere is not None:
            return self.elsewhere.read(look, without)
        if not ledger_path(self.directory).exists():
            return without
        with Ledger.open_to_read(ledger_path(self.directory)) as ledger:
            return look(ledger)

    def _tasks(self, *states: Any) -> list[Task]:
        return self.read(lambda ledger: ledger.tasks.select(*states), [])  # type: ignore[no-any-return]  # read is of Any

    # --- ends --------------------------------------------------------------------------------------------------------

    def drawn_end(self) -> End:
        """Draw how a run ends: killed, stopped or awaited."""
        kind = self.chance.random()
        at_s = self.chance.choice((0.05, 1.0, 30.0, 1000.0)) * self.chance.random()
        if kind < 0.12 and not self.is_secured():
            return partial(self._killed_after_submit, self.chance.choice((1, 1, 2, 3, 8)), self.chance.randrange(12))
        if kind < 0.35 and not self.is_secured():
            return partial(self._killed_in_round, int(10 ** self.chance.uniform(0.5, 3.7)))
        if kind < 0.5:
            return partial(self._killed_at, at_s)
        if kind < 0.75:
            return partial(self._stopped_at, at_s)
        return partial(self._stopped_at, 6 * 3600.0)

    async def _awaited(self, run: asyncio.Task[Any], life: Life) -> None:
        await self._bounded(6 * 3600.0, run, life)

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
            await self._beside(run)
        await asyncio.wait([run], timeout=at_s / 2)
        if run.done():
            return
        if not self.loop.deliver(signal.SIGTERM):
            run.cancel()  # before the handlers are there a signal just ends the process
        self.note("sigterm")
        await asyncio.wait([run], timeout=STOPS_WITHIN_S)
        if not run.done():
            raise BrokenPromiseError(f"an orderly stop takes more than {STOPS_WITHIN_S:g} s")

    async def _beside(self, run: asyncio.Task[Any]) -> None:
        """Give another command beside a run: what writes is refused, what reads is not."""
        settings, world = self.settings(healed=False), self.world()
        if self.serial() is not None and not run.done():
            promise(job_status(settings).serial == self.serial(), "status does not see the run")
        others: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "run": lambda: run_job(settings, RunOptions(), world),
            "plan": lambda: plan_job(settings, world),
            "merge": lambda: merge_job(settings, world),
            "retry": lambda: retry_job(settings, world),
            "resolve": lambda: resolve_tasks(settings, Resubmit(), None, world),
            "purge": lambda: purge_job(settings, world, yes=True),
        }
        name = self.chance.choice(list(others))
        before = self.sent()
        try:
            await others[name]()
        except OrchestratorError as error:
            promise(error.exit_code is ExitCode.LOCKED, f"{name} beside a run ends with {error.exit_code.value}")
        else:
            raise BrokenPromiseError(f"{name} has taken a job that a run holds")
        promise(self.sent() == before, f"{name} beside a run has sent something")
        self.note("locked", command=name)

    async def _killed_at(self, at_s: float, run: asyncio.Task[Any], life: Life) -> None:
        timer = self.loop.call_later(at_s, self._kill, run, life)
        await self._after_a_kill(run, life)
        timer.cancel()

    async def _killed_in_round(self, rounds: int, run: asyncio.Task[Any], life: Life) -> None:
        self.loop.alarm(rounds, partial(self._kill, run, life))
        await self._after_a_kill(run, life)
        self.loop.alarm(1 << 60, _nothing)

    async def _killed_after_submit(self, nth: int, rounds: int, run: asyncio.Task[Any], life: Life) -> None:
        """Kill it some rounds after the vendor has taken its `nth` task: the answer is on its way."""
        left = itertools.count(nth - 1, -1)

        def taken() -> None:
            if next(left) == 0:
                self.loop.alarm(rounds, partial(self._kill, run, life))

        self.at_submit = taken
        await self._after_a_kill(run, life)
        self.at_submit = _nothing
        self.loop.alarm(1 << 60, _nothing)

    def _kill(self, run: asyncio.Task[Any], life: Life) -> None:
        """Keep the directory as it is now, and cut off everything that could still change it."""
        if run.done():
            return
        self.note("killed")
        life.killed = True
        self.keep_disk()
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
        self.restore_disk()


def _nothing() -> None:
    pass


def _serves(task: asyncio.Task[Any]) -> bool:
    """Whether a task serves a connection: one that reaches an embedded vendor while it closes ends with its process."""
    return "RequestHandler" in repr(task.get_coro())
