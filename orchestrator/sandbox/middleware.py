"""What both ports share: refusals as JSON, connections that are reset, the log of requests, the `Date` header."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Handler, Middleware

    from orchestrator.sandbox.record import LineFile

    Clock = Callable[[], float]

_LINGER_0 = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Entry:
    """One line of `requests.jsonl`. `nth` counts the calls of this kind `about` one thing, 0 if it was not counted."""

    time: float
    method: str
    path: str
    kind: str = "other"
    about: str = ""
    nth: int = 0
    task_id: str = ""
    fault: str = ""
    code: int = 0

    def line(self) -> dict[str, object]:
        """Return the line as JSON has it (`asdict` copies deeply, which is felt at this rate)."""
        return {name: getattr(self, name) for name in self.__slots__}


ENTRY = web.RequestKey("entry", Entry)


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """Ends a request with an error answer."""

    def __init__(self, status: int, error: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.error, self.message = status, error, message
        self.retry_after_s = retry_after_s

    def response(self) -> web.Response:
        """Return the answer as the vendor words it."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(max(1, round(self.retry_after_s)))}
        return web.json_response({"error": self.error, "message": self.message}, status=self.status, headers=headers)


class ResetError(Exception):
    """Ends a request with a reset connection and no answer."""


def reset(request: web.Request) -> None:
    """Reset the connection of a request: the client gets RST, not the orderly end of a stream."""
    if request.transport is not None and not request.transport.is_closing():
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        request.transport.abort()


def logged(log: LineFile, clock: Clock) -> Middleware:
    """Make the outermost middleware: one line a request, and every outcome turned into an answer."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        entry = request[ENTRY] = Entry(clock(), request.method, request.path)
        try:
            response = await _answered(request, handler)
            entry.code = response.status
        except ResetError:
            reset(request)
            response = web.Response()  # goes nowhere
        finally:
            log.append(entry.line())
        return response

    return answer


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.response()
    except web.HTTPException as error:  # an unknown path or method
        return Refusal(error.status, error.reason.lower().replace(" ", "_"), error.reason).response()


@lru_cache(maxsize=8)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def dated(clock: Clock) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Make the signal handler that dates answers by `clock`."""

    async def date(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = _http_date(int(clock()))

    return date
