"""What is streamed is a whole zip for every reader, whatever its size, and the same bytes each time."""

from __future__ import annotations

import importlib
import io
import sys
import threading
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

import pytest

from orchestrator.master import zip_writer
from orchestrator.master.zip_writer import ZipWriter

BLOCKS = [b"abc" * 5000, b"", bytes(range(256)) * 40]


def write(file: IO[bytes]) -> None:
    with ZipWriter(file) as made:
        made.add("first.xml", b"<first/>")
        made.begin("xl/second.xml")
        for block in BLOCKS:
            made.write(memoryview(block))
        made.end()
        made.add("empty", b"")
        made.finish()


def contents(file: IO[bytes]) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as read:
        assert read.testzip() is None
        assert {member.date_time for member in read.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        return {name: read.read(name) for name in read.namelist()}


def test_members_come_back() -> None:
    """Members have their names, order, content and checksums, and no times."""
    file = io.BytesIO()
    write(file)
    assert list(contents(file).items()) == [
        ("first.xml", b"<first/>"),
        ("xl/second.xml", b"".join(BLOCKS)),
        ("empty", b""),
    ]


def test_same_input_same_bytes() -> None:
    """The thread does not show in the bytes."""
    first, second = io.BytesIO(), io.BytesIO()
    write(first)
    write(second)
    assert first.getvalue() == second.getvalue()


def test_without_igzip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where igzip is not to be had, zlib gives a zip with the same members."""
    file = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "isal", None)
        assert importlib.reload(zip_writer).fast is zlib
        write(file)
    importlib.reload(zip_writer)
    assert contents(file)["xl/second.xml"] == b"".join(BLOCKS)


def test_beyond_four_gib(tmp_path: Path) -> None:
    """Offsets and sizes beyond 32 bits stand in the 64-bit records, where readers look for them."""
    with (tmp_path / "sparse.zip").open("w+b") as file, ZipWriter(file) as made:
        made.add("before", b"x")
        file.seek(5 << 30)  # a hole, which takes no space
        made.add("behind", b"y" * 100)
        made._members[0].size = 6 << 30
        made.finish()
    with zipfile.ZipFile(tmp_path / "sparse.zip") as read:
        before, behind = read.infolist()
        assert (before.file_size, behind.header_offset) == (6 << 30, 5 << 30)
        assert read.read("behind") == b"y" * 100


class Failing(io.BytesIO):
    """A disk that is full after the first bytes."""

    def write(self, data: object) -> int:
        if self.tell() > 100:
            raise OSError(28, "No space left on device")
        return super().write(cast("bytes", data))


def test_errors_of_the_thread_come_out() -> None:
    """A disk that fills up while the thread writes is the caller's error, and the thread ends."""

    def fill() -> None:
        with ZipWriter(Failing()) as made:
            made.begin("a")
            for _ in range(1000):
                made.write(bytes(100_000))

    with pytest.raises(OSError, match="No space left"):
        fill()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("deflate")]
