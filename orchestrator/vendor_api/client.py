"""The vendor's client: one method a call, one attempt a call.

Repeating, pacing and recording are the callers' business. The key goes as a header of each request, to the vendor's
own address only; nothing follows a redirect.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

from yarl import URL

from orchestrator.errors import TemporaryError, UsageError
from orchestrator.redact import Redactor
from orchestrator.vendor_api import dialects
from orchestrator.vendor_api.deadline import DEFAULT_TIMES, HttpCall, Leave, Times
from orchestrator.vendor_api.dialects import MAX_ANSWER_BYTES, HttpAnswer
from orchestrator.vendor_api.download import fetch
from orchestrator.vendor_api.hosts import HostRule
from orchestrator.vendor_api.payload import HeldBody, form, open_upload
from orchestrator.vendor_api.sessions import Sessions
from orchestrator.vendor_api.trouble import TROUBLE, Silence, silence_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    import aiohttp
    from aiohttp.abc import AbstractResolver
    from aiohttp.payload import Payload

    from orchestrator.settings import PlatformSettings, VendorSettings
    from orchestrator.vendor_api.meanings import SubmitAnswer, TaskReport

__all__ = ["Leave", "VendorClient"]

NO_TASK: Final = "no-such-task"

_UNCONNECTED: Final = "no connection"
_UNANSWERED: Final = "no whole answer"
_STALLED: Final = "no progress of the upload"


async def _at_once(_sha256: str) -> None:
    """Have nothing to wait for."""


def _nothing() -> None:
    """Look at nothing."""


class VendorClient:
    """One vendor, as an async context manager.

    `base_url` is where the vendor answers (the settings may say "sandbox"), `key` may be empty, `version` is ours.
    `tls` and `resolver` replace the system's. `last_date` is the vendor's clock at its last answer, None before.
    """

    def __init__(
        self,
        vendor: VendorSettings,
        base_url: str,
        key: str,
        *,
        version: str,
        times: Times = DEFAULT_TIMES,
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        if not (key.isascii() and key.isprintable()):
            raise UsageError("the API key holds characters that no key has; check api_key_env or api_key_file")
        self._user_id = vendor.user_id
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._hide = Redactor((key, vendor.user_id))
        self._times = times
        self._hosts = HostRule(URL(base_url), vendor.result_hosts)
        self._resolver = resolver
        agent = f"numbercheck-orchestrator/{version}"
        self._sessions = Sessions(agent=agent, proxy=vendor.proxy, times=times, tls=tls)
        self.last_date: datetime | None = None

    async def __aenter__(self) -> Self:
        await self._sessions.open(self._resolver)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sessions.close()

    async def submit(
        self,
        platform: PlatformSettings,
        file: Path,
        file_name: str,
        *,
        leave: Leave,
        ready: Callable[[str], Awaitable[None]] = _at_once,
        release: Callable[[str], Awaitable[None]],
        last_look: Callable[[], None] = _nothing,
    ) -> SubmitAnswer:
        """Send a chunk file as a new task.

        `ready` gets the SHA-256 of the file's bytes once all but the last bytes were handed to the socket, and may take
        a while. Then `release` gets it, if the vendor has not closed the connection meanwhile; the last bytes leave
        only after it returned. Both run in the caller's task; `last_look` in the very step in which they leave.
        What these raise, the last one a `StorageError`, comes out unchanged, with the connection aborted and the last
        bytes unsent; so does what `leave` raises. Raises `StorageError` for a chunk file that can't be read or changes
        meanwhile: nothing was made at the vendor then.

        `InDoubt` is only ever returned after the last bytes left.
        """
        request = dialects.submit_request(platform, self._user_id)
        call = HttpCall(leave, self._times.stall_s, _STALLED)
        async with open_upload(file) as upload:
            body = HeldBody(request.fields, upload, file_name, call=call, times=self._times, last_look=last_look)
            try:
                answer = await self._send_held(request, call, body, ready, release)
            finally:
                body.abort()  # a fresh connection each: there is nothing left to keep or to flush
        if isinstance(answer, HttpAnswer):
            return dialects.read_submit(answer, platform, whole_sent=body.whole_sent)
        return dialects.read_silence(answer.reason, whole_sent=body.whole_sent)

    async def status(self, platform: PlatformSettings, task_id: str, *, leave: Leave) -> TaskReport:
        """Look at one task; raises `DeniedError`, `RefusedError` (404: unknown there) or `TemporaryError`."""
        request = dialects.status_request(platform, self._user_id, task_id)
        return dialects.read_report(await self._repeatable(request, leave), task_id)

    async def balance(self, *, leave: Leave) -> float | None:
        """Return the balance in USD, None when the vendor has no such page; raises like `status`.

        Raises `NoSuchHostError` and `CertificateError` when the address is most likely wrong.
        """
        return dialects.read_balance(await self._repeatable(dialects.balance_request(), leave))

    async def ask(self, platform: PlatformSettings, *, leave: Leave) -> None:
        """Return once the vendor has answered something that is free to ask; raises `TemporaryError`.

        Where its balance is somebody else's page, the status of a task that can't exist tells.
        """
        for request in (dialects.balance_request(), dialects.status_request(platform, self._user_id, NO_TASK)):
            answer = await self._repeatable(request, leave)
            if dialects.is_of_vendor(answer):
                return
        raise TemporaryError(f"HTTP {answer.status}: no answer of the vendor itself; check base_url")

    async def download(self, url: str, part: Path, *, max_bytes: int) -> None:
        """Write the file behind a result link to `part`: private, complete, or not there at all; not synced.

        Raises `LinkExpiredError` (ask the status for a fresh link), `TemporaryError`, `DamagedResultError` (it ended
        before its announced length), `RefusedError` (a host that is not allowed, a redirect, more than `max_bytes`),
        or `StorageError`.
        """
        target, reach = self._hosts.open(url)
        await fetch(self._sessions.results(reach), target, part, max_bytes=max_bytes, times=self._times)

    async def _send_held(
        self,
        request: dialects.Request,
        call: HttpCall,
        body: HeldBody,
        ready: Callable[[str], Awaitable[None]],
        release: Callable[[str], Awaitable[None]],
    ) -> HttpAnswer | Silence:
        """Run the exchange beside the release: an early answer may end the one, but never cancels the other."""
        async with _running(self._exchange(self._sessions.submits, request, call, body)) as exchange:
            await body.held_or_over(exchange)
            if not exchange.done():
                await ready(body.sha256)
            if not exchange.done():  # what is committed for a connection that is lost has to be taken back
                await release(body.sha256)
                body.let_go()
            return await exchange

    async def _repeatable(self, request: dialects.Request, leave: Leave) -> HttpAnswer:
        call = HttpCall(leave, self._times.call_s, _UNANSWERED)
        body = form(request.fields) if request.fields else None
        answer = await self._exchange(self._sessions.calls, request, call, body)
        if isinstance(answer, Silence):
            raise answer.error()
        return answer

    async def _exchange(
        self, session: aiohttp.ClientSession, request: dialects.Request, call: HttpCall, body: Payload | None
    ) -> HttpAnswer | Silence:
        """Return the answer, as far as it came, or the reason why there is none."""
        response: aiohttp.ClientResponse | None = None
        came = bytearray()
        url = URL(self._base_url + request.path)
        try:
            async with call.deadline:
                call.deadline.within(self._times.connect_s, _UNCONNECTED)
                async with session.request(
                    request.method,
                    url.extend_query(request.query) if request.query else url,
                    data=body,
                    headers={"X-API-Key": self._key} if self._key else None,
                    allow_redirects=False,
                    trace_request_ctx=call,
                ) as response:
                    async for data in response.content.iter_any():
                        came += data
                        if len(came) > MAX_ANSWER_BYTES:
                            came.clear()
                            break
                    return self._note(response, bytes(came))
        except TROUBLE as error:
            if call.failure is not None:
                raise call.failure from None
            # Some servers announce more than they send: if the object is whole, it has been said.
            return silence_of(error, call.deadline) if response is None else self._note(response, bytes(came))

    def _note(self, response: aiohttp.ClientResponse, body: bytes) -> HttpAnswer:
        content = dialects.with_quotable_status(dialects.read_content(body), self._hide)
        said = dialects.words_of(content, self._hide)
        retry_after, date = (response.headers.get(name, "") for name in ("Retry-After", "Date"))
        self.last_date = dialects.read_date(date) or self.last_date
        odd_id = dialects.odd_id_of(content, self._hide)
        return HttpAnswer(response.status, content, said, retry_after, date, odd_id)


@asynccontextmanager
async def _running(
    work: Coroutine[object, object, HttpAnswer | Silence],
) -> AsyncIterator[asyncio.Task[HttpAnswer | Silence]]:
    """Run `work` beside the block, and end it with the block.

    Not a `TaskGroup`: that would wrap what the block raises.
    """
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen: the block's own exception is the one that counts
