"""The fast tier: schedule, lanes, caution, health, pace, polling and ending alone, in a discrete-event model.

No event loop, no socket, no file: the program's own submitter and looker are coroutines that this model drives step by
step, with a vendor and a ledger of a few lines each. One seed takes about a millisecond.

What has to hold, besides the transitions that the table allows: a platform's first submit is alone, and so is each
after a doubt; the third doubt or refusal in a row stops it; nothing is sent beside an unread canary; never more than
`max_in_flight`; requests as far apart as the limit says; nothing due waits without a reason; the model never spins; and
every run ends, with the exit code that fits, and the last one with nothing left to do.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import structlog

from orchestrator.dispatch.backoff import Health
from orchestrator.dispatch.caution import CONCURRENT_SUBMITS, IN_A_ROW, Caution
from orchestrator.dispatch.context import Context, Turn
from orchestrator.dispatch.dispatcher import WINDOW
from orchestrator.dispatch.fetching import DAMAGE_LIMIT, Fetcher
from orchestrator.dispatch.lanes import LEAVING_LIMIT, Lane, Side, Watch
from orchestrator.dispatch.looking import Looker
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.schedule import Download, Poll, Schedule, Submit, Wait
from orchestrator.dispatch.submitting import Submitter
from orchestrator.errors import BudgetError, DeniedError, ExitCode, RefusedError, TemporaryError
from orchestrator.job.ending import ending
from orchestrator.ledger import LedgerWriter, Standing, Task
from orchestrator.settings import BackoffSettings, PlatformSettings, PollingSettings, Style
from orchestrator.tasks import HELD, Event, State, TaskKey, after
from orchestrator.vendor.answers import Accepted, InDoubt, PutOff, Refused, Stopped, SubmitAnswer, TaskReport
from orchestrator.vendor.client import Leave, VendorClient
from orchestrator.workers import Workers
from tests.simulation.checks import TOLERANCE_S, BrokenPromiseError, promise

MOST_EVENTS = 30_000
LAST_RUNS = 25
SHA256 = "0" * 64


class Pause:
    """What a coroutine of the program waits for: its turn to `leave`, or `seconds`."""

    __slots__ = ("leave", "seconds")

    def __init__(self, seconds: float = 0.0, *, leave: bool = False) -> None:
        self.seconds, self.leave = seconds, leave

    def __await__(self) -> Generator[Pause, None, None]:
        yield self


class KilledError(BaseException):
    """The process is gone."""


class Gone(Exception):  # noqa: N818 - how a download ends, not an error of the program
    """A result that could not be taken in; `kind` says why."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(slots=True)
class Row:
    """A task in the model's ledger, and what the vendor charged for it."""

    key: TaskKey
    state: State = State.PLANNED
    task_id: str | None = None
    submitted_at: float | None = None
    progress_at: float | None = None
    looked: tuple[str, int, int] = ("", 0, 0)
    charged: int = 0
    counted: int = 0
    doubted: bool = False


