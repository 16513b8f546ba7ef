"""The door for the HTTP library's exceptions."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from orchestrator.errors import CertificateError, NoSuchHostError, TemporaryError
from orchestrator.vendor_api.deadline import Deadline
from orchestrator.vendor_api.trouble import TROUBLE, Silence, reason_of, silence_of

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
        (aiohttp.InvalidURL(SECRET), "the host's name is none that can exist"),
        (UnicodeError(SECRET), "the host's name is none that can exist"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "network is unreachable"),
    ],
)
async def test_reasons(error: Exception, reason: str) -> None:
    """Each kind of trouble has its words, and none repeats a signed link."""
    assert isinstance(error, TROUBLE)
    assert reason_of(error, Deadline()) == reason
    assert "secret" not in reason_of(error, Deadline())


def connector_error(
    kind: type[aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError], error: Exception
) -> Exception:
    key = ConnectionKey(
        "api.example.com", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
    )
    return kind(key, error)  # type: ignore[arg-type]  # each takes its own kind of error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            connector_error(aiohttp.ClientConnectorDNSError, socket.gaierror(socket.EAI_NONAME, "not known")),
            NoSuchHostError,
        ),
        (
            connector_error(aiohttp.ClientConnectorDNSError, socket.gaierror(socket.EAI_AGAIN, "try again")),
            TemporaryError,
        ),
        (
            connector_error(aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError("mismatch")),
            CertificateError,
        ),
        (
            connector_error(aiohttp.ClientConnectorError, OSError(errno.ECONNREFUSED, "Connection refused")),
            TemporaryError,
        ),
        (UnicodeError("label empty"), NoSuchHostError),
        (aiohttp.ServerDisconnectedError(), TemporaryError),
    ],
)
async def test_a_wrong_address_is_told_from_an_outage(error: Exception, kind: type[TemporaryError]) -> None:
    """A name that does not exist and a foreign certificate point at the address; a resolver that is away does not."""
    silence = silence_of(error, Deadline())
    assert silence == Silence(reason_of(error, Deadline()), kind)
    assert (type(silence.error()), str(silence.error())) == (kind, silence.reason)


async def test_what_took_too_long_says_nothing_about_the_address() -> None:
    """Once our own clock ran out, the library's error is only how it noticed."""
    deadline = Deadline()
    with pytest.raises(TimeoutError):
        await _run_out(deadline)
    assert silence_of(UnicodeError("x"), deadline) == Silence("no answer within 5 s")


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
