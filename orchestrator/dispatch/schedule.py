"""What to do next: one synchronous look at all lanes. The dispatcher does what comes out of it.

A step takes its place in the counts of its lane here and at once; if it did so when it starts to run, the next look
would come before that, and let through more than is allowed. The dispatcher gives the place back at the step's end.

Order: download what is ready, then poll, then submit. Lanes take turns, so that no platform waits for another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.dispatch.context import Turn
from orchestrator.dispatch.lanes import LEAVING_LIMIT, Lane, Watch
from orchestrator.dispatch.places import Downloads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.dispatch.places import SubmitPlace
    from orchestrator.ledger import Task


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch and read a result."""

    lane: Lane
    watch: Watch
    place: Downloads


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask for a task's status."""

    lane: Lane
    watch: Watch
    turn: Turn


@dataclass(frozen=True, slots=True)
class Submit:
    """Send a chunk."""

    lane: Lane
    task: Task
    turn: Turn
    place: SubmitPlace


@dataclass(frozen=True, slots=True)
class Ask:
    """Find out whether the vendor answers at all, before the first submit leaves."""

    lane: Lane
    turn: Turn


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may begin before `until` (the loop's time, may be infinite), unless something on its way ends."""

    until: float


Step = Download | Poll | Submit | Ask | Wait


class Schedule:
    """The lanes of one run, in turn; `changed` is called when a call has left, as then another may begin."""

    def __init__(self, lanes: Sequence[Lane], changed: Callable[[], None], *, downloads: int) -> None:
        self.lanes = list(lanes)
        self._changed = changed
        self.downloads = Downloads(downloads)

    def next_step(self, now: float) -> Step:
        """Take the next thing to do out of its lane, or say how long there is none."""
        until = math.inf
        for choose in (self._download, self._poll, self._submit):
            for lane in self.lanes:
                step = choose(lane, now)
                if not isinstance(step, Wait):
                    self._to_the_back(lane)
                    return step
                until = min(until, step.until)
        return Wait(until)

    def _to_the_back(self, lane: Lane) -> None:
        self.lanes.remove(lane)
        self.lanes.append(lane)

    def _download(self, lane: Lane, now: float) -> Download | Wait:
        if not self.downloads.free:
            return Wait(math.inf)
        if lane.ready.next_at > now:
            return Wait(lane.ready.next_at)
        return Download(lane, lane.ready.pop(), self.downloads.begin())

    def _poll(self, lane: Lane, now: float) -> Poll | Wait:
        if lane.unpolled or lane.leaving >= LEAVING_LIMIT:
            return Wait(math.inf)
        at = max(lane.looks.next_at, lane.side.callable_at(now))
        return Poll(lane, lane.looks.pop(), Turn(lane, self._changed)) if at <= now else Wait(at)

    def _submit(self, lane: Lane, now: float) -> Submit | Ask | Wait:
        if lane.leaving >= LEAVING_LIMIT:
            return Wait(math.inf)
        at = max(lane.submit_at(now), lane.side.callable_at(now), -math.inf if lane.side.answered else lane.side.ask_at)
        if at > now:
            return Wait(at)
        if not lane.side.answered:
            lane.side.ask_at = math.inf  # until this one has come to its end
            return Ask(lane, Turn(lane, self._changed))
        return Submit(lane, lane.next_task(now), Turn(lane, self._changed), lane.submits.begin())
