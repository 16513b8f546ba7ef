"""A vendor that does as it is told, byte by byte, and clients to talk to it; all on loopback and one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from orchestrator.settings import PlatformSettings, Style, VendorSettings
from orchestrator.vendor_api.client import VendorClient
from orchestrator.vendor_api.platforms import KNOWN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

KEY = "key-0123456789abcdef"


@dataclass
class Seen:
    """One connection as the server sees it: all bytes that came, and the writer back."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    data: bytearray = field(default_factory=bytearray)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def head(self) -> bytes:
        """Read one request's head, which is the first of this connection or follows one without a body."""
        start = len(self.data)
        while self.data.find(b"\r\n\r\n", start) < 0 and await self.more():
            pass
        return bytes(self.data[start:])

    @property
    def body_start(self) -> int:
        end = self.data.find(b"\r\n\r\n")
        return len(self.data) if end < 0 else end + 4

    @property
    def length(self) -> int:
        """The announced length of the first request's body."""
        head = bytes(self.data[: self.body_start]).lower()
        return int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])

    @property
    def got(self) -> int:
        """How much of the body is here."""
        return len(self.data) - self.body_start

    @property
    def body(self) -> bytes:
        return bytes(self.data[self.body_start :])

    async def more(self) -> bytes:
        try:
            got = await self.reader.read(65536)
        except ConnectionError:
            return b""
        self.data += got
        return got

    async def whole(self) -> None:
        """Read one request with its whole body."""
        await self.head()
        while self.got < self.length and await self.more():
            pass

    async def until(self, body_bytes: int) -> None:
        """Read on until so many bytes of the body are here, or the other side is gone."""
        while self.got < body_bytes and await self.more():
            pass

    async def to_the_end(self) -> None:
        """Read on until the other side is gone."""
        while await self.more():
            pass

    def send(self, raw: bytes) -> None:
        self.writer.write(raw)

    def answer(self, status: int, content: object = None, *headers: str) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.answer_raw(status, body, *headers)

    def answer_raw(self, status: int, body: bytes, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Any", f"Content-Length: {len(body)}", *headers, "", ""]
        self.writer.write("\r\n".join(lines).encode() + body)

    def reset(self) -> None:
        """Tear the connection down, as a crashed peer would."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


if TYPE_CHECKING:
    Script = Callable[[Seen], Awaitable[None]]


class RawServer:
    """Plays one script for each connection, and keeps what it saw."""

    def __init__(self, script: Script, scheme: str) -> None:
        self._script = script
        self._scheme = scheme
        self.seen: list[Seen] = []
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = Seen(reader, writer)
        self.seen.append(seen)
        try:
            await self._script(seen)
            if not writer.is_closing():
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            seen.over.set()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def over(self) -> None:
        """Wait until every connection's script has ended."""
        for seen in self.seen:
            await seen.over.wait()


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    server = RawServer(script, "http" if tls is None else "https")
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


@asynccontextmanager
async def taking(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve a handler for every request, by a server that reads them as any would; yield its address."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url(""))


class Leaves:
    """A pace that lets everything through and counts; a failure or a wait can be put in."""

    def __init__(self) -> None:
        self.count = 0
        self.wait_s = 0.0
        self.error: Exception | None = None

    async def __call__(self) -> None:
        self.count += 1
        if self.error is not None:
            raise self.error
        await asyncio.sleep(self.wait_s)


class Releases:
    """A ledger that commits everything and notes the hash; a failure, a wait or a look can be put in."""

    def __init__(self) -> None:
        self.hashes: list[str] = []
        self.returned = False
        self.wait_s = 0.0
        self.error: Exception | None = None
        self.look: Callable[[], object] = lambda: None
        self.looked: object = None

    async def __call__(self, sha256: str) -> None:
        self.hashes.append(sha256)
        await asyncio.sleep(self.wait_s)
        self.looked = self.look()
        if self.error is not None:
            raise self.error
        self.returned = True


@asynccontextmanager
async def client_for(base_url: str, **options: Any) -> AsyncIterator[VendorClient]:
    """Open a client; `vendor` holds settings of the vendor, the rest goes to the client."""
    vendor = VendorSettings(base_url=base_url, **options.pop("vendor", {}))
    async with VendorClient(vendor, base_url, options.pop("key", KEY), version="1.2.3", **options) as client:
        yield client
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.fixture
def serve() -> Callable[..., Any]:
    return serving


@pytest.fixture
def connect() -> Callable[..., Any]:
    return client_for


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def leave() -> Leaves:
    return Leaves()


@pytest.fixture
def release() -> Releases:
    return Releases()


@pytest.fixture
def platforms() -> dict[str, PlatformSettings]:
    """Return the known platforms, made as the configuration makes them."""
    return {
        name: PlatformSettings(vendor="main", **{**keys, "style": Style(keys["style"])}) for name, keys in KNOWN.items()
    }


@pytest.fixture
def instagram(platforms: dict[str, PlatformSettings]) -> PlatformSettings:
    return platforms["instagram"]


@pytest.fixture
def amazon(platforms: dict[str, PlatformSettings]) -> PlatformSettings:
    return platforms["amazon"]


@pytest.fixture
def chunk(tmp_path: Path) -> Path:
    """Return a small chunk file: three numbers."""
    path = tmp_path / "000001.txt"
    path.write_bytes(b"+41798284651\n+12025551234\n+447911123456\n")
    return path


@pytest.fixture
def certificates() -> Callable[[str], tuple[ssl.SSLContext, ssl.SSLContext]]:
    """Return a server's context for a host name, and a client's that trusts its maker."""

    def make(host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        authority = trustme.CA()
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
        authority.issue_cert(host).configure_cert(server)
        authority.configure_trust(client)
        return server, client

    return make