class ModelLedger:
    """The ledger's part in the life of a task: the same names, the same table, no disk."""

    def __init__(self, keys: list[TaskKey]) -> None:
        self.rows = {key: Row(key) for key in keys}
        self.submits: Counter[str] = Counter()
        self.status_calls = 0
        self.spent = 0
        self.told: Callable[[TaskKey, Event], None] = lambda _key, _event: None

    def change(self, key: TaskKey, event: Event) -> State:
        row = self.rows[key]
        row.state = after(row.state, event)
        self.told(key, event)
        return row.state

    def begin_run(self) -> None:
        for row in self.rows.values():
            if row.state is State.RELEASED:
                self.doubt(row.key, "", at=0.0)

    def release(self, key: TaskKey, *, cost_nano: int, max_cost_nano: int | None, at: float) -> None:
        del at
        if max_cost_nano is not None and self.spent + cost_nano > max_cost_nano:
            raise BudgetError("over")
        self.change(key, Event.RELEASE)
        self.rows[key].counted += 1
        self.spent += cost_nano

    def _refund(self, key: TaskKey) -> None:
        self.rows[key].counted -= 1
        self.spent -= 1

    def put_off(self, key: TaskKey, reason: str, *, at: float) -> None:
        del reason, at
        self.change(key, Event.PUT_OFF)
        self._refund(key)

    def accept(self, key: TaskKey, task_id: str, *, total: int, at: float) -> State:
        del total
        if any(row.task_id == task_id for row in self.rows.values()):
            return self.doubt(key, "", at=at)
        row = self.rows[key]
        row.task_id, row.submitted_at, row.progress_at = task_id, at, at
        return self.change(key, Event.ACCEPT)

    def refuse(self, key: TaskKey, reason: str, *, at: float) -> None:
        del reason, at
        released = self.rows[key].state is State.RELEASED
        self.change(key, Event.REFUSE)
        if released:
            self._refund(key)

    def doubt(self, key: TaskKey, reason: str, *, at: float) -> State:
        del reason, at
        self.rows[key].doubted = True
        return self.change(key, Event.DOUBT)

    def look(self, key: TaskKey, *, status: str, total: int, success: int, at: float, calls: int) -> bool:
        self.status_calls += calls
        row = self.rows[key]
        best = (max(row.looked[0], status), max(row.looked[1], total), max(row.looked[2], success))
        progressed = row.looked != best
        if progressed:
            row.looked, row.progress_at = best, at
        return progressed

    def owner_of(self, key: TaskKey, *task_ids: str) -> TaskKey | None:
        return next((o.key for o in self.rows.values() if o.key != key and o.task_id in task_ids), None)

    def count_status_calls(self, platform: str, calls: int) -> None:
        del platform
        self.status_calls += calls

    def finish(self, key: TaskKey) -> None:
        self.change(key, Event.FINISH)

    def fail(self, key: TaskKey, reason: str, *, at: float) -> None:
        del reason, at
        self.change(key, Event.FAIL)

    def stall(self, key: TaskKey, reason: str, *, at: float) -> None:
        del reason, at
        self.change(key, Event.STALL)

    def task(self, key: TaskKey) -> Task:
        row = self.rows[key]
        return Task(key, row.state, 1, SHA256, row.task_id, 1, row.submitted_at, row.progress_at, 0, 0, "")

    def tasks(self, *states: State, platform: str) -> list[Task]:
        return [self.task(key) for key, row in self.rows.items() if key.platform == platform and row.state in states]

    def standing(self, platform: str) -> Standing:
        states = Counter(row.state for key, row in self.rows.items() if key.platform == platform)
        return Standing(platform, states, states, {}, 0, 0, 0)


class ModelWriter:
    """The ledger's writer: a change is made after a while, whether somebody still waits for it or not."""

    def __init__(self, ledger: ModelLedger, delay: Callable[[], float]) -> None:
        self._ledger, self._delay = ledger, delay

    async def do(self, change: Callable[[Any], Any]) -> Any:
        await Pause(self._delay())
        return change(self._ledger)


class ModelContext(Context):
    """A context whose time is the model's."""

    __slots__ = ()

    @property
    def now(self) -> float:
        return self.clock()


class ModelFetcher(Fetcher):
    """The program's fetcher without network, files and workers."""

    def __init__(self, context: Context, looker: Looker, vendor: ModelVendor) -> None:
        self._context, self._looker, self._vendor = context, looker, vendor

    async def fetch(self, lane: Lane, watch: Watch) -> None:
        try:
            await self._vendor.download(watch.task_id)
        except Gone as gone:
            match gone.kind:
                case "expired":
                    await self._ask_again(lane, watch)
                case "temporary":
                    await self._fetch_later(lane, watch, TemporaryError("broken off"))
                case "refused":
                    await self._looker.stall(lane, watch, "refused")
                case _:
                    watch.damages += 1
                    if watch.damages < DAMAGE_LIMIT:
                        await self._ask_again(lane, watch)
                    else:
                        await self._looker.fail(lane, watch, "damaged")
        else:
            await self._context.ledger.do(lambda ledger: cast("Any", ledger).finish(watch.key))
            lane.at_vendor -= 1
            lane.caution.result_read()


