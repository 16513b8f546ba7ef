"""The body of a submit: multipart of a fixed length that holds back its last bytes.

A vendor that has not seen the whole body can't have made a task, so those last bytes are the moment that counts:

    head and fields, file  →  held  →  (the caller commits)  →  let_go  →  last bytes  →  whole_sent

What is held back is the closing boundary. The file is the last part, so without it not even the file is complete.
Anything that goes wrong before that ends with the connection aborted: not closed, because closing would still send
what the transport has buffered, and would wait for a peer that no longer reads.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import FileIO
from typing import TYPE_CHECKING, Final, Never, cast

import aiohttp
from aiohttp.payload import Payload, StringPayload

from orchestrator.errors import StorageError
from orchestrator.files import BLOCK_BYTES, SMALL_BYTES, disk_errors
from orchestrator.vendor_api.opened_files import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from aiofiles.threadpool.binary import AsyncBufferedReader
    from aiohttp.abc import AbstractStreamWriter

    from orchestrator.vendor_api.deadline import HttpCall, Times

PIECE_BYTES: Final = 64 * 1024
"""How much is handed over at most between two looks at the clock: a link below 1 KiB/s counts as stalled."""

_STALLED: Final = "no progress of the upload"
_UNANSWERED: Final = "no answer to the whole request"


@dataclass(frozen=True, slots=True)
class ChunkUpload:
    """A chunk file, ready for one submit; `size_bytes` is what it was when it was opened.

    A small one is in memory (`content`); a large one is open and comes in blocks.
    """

    path: Path
    size_bytes: int
    content: bytes = b""
    file: AsyncBufferedReader | None = None

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield exactly `size_bytes`; raises `StorageError` if the file can't be read or has another size by now."""
        if self.file is None:
            if self.content:
                yield self.content
            return
        missing = self.size_bytes
        with disk_errors(self.path):
            while missing and (block := await self.file.read(min(BLOCK_BYTES, missing))):
                missing -= len(block)
                yield block
            size_now = os.fstat(self.file.fileno()).st_size
        if missing or size_now != self.size_bytes:
            raise changed(self.path)


def changed(path: Path) -> StorageError:
    """Say that a file is not what it was a moment ago."""
    return StorageError(f"{path}: changed while it was being sent; run the same command again")


