"""The clock of one call, stage by stage.

`aiohttp` has one total for a call, and it runs while we wait for the pace or for the ledger. Here each stage has its
own limit, waiting of ours stops the clock, and the message names the stage that took too long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

Leave = Callable[[], Awaitable[None]]
"""Awaited when a connection is ready, directly before a request's first bytes are handed to the socket."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long each stage of a call may take, in seconds.

    `connect_s` covers name, connection and TLS; `stall_s` one piece of an upload; `answer_s` the answer to a whole
    submit; `call_s` any other call once it left; `drip_s` the time in which a download must bring 64 KiB or end.
    """

    connect_s: float = 30.0
    stall_s: float = 60.0
    answer_s: float = 300.0
    call_s: float = 60.0
    drip_s: float = 60.0


DEFAULT_TIMES: Final = Times()


class Deadline:
    """An `asyncio.timeout` whose limit moves from stage to stage; expiry comes out as `TimeoutError`.

    The limit moves many times in a call, and nearly never comes. So a timer that is there stays, and looks, when it
    fires, whether the limit has moved on meanwhile.
    """

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(None)
        self._running = False
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stage = ("", 0.0)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    @property
    def expired(self) -> bool:
        """Whether a stage took too long."""
        return self._timeout.expired()

    @property
    def stage(self) -> str:
        """The stage that runs, as a message: `no answer within 300 s`."""
        missing, seconds = self._stage
        return f"{missing} within {seconds:g} s"

    def within(self, seconds: float, stage: str) -> None:
        """Begin a stage, or begin it anew; `stage` says what is missing if it takes longer."""
        self._stage = (stage, seconds)
        self._move(asyncio.get_running_loop().time() + seconds)

    def pause(self) -> None:
        """Stop the clock while the call waits for us."""
        self._move(None)

    def _move(self, when: float | None) -> None:
        # The writer of an upload may still be moving when the call is over already.
        if not self._running or self._timeout.expired():
            return
        self._due = when
        if when is None or (self._timer is not None and self._timer.when() <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= self._due:
            self._timeout.reschedule(self._due)
        else:
            self._timer = loop.call_at(self._due, self._look)


class HttpCall:
    """One attempt: its clock, the moment it leaves, and the failure that is ours.

    `failure` is what `leave` or the chunk file raised. The HTTP library catches and rewraps what happens inside it,
    so such errors are kept here and raised again, unchanged, by whoever started the call.
    """

    def __init__(self, leave: Leave, limit_s: float, stage: str) -> None:
        self._leave = leave
        self._limit_s = limit_s
        self._stage = stage
        self.deadline = Deadline()
        self.failure: Exception | None = None

    async def leave(self) -> None:
        """Wait for permission with the clock stopped, then start the stage that follows the leaving."""
        self.failure = None
        self.deadline.pause()
        try:
            await self._leave()
        except Exception as error:
            self.failure = error
            raise
        self.deadline.within(self._limit_s, self._stage)
