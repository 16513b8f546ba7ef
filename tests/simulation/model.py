"""What the program stands on in the fast tier: time, ledger and fetcher of a few lines each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from orchestrator.dispatch.context import RunContext
from orchestrator.dispatch.fetching import DAMAGE_LIMIT, Fetcher
from orchestrator.dispatch.places import SubmitPlaces
from orchestrator.dispatch.platform_run import PlatformRun
from orchestrator.dispatch.watching import Hold, InVain, Watch, Watcher, WatchStep
from orchestrator.errors import BudgetError, TemporaryError
from orchestrator.records import LastingCaution, Standing, Task
from orchestrator.tasks import Event, State, TaskKey, state_after

if TYPE_CHECKING:
    from orchestrator.dispatch.caution import Caution
    from tests.simulation.fast import Model
    from tests.simulation.model_vendor import ModelVendor

SHA256 = "0" * 64


class Pause:
    """What a coroutine of the program waits for: its turn to `leave`, `seconds`, or a `place` for so long at most."""

    __slots__ = ("leave", "place", "seconds")

    def __init__(self, seconds: float = 0.0, *, leave: bool = False, place: bool = False) -> None:
        self.seconds, self.leave, self.place = seconds, leave, place

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
    failures: int = 0


class ModelLedger:
    """The ledger's part in the life of a task: the same names, the same table, no disk; all its tables in one."""

    def __init__(self, keys: list[TaskKey]) -> None:
        self.tasks = self.transitions = self.platforms = self
        self.rows = {key: Row(key) for key in keys}
        self.submits: Counter[str] = Counter()
        self.status_calls = 0
        self.spent = 0
        self.cautions: dict[str, LastingCaution] = {key.platform: LastingCaution() for key in keys}
        self.told: Callable[[TaskKey, Event], None] = lambda _key, _event: None

    def change(self, key: TaskKey, event: Event) -> State:
        row = self.rows[key]
        if row.state is State.FAILED:
            self.note_caution(key.platform, LastingCaution())
        row.state = state_after(row.state, event)
        self.told(key, event)
        return row.state

    def begin_run(self) -> None:
        for row in self.rows.values():
            if row.state is State.RELEASED:
                self.doubt(row.key, "", at=0.0)

    def release(self, key: TaskKey, *, cost_nano: int, max_cost_nano: int | None, at: float, sent_name: str) -> None:
        del at, sent_name
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

    def vendor_failed(self, key: TaskKey, reason: str, *, at: float, most: int) -> State:
        row = self.rows[key]
        row.failures += 1
        if row.failures >= most:
            return self.doubt(key, reason, at=at)
        self.put_off(key, reason, at=at)
        return row.state

    def note_caution(self, platform: str, lasting: LastingCaution) -> None:
        self.cautions[platform] = lasting

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

    def note_status(self, key: TaskKey, *, status: str, total: int, success: int, at: float, calls: int) -> bool:
        self.status_calls += calls
        row = self.rows[key]
        best = (max(row.looked[0], status), max(row.looked[1], total), max(row.looked[2], success))
        progressed = row.looked != best
        if progressed:
            row.looked, row.progress_at = best, at
        return progressed

    def owner_of(self, key: TaskKey, *task_ids: str, once: bool = False, anywhere: bool = False) -> TaskKey | None:
        del once, anywhere  # no link is of another task here
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

    def get(self, key: TaskKey) -> Task:
        row = self.rows[key]
        return Task(key, row.state, 1, SHA256, row.task_id, 1, row.submitted_at, row.progress_at, 0, 0, "")

    def unsure(self, platform: str) -> int:
        return self.standing(platform).tasks(State.IN_DOUBT, State.RELEASED)

    def select(self, *states: State, platform: str) -> list[Task]:
        return [self.get(key) for key, row in self.rows.items() if key.platform == platform and row.state in states]

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

    do_small = do

    @property
    def holds(self) -> bool:
        return True  # nobody else is there


class ModelContext(RunContext):
    """A context whose time is the model's."""

    __slots__ = ()

    @property
    def now(self) -> float:
        return self.clock()


class ModelSubmitPlaces(SubmitPlaces):
    """The program's places for submits, without an event loop."""

    def __init__(self, caution: Caution, model: Model, platform: str) -> None:
        super().__init__(caution)
        self._model, self._platform = model, platform

    async def wait_for_release(self, *, now: float) -> None:
        await super().wait_for_release(now=now)
        self._model.check_release(self._platform, self.released)

    async def _change(self, *, now: float, until: float) -> float:
        await Pause(until - now, place=True)
        return self._model.now

    def _tell(self) -> None:
        self._model.freed(self._platform)


class ModelFetcher(Fetcher):
    """The program's fetcher without network, files and workers."""

    def __init__(self, context: RunContext, watcher: Watcher, vendor: ModelVendor) -> None:
        self._context, self._watcher, self._vendor = context, watcher, vendor

    async def fetch(self, platform: PlatformRun, watch: Watch) -> None:
        step: WatchStep
        try:
            await self._vendor.download(watch.task_id)
        except Gone as gone:
            match gone.kind:
                case "expired":
                    step = self._after_a_useless_link(watch)
                case "temporary":
                    step = self._after_a_broken_download(watch, TemporaryError("broken off"))
                case "refused":
                    step = Hold("refused")
                case _:
                    watch.damages += 1
                    platform.suspect(watch)
                    step = self._after_a_useless_link(watch) if watch.damages < DAMAGE_LIMIT else InVain("damaged")
            await self._watcher.carry_out(platform, watch, step)
        else:
            platform.caution.result_read(self._vendor.share(watch.key))
            await self._context.note(platform, lambda ledger: cast("Any", ledger).finish(watch.key))
            platform.over(watch)
