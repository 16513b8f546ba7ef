"""The result port: another host than the API, as at the vendor. Signed links open files here; the key must not come.

A request that brings the key is answered 400 and noted: in the real world it would have told the key to a stranger.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from orchestrator.sandbox.chance import chance
from orchestrator.sandbox.course import TaskStatus
from orchestrator.sandbox.faults import download_is_damaged
from orchestrator.sandbox.links import LinkCheck, check_link, secret_of
from orchestrator.sandbox.middleware import ENTRY, Refusal, dated, logged
from orchestrator.sandbox.results import ResultFormat, result_bytes, result_path

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from orchestrator.sandbox.middleware import Clock
    from orchestrator.sandbox.state import VendorState

_INLINE_ROWS = {ResultFormat.DOCUMENTED: 500, ResultFormat.CSV: 5_000}
_BLOCK_BYTES = 1 << 18
_BEARERS = ("X-API-Key", "Authorization", "Cookie")
_MESSAGES = {
    LinkCheck.EXPIRED: ("AccessDenied", "Request has expired"),
    LinkCheck.WRONG: ("SignatureDoesNotMatch", "The request signature we calculated does not match"),
}


class ResultHost:
    """The result host over one `VendorState`."""

    def __init__(self, state: VendorState, clock: Clock, key: str | None, builder: Executor) -> None:
        self._state, self._clock, self._key, self._builder = state, clock, key, builder
        self._secret = secret_of(state.seed)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[logged(self._state.requests, self._clock)])
        app.router.add_get("/externalcheck/{task_id}/{file}", self._fetch, allow_head=False)
        app.router.add_route("*", "/{any:.*}", self._stranger)
        app.on_response_prepare.append(dated(self._clock))
        return app

    async def _stranger(self, request: web.Request) -> web.StreamResponse:
        self._watch(request)
        return _denial(404, "NoSuchKey", "The specified key does not exist")

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        entry, state = request[ENTRY], self._state
        entry.kind = "download"
        self._watch(request)
        verdict = check_link(self._secret, request.headers.get("Host", ""), request.raw_path, self._clock())
        if verdict is not LinkCheck.GOOD:
            return _denial(403, *_MESSAGES[verdict])
        task = state.tasks.get(request.match_info["task_id"])
        if task is None or state.course_of(task).at(self._clock()).status is not TaskStatus.EXPORTED:
            return _denial(404, "NoSuchKey", "The specified key does not exist")
        entry.task_id = entry.about = task.id
        entry.nth = state.count("download", task.id)
        damaged = download_is_damaged(state.seed, state.faults, task.id, entry.nth)
        entry.fault = "truncated_file" if damaged else ""
        breaks = chance(state.seed, "breaks off", task.id, entry.nth) < 1 / 2
        order = state.order_of(task)
        content: bytes | Path
        if task.rows <= _INLINE_ROWS[order.result_format]:
            content = result_bytes(order)
        else:
            loop = asyncio.get_running_loop()
            content = await loop.run_in_executor(self._builder, result_path, order, state.results)
        return await self._send(request, content, damaged=damaged, breaks=breaks)

    def _watch(self, request: web.Request) -> None:
        """Refuse and note a request that carries what belongs to the API only."""
        named = [name for name in _BEARERS if name in request.headers]
        if self._key is not None and (self._key in request.raw_path or self._key in request.headers.values()):
            named.append("the key itself")
        if named:
            line = {"time": self._clock(), "method": request.method, "path": request.path, "carried": named}
            self._state.breaches.append(line)
            raise Refusal(400, "bad_request", "this host must not be told the key")

    async def _send(
        self, request: web.Request, content: bytes | Path, *, damaged: bool, breaks: bool
    ) -> web.StreamResponse:
        """Send a file; a `damaged` one by half: it `breaks` off, or it comes as if this were all of it."""
        size = content.stat().st_size if isinstance(content, Path) else len(content)  # noqa: ASYNC240 - at hand
        sent = size // 2 if damaged else size
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = size if breaks else sent
        if sent < response.content_length:
            response.force_close()
        await response.prepare(request)
        if isinstance(content, bytes):
            await response.write(content[:sent])
        else:
            with content.open("rb") as file:  # from the page cache: a thread for each block would cost more
                while sent > 0:
                    block = file.read(min(_BLOCK_BYTES, sent))
                    await response.write(block)
                    sent -= len(block)
        await response.write_eof()
        return response


def _denial(status: int, code: str, message: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(status=status, text=text, content_type="application/xml")
