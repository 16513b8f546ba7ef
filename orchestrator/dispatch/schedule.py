"""What to do next: one synchronous look at all platforms. The dispatcher does what comes out of it.

A step takes its place in the counts of its platform here and at once; if it did so when it starts to run, the next look
would come before that, and let through more than is allowed. The dispatcher gives the place back at the step's end.

Order: download what is ready, then poll, then submit. Platforms take turns, so that no platform waits for another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.dispatch.places import LEAVING_LIMIT, CallPlace, DownloadPlaces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.dispatch.places import SubmitPlace
    from orchestrator.dispatch.platform_run import PlatformRun
    from orchestrator.dispatch.watching import Watch
    from orchestrator.records import Task


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch and read a result."""

    platform: PlatformRun
    watch: Watch
    place: DownloadPlaces


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask for a task's status."""

    platform: PlatformRun
    watch: Watch
    call: CallPlace


@dataclass(frozen=True, slots=True)
class Submit:
    """Send a chunk."""

    platform: PlatformRun
    task: Task
    call: CallPlace
    place: SubmitPlace


@dataclass(frozen=True, slots=True)
class Ask:
    """Find out whether the vendor answers at all, before the first submit leaves."""

    platform: PlatformRun
    call: CallPlace


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may begin before `until` (the loop's time, may be infinite), unless something on its way ends."""

    until: float


Step = Download | Poll | Submit | Ask | Wait


class Schedule:
    """The platforms of one run, in turn; `changed` is called when a call has left, as then another may begin."""

    def __init__(self, platforms: Sequence[PlatformRun], changed: Callable[[], None], *, downloads: int) -> None:
        self.platforms = list(platforms)
        self._changed = changed
        self.downloads = DownloadPlaces(downloads)

    def next_step(self, now: float) -> Step:
        """Take the next thing to do out of its platform, or say how long there is none."""
        until = math.inf
        for choose in (self._download, self._poll, self._submit):
            for platform in self.platforms:
                step = choose(platform, now)
                if not isinstance(step, Wait):
                    self.platforms.remove(platform)  # to the back
                    self.platforms.append(platform)
                    return step
                until = min(until, step.until)
        return Wait(until)

    def _download(self, platform: PlatformRun, now: float) -> Download | Wait:
        if not self.downloads.free:
            return Wait(math.inf)
        if platform.ready.next_at > now:
            return Wait(platform.ready.next_at)
        return Download(platform, platform.ready.pop(), self.downloads.begin())

    def _poll(self, platform: PlatformRun, now: float) -> Poll | Wait:
        if platform.why_not_polled or platform.leaving >= LEAVING_LIMIT:
            return Wait(math.inf)
        at = max(platform.polls.next_at, platform.vendor.callable_at(now))
        return Poll(platform, platform.polls.pop(), CallPlace(platform, self._changed)) if at <= now else Wait(at)

    def _submit(self, platform: PlatformRun, now: float) -> Submit | Ask | Wait:
        if platform.leaving >= LEAVING_LIMIT:
            return Wait(math.inf)
        at = max(
            platform.submit_at(now),
            platform.vendor.callable_at(now),
            -math.inf if platform.vendor.has_answered else platform.vendor.ask_at,
        )
        if at > now:
            return Wait(at)
        if not platform.vendor.has_answered:
            platform.vendor.ask_at = math.inf  # until this one has come to its end
            return Ask(platform, CallPlace(platform, self._changed))
        return Submit(platform, platform.next_task(now), CallPlace(platform, self._changed), platform.submits.begin())
