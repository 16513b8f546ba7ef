"""What an input really is: unpacks it, layer by layer, until there is a stream of text, or a file for a worker.

Content comes before names: a workbook that is called .csv is read as a workbook. Names tell text from tables. What can
only be read from a file, and is none by itself (a workbook in a zip, in a bucket, or from standard input), becomes one
in the work folder. A stream is unpacked while it is read, so what a small file can swell to is never there as a whole.
"""

from __future__ import annotations

import gzip
import io
import lzma
import sys
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from orchestrator.errors import UsageError
from orchestrator.files import BLOCK_BYTES, disk_errors
from orchestrator.intake.blocks import private_file
from orchestrator.intake.sources.decode import Peeked
from orchestrator.intake.sources.find import FileKind, damage_errors, kind_of, refuse_by_name
from orchestrator.intake.sources.hashed import HashedStream
from orchestrator.workbooks import is_workbook

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from orchestrator.intake.sources.find import Input
    from orchestrator.records import InputFile

MAX_LAYERS = 2
"""A zip of a gzip file, say."""

MAX_COPY_BYTES = 4 << 30
"""What a workbook may unpack to in the work folder."""

SHOWN_MEMBERS = 10

_GZIP, _ZSTD, _ZIP, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", (b"PK\x03\x04", b"PK\x05\x06"), b"PAR1"
_REFUSED = {
    b"\xd0\xcf\x11\xe0": "this is a workbook of before 2007, or one with a password; save it as .xlsx without one",
    b"%PDF": "this is a PDF; save it as .xlsx, .csv or plain text",
    b"BZh": "bzip2 files can't be read; unpack it, or pack it with gzip",
    b"\xfd7zXZ": "xz files can't be read; unpack it, or pack it with gzip",
    b"7z\xbc\xaf": "7z files can't be read; unpack it, or pack it with gzip",
    b"Rar!": "rar files can't be read; unpack it, or pack it with gzip",
}
_ENCRYPTED = 0x1
_JUNK = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
_OF_DOCUMENTS = {"mimetype", "[Content_Types].xml", "Index/Document.iwa"}
"""Members of the zips that office programs write: of OpenDocument, of Microsoft's, and of Apple's."""
_DAMAGED = (gzip.BadGzipFile, zstd.ZstdError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError,
            UnicodeDecodeError, NotImplementedError)  # fmt: skip
"""What unpacking raises for files that are cut off, damaged, or packed in a way that is not known."""


@dataclass(frozen=True, slots=True)
class InputContent:
    """What was found: `stream` for text and tables in text; `path` for what is read from a file, by a worker.

    `fingerprint` tells what the input was, once it was read. `member` is the name of what stood in an archive.
    """

    kind: FileKind
    fingerprint: Callable[[], InputFile]
    stream: BinaryIO | None = None
    path: str = ""
    member: str = ""


@contextmanager
def unpacked(found: Input, stdin: BinaryIO | None, stopped: threading.Event, copy: Path) -> Iterator[InputContent]:
    """Open an input, and yield what it is; where it has to become a file, that is written to `copy`.

    Raises `UsageError` for what can't be read, `OSError`, and `StorageError` when the copy can't be written; all of
    these may also come while the stream is read.
    """
    with _damage(found.source), ExitStack() as opened:
        stream = opened.enter_context(_opened(found, stdin))
        hashed = HashedStream(found.path, stream, stopped)
        path = None if found.is_standard_input or found.object else found.path
        layers = _Layers(found.source, opened, copy, hashed.fingerprint, found.object is not None)
        yield layers.open(io.BufferedReader(hashed, BLOCK_BYTES), found.source, path)


