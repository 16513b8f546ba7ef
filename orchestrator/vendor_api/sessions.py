"""The four ways out, and what each may carry.

    submits   a fresh connection each: a POST on a stale one fails without telling what the vendor got
    calls     kept alive: status and balance are safe to repeat
    inside    result files from hosts that the user vouched for
    public    result files from anywhere else: public addresses only

None has cookies, follows a redirect, reads the environment, or carries the key by itself; none limits connections,
because callers already bound their calls and waiting for a slot would count as waiting for the vendor. None unpacks
what comes: the library takes an answer for lost whose packing is not as its header says, and with it a task's id.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.resolver import DefaultResolver

from orchestrator.vendor_api.hosts import PublicResolver, Reach

if TYPE_CHECKING:
    import ssl
    from types import SimpleNamespace

    from aiohttp.abc import AbstractResolver

    from orchestrator.vendor_api.deadline import Times

LONGEST_HEADER_BYTES: Final = 64 << 10
MOST_HEADERS: Final = 1000
"""Gateways add policies and cookies of any length; the library would lose an answer over them."""

KEPT_S: Final = 4.0
"""How long an idle connection is kept: less than the 5 s after which common servers close theirs, because a POST that
meets that moment fails, and only a GET is repeated by the library."""


class Sessions:
    """The open sessions of one vendor; made inside the event loop, closed by `close`."""

    def __init__(self, *, agent: str, proxy: str, times: Times, tls: ssl.SSLContext | None) -> None:
        self._stack = AsyncExitStack()
        self._proxy = proxy
        self._timeout = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=times.connect_s)
        self._headers = {"User-Agent": agent, "Accept-Encoding": "identity"}
        self._tls: ssl.SSLContext | bool = True if tls is None else tls

    async def open(self, resolver: AbstractResolver | None = None) -> None:
        """Open all four; `resolver` looks names up for result files."""
        names = DefaultResolver() if resolver is None else resolver
        self._stack.push_async_callback(names.close)
        # Through a proxy only the proxy's own name is looked up here; the check of the target is the proxy's.
        checked = names if self._proxy else PublicResolver(names)
        self.submits = await self._session(self._connector(force_close=True), trace_configs=[_leaving()])
        self.calls = await self._session(self._connector(keepalive_timeout=KEPT_S), trace_configs=[_leaving()])
        self._inside = await self._session(self._connector(resolver=names))
        self._public = await self._session(self._connector(resolver=checked))

    async def close(self) -> None:
        await self._stack.aclose()

    def results(self, reach: Reach) -> aiohttp.ClientSession:
        return self._public if reach is Reach.PUBLIC else self._inside

    def _connector(self, **options: Any) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=0, ssl=self._tls, **options)

    async def _session(self, connector: aiohttp.TCPConnector, **options: Any) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=self._timeout,
            trust_env=False,
            proxy=self._proxy or None,
            auto_decompress=False,
            max_line_size=LONGEST_HEADER_BYTES,
            max_field_size=LONGEST_HEADER_BYTES,
            max_headers=MOST_HEADERS,
            **options,
        )
        return await self._stack.enter_async_context(session)


def _leaving() -> aiohttp.TraceConfig:
    """Await the call's `leave` before each request's first bytes.

    Despite its name the hook runs before the headers are written, once for every time a request goes to a connection,
    silent repeats included. The hooks for connections would do as well, but what they raise (a cancellation, say)
    leaves the new connection open and forgotten (3.14.5).
    """

    async def leave(
        _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        await context.trace_request_ctx.leave()

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(leave)
    return trace
