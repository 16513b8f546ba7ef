"""The fast tier: schedule, platforms, caution, health, pace, polling and ending alone, in a discrete-event model.

No event loop, no socket, no file: the program's own submitter and poller are coroutines that this model drives step by
step, with a vendor and a ledger of a few lines each. One seed takes about a millisecond.

What has to hold, besides the transitions that the table allows: a platform's first submit is alone, and leaves only
after the vendor has answered anything; so is each after a doubt; at most three doubts wait for a decision, in all runs;
the third refusal in a row stops it, and so does the third result that came to nothing; no submit is beside an unread
canary; never more than `max_in_flight`; requests as far apart as the limit says; nothing due waits without a reason;
the model never spins; and every run ends, with the exit code that fits, and the last one with nothing left to do.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

from orchestrator.dispatch.backoff import Health
from orchestrator.dispatch.caution import Caution
from orchestrator.dispatch.dispatcher import WINDOW
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.platform_run import PlatformRun, VendorRun
from orchestrator.dispatch.polling import Poller
from orchestrator.dispatch.receipts import Seal
from orchestrator.dispatch.schedule import Ask, Download, Poll, Schedule, Submit, Wait
from orchestrator.dispatch.submitting import Submitter
from orchestrator.dispatch.watching import Watch, Watcher
from orchestrator.errors import ExitCode
from orchestrator.ledger import LedgerWriter
from orchestrator.records import LastingCaution
from orchestrator.settings import BackoffSettings, PlatformSettings, PollingSettings, Style
from orchestrator.tasks import HELD, Event, State, TaskKey
from orchestrator.vendor_api.client import VendorClient
from orchestrator.workers import Workers
from tests.simulation.checks import BrokenPromiseError, promise
from tests.simulation.model import (
    KilledError,
    ModelContext,
    ModelFetcher,
    ModelLedger,
    ModelSubmitPlaces,
    ModelWriter,
    Pause,
)
from tests.simulation.model_vendor import FAULTS, ModelVendor, World
from tests.simulation.rules import Past, Proc, Seen, Watched

MOST_EVENTS = 30_000
LAST_RUNS = 25
SHA256 = "0" * 64


class Model(Watched):
    """One seed: a job, its runs, and all that happens between them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"{seed} fast")  # noqa: S311 - a seed has to be repeatable
        self.now = 0.0
        self.events = 0
        self._wakes_at = math.inf
        self._changed = True
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._draw_settings()
        keys = [TaskKey(name, chunk) for name in self.platforms for chunk in range(1, self.chunks + 1)]
        self.ledger = ModelLedger(keys)
        self.vendor = ModelVendor(self, self._drawn_world())
        self.resubmitted: Counter[TaskKey] = Counter()
        self.past = {name: Past() for name in self.platforms}
        self.max_cost: int | None = self.chance.choice((None, None, len(keys), max(1, len(keys) // 2)))

    # --- the draw ----------------------------------------------------------------------------------------------------

    def _draw_settings(self) -> None:
        chance = self.chance
        self.chunks = chance.choice((1, 1, 1, 2, 2, 3, 4, 5)) if chance.random() < 0.99 else 12
        self.platforms = {
            name: PlatformSettings(
                vendor="main" if chance.random() < 0.8 else "other",
                style=Style.V1,
                path="/",
                task_type=name,
                max_in_flight=chance.choice((1, 2, 20)),
                requests_per_second=chance.choice((0.5, 5.0, 100.0, math.inf)),
                price_per_10000=1e-5,
                result_columns=("x",),
                canary=chance.random() < 0.5,
            )
            for name in ("one", "two", "three")[: chance.choice((1, 1, 1, 1, 2, 2, 3))]
        }
        self.rates = {"main": chance.choice((1.0, 10.0, math.inf)), "other": 5.0}
        least_s = chance.choice((0.0, 0.5, 5.0))
        self.polling = PollingSettings(
            min_interval_s=least_s,
            max_interval_s=least_s + chance.choice((20.0, 100.0)),
            give_up_after_h=chance.choice((0.02, 0.1)),
        )
        self.backoff = BackoffSettings(
            base_delay_s=chance.choice((0.1, 2.0)),
            max_delay_s=chance.choice((2.0, 60.0)),
            give_up_after_s=chance.choice((30.0, 3600.0)),
        )

    def _drawn_world(self) -> World:
        chance = self.chance
        names = chance.sample(FAULTS, chance.choice((0, 1, 1, 2, 2, 5, len(FAULTS))))
        rate = chance.choice((0.1, 0.3, 1.0)) if len(names) < 3 else chance.choice((0.05, 0.15))
        return World(dict.fromkeys(names, rate), chance.choice((0.05, 5.0, 60.0)), chance.choice((0.0, 0.05, 3.0)))

    # --- time --------------------------------------------------------------------------------------------------------

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (max(when, self.now), next(self._order), what))

    def _next_event(self) -> None:
        when, _, what = heapq.heappop(self._heap)
        self.now = when
        self.events += 1
        promise(self.events <= MOST_EVENTS, f"still busy after {MOST_EVENTS} events, at {self.now:.3f} s")
        what()

    # --- runs --------------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Live through the seed; raises `BrokenPromiseError`."""
        for _ in range(self.chance.choice((0, 0, 1, 1, 2))):
            self.run(stop_at=self.now + self.chance.choice((0.01, 1.0, 60.0, 1e3)) * self.chance.random())
            self.now += self.chance.choice((0.0, 1000.0))
            self._decide()
        self.vendor.healed, self.max_cost = True, None
        for _ in range(LAST_RUNS):
            code = self.run(stop_at=math.inf)
            decided = self._decide()
            left = any(
                row.state in {State.PLANNED, State.RELEASED, State.SUBMITTED} for row in self.ledger.rows.values()
            )
            if not left and not decided:
                promise(code in {ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.HELD}, f"the last run ends with {code}")
                return
        raise BrokenPromiseError(f"not ended after {LAST_RUNS} runs without faults")

    def run(self, *, stop_at: float) -> ExitCode:
        """Do one run, stop or kill it at a time, and return its exit code."""
        self._begin_run()
        killed = self.chance.random() < 0.5
        self._stopping.clear()
        begun = self.now
        wait_until = math.inf
        while True:
            if self.now >= stop_at and not self._stopping.is_set():
                self._stopping.set()
                if killed:
                    self._kill()
                    return ExitCode.AGAIN
            if self._changed:  # as the dispatcher: something has ended or left, or a time has come
                self._changed = False
                wait_until = self._take_steps()
                fresh = wait_until > self.now or self._changed or self._stopping.is_set()
                promise(fresh, f"told to wait until {wait_until}, which is now: it spins")
            if wait_until == math.inf and not self._on_their_way:
                break
            if self._stopping.is_set() and not self._on_their_way:
                break
            if wait_until < math.inf and not self.now < self._wakes_at <= wait_until:
                self._wakes_at = wait_until
                self.at(wait_until, self._wake)
            promise(self._heap, "calls are on their way, and nothing will ever end them")
            self._next_event()
            promise(self.now - begun < 40 * 86400.0, "the run never ends")
        self._heap.clear()
        return self._judge_end(stopped=self._stopping.is_set())

    def _wake(self) -> None:
        self._changed = True

    def _begin_run(self) -> None:
        self.ledger.begin_run()
        self.ledger.told = self._told
        self._heap.clear()
        self._stopping = asyncio.Event()
        self._wakes_at = math.inf
        self._changed = True
        self._on_their_way: dict[Proc, None] = {}
        writer = ModelWriter(self.ledger, lambda: 0.0005)
        self.context = ModelContext(
            "job",
            Path(),
            cast("LedgerWriter", writer),
            cast("Workers", None),
            self.polling,
            self.backoff,
            self.max_cost,
            lambda: self.now,
            self.chance,
            self._stopping,
            Seal(b"", 0),
        )
        vendors = {name: self._vendor_run(name) for name in sorted({p.vendor for p in self.platforms.values()})}
        self.platform_runs = [self._platform_run(name, settings, vendors) for name, settings in self.platforms.items()]
        self.seen = {platform.name: Seen() for platform in self.platform_runs}
        self.vendor.spoke.clear()
        self.left_last = dict.fromkeys(vendors, -math.inf)
        self.schedule = Schedule(self.platform_runs, self._wake, downloads=2)
        watcher = Watcher(self.context)
        self.poller = Poller(self.context, watcher)
        self.submitter = Submitter(self.context, watcher)
        self.fetcher = ModelFetcher(self.context, watcher, self.vendor)
        for platform in self.platform_runs:
            self._take_over(platform)

    def _vendor_run(self, name: str) -> VendorRun:
        return VendorRun(
            name, cast("VendorClient", self.vendor), Pace(self.rates[name], now=self.now), Health(self.backoff)
        )

    def _platform_run(self, name: str, settings: PlatformSettings, vendors: dict[str, VendorRun]) -> PlatformRun:
        waiting = self.ledger.platforms.standing(name).tasks(State.IN_DOUBT)
        caution = Caution(self.ledger.cautions[name], canary=settings.canary, waiting=waiting)
        pace = Pace(settings.requests_per_second, now=self.now)
        platform = PlatformRun(name, settings, vendors[settings.vendor], pace, caution)
        platform.submits = ModelSubmitPlaces(caution, self, name)
        return platform

    def _take_over(self, platform: PlatformRun) -> None:
        """Do as the dispatcher does with what an earlier run left at the vendor."""
        tasks = self.ledger.tasks.select(State.SUBMITTED, State.STALLED, platform=platform.name)
        for task in tasks:
            assert task.task_id is not None
            since, place = task.progress_at or self.now, platform.at_vendor.begin()
            stalled = task.state is State.STALLED
            watch = Watch(task.key, task.task_id, 1, task.submitted_at or self.now, since, place, stalled=stalled)
            platform.polls.put(watch, self.now)
        if tasks:
            platform.caution.submitted_before()
            self.seen[platform.name].sent = True

    def _take_steps(self) -> float:
        """Begin all that may begin now; return until when there is nothing."""
        while not self._stopping.is_set():
            for platform in self.platform_runs:
                if platform.wants_tasks:
                    self._fill(platform)
            due = {platform.name: platform.polls.next_at for platform in self.platform_runs}
            step = self.schedule.next_step(self.now)
            if isinstance(step, Wait):
                return step.until
            self._begin(step, due)
        return math.inf

    def _fill(self, platform: PlatformRun) -> None:
        tasks = [
            t for t in self.ledger.tasks.select(State.PLANNED, platform=platform.name) if t.key.chunk > platform.cursor
        ][:WINDOW]
        platform.upcoming.extend(tasks)
        platform.exhausted = len(tasks) < WINDOW
        if tasks:
            platform.cursor = tasks[-1].key.chunk

    def _begin(self, step: Download | Poll | Submit | Ask, due: dict[str, float]) -> None:
        platform = step.platform
        match step:
            case Download(_, watch, place):
                promise(self.schedule.downloads.free >= 0, "more downloads than allowed")
                self._start(Proc(self.fetcher.fetch(platform, watch), platform, None, place.__exit__))
            case Poll(_, watch, call):
                self._check_call(platform)
                self._check_lag(platform, due[platform.name])
                self._start(Proc(self.poller.poll(platform, watch, _leave), platform, call, lambda: None))
            case Ask(_, call):
                self._check_call(platform)
                self._start(Proc(self.poller.ask(platform, _leave), platform, call, lambda: None))
            case Submit(_, task, call, place):
                self._check_call(platform)
                self._check_submit(platform, due)
                self._start(Proc(self.submitter.submit(platform, task, _leave, place), platform, call, place.__exit__))

    # --- coroutines --------------------------------------------------------------------------------------------------

    def _start(self, proc: Proc) -> None:
        self._on_their_way[proc] = None
        if proc.call is not None:
            proc.call.__enter__()
        self._resume(proc)

    def _resume(self, proc: Proc) -> None:
        try:
            pause = proc.coro.send(None)
        except StopIteration:
            self._over(proc)
            return
        if pause.leave:
            self.seen[proc.platform.name].waiting.append(proc)
            self._depart(proc.platform)
        elif pause.place:
            self.seen[proc.platform.name].holding[proc] = None
            self.at(self.now + pause.seconds, lambda: self._resume_held(proc))
        else:
            self.at(self.now + pause.seconds, lambda: self._resume(proc))

    def _resume_held(self, proc: Proc) -> None:
        holding = self.seen[proc.platform.name].holding
        if proc in holding:
            del holding[proc]
            self._resume(proc)

    def freed(self, platform: str) -> None:
        """Wake the submits of a platform that hold back their last bytes."""
        for proc in self.seen[platform].holding:
            self.at(self.now, partial(self._resume_held, proc))

    def _over(self, proc: Proc) -> None:
        if proc.call is not None:
            proc.call.__exit__()
        proc.ended()
        del self._on_their_way[proc]
        self._changed = True

    def _depart(self, platform: PlatformRun) -> None:
        """Let the first of a platform leave when its platform's pace and its vendor's allow it."""
        seen = self.seen[platform.name]
        if not seen.waiting:
            return
        may_at = max(platform.pace.next_at, platform.vendor.pace.next_at)
        if may_at > self.now:
            if not self.now < seen.tries_at <= may_at:
                seen.tries_at = may_at
                self.at(may_at, lambda: self._depart(platform))
            return
        proc = seen.waiting.pop(0)
        for pace in (platform.pace, platform.vendor.pace):
            pace.sent(self.now)
        self._check_spacing(platform)
        assert proc.call is not None
        proc.call.has_left()
        self._resume(proc)
        self._depart(platform)

    def _kill(self) -> None:
        """End every coroutine without letting it change anything."""
        for proc in list(self._on_their_way):
            while True:
                try:
                    proc.coro.throw(KilledError())
                except (KilledError, StopIteration):
                    break
        self._heap.clear()

    # --- decisions ---------------------------------------------------------------------------------------------------

    def _decide(self) -> int:
        """Settle held tasks as a person would; return how many."""
        decided = 0
        self.ledger.told = lambda _key, _event: None
        for row in self.ledger.rows.values():
            if row.state not in HELD or self.chance.random() < 0.2:
                continue
            there = self.vendor.unowned(row.key)
            if there:
                row.task_id, row.submitted_at, row.progress_at = there[-1], self.now, self.now
                self.ledger.change(row.key, Event.ADOPT)
            elif row.state is State.IN_DOUBT:
                self.ledger.change(row.key, Event.RESUBMIT)
                self.resubmitted[row.key] += 1
            else:
                self.ledger.change(row.key, Event.GIVE_UP)
            row.looked = ("", 0, 0)
            row.failures = 0
            decided += 1
        for platform in self.platform_runs:  # other settings, or a retry
            if platform.caution.stopped and self.chance.random() < 0.8:
                self.ledger.platforms.note_caution(platform.name, LastingCaution())
                self.past[platform.name] = Past()
                decided += self.ledger.platforms.standing(platform.name).tasks(State.PLANNED)
        return decided


async def _leave() -> None:
    await Pause(leave=True)


def play_fast(seed: int) -> int:
    """Live through one seed of the fast tier; return the number of its events."""
    model = Model(seed)
    try:
        model.play()
    except BrokenPromiseError as error:
        told = f"{error}\n--- replay: python -m tests.simulation --fast --seeds 1 --from {seed}"
        raise BrokenPromiseError(told) from error
    return model.events
