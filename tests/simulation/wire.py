"""HTTP as the gateway sees it: requests and answers as bytes, and connections that can be cut."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

TAIL_BYTES = 38
"""About as much as the program holds back: the closing boundary."""


class HungUpError(Exception):
    """This connection is over."""


@dataclass
class Ask:
    """One request, with what of its body was read."""

    method: str
    target: str
    headers: dict[str, str]
    kind: str
    platform: str = ""
    body: bytes = b""
    head_bytes: int = 0

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))

    def raw(self, host: str) -> bytes:
        """Spell the request for the vendor: to its own name, and to be kept open."""
        headers = self.headers | {"host": host}
        headers.pop("connection", None)
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass
class Answer:
    """What the vendor answered; not `whole` when it broke off."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = True

    def raw(self, *, close: bool) -> bytes:
        headers = {"Content-Length": str(len(self.body))} | self.headers
        if close:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {self.status} Any", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True)
class Blow:
    """What a test has in store for one connection: after so many bytes of it, it is reset, or `stalls`."""

    after_bytes: int
    stalls: bool = False


class Line:
    """One connection from the program. `lost` says how it died, when it did: "reset" or "silent"."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.port: int = (writer.get_extra_info("peername") or ("", 0))[1]
        self.lost = ""

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        with suppress(ConnectionError):
            await self.writer.drain()

    def reset(self) -> HungUpError:
        reset(self.writer)
        return HungUpError()

    async def stalled(self) -> HungUpError:
        """Read nothing more until the other side is gone."""
        with suppress(ConnectionError):
            while await self.reader.read(1 << 16):
                pass
        return HungUpError()


def position(place: str, length: int) -> int:
    """Return how many bytes of a submit's body `place` means."""
    tail = length - TAIL_BYTES
    places = {
        "first": 1,
        "middle": length // 2,
        "held": tail,
        "tail": tail + TAIL_BYTES // 2,
        "last but one": length - 1,
    }
    return places.get(place, length)


def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Upstream:
    """Connections to one port of the vendor, kept open between requests."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, ask: Ask) -> Answer:
        """Hand a request on; raises `ConnectionError` when the vendor resets instead of answering."""
        reader, writer = await self._connection()
        try:
            writer.write(ask.raw(self.host))
            await writer.drain()
            answer = await _read_answer(reader)
        except BaseException:
            writer.transport.abort()
            raise
        if answer.whole and answer.headers.get("Connection", "").lower() != "close":
            self._idle.append((reader, writer))
        else:
            writer.close()
        return answer

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        host, port = self.host.split(":")
        return await asyncio.open_connection(host, int(port), limit=1 << 22)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError from error
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.title(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    status = int(first.split(" ")[1])
    length = int(headers.pop("Content-Length", "0"))
    body, whole = b"", True
    try:
        body = await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        body, whole = error.partial, False
        headers["Content-Length"] = str(length)
    return Answer(status, headers, body, whole)


def content_of(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def field_of(body: bytes, name: str) -> str:
    return str((content_of(body) or {}).get(name, ""))


def task_of(ask: Ask) -> str:
    if ask.method == "GET":
        return ask.target.partition("?")[0].rpartition("/")[2]
    found = re.search(rb'name="task_id"\r\n\r\n([^\r]+)\r\n', ask.body)
    return found[1].decode() if found else ""
