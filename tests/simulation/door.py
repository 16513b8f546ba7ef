"""A port of the vendor's that can be shut for a while, and is nobody else's meanwhile."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


class Door:
    """Listens on a port of its own. While it is shut nobody listens there, and the system refuses connections."""

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        self._serve, self._tls = serve, tls
        self._holder = socket.socket()
        self._mended = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._server: asyncio.Server

    @property
    def port(self) -> int:
        port: int = self._holder.getsockname()[1]
        return port

    async def start(self) -> None:
        # bound and not listening, it keeps the port; whoever else wants to share that must say so, as `_open` does
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        await self._open()

    async def stop(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        self._server.close()
        self._holder.close()

    def shut(self, for_s: float) -> None:
        """Refuse connections for so long, or until it is mended; those that there are stay."""
        self._server.close()
        self._opening = asyncio.create_task(self._open_after(for_s))

    @property
    def is_shut(self) -> bool:
        return self._opening is not None and not self._opening.done()

    def mend(self) -> None:
        """Open it now, and never shut it again."""
        self._mended.set()

    async def _open_after(self, for_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await self._mended.wait()
        await self._open()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=1 << 22, reuse_address=True, ssl=self._tls
        )
