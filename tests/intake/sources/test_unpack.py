from __future__ import annotations

import gzip
import hashlib
import io
import threading
import tracemalloc
import zipfile
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import StorageError, UsageError
from orchestrator.intake.sources import unpack as unpacking
from orchestrator.intake.sources.find import FileKind, Input
from orchestrator.intake.sources.unpack import InputContent, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.intake.conftest import Write


@contextmanager
def content(path: Path | None, copy: Path, stdin: bytes = b"") -> Iterator[InputContent]:
    found = Input("-", "standard input") if path is None else Input(str(path), path.name)
    with unpacked(found, io.BytesIO(stdin), threading.Event(), copy) as opened:
        yield opened


def read(opened: InputContent) -> bytes:
    assert opened.stream is not None
    return opened.stream.read()


def test_layers_are_taken_off_while_reading(write: Write, tmp_path: Path) -> None:
    """A packed file is a stream of what is in it; its fingerprint is that of the file as it lies."""
    data = gzip.compress(b"+41\n")
    with content(write("list.csv.gz", data), tmp_path / "copy") as opened:
        assert (opened.kind, read(opened)) == (FileKind.CSV, b"+41\n")
        fingerprint = opened.fingerprint()
    assert (fingerprint.sha256, fingerprint.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert not (tmp_path / "copy").exists()


def test_the_whole_file_is_hashed(write: Write, tmp_path: Path) -> None:
    """What comes after the packed data belongs to the file, too."""
    data = gzip.compress(b"+41\n") + bytes(3000)
    with content(write("list.gz", data), tmp_path / "copy") as opened:
        assert read(opened) == b"+41\n"
        assert opened.fingerprint().size_bytes == len(data)


def test_a_file_becomes_a_copy_only_where_it_is_none(write: Write, tmp_path: Path) -> None:
    """A parquet file is read where it lies; one that is packed or piped is copied, privately."""
    data = b"PAR1 and more"
    path = write("a.parquet", data)
    with content(path, tmp_path / "copy") as opened:
        assert (opened.kind, opened.path) == (FileKind.PARQUET, str(path))
    assert not (tmp_path / "copy").exists()
    for packed, stdin in ((write("a.parquet.gz", gzip.compress(data)), b""), (None, data)):
        with content(packed, tmp_path / "copy", stdin) as opened:
            assert (opened.kind, opened.path) == (FileKind.PARQUET, str(tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == data
        assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
        (tmp_path / "copy").unlink()


def test_what_a_small_file_swells_to(write: Write, tmp_path: Path) -> None:
    """Memory does not grow with what comes out of a packed file."""
    path = write("bomb.gz", gzip.compress(b"+41798284651\n" * 4_000_000))
    tracemalloc.start()
    with content(path, tmp_path / "copy") as opened:
        assert opened.stream is not None
        size = sum(map(len, iter(partial(opened.stream.read, 1 << 18), b"")))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 52_000_000
    assert peak_bytes < 8 << 20


def test_a_copy_has_a_limit(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workbook that unpacks to more than anybody has is an error, before it fills the disk."""
    monkeypatch.setattr(unpacking, "MAX_COPY_BYTES", 5000)
    path = write("a.parquet.gz", gzip.compress(b"PAR1" + bytes(5000)))
    message = r"a\.parquet\.gz: it unpacks to more than 5,000 bytes"
    with pytest.raises(UsageError, match=message), content(path, tmp_path / "copy"):
        pass


def test_a_disk_that_is_full(write: Write, tmp_path: Path) -> None:
    """A copy that can't be written is an error of the disk, not of the input."""
    path = write("a.parquet.gz", gzip.compress(b"PAR1"))
    with pytest.raises(StorageError, match="copy"), content(path, tmp_path / "none" / "copy"):
        pass


@pytest.mark.parametrize("name", ["a.parquet.gz", "a.txt.gz"])
def test_damage_that_shows_late(write: Write, tmp_path: Path, name: str) -> None:
    """A file that turns out to be damaged while it is read, or copied, is an error that names it."""
    data = bytearray(gzip.compress(b"PAR1" * 50_000, 0))
    data[-1] ^= 1
    path = write(name, bytes(data if "parquet" in name else data.replace(b"PAR1", b"+41\n")))
    with (
        pytest.raises(UsageError, match=f"{name}: this can't be unpacked: it is damaged or cut off"),
        content(path, tmp_path / "copy") as opened,
    ):
        read(opened)


class Stopping(io.BytesIO):
    """A stream during which reading is stopped."""

    def __init__(self, data: bytes, stopped: threading.Event) -> None:
        super().__init__(data)
        self.stopped = stopped

    def read1(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            self.stopped.set()
        return super().read1(size)


def test_a_stream_that_fails(tmp_path: Path) -> None:
    """A stream that can't be read on while it is copied is an error of the input."""
    stopped = threading.Event()
    stdin = Stopping(b"PAR1" * 1_000_000, stopped)
    with (
        pytest.raises(UsageError, match="standard input: reading was stopped"),
        unpacked(Input("-", "standard input"), stdin, stopped, tmp_path / "copy"),
    ):
        pass


def zipped(name: str, method: int = zipfile.ZIP_STORED) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, "+41")
    return bytearray(file.getvalue())


def foreign() -> bytearray:
    """Pack in a way that Python does not know."""
    data = zipped("a.txt")
    data[8] = data[data.rindex(b"PK\x01\x02") + 10] = 99
    return data


def broken_lzma() -> bytearray:
    """Pack with LZMA, and properties that no LZMA has."""
    data = zipped("a.txt", zipfile.ZIP_LZMA)
    data[data.index(b"a.txt") + len("a.txt") + 4] = 0xFF
    return data


def misspelt(places: int) -> bytearray:
    """Give a name that is said to be UTF-8 and is not, in the directory (1) or also at the member (2)."""
    good = zipped("\xe4.txt")
    return bytearray(b"\xff\xff".join(good.rsplit("\xe4".encode(), places)))


@pytest.mark.parametrize("data", [foreign(), broken_lzma(), misspelt(1), misspelt(2)])
def test_a_zip_that_nobody_can_unpack(write: Write, tmp_path: Path, data: bytearray) -> None:
    """Whatever is wrong with a zip, the error names it."""
    with (
        pytest.raises(UsageError, match=r"^a\.zip: this can't be unpacked"),
        content(write("a.zip", bytes(data)), tmp_path) as opened,
    ):
        read(opened)


def test_a_member_without_a_name(write: Write, tmp_path: Path) -> None:
    """A zip's only member is the list, even where it has no name."""
    data = zipped("a").replace(b"\x01\x00\x00\x00a", bytes(4))  # the local header ends with the name
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 28] = 0
    del data[directory + 46]
    end = data.rindex(b"PK\x05\x06")
    data[end + 12], data[end + 16] = end - directory, directory
    with content(write("a.zip", bytes(data)), tmp_path) as opened:
        assert (opened.kind, read(opened)) == (FileKind.TEXT, b"+41")


def test_standard_input_that_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may have no standard input at all."""
    monkeypatch.setattr("sys.stdin", None)
    with (
        pytest.raises(UsageError, match=r"^standard input is closed; pipe the list into it, or name a file"),
        unpacked(Input("-", "standard input"), None, threading.Event(), tmp_path),
    ):
        pass