@asynccontextmanager
async def open_upload(path: Path) -> AsyncIterator[ChunkUpload]:
    """Open a chunk file; raises `StorageError`."""
    # On the event loop: for a small file a thread costs more than the reading.
    with disk_errors(path), FileIO(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        content = file.readall() if size_bytes <= SMALL_BYTES else None
    if content is None:
        async with opened(path, "rb") as large:
            yield ChunkUpload(path, os.fstat(large.fileno()).st_size, file=large)
        return
    if len(content) != size_bytes:
        raise changed(path)
    yield ChunkUpload(path, size_bytes, content)


def form(fields: Iterable[tuple[str, str]]) -> aiohttp.MultipartWriter:
    """Return form data as the vendor's own examples send it: text fields carry no content type."""
    writer = aiohttp.MultipartWriter("form-data")
    for name, value in fields:
        part = StringPayload(value)
        del part.headers[aiohttp.hdrs.CONTENT_TYPE]
        part.set_content_disposition("form-data", name=name)
        writer.append_payload(part)
    return writer


class _OurPayload(Payload):
    """A payload that can only be written, and only once."""

    _autoclose = True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> Never:  # noqa: ARG002 - the base class's
        raise TypeError("a submit's body is sent, not read")


class _FilePart(_OurPayload):
    """The file as one part, hashed while it is sent."""

    def __init__(self, upload: ChunkUpload, file_name: str) -> None:
        super().__init__(upload, content_type="text/plain")
        self.set_content_disposition("form-data", name="file", filename=file_name)
        self._size = upload.size_bytes
        self._upload = upload
        self.hash = hashlib.sha256()

    async def write(self, writer: AbstractStreamWriter) -> None:
        async for block in self._upload.blocks():
            self.hash.update(block)
            view = memoryview(block)
            for start in range(0, len(view), PIECE_BYTES):
                await writer.write(view[start : start + PIECE_BYTES])


class _Gathering:
    """Hands over in pieces what a form writes bit by bit: each is a call of the system here, and one there.

    `moved` is called after each piece.
    """

    def __init__(self, writer: AbstractStreamWriter, moved: Callable[[], None]) -> None:
        self._writer = writer
        self._moved = moved
        self._piece = bytearray()

    async def write(self, chunk: bytes | memoryview) -> None:
        if len(self._piece) + len(chunk) > PIECE_BYTES:
            await self.hand_over()
        self._piece += chunk

    async def hand_over(self) -> None:
        """Hand over what is gathered."""
        piece, self._piece = self._piece, bytearray()
        await self._writer.write(piece)
        await self._writer.drain()
        self._moved()


class HeldBody(_OurPayload):
    """The whole body; `whole_sent` turns true in the moment its last bytes are handed over."""

    def __init__(
        self,
        fields: Iterable[tuple[str, str]],
        upload: ChunkUpload,
        file_name: str,
        *,
        call: HttpCall,
        times: Times,
        last_look: Callable[[], None],
    ) -> None:
        self._form = form(fields)
        self._part = _FilePart(upload, file_name)
        self._form.append_payload(self._part)
        super().__init__(self._form, content_type=self._form.content_type)
        self._call = call
        self._times = times
        self._last_look = last_look
        self._turn = asyncio.Event()
        self._go = asyncio.Event()
        self._transport: asyncio.WriteTransport | None = None
        self.whole_sent = False

    @property
    def size(self) -> int | None:
        """The exact number of bytes; it becomes the Content-Length."""
        return self._form.size

    @property
    def sha256(self) -> str:
        """The hash of the file's bytes sent so far, in hexadecimal."""
        return self._part.hash.hexdigest()

    async def held_or_over(self, exchange: asyncio.Task[object]) -> None:
        """Wait until only the last bytes are missing, or `exchange` is over without having got there."""
        exchange.add_done_callback(lambda _: self._turn.set())
        await self._turn.wait()

    def let_go(self) -> None:
        """Allow the last bytes to leave."""
        self._go.set()

    def abort(self) -> None:
        """Drop the connection at once, with whatever was not sent."""
        if self._transport is not None:
            self._transport.abort()

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the body, and stop before its last bytes until `let_go`."""
        self._transport = transport = writer.transport
        try:
            if transport is not None:
                # "Handed to the socket" is meant: without this the transport keeps up to 64 KiB to itself. Not 0: the
                # TLS transport of asyncio pauses at "as much as the limit", so with 0 it would pause for ever, empty.
                transport.set_write_buffer_limits(high=1)
            gathering = _Gathering(writer, self._moved)
            await self._form.write(cast("AbstractStreamWriter", gathering), close_boundary=False)
            await gathering.hand_over()
            self._call.deadline.pause()
            self._turn.set()
            await self._go.wait()
            if transport is None or transport.is_closing():
                lost = "the connection was lost while the last bytes were held back"
                raise aiohttp.ClientConnectionResetError(lost)
            # Nothing awaits between here and the transport: a process that was frozen is found out before it sends, and
            # `whole_sent` is true exactly if the transport got them.
            self._last_look()
            self.whole_sent = True
            self._call.deadline.within(self._times.answer_s, _UNANSWERED)
            await writer.write(f"--{self._form.boundary}--\r\n".encode())
            await writer.drain()
        except BaseException as error:
            self.abort()
            if isinstance(error, StorageError):
                self._call.failure = error
            raise

    def _moved(self) -> None:
        self._call.deadline.within(self._times.stall_s, _STALLED)
