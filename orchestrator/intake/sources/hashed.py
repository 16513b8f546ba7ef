"""The bytes of one input, hashed on their way, so that what was read is what the recorded hash is of."""

from __future__ import annotations

import hashlib
import io
import select
from contextlib import suppress
from typing import TYPE_CHECKING

from orchestrator.records import InputFile

if TYPE_CHECKING:
    import threading

    from _typeshed import WriteableBuffer

LOOK_ROUND_MS = 200
_REST_BYTES = 1 << 16
"""Mostly nothing is left, and a larger buffer would take longer than a small file."""


class HashedStream(io.RawIOBase):
    """A readable stream over `stream` that knows the hash and the length of what went through it.

    A pipe may stay silent for ever, and a thread that waits for it could not be ended: once `stopped` is set, reading
    raises `InterruptedError`.
    """

    def __init__(self, path: str, stream: io.BufferedIOBase, stopped: threading.Event) -> None:
        super().__init__()
        self._path = path
        self._stream = stream
        self._stopped = stopped
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._poll: select.poll | None = None  # where it always has something to read
        with suppress(io.UnsupportedOperation):
            descriptor = stream.fileno()
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLIN | select.POLLHUP)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what is there, at most the length of `buffer`; 0 is the end. Raises `OSError`."""
        while True:
            if self._stopped.is_set():
                raise InterruptedError("reading was stopped")
            if self._poll is None or self._poll.poll(LOOK_ROUND_MS):
                break
        view = memoryview(buffer).cast("B")
        data = self._stream.read1(len(view))
        view[: len(data)] = data
        self._hash.update(data)
        self._size_bytes += len(data)
        return len(data)

    def fingerprint(self) -> InputFile:
        """Read what is left, and return what was read in all; raises `OSError`."""
        rest = bytearray(_REST_BYTES)
        while self.readinto(rest):
            pass
        return InputFile(self._path, self._hash.hexdigest(), self._size_bytes)
