"""The one door through which the HTTP library's exceptions enter, as short reasons.

A reason never quotes the exception's own text: that may hold a signed link.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from orchestrator.errors import CertificateError, NoSuchHostError, TemporaryError

if TYPE_CHECKING:
    from orchestrator.vendor_api.deadline import Deadline

TROUBLE = (aiohttp.ClientError, OSError, UnicodeError)
"""What a call without an answer raises; `TimeoutError` is an `OSError`, and a host name that no resolver could be asked
for (an empty part, one of more than 63 letters) is a `UnicodeError`."""

_NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_NODATA)
"""What a resolver says for good; that it could not be asked (`EAI_AGAIN`) says nothing about the name."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Why no answer came, and as which error that comes out of a call that is safe to repeat."""

    reason: str
    kind: type[TemporaryError] = TemporaryError

    def error(self) -> TemporaryError:
        return self.kind(self.reason)


def silence_of(error: BaseException, deadline: Deadline) -> Silence:
    """Say why no answer came, and whether the address may be the reason."""
    kind = TemporaryError
    match error:
        case _ if deadline.expired:  # what the library made of our own cut says nothing
            pass
        case aiohttp.ClientConnectorCertificateError():
            kind = CertificateError
        case aiohttp.ClientConnectorDNSError() if error.os_error.errno in _NO_SUCH_NAME:
            kind = NoSuchHostError
        case UnicodeError() | aiohttp.InvalidURL():
            kind = NoSuchHostError
    return Silence(reason_of(error, deadline), kind)


def reason_of(error: BaseException, deadline: Deadline) -> str:
    """Say in a few words why no answer came."""
    if deadline.expired:
        return deadline.stage
    match error:
        case aiohttp.ClientConnectorCertificateError():
            found = error.certificate_error
            verdict = getattr(found, "verify_message", "") or type(found).__name__
            reason = f"the certificate of {error.host} does not hold: {verdict}"
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
        case UnicodeError() | aiohttp.InvalidURL():
            reason = "the host's name is none that can exist"
        case OSError():
            reason = _system_words(error)
        case _:
            reason = type(error).__name__
    return reason


def _system_words(error: OSError) -> str:
    # The library's own texts repeat addresses; a resolver's codes are negative and have texts of their own.
    code = error.errno or 0
    words = os.strerror(code) if code > 0 else error.strerror or "the connection was lost"
    return words[:1].lower() + words[1:]
