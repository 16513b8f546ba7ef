"""The door for the HTTP library's exceptions."""

from __future__ import annotations

import asyncio
import errno

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from orchestrator.vendor.deadline import Deadline
from orchestrator.vendor.trouble import TROUBLE, reason_of

pytestmark = pytest.mark.looptime

SECRET = "https://files.example/a?X-Amz-Signature=secret"


def response_error(kind: type[aiohttp.ClientResponseError], status: int) -> aiohttp.ClientResponseError:
    info = aiohttp.RequestInfo(URL(SECRET), "GET", CIMultiDictProxy(CIMultiDict()))
    return kind(info, (), status=status, message=SECRET)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (response_error(aiohttp.ClientResponseError, 400), "what came back was no whole HTTP answer"),
        (response_error(aiohttp.ClientHttpProxyError, 407), "the proxy answered HTTP 407"),
        (aiohttp.ClientPayloadError(SECRET), "what came back was no whole HTTP answer"),
        (aiohttp.ServerDisconnectedError(SECRET), "the connection was closed without an answer"),
        (aiohttp.ConnectionTimeoutError(SECRET), "no connection in time"),
        (aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"), "connection reset by peer"),
        (aiohttp.ClientConnectionResetError(SECRET), "the connection was lost"),
        (aiohttp.ClientConnectionError(SECRET), "ClientConnectionError"),
        (aiohttp.InvalidURL(SECRET), "InvalidURL"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "network is unreachable"),
    ],
)
async def test_reasons(error: Exception, reason: str) -> None:
    """Each kind of trouble has its words, and none repeats a signed link."""
    assert isinstance(error, TROUBLE)
    assert reason_of(error, Deadline()) == reason
    assert "secret" not in reason_of(error, Deadline())


async def test_the_stage_comes_first() -> None:
    """When our own clock ran out, the reason is the stage, whatever the library made of it."""
    deadline = Deadline()
    with pytest.raises(TimeoutError):
        await _run_out(deadline)
    assert reason_of(aiohttp.ClientConnectionError("x"), deadline) == "no answer within 5 s"


async def _run_out(deadline: Deadline) -> None:
    async with deadline:
        deadline.within(5, "no answer")
        await asyncio.sleep(1000)
