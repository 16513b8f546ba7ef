"""What a program does to a disk, one operation at a time; `at` counts the calls of a whole recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes into a file."""

    at: int
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A new length of a file."""

    at: int
    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Rename:
    """A change of names: out of one place, into another; `old` is None when made, `new` is None when removed."""

    at: int
    inode: int
    old: tuple[int, str] | None
    new: tuple[int, str] | None

    @property
    def directories(self) -> set[int]:
        return {place[0] for place in (self.old, self.new) if place}


@dataclass(frozen=True, slots=True)
class Sync:
    """Everything about a file's content, or a directory's names, is on the disk."""

    at: int
    inode: int
    path: str
    directory: bool


@dataclass(slots=True)
class Description:
    """An open file: descriptors that were duplicated share one."""

    appending: bool = False
    position: int = 0


Content = Write | Resize
Lies = Callable[[Sync], bool]


def honest(_: Sync) -> bool:
    return False
