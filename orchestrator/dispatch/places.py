"""Downloads and submits on their way: how many there may be, and that each gives back its place.

Of submits, those places are scarce that lie between release and recorded answer: should none of these get an answer,
each of them becomes a doubt. So one is taken only when all but the last bytes have left. While submits wait for
answers, others connect and upload.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from orchestrator.dispatch.caution import Caution

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

    async def release(self, *, now: float) -> None:
        """Take a place among those that are released; raises `NotNowError` if there is none for too long.

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

    def over(self, *, released: bool) -> None:
        """Give everything back that one has taken."""
        self.count -= 1
        if released:
            self.released -= 1
            self._crowded = False
            self._tell()

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
        self._submits.over(released=self._released)

    async def release(self, *, now: float) -> None:
        """Return when the last bytes may leave; raises `NotNowError`."""
        await self._submits.release(now=now)
        self._released = True
