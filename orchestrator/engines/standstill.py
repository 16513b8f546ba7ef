"""Whether a worker process goes on. One that does not may have no other limit.

Threads of foreign code may wait for one another for ever, and an interpreter that gets no memory may try for ever to
say so (CPython 3.11 does, in the midst of an import). Processor time does not tell: the first takes none, and how much
a piece may take hangs on the list. The clock's alone would be unfair to a slow disk, and to a machine or a process that
was suspended. So a process is looked at now and then, and stands still when nothing of it has gone on from look to
look, many times in a row, while every thread of it slept in wait for somebody else (not for the disk, nor for a
processor), or while all the memory that it may have was taken. Looks count, and not seconds, since who looks is
suspended together with the machine.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

LOOK_S: Final = 10.0
LOOKS: Final = 60
"""Ten minutes: a piece that goes on never sleeps so long, nor reads and writes nothing for so long without memory."""

_SLEEPS: Final = "S"
"""Any other state ends by itself, or is none of the process's own making: proc_pid_stat(5)."""
_STATE, _CPU = 0, slice(11, 15)
"""Fields behind the name, which may hold anything: the state, and ticks of the thread and of children it has ended."""
_DATA, _MOST_DATA = (
    re.compile(r"^VmData:\s*(\d+) kB$", re.MULTILINE),
    re.compile(r"^Max data size\s+(\d+) ", re.MULTILINE),
)
_NO_ROOM_BYTES: Final = 64 << 10


class Standstill:
    """The looks at one process while it does one piece."""

    def __init__(self, pid: int) -> None:
        self._process = Path(f"/proc/{pid}")
        self._rest = ""
        self._looks = 0

    def look(self) -> bool:
        """Look once more; tell whether it stands still."""
        rest = at_rest(self._process)
        self._looks = self._looks + 1 if rest and rest == self._rest else 0
        self._rest = rest
        return self._looks >= LOOKS


def at_rest(process: Path) -> str:
    """Return what a process had done by now, if it may stand still; "" if it goes on, or if nobody knows."""
    try:
        stats = {one.name: (one / "stat").read_text("ascii", "replace") for one in (process / "task").iterdir()}
        threads = {name: stat.rpartition(")")[2].split() for name, stat in stats.items()}
        if all(fields[_STATE] == _SLEEPS for fields in threads.values()):
            return " ".join(f"{name} {' '.join(fields[_CPU])}" for name, fields in sorted(threads.items()))
        taken = _DATA.search((process / "status").read_text("ascii", "replace"))
        most = _MOST_DATA.search((process / "limits").read_text("ascii"))
        # Whether it has taken all the memory that it may have, see `pieces`.
        has_no_room = taken and most and int(taken[1]) * 1024 + _NO_ROOM_BYTES >= int(most[1])
        return (process / "io").read_text("ascii") if has_no_room else ""
    except OSError:  # a thread that has just ended, or a system without /proc
        return ""
