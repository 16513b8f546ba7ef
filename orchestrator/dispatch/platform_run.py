"""What a run keeps in memory of each platform and of each vendor. The ledger has everything that must last.

Only what is on its way is held here, plus a short window of what comes next: memory does not grow with the job.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from orchestrator.dispatch.alarms import UsualResults
from orchestrator.dispatch.places import SubmitPlaces, VendorPlaces
from orchestrator.dispatch.poll_times import Experience, floor_s, learn
from orchestrator.logger import log

if TYPE_CHECKING:
    from orchestrator.dispatch.backoff import Health
    from orchestrator.dispatch.caution import Caution
    from orchestrator.dispatch.pace import Pace
    from orchestrator.dispatch.watching import Watch
    from orchestrator.records import Task
    from orchestrator.settings import PlatformSettings
    from orchestrator.vendor_api.client import VendorClient

T = TypeVar("T")


class DueQueue(Generic[T]):
    """Things that become due at a time; the earliest first, equals in the order of their coming."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, thing: T, at: float) -> None:
        """Make `thing` due at `at`."""
        heapq.heappush(self._heap, (at, next(self._order), thing))

    @property
    def next_at(self) -> float:
        """When the earliest becomes due; infinity when there is none."""
        return self._heap[0][0] if self._heap else math.inf

    def pop(self) -> T:
        """Take the earliest."""
        return heapq.heappop(self._heap)[2]


@dataclass(slots=True, eq=False)
class VendorRun:
    """One vendor as the dispatcher sees it. `denial` and `poll_denial` hold the vendor's words, "" while it is well.

    `has_answered` is whether any call was answered sensibly in this run; before that the vendor is asked what is free,
    next at `ask_at`. `doubtful_at` is when a gateway may have denied a call in the vendor's place, infinity after a
    good answer. `trouble` says why it is unreachable, and `balance_usd` is what it said of the balance, None if
    nothing; `out_of_funds` is whether a submit was refused for it.
    """

    name: str
    client: VendorClient
    pace: Pace
    health: Health
    calls: int = 0
    has_answered: bool = False
    asks: int = 0
    ask_at: float = -math.inf
    doubtful_at: float = math.inf
    denial: str = ""
    poll_denial: str = ""
    unreachable: bool = False
    trouble: str = ""
    balance_usd: float | None = None
    out_of_funds: bool = False
    platforms: list[PlatformRun] = field(default_factory=list)

    def callable_at(self, now: float) -> float:
        """Return when the next call may begin; infinity when only another call's end can tell."""
        if self.unreachable or (self.health.probing and self.calls):
            return math.inf
        return max(now, self.health.not_before)


@dataclass(slots=True, eq=False)
class PlatformRun:
    """One platform: what is to be submitted, what is at the vendor, and what is ready to be fetched.

    `leaving` counts the calls that wait to leave; `submits` and `at_vendor` are the owners of their places.
    `denial` and `poll_denial` hold the vendor's words when it denies this platform alone, `doubtful_at` is as the
    vendor's, of submits. In `other_currencies` than USD it told amounts in this run. Nothing is released whose answer
    may come after `deadline_at`, nor anything behind `last_chunk`, where one is given.
    """

    name: str
    settings: PlatformSettings
    vendor: VendorRun
    pace: Pace
    caution: Caution
    upcoming: deque[Task] = field(default_factory=deque)
    again: DueQueue[Task] = field(default_factory=DueQueue)
    polls: DueQueue[Watch] = field(default_factory=DueQueue)
    ready: DueQueue[Watch] = field(default_factory=DueQueue)
    cursor: int = 0
    last_chunk: int | None = None
    exhausted: bool = False
    over_budget: bool = False
    denial: str = ""
    poll_denial: str = ""
    doubtful_at: float = math.inf
    deadline_at: float = math.inf
    leaving: int = 0
    experience: Experience = field(default_factory=Experience)
    told: bool = False
    usual: UsualResults = field(default_factory=UsualResults)
    other_currencies: set[str] = field(default_factory=set)
    submits: SubmitPlaces = field(init=False)
    at_vendor: VendorPlaces = field(init=False)

    def __post_init__(self) -> None:
        self.submits = SubmitPlaces(self.caution)
        self.at_vendor = VendorPlaces(self.settings.max_in_flight)
        self.vendor.platforms.append(self)

    @property
    def why_not_sent(self) -> str:
        """Why nothing more can be submitted in this run, "" while it can."""
        if self.over_budget:
            return "over budget"
        return self.caution.stopped or self.denial or self.vendor.denial

    @property
    def wants_tasks(self) -> bool:
        """Whether the window of upcoming tasks should be filled from the ledger."""
        return not self.upcoming and not self.exhausted and not self.why_not_sent

    @property
    def drained(self) -> bool:
        """Whether nothing is left that this run could submit."""
        return bool(self.why_not_sent) or (self.exhausted and not self.upcoming and not self.again)

    @property
    def why_not_polled(self) -> str:
        """Why nothing can be polled in this run, "" while it can."""
        return self.poll_denial or self.vendor.poll_denial

    def is_too_late(self, now: float) -> bool:
        """Whether the answer to a submit that leaves now may come after the deadline."""
        return now + self.caution.answer_s > self.deadline_at

    def submit_at(self, now: float) -> float:
        """Return when the next submit may begin; infinity when only another event can tell."""
        if self.why_not_sent or not self.submits.may_begin() or self.is_too_late(now):
            return math.inf
        if not self.at_vendor.has_room(submitting=self.submits.count):
            return math.inf
        return now if self.upcoming else self.again.next_at

    def next_task(self, now: float) -> Task:
        """Take the task to submit: one that was put off and is due, else the next of the list."""
        return self.again.pop() if self.again.next_at <= now else self.upcoming.popleft()

    def poll_floor_s(self) -> float:
        """Return how far apart one task's polls must be for platform and vendor to bear them."""
        together = sum(platform.at_vendor.work for platform in self.vendor.platforms)
        own = floor_s(self.at_vendor.work, self.pace.interval_s)
        return max(own, floor_s(together, self.vendor.pace.interval_s))

    def exported(self, watch: Watch, now: float) -> None:
        """Note that a task was just seen to be exported: its place at the vendor is free. Learn from it.

        What was exported while no run polled it teaches nothing.
        """
        if watch.exported_at is not None:  # a further link, since the one before led to nothing
            return
        watch.exported_at = now
        watch.place.exported()
        if watch.polled_s is not None:
            seen_s = now - watch.submitted_at
            self.experience = learn(self.experience, polled_s=watch.polled_s, seen_s=seen_s, worked_s=watch.worked_s)

    def say_if_stopped(self) -> None:
        """Log once why nothing more of the platform is sent."""
        if self.caution.stopped and not self.told:
            self.told = True
            log.error("platform_stopped", platform=self.name, reason=str(self.caution.stopped))

    def suspect(self, watch: Watch) -> None:
        """Note that a result may come to nothing: it is fetched again before anything is said of it."""
        if not watch.suspect:
            watch.suspect = True
            self.caution.suspects += 1

    def over(self, watch: Watch) -> None:
        """Give back all that a task has taken that is over for this run."""
        if watch.suspect:
            watch.suspect = False
            self.caution.suspects -= 1
        watch.place.give_back()
