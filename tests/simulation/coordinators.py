"""Coordinators that are lost with their disks, or only seem to be: others go on, elsewhere, and the first ones wake."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.errors import ExitCode
from orchestrator.job.run import RunOptions
from orchestrator.ledger import Ledger
from tests.simulation.checks import BrokenPromiseError, promise
from tests.simulation.commands import run_job
from tests.simulation.elsewhere import URL, Elsewhere, VirtualDatabase
from tests.simulation.errands import Errands
from tests.simulation.faults import Mischief
from tests.simulation.front import Front
from tests.simulation.loop import Life
from tests.simulation.runs import Deed, End
from tests.simulation.scenario import Away, stream

WOKEN_ENDS_WITHIN_S = 3_600.0


def _nothing(_kind: str) -> None:
    pass


def _has_ended(ledger: Ledger) -> bool:
    last = ledger.runs.last()
    return last is not None and last.ended_at is not None


class Coordinators(Errands):
    """An operator of several machines, one after the other, where ledger and files are elsewhere."""

    fronts: dict[str, Front]
    _drawn_options: Callable[[], RunOptions]
    vendor_clock: Callable[[], float]
    slept_s: float

    def move(self, away: Away, database: VirtualDatabase) -> None:
        """Have the ledger in a database."""
        self.away = away
        self.fate = stream(self.scenario.seed, "coordinators")
        mischief = Mischief(stream(self.scenario.seed, "troubles"), away.troubles, away.rate)
        clock = lambda: self.loop.time() + self.slept_s  # noqa: E731 - which goes on while a machine sleeps
        self.elsewhere = Elsewhere(database, self.loop, mischief, self.note, clock)
        self.elsewhere.spared = self._nobody_could_bring_back
        self._machines = itertools.count(2)
        self._machine = "job"

    @property
    def directory(self) -> Path:  # type: ignore[override]  # which only reads it
        return self.folder / ("job" if self.elsewhere is None else self._machine)

    @property
    def kept_at(self) -> str:
        """What the configuration calls the directory."""
        return URL if self.is_in_bucket else self._machine

    def heal_elsewhere(self) -> None:
        if self.elsewhere is not None:
            self.elsewhere.mischief.healed = True

    def may_be_out_of_reach(self, told: str) -> bool:
        if self.elsewhere is None or not self.elsewhere.mischief.names:
            return False
        return any(words in told for words in ("out of reach", "it does not answer", "lost in the bucket"))

    def _nobody_could_bring_back(self, name: str) -> bool:
        """Whether an object is of a task whose result only the operator had."""
        path = name.removeprefix("objects/").partition(".")[0]
        return path.startswith(("results/", "verdicts/")) and any(str(key) in path for key in self.by_hand)

    # --- disks -------------------------------------------------------------------------------------------------------

    def show(self) -> None:
        if self.elsewhere is not None and self.is_in_bucket:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory.mkdir()
            self.elsewhere.show(self.directory)

    def keep_disk(self) -> None:
        if not self.is_in_bucket:
            super().keep_disk()

    def restore_disk(self) -> None:
        if self.is_in_bucket:
            self.show()
            return
        super().restore_disk()
        if self.elsewhere is not None and self.fate.random() < self.away.lost_disks:
            self.lose_disk()

    def lose_disk(self) -> None:
        """Go on with an empty disk, unless something is only there: what an operator fetched, or the former list."""
        if self.begun():
            if self.by_hand or self.owes_extension():
                return
            self.remember()
            self.altered = True
        shutil.rmtree(self.directory, ignore_errors=True)
        self.note("disk lost")

    # --- two that believe to be the one ------------------------------------------------------------------------------

    def is_taken_over(self) -> bool:
        if self.elsewhere is None or self.fate.random() >= self.away.taken_over:
            return False
        return self.is_in_bucket or not (self.begun() and (self.by_hand or self.owes_extension()))

    async def taken_over(self) -> ExitCode | None:
        """Freeze a run, let another machine take the job over, and wake the first one, which can do nothing more."""
        assert self.elsewhere is not None
        options = RunOptions(extend=self.owes_extension())
        misled = self.may_be_misled() and not self.begun()
        self.note("run", extend=options.extend)
        with self.troubled():
            first, life = self.begin(run_job(self.settings(healed=False), options, self.world()))
            await self._frozen(first, life)
            if first.done():
                return await self._buried(first, life, misled=misled)
            epoch, held = self.elsewhere.epoch, self.elsewhere.is_held
            was_over = self.read(_has_ended, without=False)
            self._on_another_machine()
            await asyncio.sleep(self.fate.choice((0.0, 1.0, 100.0)))
            woken: list[float] = []
            at_work: list[asyncio.Handle] = []

            def wake() -> None:
                if not woken:
                    self.note("woken")
                    woken.append(self.loop.time())
                    at_work.extend(self.loop.on_threads(life))
                    self.woken.add(self.loop.time())
                    self.loop.thaw(life)

            timer = None
            if (trips := self.drawn_trips()) is not None:
                self._in_parallel(life, trips)
            if self.wakes_early():
                timer = self.loop.call_later(self.away.lease_s + self.drawn_sleep_s(), wake)
            code = await self._run(self.settings(healed=False), RunOptions(), self._drawn_end_of_other())
            if timer is not None:
                timer.cancel()
            self.elsewhere.passed = _nothing
            is_alone = not woken
            taken = self.elsewhere.epoch != epoch
            before = self._what_counts()
            wake()
            end_s = WOKEN_ENDS_WITHIN_S if held and taken else 6 * 3600.0
            await asyncio.wait([first], timeout=end_s)
            if not first.done():
                raise BrokenPromiseError(f"woken, the first coordinator has not ended within {end_s:.0f} s")
            if not (held and taken):  # the job was not this one's yet, or the other one never came so far
                return await self._buried(first, life, misled=misled, late=not held)
            await self._bury(life)
            self.show()
            deed = self._deed_of(first)
            self.note("ended", code=int(deed.code or 0), woken=True)
            self._check_end_of_woken(deed, was_over=was_over)
            sent = [at for front in self.fronts.values() for at, port in front.handed_on if port in life.ports]
            promise(not any(at >= woken[0] for at in sent), "a coordinator that was replaced has sent a submit")
            if is_alone:
                self._check_unchanged(before, at_work)
        return code

    async def _frozen(self, first: asyncio.Task[Any], life: Life) -> None:
        """Let a run go on until it ends, or is frozen at a drawn moment."""
        is_frozen = asyncio.Event()

        def freeze() -> None:
            if not first.done():
                self.note("frozen")
                self.loop.freeze(life)
            is_frozen.set()

        timer = self.set_alarm(freeze)
        waiting = asyncio.create_task(is_frozen.wait())
        await asyncio.wait([first, waiting], timeout=6 * 3600.0, return_when=asyncio.FIRST_COMPLETED)
        self.at_submit = lambda: None
        self.loop.alarm(1 << 60, lambda: None)
        timer.cancel()
        waiting.cancel()
        if not is_frozen.is_set() and not first.done():
            raise BrokenPromiseError("a run has not ended within six hours")

    def set_alarm(self, freeze: Callable[[], None]) -> asyncio.TimerHandle:
        """Have a run frozen at a drawn moment: around a submit, in a round of the loop, or at a time."""
        left = itertools.count(self.fate.choice((0, 0, 1, 2)), -1)

        def taken() -> None:
            if next(left) == 0:
                self.loop.alarm(self.fate.randrange(12), freeze)

        kind, at_s = self.fate.random(), 6 * 3600.0
        if kind < 0.4 and not self.is_secured():
            self.at_submit = taken
        elif kind < 0.8 and not self.is_secured():
            self.loop.alarm(int(10 ** self.fate.uniform(0.5, 3.7)), freeze)
        else:
            at_s = self.fate.choice((0.05, 1.0, 30.0, 1000.0)) * self.fate.random()
        return self.loop.call_later(at_s, freeze)

    def _in_parallel(self, life: Life, trips: int) -> None:
        """Let the threads of a frozen coordinator go on once another one has the lease, so many trips behind that."""
        assert self.elsewhere is not None
        elsewhere, epoch, left = self.elsewhere, self.elsewhere.epoch, itertools.count(trips, -1)

        def passed(_kind: str) -> None:
            if elsewhere.epoch > epoch and next(left) == 0:
                elsewhere.passed = _nothing
                self.note("threads woken")
                self.loop.let_threads_run(life)

        elsewhere.passed = passed

    def drawn_trips(self) -> int | None:
        """Draw how long after it was replaced the threads of a coordinator wake before the rest of it; None for not."""
        return self.fate.choice((0, 0, 1, 3, 10, 100)) if self.fate.random() < 0.5 else None

    def wakes_early(self) -> bool:
        """Draw whether a coordinator is woken while the one that has replaced it is at work."""
        return self.fate.random() < 0.5

    def drawn_sleep_s(self) -> float:
        """Draw for how much longer than its lease a coordinator sleeps that is woken early."""
        return self.fate.choice((1.0, 30.0, 300.0)) * self.fate.random()

    def _drawn_end_of_other(self) -> End:
        return self.drawn_end() if self.fate.random() < 0.5 else self._awaited

    async def _buried(
        self, first: asyncio.Task[Any], life: Life, *, misled: bool, late: bool = False
    ) -> ExitCode | None:
        await self._bury(life)
        self.show()
        deed = self._deed_of(first)
        if late and deed.code is ExitCode.LOCKED:
            return ExitCode.AGAIN
        return self._judged(deed, misled=misled)

    def _on_another_machine(self) -> None:
        """Go on in another directory, an empty one."""
        if not self.is_in_bucket:
            if self.begun():
                self.remember()
                self.altered = True
            self._machine = f"job-{next(self._machines)}"

    def _check_end_of_woken(self, deed: Deed, *, was_over: bool) -> None:
        told = str(deed.error or deed.result.summary["reason"])
        unheard = deed.code is ExitCode.STORAGE and self.may_be_out_of_reach(told)  # of the one that replaced it
        right = was_over or unheard or deed.code is ExitCode.LOCKED
        promise(right, f"woken, a coordinator ends with {deed.code}: {told}")

    def _check_unchanged(self, before: tuple[object, dict[str, bytes]], at_work: object) -> None:
        """See that what counts is as `before`; a thread that was `at_work` may have published records for people."""
        ledger, records = self._what_counts()
        promise(ledger == before[0], "a coordinator that was replaced has changed the ledger")
        promise(at_work or records == before[1], "a coordinator that was replaced has changed a record")

    def _what_counts(self) -> tuple[object, dict[str, bytes]]:
        """Return what a coordinator that was replaced may not change."""
        assert self.elsewhere is not None
        named = {name: content for name, content in self.elsewhere.objects().items() if not name.startswith("objects/")}
        return self.token(), named
