"""What a process did to files, as strace wrote it down: one `Call` for each system call below a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHANGES = (
    *("open", "openat", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2"),
    *("lseek", "dup", "dup2", "dup3", "fcntl"),
    *("ftruncate", "truncate", "fallocate", "copy_file_range", "sendfile", "splice", "mmap"),
    *("fsync", "fdatasync", "sync", "syncfs", "sync_file_range"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
    *("link", "linkat", "symlink", "symlinkat", "mknod", "mknodat"),
)
"""Everything that changes a file, its name or its place on the disk, and what moves the position of a descriptor."""

_LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+)(<[^>]*>)?")
_UNFINISHED = " <unfinished ...>\n"
_RESUMED = re.compile(r"^\d+ +<\.\.\. \w+ resumed>")
_RELATIVE = re.compile(r'^\d+ +(?:open|creat|truncate|rename|unlink|mkdir|rmdir|link|mknod)\("(?!\\x2f)')
_PATH_OF_DESCRIPTOR = re.compile(r"^(-?\d+|AT_FDCWD)<([^>]*)>$")  # one that is deleted says so behind it


def tracer(log: Path) -> tuple[str, ...]:
    """Return the command line under which a process writes its calls to `log`, strings in hexadecimal."""
    output = ("-o", str(log), "-y", "-xx", "-s", str(1 << 24))
    return ("strace", "-f", "--seccomp-bpf", *output, "-e", "trace=" + ",".join(f"?{name}" for name in CHANGES))


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: its text, the descriptor's path where it is one, the bytes where it is a string."""

    text: str
    path: Path | None = None
    data: bytes | None = None

    @property
    def number(self) -> int:
        return int(self.text, 0)


@dataclass(frozen=True, slots=True)
class Call:
    """One call that succeeded."""

    name: str
    arguments: tuple[Argument, ...]
    result: int

    def path(self, position: int) -> Path:
        """Return a path that the call names, which may stand relative to the descriptor before it."""
        data = self.arguments[position].data
        assert data is not None
        named = Path(os.fsdecode(data))
        if position and self.arguments[position - 1].path is not None:
            named = self.arguments[position - 1].path / named  # type: ignore[operator]  # it is not None
        return named


def read_calls(log: Path, folder: Path) -> Iterator[Call]:
    """Yield the calls of a log that name something below `folder`; raises `ValueError` for what can't be told."""
    for line in _whole_lines(log, "".join(f"\\x{byte:02x}" for byte in os.fsencode(folder))):
        found = _LINE.match(line)
        if found and (result := int(found[3], 0)) >= 0:
            yield Call(found[1], tuple(map(_argument, found[2].split(", "))), result)


def _whole_lines(log: Path, wanted: str) -> Iterator[str]:
    """Yield the lines that have `wanted` in them; a call that another thread's interrupted is put together."""
    begun: dict[str, str] = {}
    with log.open(encoding="ascii") as lines:
        for line in lines:
            if _RELATIVE.match(line):
                raise ValueError(f"a path relative to who knows what: {line[:200]}")
            thread = line.partition(" ")[0]
            if thread in begun and (rest := _RESUMED.match(line)):
                yield begun.pop(thread) + line[rest.end() :]
            elif wanted in line:
                if begun:
                    raise ValueError("two threads of the recorded program are at the disk at once; who overtook whom?")
                if line.endswith(_UNFINISHED):
                    begun[thread] = line.removesuffix(_UNFINISHED)
                else:
                    yield line


def _argument(text: str) -> Argument:
    if text.startswith('"') and text.endswith('"'):
        return Argument("", data=_bytes(text[1:-1]))
    if found := _PATH_OF_DESCRIPTOR.match(text):
        return Argument(found[1], path=Path(os.fsdecode(_bytes(found[2]))))
    return Argument(text)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
