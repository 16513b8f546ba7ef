"""What has to hold at every step of the fast tier, kept apart from the program's own counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from orchestrator.dispatch.caution import DOUBTS, HARDLY, STOPS_AFTER
from orchestrator.dispatch.places import LEAVING_LIMIT, CallPlace
from orchestrator.dispatch.platform_run import PlatformRun
from orchestrator.errors import ExitCode
from orchestrator.job.ending import ending
from orchestrator.tasks import Event, State, TaskKey
from tests.simulation.checks import TOLERANCE_S, promise
from tests.simulation.model import ModelLedger, Pause
from tests.simulation.model_vendor import ModelVendor


@dataclass(slots=True, eq=False)
class Proc:
    """A coroutine of the program on its way, with the place that it takes."""

    coro: Coroutine[Pause, None, None]
    platform: PlatformRun
    call: CallPlace | None
    ended: Callable[[], None]


@dataclass(slots=True)
class Seen:
    """What the model saw of a platform in this run, apart from what the platform itself keeps."""

    accepted: bool = False
    sent: bool = False
    doubts: int = 0
    waiting: list[Proc] = field(default_factory=list)
    holding: dict[Proc, None] = field(default_factory=dict)
    last_left: float = -math.inf
    tries_at: float = math.inf


@dataclass(slots=True)
class Past:
    """What the model saw of a platform over all runs, since somebody decided."""

    refusals: int = 0
    losses: int = 0
    read: bool = False


class Watched:
    """A model as its rules see it."""

    now: float
    ledger: ModelLedger
    vendor: ModelVendor
    platform_runs: list[PlatformRun]
    rates: dict[str, float]
    seen: dict[str, Seen]
    past: dict[str, Past]
    left_last: dict[str, float]
    resubmitted: Counter[TaskKey]

    def _told(self, key: TaskKey, event: Event) -> None:
        """Keep count of what became of submits, apart from the program."""
        seen, past = self.seen[key.platform], self.past[key.platform]
        match event:
            case Event.RELEASE:
                unsure = self.ledger.platforms.standing(key.platform).tasks(State.IN_DOUBT, State.RELEASED)
                promise(unsure <= DOUBTS, f"{key.platform}: {unsure} tasks are in doubt, or may be")
            case Event.ACCEPT:
                seen.accepted, seen.sent, seen.doubts, past.refusals = True, True, 0, 0
            case Event.DOUBT:
                seen.doubts, past.refusals = seen.doubts + 1, 0
            case Event.REFUSE:
                past.refusals, seen.doubts = past.refusals + 1, 0
            case Event.FAIL:
                past.losses += 1
            case Event.FINISH:
                share = self.vendor.shares[key]
                past.losses = past.losses + 1 if share < HARDLY or past.losses >= STOPS_AFTER else 0
            case _:
                pass

    def _check_submit(self, platform: PlatformRun, due: dict[str, float]) -> None:
        seen, most = self.seen[platform.name], platform.settings.max_in_flight
        promise(
            platform.at_vendor.work + platform.submits.count <= most,
            f"{platform.name}: more than {most} tasks at the vendor",
        )
        held = platform.at_vendor.work + platform.submits.count + platform.at_vendor.to_fetch
        promise(held <= 2 * most, f"{platform.name}: more than {2 * most} tasks unread")
        past = self.past[platform.name]
        promise(
            platform.vendor.name in self.vendor.spoke,
            f"{platform.name}: a submit before the vendor has answered anything",
        )
        alone = platform.submits.count == 1
        promise(seen.accepted or alone, f"{platform.name}: the first submit is not alone")
        promise(not seen.doubts or alone, f"{platform.name}: a submit beside another, after a doubt")
        promise(past.refusals < STOPS_AFTER, f"{platform.name}: a submit after the third refusal in a row")
        promise(
            past.losses < STOPS_AFTER, f"{platform.name}: a submit after the third result in a row that came to nothing"
        )
        unread = platform.settings.canary and not past.read
        promise(not (unread and seen.sent), f"{platform.name}: a submit beside an unread canary")
        promise(not (unread and past.losses), f"{platform.name}: a submit after a canary that came to nothing")
        promise(
            not platform.vendor.denial and not platform.denial, f"{platform.name}: a submit after the vendor said stop"
        )
        for other in self.platform_runs:
            free = other.leaving < LEAVING_LIMIT and not other.why_not_polled and not other.vendor.health.probing
            waits = other.vendor.callable_at(self.now) > self.now
            promise(
                waits or not free or due[other.name] > self.now,
                f"{platform.name} submits while {other.name} is to be polled",
            )

    def check_release(self, platform: str, released: int) -> None:
        """Check what may be released now; what was begun before may have to wait, or to be given up."""
        seen, past = self.seen[platform], self.past[platform]
        doubts = self.ledger.platforms.standing(platform).tasks(State.IN_DOUBT)
        promise(doubts + released <= DOUBTS, f"{platform}: {released} released beside {doubts} doubts")
        promise(seen.accepted or released == 1, f"{platform}: the first is released beside another")
        promise(not seen.doubts or released == 1, f"{platform}: one is released beside another, after a doubt")
        promise(past.refusals < STOPS_AFTER, f"{platform}: one is released after the third refusal in a row")
        promise(past.losses < STOPS_AFTER, f"{platform}: one is released after the third result that came to nothing")

    def _check_call(self, platform: PlatformRun) -> None:
        promise(platform.leaving <= LEAVING_LIMIT, f"{platform.name}: {platform.leaving} calls wait to leave")
        vendor = platform.vendor
        promise(
            not vendor.health.probing or vendor.calls == 1,
            f"{vendor.name} is ailing, and gets {vendor.calls} calls at once",
        )
        promise(not vendor.unreachable, f"{vendor.name} is out of reach, and is called")

    def _check_lag(self, platform: PlatformRun, due_at: float) -> None:
        """Nothing that is due waits longer than the calls before it take, once the vendor is well."""
        if not self.vendor.healed:
            return
        waiting = sum(other.at_vendor.work + other.at_vendor.to_fetch + LEAVING_LIMIT for other in self.platform_runs)
        gap_s = max(max(other.pace.interval_s, other.vendor.pace.interval_s) for other in self.platform_runs)
        bound_s = 5.0 + 4 * waiting * (gap_s + 0.01)
        promise(self.now - due_at <= bound_s, f"{platform.name}: a look is {self.now - due_at:.3f} s late")

    def _check_spacing(self, platform: PlatformRun) -> None:
        seen, vendor = self.seen[platform.name], platform.vendor
        limits = (
            (platform.settings.requests_per_second, seen.last_left),
            (self.rates[vendor.name], self.left_last[vendor.name]),
        )
        for rate, last in limits:
            promise(
                self.now - last >= 1 / rate - TOLERANCE_S,
                f"{platform.name}: two requests within {self.now - last:.6f} s",
            )
        seen.last_left = self.left_last[vendor.name] = self.now

    def _judge_end(self, *, stopped: bool) -> ExitCode:
        """Check that a run that ended by itself has left nothing that it could have done."""
        standings = {platform.name: self.ledger.platforms.standing(platform.name) for platform in self.platform_runs}
        code = ending(self.platform_runs, standings, stop_reason="stopped" if stopped else "").code
        for name, standing in standings.items():
            doubts = standing.tasks(State.IN_DOUBT)
            promise(doubts <= DOUBTS, f"{name}: {doubts} doubts wait for a decision")
        promise(not any(row.state is State.RELEASED for row in self.ledger.rows.values()), "a task is left released")
        for row in self.ledger.rows.values():
            most = 1 + self.resubmitted[row.key]
            promise(row.charged <= most, f"{row.key} was charged {row.charged} times")
            promise(
                row.doubted or row.charged == row.counted, f"{row.key}: charged {row.charged}, counted {row.counted}"
            )
            promise(row.charged <= row.counted, f"{row.key}: charged {row.charged}, counted {row.counted}")
        for platform in self.platform_runs:
            promise(
                (platform.leaving, platform.submits.count, platform.submits.released, platform.vendor.calls)
                == (0, 0, 0, 0),
                f"{platform.name}: places are not given back",
            )
            if not stopped and not platform.vendor.unreachable:
                promise(
                    platform.why_not_sent or not standings[platform.name].tasks(State.PLANNED),
                    f"{platform.name} is not all sent",
                )
                still = standings[platform.name].tasks(State.SUBMITTED)
                promise(platform.why_not_polled or not still, f"{platform.name}: {still} tasks were left at the vendor")
        work = any(standings[platform.name].unfinished for platform in self.platform_runs)
        promise(code is not ExitCode.DONE or not work, "done, with work left")
        free = not any(platform.vendor.unreachable for platform in self.platform_runs)
        promise(code is not ExitCode.AGAIN or stopped or not free, "again, though nothing stopped the run")
        return code
