"""The body of a submit, without a network: its exact bytes, its length, and where it stops."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.abc import AbstractStreamWriter

from orchestrator.errors import StorageError
from orchestrator.vendor_api.deadline import HttpCall, Times
from orchestrator.vendor_api.payload import HeldBody, form, open_upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.looptime


class Wire(asyncio.WriteTransport):
    """A transport that takes everything, until it is told that it is closing."""

    def __init__(self) -> None:
        super().__init__()
        self.high: int | None = None
        self.closing = False
        self.aborted = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = True


class Writer(AbstractStreamWriter):
    """A writer that keeps what it gets; `pieces` are the sizes in which it came."""

    def __init__(self, wire: Wire | None) -> None:
        self._wire = wire
        self.data = b""
        self.pieces: list[int] = []

    @property
    def transport(self) -> asyncio.WriteTransport | None:
        return self._wire

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self.data += bytes(chunk)
        self.pieces.append(len(chunk))

    async def write_eof(self, chunk: bytes = b"") -> None: ...
    async def drain(self) -> None: ...
    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None: ...
    def enable_chunking(self) -> None: ...
    async def write_headers(self, status_line: str, headers: Any) -> None: ...


async def at_once() -> None:
    """Let everything through."""


@pytest.fixture
async def body(tmp_path: Path) -> AsyncIterator[HeldBody]:
    path = tmp_path / "chunk.txt"
    path.write_bytes(b"+41798284651\n")
    call = HttpCall(at_once, 60, "x")
    async with open_upload(path) as upload:
        yield HeldBody([("task_type", "amazon")], upload, "a.txt", call=call, times=Times(), last_look=lambda: None)


async def until_held(body: HeldBody, writer: Writer) -> asyncio.Task[None]:
    writing = asyncio.create_task(body.write_with_length(writer, body.size))
    await body.held_or_over(writing)
    return writing


async def test_every_byte(body: HeldBody) -> None:
    """Fields first and without a type, as curl sends them; the file last; and nothing beside them."""
    writer = Writer(Wire())
    writing = await until_held(body, writer)
    body.let_go()
    await writing
    mark = body.content_type.partition("boundary=")[2]
    assert body.content_type.startswith("multipart/form-data; ")
    assert writer.data.decode() == (
        f'--{mark}\r\nContent-Disposition: form-data; name="task_type"\r\n\r\namazon\r\n'
        f'--{mark}\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        f"+41798284651\n\r\n--{mark}--\r\n"
    )
    assert len(writer.data) == body.size


async def test_held(body: HeldBody) -> None:
    """Held means: all but the closing boundary went to a transport that keeps nothing back; the hash is known."""
    wire = Wire()
    writer = Writer(wire)
    writing = await until_held(body, writer)
    await asyncio.sleep(100_000)
    assert not writing.done()
    assert not body.whole_sent
    assert wire.high == 1
    assert writer.pieces == [(body.size or 0) - 38]  # at once: each piece is a call of the system, here and there
    assert body.sha256 == hashlib.sha256(b"+41798284651\n").hexdigest()
    body.let_go()
    await writing
    assert body.whole_sent


@pytest.mark.parametrize("wire", [Wire(), None])
async def test_no_way_out(body: HeldBody, wire: Wire | None) -> None:
    """Let go when the connection is gone already, the last bytes provably did not leave."""
    writer = Writer(wire)
    writing = await until_held(body, writer)
    if wire is not None:
        wire.closing = True
    body.let_go()
    with pytest.raises(ConnectionResetError):
        await writing
    assert not body.whole_sent
    assert len(writer.data) < (body.size or 0)
    assert wire is None or wire.aborted


async def test_cancelled_while_held(body: HeldBody) -> None:
    """Cancelled while held, even in the moment of letting go, the connection is dropped without the last bytes."""
    wire = Wire()
    writing = await until_held(body, Writer(wire))
    body.let_go()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert wire.aborted
    assert not body.whole_sent


async def test_over_before_held(body: HeldBody) -> None:
    """An exchange that ends early ends the wait for the hold too."""
    over = asyncio.create_task(at_once())
    await body.held_or_over(over)
    assert over.done()


async def test_in_pieces(tmp_path: Path) -> None:
    """A large file goes out in pieces of 64 KiB, so that the clock sees progress on a slow link."""
    path = tmp_path / "big.txt"
    path.write_bytes(b"7" * 2_500_000)
    writer = Writer(Wire())
    async with open_upload(path) as upload:
        body = HeldBody([], upload, "a.txt", call=HttpCall(at_once, 60, "x"), times=Times(), last_look=lambda: None)
        writing = await until_held(body, writer)
        body.let_go()
        await writing
    assert max(writer.pieces) == 65536
    assert len(writer.data) == body.size


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 2_000_000])
async def test_a_changed_file(tmp_path: Path, content: bytes) -> None:
    """A file that no longer has the size it was opened with is told, before it is held."""
    path = tmp_path / "chunk.txt"
    path.write_bytes(b"7" * 1_500_000)
    call = HttpCall(at_once, 60, "x")
    async with open_upload(path) as upload:
        body = HeldBody([], upload, "a.txt", call=call, times=Times(), last_look=lambda: None)
        path.write_bytes(content)
        with pytest.raises(StorageError, match="changed while it was being sent"):
            await body.write(Writer(Wire()))
    assert isinstance(call.failure, StorageError)


async def test_not_readable(body: HeldBody) -> None:
    """A body can't be read back, only sent: nothing may send it a second time by accident."""
    with pytest.raises(TypeError):
        body.decode()
    with pytest.raises(TypeError):
        await body.as_bytes()


async def test_form() -> None:
    """Plain form data has the length it says."""
    writer = Writer(Wire())
    fields = form([("task_id", "abc"), ("user_id", "ü")])
    await fields.write(writer)
    assert len(writer.data) == fields.size
    assert b"Content-Type" not in writer.data
