"""The points at which a run can be made to fail: the n-th time that a system call goes to a file of the job.

They are read from the log of a clean run. strace counts calls for each thread by itself, so a point names the file too:
the same files are written in the same order whatever the threads do in between, and hardly any by two threads. Where
two do, the first that comes to its n-th call meets the fault; those of the main thread that would never be met in this
way are met by following the main thread alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

KILL = "KILL"

FAULTS = {
    "write": (KILL, "ENOSPC", "EIO"),
    "pwrite64": (KILL, "ENOSPC", "EIO"),
    "fsync": (KILL, "ENOSPC", "EIO"),
    "fdatasync": (KILL, "ENOSPC", "EIO"),
    "rename": (KILL, "ENOSPC", "EIO"),
    "mkdir": (KILL, "ENOSPC", "EIO"),
    "openat": ("EMFILE", "ENOSPC", "EIO"),
    "ftruncate": ("EIO",),
    "unlink": ("EIO",),
    "rmdir": ("EIO",),
    "read": ("EIO",),
    "pread64": ("EIO",),
}
"""What a call that goes to a file of the job is made to give."""

ANYWHERE = {"write": (KILL,), "socket": ("EMFILE",), "pipe2": ("EMFILE",), "epoll_create1": ("EMFILE",)}
"""What a call is made to give wherever it goes: to a pipe, a socket, another process."""

_SAME = {"renameat": "rename", "renameat2": "rename", "mkdirat": "mkdir", "unlinkat": "unlink"}
"""Calls that some C libraries make instead."""

TRACED = ",".join(f"?{call}" for call in (*FAULTS, *ANYWHERE, *_SAME))

_LINE = re.compile(r"(?P<thread>\d+) +(?P<call>\w+)\((?P<rest>.*)")


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """The `nth` time that a thread makes `call` on `file`, which is "" for any; `alone`: the main thread's only."""

    call: str
    file: str
    nth: int
    fault: str = KILL
    alone: bool = False

    def __str__(self) -> str:
        return ":".join([self.call, self.file, str(self.nth), self.fault, *(["alone"] if self.alone else [])])

    @classmethod
    def parse(cls, text: str) -> Point:
        call, file, nth, fault, *alone = text.split(":")
        return cls(call, file, int(nth), fault, bool(alone))

    @property
    def kind(self) -> str:
        return _SAME.get(self.call, self.call)

    def strace(self, folder: Path, log: str) -> list[str]:
        """Return the command that puts a program under this fault and logs every call of its kind to the file `log`."""
        fault = "signal=KILL" if self.fault == KILL else f"error={self.fault}"
        return [
            "strace",
            "-q",
            *([] if self.alone else ["-f"]),
            *(["-P", str(folder / self.file)] if self.file else []),
            *("-o", log, "-e", f"trace={self.call}", "-e", f"inject={self.call}:{fault}:when={self.nth}"),
        ]


def logging_all(log: Path) -> list[str]:
    """Return the command that logs all calls of a program that points can be read from."""
    return ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-o", str(log), "-e", f"trace={TRACED}", "-e", "signal=none"]


def points_of(log: Iterable[str], folder: Path) -> tuple[list[Point], int]:
    """Return the points of a clean run in its order, and how many calls on files no point can reach."""
    points: list[Point] = []
    met: set[tuple[str, str, int]] = set()
    unreachable = 0
    seen: Counter[tuple[str, str, str]] = Counter()
    main = ""
    for thread, call, rest in _calls(log):
        main = main or thread
        for file, faults in _targets(call, rest, folder):
            seen[thread, call, file] += 1
            place = (call, file, seen[thread, call, file])
            if place not in met:
                points += [Point(*place, fault) for fault in faults]
            elif thread == main and file:
                points += [Point(*place, fault, alone=True) for fault in faults]
            else:
                unreachable += bool(file)
            met.add(place)
    return points, unreachable


def _calls(log: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for line in log:
        if match := _LINE.match(line):
            yield match["thread"], match["call"], match["rest"]


def _targets(call: str, rest: str, folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the file of the job that a call goes to, and anywhere, each with the faults that it can give there."""
    kind = _SAME.get(call, call)
    if match := re.search(rf"{re.escape(str(folder))}/([^>\"]+)", rest):
        creates = call != "openat" or "O_CREAT" in rest
        faults = FAULTS.get(kind, ())
        yield match[1], tuple(fault for fault in faults if fault != "ENOSPC" or creates)
    yield "", ANYWHERE.get(kind, ())


def one_of_each_first(points: Iterable[Point]) -> list[Point]:
    """Return the points in their order, but one of each call, kind of file and fault first, then a second one."""
    seen: Counter[tuple[str, str, str]] = Counter()
    rounds = []
    for point in points:
        kind = (point.call, re.sub(r"\d+", "#", point.file), point.fault)
        rounds.append((seen[kind], point))
        seen[kind] += 1
    return [point for _, point in sorted(rounds, key=lambda pair: pair[0])]


def spread(points: list[Point], kind: str, fault: str, share: float) -> Point:
    """Return the point that stands at `share` of those of one kind and fault: 0.0 the first, 1.0 the last."""
    some = [point for point in points if point.kind == kind and point.fault == fault and point.file]
    return some[round(share * (len(some) - 1))]
