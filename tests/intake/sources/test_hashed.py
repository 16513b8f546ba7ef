from __future__ import annotations

import hashlib
import io
import os
import threading
from typing import TYPE_CHECKING

import pytest

from orchestrator.intake.sources.hashed import HashedStream
from orchestrator.records import InputFile

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[io.BufferedReader, int]]:
    """Give the reading end as a stream, and the descriptor of the writing end."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        yield stream, writing


@pytest.mark.parametrize("size", [1, 3, 100])
def test_hash_of_what_was_read(size: int) -> None:
    """Bytes go through unchanged; hash and size are those of the whole."""
    data = bytes(range(256))
    hashed = HashedStream("a", io.BytesIO(data), threading.Event())
    with io.BufferedReader(hashed, size) as buffered:
        assert buffered.read() == data
    assert hashed.fingerprint() == InputFile("a", hashlib.sha256(data).hexdigest(), 256)


def test_pipe(pipe: tuple[io.BufferedReader, int]) -> None:
    """A pipe is read to its end."""
    stream, writing = pipe
    os.write(writing, b"+41\n")
    os.close(writing)
    assert io.BufferedReader(HashedStream("-", stream, threading.Event())).read() == b"+41\n"


def test_silent_pipe_can_be_left(pipe: tuple[io.BufferedReader, int]) -> None:
    """A reader that waits for a silent pipe ends soon after it is told to."""
    stream, writing = pipe
    stopped = threading.Event()
    threading.Timer(0.05, stopped.set).start()
    with pytest.raises(InterruptedError):
        HashedStream("-", stream, stopped).readinto(bytearray(1))
    os.close(writing)
