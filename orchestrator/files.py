"""Private, atomic, synced files: a reader sees the old file or the whole new one, also after a power loss.

Everything durable that is not in the ledger goes through `replacing`, or with many others through `replace_together`
and `keep_together`: temporary name, sync, rename, sync of the directory. Failures of the disk come out as
`StorageError`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from typing import IO, TYPE_CHECKING, Any

from orchestrator.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

BLOCK_BYTES = 1 << 20
SMALL_BYTES = 1 << 16
"""What the event loop may read or write by itself: handing it to a thread costs more."""
FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
PART_SUFFIX = ".part"

attempt = ""
"""What tells the temporary files of this process from those of others that may be doing the very same, elsewhere.

"" where nobody else can be: the file that a killed process left is then written over by the next.
"""
MAX_NAME_BYTES = 240
"""What a name may have that is made out of another one: of 255 bytes, the rest is for `attempt` and `PART_SUFFIX`."""
CSV_LINE_END = "\r\n"
"""The line end of every csv file that is written here, as RFC 4180 has it."""

_WRITABLE = "make it writable, or choose another directory,"
_ALLOWED = "give this user the right to it, or choose another directory,"
_ELSEWHERE = "choose another directory"
_RAISE = "raise the limit (ulimit -a shows it)"
_WAYS_OUT = {
    errno.EROFS: _WRITABLE,
    errno.EACCES: _ALLOWED,
    errno.EPERM: _ALLOWED,
    errno.ENOTDIR: _ELSEWHERE,
    errno.EEXIST: _ELSEWHERE,  # a file where a directory should be
    errno.ENAMETOOLONG: _ELSEWHERE,
    errno.ELOOP: _ELSEWHERE,
    errno.EFBIG: _RAISE,
    errno.EMFILE: _RAISE,
    errno.ENFILE: _RAISE,
    errno.ENOMEM: _RAISE,
    errno.EAGAIN: _RAISE,
}

_EXHAUSTED = frozenset(number for number, way_out in _WAYS_OUT.items() if way_out == _RAISE)
"""What the system answers when there are no more files, no more memory, no more processes, or a file is too large."""

_NO_THREAD = "can't start new thread"
"""Where the system has no more processes for a thread, Python says no more than this, as a `RuntimeError`."""

_FAILED = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS})

_FORMULA = re.compile(r"[=@\t\r]|[+\-](?!\(?[0-9][0-9 \u00a0\u202f.,'()]*(?:[eE][+\-]?[0-9]+)?%?\Z)")
"""A sign is one of a number, and no formula's, where nothing but digits and what groups them follows."""


_HASH = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{40,}(?![0-9A-Za-z])|(?<=-)[0-9a-f]{8}(?=\.txt)")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `StorageError` that names `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        way_out = _WAYS_OUT.get(error.errno or 0, "repair the disk")
        raise StorageError(f"{path}: {reason}; {way_out} and run the same command again") from error


def lies_at(path: Path) -> bool:
    """Tell whether anything has this name, a broken link too; raises `StorageError` for what may not be looked at.

    `os.path.lexists` takes that for nothing, and then what was paid for would seem to be lost.
    """
    with disk_errors(path):
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def failed_machine(error: Exception) -> str:
    """Say what to mend where an error that nobody expected is the machine's; "" where it is a fault of the program."""
    if isinstance(error, MemoryError) or str(error) == _NO_THREAD:
        return f"no memory, or no more threads; {_RAISE} and run the same command again"
    if not isinstance(error, OSError):
        return ""
    place = "".join(f"{os.fsdecode(name)}: " for name in (error.filename,) if isinstance(name, str | bytes))
    if error.errno in _EXHAUSTED:
        return f"{place}{error.strerror}; {_RAISE} and run the same command again"
    if place and error.errno in _WAYS_OUT:  # without a path it may be about a socket or a process
        return f"{place}{error.strerror}; {_WAYS_OUT[error.errno]} and run the same command again"
    if error.errno in _FAILED:
        return f"{place}{error.strerror}; repair the disk and run the same command again"
    return ""


def make_private_directory(path: Path) -> None:
    """Create `path` and its missing parents, readable by their owner only, and make their names durable.

    What is there already counts too: whoever made it may have been killed before its name was durable.
    """
    with disk_errors(path):
        missing = [p for p in (path, *path.parents) if not p.exists()]
        there = missing[-1].parent if missing else path
        # Its name may be somebody else's to make durable, as in /tmp or at a mount; then it is not for us to do.
        if not there.is_mount():
            with suppress(PermissionError):
                sync_directory(there.parent)
        for directory in reversed(missing):
            directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            sync_directory(directory.parent)


