"""The one door through which the HTTP library's exceptions enter, as short reasons.

A reason never quotes the exception's own text: that may hold a signed link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from orchestrator.vendor.deadline import Deadline

TROUBLE = (aiohttp.ClientError, OSError)
"""What a call without an answer raises; `TimeoutError` is an `OSError`."""


def reason_of(error: BaseException, deadline: Deadline) -> str:
    """Say in a few words why no answer came."""
    if deadline.expired:
        return deadline.stage
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = f"the certificate of {error.host} does not hold: {_verdict(error.certificate_error)}"
        case aiohttp.ClientConnectorError():
            reason = f"no connection to {error.host}:{error.port}: {_system_words(error.os_error)}"
        case aiohttp.ClientHttpProxyError():
            reason = f"the proxy answered HTTP {error.status}"
        case aiohttp.ServerDisconnectedError():
            reason = "the connection was closed without an answer"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            reason = "what came back was no whole HTTP answer"
        case TimeoutError():
            reason = "no connection in time"
        case OSError():
            reason = _system_words(error)
        case _:
            reason = type(error).__name__
    return reason


def _verdict(error: Exception) -> str:
    return getattr(error, "verify_message", "") or type(error).__name__


def _system_words(error: OSError) -> str:
    words = error.strerror or "the connection was lost"
    return words[:1].lower() + words[1:]