class World(NamedTuple):
    """What a seed decides: how often what goes wrong, until the faults stop."""

    wrong: Mapping[str, float]
    takes_s: float
    latency_s: float


SUBMIT_FAULTS = (
    "cut",
    "early refusal",
    "early stop",
    "throttled",
    "unwell",
    "refused",
    "stop",
    "doubt",
    "doubt unmade",
    "same id",
)
STATUS_FAULTS = ("temporary", "throttled look", "denied", "unknown task")
TASK_FAULTS = ("stuck", "failed task", "no link", "gone for good", "backwards", "wrong link")
FILE_FAULTS = ("expired", "broken", "refused file", "damaged")
FAULTS = (*SUBMIT_FAULTS, *STATUS_FAULTS, *TASK_FAULTS, *FILE_FAULTS)


class ModelVendor:
    """A vendor of a few lines, for all lanes; it charges when a whole submit has reached it and it makes a task."""

    def __init__(self, model: Model, world: World) -> None:
        self._model, self._world = model, world
        self._made: dict[str, tuple[TaskKey, float, float]] = {}
        self._spells: dict[str, str] = {}
        self._ids = itertools.count(1)
        self.healed = False

    def _strikes(self, *names: str) -> str:
        if self.healed:
            return ""
        draw = self._model.chance.random
        return next((name for name in names if (rate := self._world.wrong.get(name, 0.0)) and draw() < rate), "")

    def _latency(self) -> Pause:
        return Pause(0.001 + self._world.latency_s * self._model.chance.random())

    def make(self, key: TaskKey) -> str:
        task_id = f"t{next(self._ids)}"
        takes_s = self._world.takes_s * self._model.chance.uniform(0.5, 1.5)
        self._made[task_id] = (key, self._model.now, takes_s)
        self._model.ledger.rows[key].charged += 1
        return task_id

    def unowned(self, key: TaskKey) -> list[str]:
        taken = {row.task_id for row in self._model.ledger.rows.values()}
        return [task_id for task_id, (made, _, _) in self._made.items() if made == key and task_id not in taken]

    async def submit(
        self, platform: PlatformSettings, file: Path, file_name: str, *, leave: Leave, release: Callable[[str], Any]
    ) -> SubmitAnswer:
        del file_name
        key = TaskKey(platform.task_type, int(file.stem))
        await leave()
        await self._latency()
        match self._strikes(*SUBMIT_FAULTS):
            case "cut":
                return PutOff("cut")
            case "early refusal":
                return Refused("early", 400)
            case "early stop":
                return Stopped("early", 402)
            case fault:
                await release(SHA256)
                await self._latency()
                return await self._answer(key, fault)

    async def _answer(self, key: TaskKey, fault: str) -> SubmitAnswer:
        match fault:
            case "throttled":
                return PutOff("slower", self._model.chance.choice((None, 0.0, 3.0, 3600.0)), throttled=True)
            case "unwell":
                return PutOff("unwell")
            case "refused":
                return Refused("refused", 413)
            case "stop":
                return Stopped("no money", 402)
            case "doubt unmade":
                return InDoubt("lost on its way there")
            case _:
                task_id = self.make(key)
                await self._latency()
        if fault == "doubt":
            return InDoubt("lost on its way back")
        return Accepted("t1" if fault == "same id" else task_id, 1)

    async def status(self, platform: PlatformSettings, task_id: str, *, leave: Leave) -> TaskReport:
        await leave()
        await self._latency()
        match self._strikes(*STATUS_FAULTS):
            case "temporary":
                raise TemporaryError("broken off")
            case "throttled look":
                raise TemporaryError("slower", retry_after_s=self._model.chance.choice((None, 2.0)), throttled=True)
            case "denied":
                raise DeniedError("no key", status=401)
            case "unknown task":
                raise RefusedError("unknown", status=404)
        return self._report(task_id, platform)

    def _report(self, task_id: str, platform: PlatformSettings) -> TaskReport:
        del platform
        if task_id not in self._spells:
            self._spells[task_id] = self._strikes(*TASK_FAULTS)
        spell = "" if self.healed else self._spells[task_id]
        if spell == "gone for good":
            raise RefusedError("gone", status=404)
        if spell == "failed task":
            return TaskReport(task_id, "failed", 100, 0, 0, None)
        _, at, takes_s = self._made[task_id]
        share = min(1.0, (self._model.now - at) / takes_s)
        if spell == "backwards":
            share *= self._model.chance.random()
        if spell == "stuck":
            share = min(share, 0.3)
        if share < 1.0:
            return TaskReport(task_id, "processing", 100, int(100 * share), 0, None)
        link = "link/t1" if spell == "wrong link" else f"link/{task_id}"
        return TaskReport(task_id, "exported", 100, 100, 0, None if spell == "no link" else link)

    async def download(self, task_id: str) -> None:
        del task_id
        await self._latency()
        match self._strikes(*FILE_FAULTS):
            case "expired":
                raise Gone("expired")
            case "broken":
                raise Gone("temporary")
            case "refused file":
                raise Gone("refused")
            case "damaged":
                raise Gone("damaged")