def make_private(path: Path) -> None:
    """Take from others what they may do with a file or directory of ours that came back open, as copies often do."""
    if path.is_symlink() or not path.lstat().st_mode & 0o077:
        return
    with suppress(PermissionError):  # somebody else's: nothing that we could mend
        path.chmod(DIRECTORY_MODE if path.is_dir() else FILE_MODE)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path, *, sync_name: bool = True) -> Iterator[IO[bytes]]:
    """Yield a binary file that takes the place of `path`, whole and synced, when the block ends well.

    After an exception the old `path` is untouched and the temporary file is gone. With `sync_name=False` the caller
    syncs the directory, once for many files.
    """
    part = path.with_name(path.name + attempt + PART_SUFFIX)
    with disk_errors(path):
        try:
            with open(part, "w+b", opener=open_private) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if sync_name:
            sync_directory(path.parent)


def replace_together(directory: Path, contents: Iterable[tuple[str, bytes | memoryview]]) -> None:
    """Put small files in the places of names in a directory, each whole and synced; the caller syncs the directory.

    All are written before the first one is synced: a disk takes many together faster than one after the other. After
    an exception there is no temporary file left, and a name has its old file or the whole new one.
    """
    written: list[tuple[Path, Path, FileIO]] = []
    with disk_errors(directory), ExitStack() as parts, ExitStack() as files:
        for name, content in contents:
            path, part = directory / name, directory / (name + attempt + PART_SUFFIX)
            with disk_errors(path):
                parts.callback(part.unlink, missing_ok=True)
                file = files.enter_context(FileIO(part, "w", opener=open_private))
                write_whole(file, content)
            written.append((path, part, file))
        _name_synced(written)
        parts.pop_all()


def keep_together(files: Iterable[tuple[Path, Path]]) -> None:
    """Give each finished file (`part`, `path`) its name, once its content is synced; then sync their directories."""
    files = list(files)
    with ExitStack() as stack:
        opened = []
        for part, path in files:
            with disk_errors(part):
                opened.append((path, part, stack.enter_context(FileIO(part))))
        _name_synced(opened)
    for directory in {path.parent for _, path in files}:
        with disk_errors(directory):
            sync_directory(directory)


def _name_synced(files: Sequence[tuple[Path, Path, FileIO]]) -> None:
    for path, _, unsynced in files:
        with disk_errors(path):
            os.fsync(unsynced.fileno())
    for path, part, _ in files:
        with disk_errors(path):
            part.replace(path)


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner may read: an `opener` of `open`."""
    descriptor = os.open(path, flags, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)  # one that was left behind may have come from elsewhere
    return descriptor


def write_whole(file: FileIO, content: bytes | bytearray | memoryview) -> None:
    """Write all of `content`: an unbuffered file may take a part first."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON in place of `path`.

    File names that are no UTF-8 stand there as Python has them, as escapes of lone surrogates.
    """
    with replacing(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes, in hexadecimal; raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_hashes(text: str) -> str:
    """Return `text` with dashes for the hashes in it, and for the part of one in the name of a chunk file as sent."""
    return _HASH.sub(lambda found: "-" * len(found[0]), text)


def blank_hashes(path: Path) -> None:
    """Write dashes over the hashes in a file of lines, in place: nothing is left of them; raises `StorageError`."""
    with disk_errors(path), path.open("r+b") as lines:
        place = 0
        while line := lines.readline():
            blank = without_hashes(line.decode("latin-1")).encode("latin-1")
            if blank != line:
                lines.seek(place)
                lines.write(blank)
            place += len(line)
        lines.flush()
        os.fsync(lines.fileno())


def sha256_so_far(file: IO[bytes]) -> str:
    """Return the hash of what was written to a file that is open for reading too; raises `OSError`."""
    file.flush()
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it is a real file


def csv_safe(text: str) -> str:
    """Return `text` so that no spreadsheet takes it for a formula: with a leading apostrophe where it could be one.

    What could be one begins with an equals sign, an at sign, a tab, a carriage return, or with a plus or a minus sign
    that belongs to no plain number. Plain numbers are digits in groups (blanks, dots, commas, apostrophes, brackets),
    with an exponent or a per cent sign at most: `-12.50`, `+41 44 668 18 00`. A hyphen or a slash between digits is
    arithmetic to a spreadsheet.
    """
    return f"'{text}" if _FORMULA.match(text) else text
