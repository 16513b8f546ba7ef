"""Places for what is on its way: how many there may be of each kind, and that each is given back.

Each kind has its owner here, which counts, and hands out places that count back themselves:

    DownloadPlaces   downloads of a run
    CallPlace        calls: those that wait to leave, of a platform, and all that are on their way, of a vendor
    SubmitPlaces     submits of a platform, from their beginning to their recorded answer
    VendorPlaces     tasks of a platform at the vendor, from their acceptance to their end

Of submits, those places are scarce that lie between release and recorded answer: should none of these get an answer,
each of them becomes a doubt. So one is taken only when all but the last bytes have been sent. While submits wait for
answers, others connect and upload. An accepted one hands its place on when it asks for its commit: the next release is
asked for behind it, so it is durable in the same commit, or in a later one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from orchestrator.dispatch.pace import wait_to_leave

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.dispatch.caution import Caution
    from orchestrator.dispatch.platform_run import PlatformRun

LEAVING_LIMIT: Final = 4
"""So many calls of a platform may wait to leave: enough to hide connecting, few enough to keep the order."""
AT_ONCE: Final = 8
"""So many submits of a platform are on their way, those included that are not released yet."""
PATIENCE_S: Final = 20.0
"""How long a submit holds back its last bytes: vendors commonly wait 30 to 60 s for the rest of a request."""


class NotNowError(Exception):
    """The submit is not released: provably, the task does not exist at the vendor."""


class DownloadPlaces:
    """The downloads of a run that are on their way; each is a context manager that gives its place back."""

    def __init__(self, most: int) -> None:
        self.free = most

    def begin(self) -> Self:
        """Take a place."""
        self.free -= 1
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.free += 1


class CallPlace:
    """One call's place among its platform's and its vendor's, taken in the moment in which the schedule decides on it.

    A context manager around the whole call, up to the recording of what came of it. `on_leaving` is called when there
    is a place again among those that wait to leave, where there was none, so that the next call can begin.
    """

    def __init__(self, platform: PlatformRun, on_leaving: Callable[[], None]) -> None:
        self._platform = platform
        self._on_leaving = on_leaving
        self._platform.vendor.calls += 1
        self._platform.leaving += 1
        self._waits = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._platform.vendor.calls -= 1
        self.has_left()  # or it failed before

    async def leave(self) -> None:
        """Return in the moment in which the request may be handed to the socket."""
        await wait_to_leave(self._platform.pace, self._platform.vendor.pace)
        self.has_left()

    def has_left(self) -> None:
        """Give back the place among those that wait to leave, once."""
        if self._waits:
            self._waits = False
            was_full = self._platform.leaving >= LEAVING_LIMIT
            self._platform.leaving -= 1
            if was_full:  # else nobody has waited for this place
                self._on_leaving()


class SubmitPlaces:
    """The submits of one platform that are on their way, from their beginning to their recorded answer."""

    def __init__(self, caution: Caution) -> None:
        self._caution = caution
        self.count = 0
        self.released = 0
        self._crowded = False
        self._freed = asyncio.Event()

    def may_begin(self) -> bool:
        """Whether there is a place for one more.

        Where only one is allowed, none is prepared beside it: it might be for nothing. The same holds after one that
        waited in vain, until the next answer comes.
        """
        allowed = self._caution.allowed()
        return self.count < (AT_ONCE if allowed > 1 and not self._crowded else allowed)

    def begin(self) -> SubmitPlace:
        """Take a place."""
        self.count += 1
        return SubmitPlace(self)

    async def wait_for_release(self, *, now: float) -> None:
        """Wait for a place among those that are released; raises `NotNowError` if there is none for too long.

        Nobody waits without another that is released, whose end gives a place back: so every wait ends.
        """
        first = now
        while self.released >= (allowed := self._caution.allowed()):
            if not allowed:
                raise NotNowError
            now = await self._change(now=now, until=first + PATIENCE_S)
            if now >= first + PATIENCE_S:
                self._crowded = True
                raise NotNowError
        self.released += 1

    def is_recorded(self) -> None:
        """Give a place among those that are released back."""
        self.released -= 1
        self._crowded = False
        self._tell()

    @property
    def alone(self) -> bool:
        """Whether nothing is released before what became of the one before is known."""
        return self._caution.allowed() <= 1

    # The two that follow are all that needs an event loop: a simulation without one has its own.

    async def _change(self, *, now: float, until: float) -> float:
        """Wait until a place is given back, or the time has come; return the time."""
        del now
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._freed.wait()
        return asyncio.get_running_loop().time()

    def _tell(self) -> None:
        self._freed.set()  # whoever waits by now is woken by this, and nobody who comes later
        self._freed.clear()


class SubmitPlace:
    """One submit's place, as a context manager around all of it, up to the recording of what came of it."""

    def __init__(self, submits: SubmitPlaces) -> None:
        self._submits = submits
        self._released = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._submits.count -= 1
        self._recorded()

    def hand_on(self) -> None:
        """Let the next one be released whose commit is asked for behind this one's: call it directly before asking."""
        if not self._submits.alone:
            self._recorded()

    def _recorded(self) -> None:
        if self._released:
            self._released = False
            self._submits.is_recorded()

    async def wait_for_release(self, *, now: float) -> None:
        """Return when the last bytes may leave; raises `NotNowError`."""
        await self._submits.wait_for_release(now=now)
        self._released = True


class VendorPlaces:
    """The tasks of one platform at the vendor: those that `work` there, and those whose results are `to_fetch`.

    A task that was exported makes room for another one at the vendor. But results that can't be fetched must not pile
    up without end, so there is a bound on both together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.work = 0
        self.to_fetch = 0

    def has_room(self, *, submitting: int) -> bool:
        """Whether one more may be sent, beside those that are being submitted."""
        work = self.work + submitting
        return work < self._most and work + self.to_fetch < 2 * self._most

    def begin(self) -> VendorPlace:
        """Take a place; there may be none free for a task that an earlier run, with another limit, has sent."""
        self.work += 1
        return VendorPlace(self)


class VendorPlace:
    """One task's place, from its acceptance to its end; each step counts once, whoever takes it how often."""

    def __init__(self, places: VendorPlaces) -> None:
        self._places = places
        self._exported = self._over = False

    def exported(self) -> None:
        """Make room at the vendor: the result is to be fetched now."""
        if not self._exported and not self._over:
            self._exported = True
            self._places.work -= 1
            self._places.to_fetch += 1

    def give_back(self) -> None:
        """Give the place back at the task's end."""
        if self._over:
            return
        self._over = True
        if self._exported:
            self._places.to_fetch -= 1
        else:
            self._places.work -= 1