@dataclass(frozen=True, slots=True)
class _Layers:
    source: str
    opened: ExitStack
    copy: Path
    fingerprint: Callable[[], InputFile]
    is_object: bool = False

    def open(self, stream: BinaryIO, name: str, path: str | None, layers: int = 0) -> InputContent:
        """Return what is in `stream`, which is called `name`, and is the whole file at `path` if there is one."""
        peeked = Peeked(stream)
        head = peeked.head
        for magic, message in _REFUSED.items():
            if head.startswith(magic):
                raise UsageError(f"{self.source}: {message}")
        if layers >= MAX_LAYERS and head.startswith((_GZIP, _ZSTD, *_ZIP)):
            raise UsageError(f"{self.source}: packed more than {MAX_LAYERS} times over; unpack it")
        if head.startswith(_GZIP):
            plain: Any = self.opened.enter_context(gzip.GzipFile(fileobj=peeked.buffered()))
            return self.open(plain, _inner(name), None, layers + 1)
        if head.startswith(_ZSTD):
            plain = self.opened.enter_context(zstd.ZstdFile(peeked.buffered()))
            return self.open(plain, _inner(name), None, layers + 1)
        if head.startswith(_ZIP):
            return self._open_zip(path or self._copy(peeked, layers), name, layers)
        if head.startswith(_PARQUET):
            return InputContent(FileKind.PARQUET, self.fingerprint, path=path or self._copy(peeked, layers))
        kind = kind_of(name)
        if kind in (FileKind.WORKBOOK, FileKind.PARQUET):
            what = "a workbook" if kind is FileKind.WORKBOOK else "a parquet file"
            raise UsageError(
                f"{self.source}: this can't be read as {what}, although its name says so; save it anew, or name "
                "it for what it is"
            )
        return InputContent(kind, self.fingerprint, peeked.buffered())

    def _open_zip(self, path: str, name: str, layers: int) -> InputContent:
        archive = self.opened.enter_context(zipfile.ZipFile(path))
        if is_workbook(archive):
            return InputContent(FileKind.WORKBOOK, self.fingerprint, path=path)
        if kind_of(name) is FileKind.WORKBOOK or not _OF_DOCUMENTS.isdisjoint(archive.namelist()):
            raise UsageError(
                f"{self.source}: this is another document than .xlsx; save it as .xlsx, .csv or plain text"
            )
        members = []
        for member in archive.infolist():
            # Not `is_dir`, which before Python 3.12 raises an IndexError for a member without a name.
            path, base = member.filename, PurePosixPath(member.filename).name
            if not path.endswith("/") and not path.startswith(_JUNK) and base not in _JUNK and base[:2] != "._":
                members.append(member)
        if len(members) != 1:
            names = ", ".join(repr(member.filename) for member in members[:SHOWN_MEMBERS])
            more = ", ..." * (len(members) > SHOWN_MEMBERS)
            held = f"several files ({names}{more})" if members else "no file"
            raise UsageError(
                f"{self.source}: the zip holds {held}; it has to hold one list, so unpack it and name its files"
            )
        if members[0].flag_bits & _ENCRYPTED:
            raise UsageError(f"{self.source}: the zip has a password; unpack it")
        name = members[0].filename
        refuse_by_name(self.source, name)
        stream: Any = self.opened.enter_context(archive.open(members[0]))
        return replace(self.open(stream, name, None, layers + 1), member=name)

    def _copy(self, stream: Peeked, layers: int) -> str:
        """Write what is in `stream` to a file; what lies in a bucket as it is swells to nothing, whatever its size."""
        path = self.copy
        left = MAX_COPY_BYTES
        with disk_errors(path), private_file(path) as file:
            while data := self._read(stream, min(left + 1, BLOCK_BYTES)):
                left -= 0 if self.is_object and not layers else len(data)
                if left < 0:
                    raise UsageError(f"{self.source}: it unpacks to more than {MAX_COPY_BYTES:,} bytes; unpack it")
                file.write(data)
        return str(path)

    def _read(self, stream: Peeked, size: int) -> bytes:
        """Read, and keep the errors of reading apart from those of the disk that is written to."""
        try:
            with _damage(self.source):
                return stream.read(size) or b""
        except OSError as error:
            raise UsageError(f"{self.source}: {error.strerror or error}") from error


@contextmanager
def _opened(found: Input, stdin: BinaryIO | None) -> Iterator[io.BufferedIOBase]:
    if found.is_standard_input:
        if stdin is None and sys.stdin is None:  # so Python says that the descriptor was closed when it began
            raise UsageError("standard input is closed; pipe the list into it, or name a file in `inputs`")
        stream = sys.stdin.buffer if stdin is None else stdin
        if not isinstance(stream, io.BufferedIOBase):
            raise TypeError("standard input must be a buffered binary stream")
        yield stream  # not ours to close
    elif found.object is not None:
        with found.object.opened() as stored:
            yield stored
    else:
        with Path(found.path).open("rb") as file:
            yield file


def _damage(source: str) -> AbstractContextManager[None]:
    return damage_errors(_DAMAGED, f"{source}: this can't be unpacked: it is damaged or cut off")


def _inner(name: str) -> str:
    """Return a packed file's name without the ending that says so."""
    packed = PurePosixPath(name)
    return packed.stem if packed.suffix.lower() in {".gz", ".gzip", ".zst", ".zstd"} else name
