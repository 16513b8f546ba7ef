"""The clock of a call: exact in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.vendor_api.deadline import Deadline, HttpCall

pytestmark = pytest.mark.looptime


async def test_expires(looptime: Any) -> None:
    """A stage that takes too long ends in `TimeoutError` at its limit, and is named."""
    deadline = Deadline()
    with pytest.raises(TimeoutError):  # noqa: PT012 - the block is the stage
        async with deadline:
            deadline.within(30, "no connection")
            await asyncio.sleep(1000)
    assert looptime == 30
    assert deadline.expired
    assert deadline.stage == "no connection within 30 s"


async def test_stages_follow_each_other(looptime: Any) -> None:
    """Each stage has a limit of its own, and a stage begun anew starts at zero."""
    deadline = Deadline()
    async with deadline:
        for _ in range(5):
            deadline.within(10, "no progress")
            await asyncio.sleep(9)
    assert looptime == 45
    assert not deadline.expired


async def test_pause(looptime: Any) -> None:
    """Waiting of ours stops the clock."""
    deadline = Deadline()
    async with deadline:
        deadline.within(10, "x")
        deadline.pause()
        await asyncio.sleep(10_000)
    assert looptime == 10_000


async def test_late_movers() -> None:
    """Who moves the clock before the call, after it, or after it expired, changes nothing and breaks nothing."""
    deadline = Deadline()
    deadline.within(1, "before")
    with pytest.raises(TimeoutError):  # noqa: PT012 - the block is the stage
        async with deadline:
            deadline.within(1, "during")
            try:
                await asyncio.sleep(10)
            finally:
                deadline.within(100, "expiring")
    deadline.within(1, "after")
    assert deadline.expired


async def test_leave_stops_the_clock(looptime: Any) -> None:
    """The wait for permission does not count; the stage after it begins when it was given."""

    async def wait() -> None:
        await asyncio.sleep(500)

    call = HttpCall(wait, 60, "no answer")
    with pytest.raises(TimeoutError):  # noqa: PT012 - the block is the stage
        async with call.deadline:
            call.deadline.within(30, "no connection")
            await call.leave()
            await asyncio.sleep(1000)
    assert looptime == 560
    assert call.failure is None


async def test_leave_fails() -> None:
    """A failure of `leave` is kept as it is, and forgotten when a repeat goes well."""
    errors: list[Exception] = [ValueError("no")]

    async def fail_once() -> None:
        if errors:
            raise errors.pop()

    call = HttpCall(fail_once, 60, "no answer")
    with pytest.raises(ValueError, match="no"):
        await call.leave()
    assert isinstance(call.failure, ValueError)
    await call.leave()
    assert call.failure is None