@dataclass(slots=True, eq=False)
class Proc:
    """A coroutine of the program on its way, with the place that it takes."""

    coro: Coroutine[Pause, None, None]
    lane: Lane
    turn: Turn | None
    ended: Callable[[], None]


@dataclass(slots=True)
class Seen:
    """What the model saw of a lane in this run, apart from what the lane itself keeps."""

    accepted: bool = False
    doubts: int = 0
    refusals: int = 0
    read: bool = False
    waiting: list[Proc] = field(default_factory=list)
    last_left: float = -math.inf
    tries_at: float = math.inf


class Model:
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
        )
        sides = {name: self._side(name) for name in sorted({p.vendor for p in self.platforms.values()})}
        self.lanes = [self._lane(name, platform, sides) for name, platform in self.platforms.items()]
        self.seen = {lane.name: Seen() for lane in self.lanes}
        self.left_last = dict.fromkeys(sides, -math.inf)
        self.schedule = Schedule(self.lanes, self._wake, downloads=2)
        self.looker = Looker(self.context)
        self.submitter = Submitter(self.context, self.looker)
        self.fetcher = ModelFetcher(self.context, self.looker, self.vendor)
        for lane in self.lanes:
            self._take_over(lane)

    def _side(self, name: str) -> Side:
        return Side(name, cast("VendorClient", self.vendor), Pace(self.rates[name], now=self.now), Health(self.backoff))

    def _lane(self, name: str, platform: PlatformSettings, sides: dict[str, Side]) -> Lane:
        caution = Caution(canary=platform.canary and self.ledger.standing(name).tasks(State.DONE) == 0)
        return Lane(name, platform, sides[platform.vendor], Pace(platform.requests_per_second, now=self.now), caution)

    def _take_over(self, lane: Lane) -> None:
        """Do as the dispatcher does with what an earlier run left at the vendor."""
        tasks = self.ledger.tasks(State.SUBMITTED, State.STALLED, platform=lane.name)
        for task in tasks:
            assert task.task_id is not None
            since = task.progress_at or self.now
            watch = Watch(
                task.key, task.task_id, 1, task.submitted_at or self.now, since, stalled=task.state is State.STALLED
            )
            lane.looks.put(watch, self.now)
        lane.at_vendor = len(tasks)
        if any(task.state is State.SUBMITTED for task in tasks):
            lane.caution.submitted_before()
            self.seen[lane.name].accepted = lane.settings.canary

    def _take_steps(self) -> float:
        """Begin all that may begin now; return until when there is nothing."""
        while not self._stopping.is_set():
            for lane in self.lanes:
                if lane.wants_tasks:
                    self._fill(lane)
            due = {lane.name: lane.looks.next_at for lane in self.lanes}
            step = self.schedule.next_step(self.now)
            if isinstance(step, Wait):
                return step.until
            self._begin(step, due)
        return math.inf

    def _fill(self, lane: Lane) -> None:
        tasks = [t for t in self.ledger.tasks(State.PLANNED, platform=lane.name) if t.key.chunk > lane.cursor][:WINDOW]
        lane.upcoming.extend(tasks)
        lane.exhausted = len(tasks) < WINDOW
        if tasks:
            lane.cursor = tasks[-1].key.chunk

    def _begin(self, step: Download | Poll | Submit, due: dict[str, float]) -> None:
        lane = step.lane
        match step:
            case Download(_, watch):
                promise(self.schedule.downloads_free >= 0, "more downloads than allowed")
                self._start(Proc(self.fetcher.fetch(lane, watch), lane, None, self._downloaded))
            case Poll(_, watch, turn):
                self._check_call(lane)
                self._check_lag(lane, due[lane.name])
                self._start(Proc(self.looker.look(lane, watch, _leave), lane, turn, lambda: None))
            case Submit(_, task, turn):
                self._check_call(lane)
                self._check_submit(lane, due)
                self._start(Proc(self.submitter.submit(lane, task, _leave), lane, turn, lambda: self._submitted(lane)))

    def _downloaded(self) -> None:
        self.schedule.downloads_free += 1

    def _submitted(self, lane: Lane) -> None:
        lane.submitting -= 1

    # --- coroutines --------------------------------------------------------------------------------------------------

    def _start(self, proc: Proc) -> None:
        self._on_their_way[proc] = None
        if proc.turn is not None:
            proc.turn.__enter__()
        self._resume(proc)

    def _resume(self, proc: Proc) -> None:
        try:
            pause = proc.coro.send(None)
        except StopIteration:
            self._over(proc)
            return
        if pause.leave:
            self.seen[proc.lane.name].waiting.append(proc)
            self._depart(proc.lane)
        else:
            self.at(self.now + pause.seconds, lambda: self._resume(proc))

    def _over(self, proc: Proc) -> None:
        if proc.turn is not None:
            proc.turn.__exit__()
        proc.ended()
        del self._on_their_way[proc]
        self._changed = True

    def _depart(self, lane: Lane) -> None:
        """Let the first of a lane leave when its lane's pace and its vendor's allow it."""
        seen = self.seen[lane.name]
        if not seen.waiting:
            return
        may_at = max(lane.pace.next_at, lane.side.pace.next_at)
        if may_at > self.now:
            if not self.now < seen.tries_at <= may_at:
                seen.tries_at = may_at
                self.at(may_at, lambda: self._depart(lane))
            return
        proc = seen.waiting.pop(0)
        for pace in (lane.pace, lane.side.pace):
            pace.left(self.now)
        self._check_spacing(lane)
        assert proc.turn is not None
        proc.turn._gone()
        self._resume(proc)
        self._depart(lane)

    def _kill(self) -> None:
        """End every coroutine without letting it change anything."""
        for proc in list(self._on_their_way):
            while True:
                try:
                    proc.coro.throw(KilledError())
                except (KilledError, StopIteration):
                    break
        self._heap.clear()

    # --- what has to hold --------------------------------------------------------------------------------------------

    def _told(self, key: TaskKey, event: Event) -> None:
        """Keep count of what became of submits, apart from the program."""
        seen = self.seen[key.platform]
        match event:
            case Event.ACCEPT:
                seen.accepted, seen.doubts, seen.refusals = True, 0, 0
            case Event.DOUBT:
                seen.doubts, seen.refusals = seen.doubts + 1, 0
            case Event.REFUSE:
                seen.refusals, seen.doubts = seen.refusals + 1, 0
            case Event.FINISH:
                seen.read = True
            case _:
                pass

    def _check_submit(self, lane: Lane, due: dict[str, float]) -> None:
        seen, most = self.seen[lane.name], lane.settings.max_in_flight
        promise(lane.at_vendor + lane.submitting <= most, f"{lane.name}: more than {most} tasks at the vendor")
        promise(lane.submitting <= CONCURRENT_SUBMITS, f"{lane.name}: {lane.submitting} submits at once")
        alone = lane.submitting == 1
        promise(seen.accepted or alone, f"{lane.name}: the first submit is not alone")
        promise(not seen.doubts or alone, f"{lane.name}: a submit beside another, after a doubt")
        promise(max(seen.doubts, seen.refusals) < IN_A_ROW, f"{lane.name}: a submit after the third in a row")
        if lane.settings.canary and seen.accepted and not self.ledger.standing(lane.name).tasks(State.DONE):
            promise(seen.read or not lane.caution._canary_unread, f"{lane.name}: a submit beside an unread canary")
        promise(not lane.side.denied, f"{lane.name}: a submit after the vendor said stop")
        for other in self.lanes:
            free = other.leaving < LEAVING_LIMIT and not other.side.poll_denied and not other.side.health.probing
            waits = other.side.callable_at(self.now) > self.now
            promise(
                waits or not free or due[other.name] > self.now,
                f"{lane.name} submits while {other.name} is to be polled",
            )

    def _check_call(self, lane: Lane) -> None:
        promise(lane.leaving <= LEAVING_LIMIT, f"{lane.name}: {lane.leaving} calls wait to leave")
        side = lane.side
        promise(
            not side.health.probing or side.calls == 1, f"{side.name} is ailing, and gets {side.calls} calls at once"
        )
        promise(not side.unreachable, f"{side.name} is out of reach, and is called")

    def _check_lag(self, lane: Lane, due_at: float) -> None:
        """Nothing that is due waits longer than the calls before it take, once the vendor is well."""
        if not self.vendor.healed:
            return
        waiting = sum(other.at_vendor + LEAVING_LIMIT for other in self.lanes)
        gap_s = max(max(other.pace.interval_s, other.side.pace.interval_s) for other in self.lanes)
        bound_s = 5.0 + 4 * waiting * (gap_s + 0.01)
        promise(self.now - due_at <= bound_s, f"{lane.name}: a look is {self.now - due_at:.3f} s late")

    def _check_spacing(self, lane: Lane) -> None:
        seen, side = self.seen[lane.name], lane.side
        limits = (
            (lane.settings.requests_per_second, seen.last_left),
            (self.rates[side.name], self.left_last[side.name]),
        )
        for rate, last in limits:
            promise(
                self.now - last >= 1 / rate - TOLERANCE_S, f"{lane.name}: two requests within {self.now - last:.6f} s"
            )
        seen.last_left = self.left_last[side.name] = self.now

    def _judge_end(self, *, stopped: bool) -> ExitCode:
        """Check that a run that ended by itself has left nothing that it could have done."""
        standings = {lane.name: self.ledger.standing(lane.name) for lane in self.lanes}
        code = ending(self.lanes, standings, stop_reason="stopped" if stopped else "").code
        promise(not any(row.state is State.RELEASED for row in self.ledger.rows.values()), "a task is left released")
        for row in self.ledger.rows.values():
            most = 1 + self.resubmitted[row.key]
            promise(row.charged <= most, f"{row.key} was charged {row.charged} times")
            promise(
                row.doubted or row.charged == row.counted, f"{row.key}: charged {row.charged}, counted {row.counted}"
            )
            promise(row.charged <= row.counted, f"{row.key}: charged {row.charged}, counted {row.counted}")
        for lane in self.lanes:
            promise(
                (lane.leaving, lane.submitting, lane.side.calls) == (0, 0, 0), f"{lane.name}: places are not given back"
            )
            if not stopped and not lane.side.unreachable:
                promise(lane.blocked or not standings[lane.name].tasks(State.PLANNED), f"{lane.name} is not all sent")
                still = standings[lane.name].tasks(State.SUBMITTED)
                promise(lane.side.poll_denied or not still, f"{lane.name}: {still} tasks were left at the vendor")
        work = any(standings[lane.name].unfinished for lane in self.lanes)
        promise(code is not ExitCode.DONE or not work, "done, with work left")
        free = not any(lane.side.unreachable for lane in self.lanes)
        promise(code is not ExitCode.AGAIN or stopped or not free, "again, though nothing stopped the run")
        return code

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
            decided += 1
        return decided


@contextmanager
def silent() -> Iterator[None]:
    """Let nothing be logged: rendering lines would take most of the time."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


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
