"""Whether a worker process goes on. One that waits for what never comes has no other limit.

Threads of foreign code may wait for one another for ever. Processor time does not tell, for none passes; the clock's
alone would be unfair to a slow disk, and to a machine or a process that was suspended. So a process is looked at now
and then, and stands still when nothing of it has gone on from look to look, many times in a row, while every thread of
it slept in wait for somebody else: not for the disk, and not for a processor. Looks count, and not seconds, since who
looks is suspended together with the machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

LOOK_S: Final = 10.0
LOOKS: Final = 60
"""Ten minutes: a piece that goes on never sleeps so long, whatever it reads."""

_SLEEPS: Final = "S"
"""Any other state ends by itself, or is none of the process's own making: proc_pid_stat(5)."""
_STATE, _CPU = 0, slice(11, 15)
"""Fields behind the name, which may hold anything: the state, and ticks of the thread and of children it has ended."""


class Standstill:
    """The looks at one process while it does one piece."""

    def __init__(self, pid: int) -> None:
        self._threads = Path(f"/proc/{pid}/task")
        self._rest: frozenset[str] | None = None
        self._looks = 0

    def look(self) -> bool:
        """Look once more; tell whether it stands still."""
        rest = at_rest(self._threads)
        self._looks = self._looks + 1 if rest is not None and rest == self._rest else 0
        self._rest = rest
        return self._looks >= LOOKS


def at_rest(threads: Path) -> frozenset[str] | None:
    """Return what all threads of a process had done by now, if all of them sleep; None if not, or if nobody knows."""
    done = set()
    try:
        for thread in threads.iterdir():
            fields = (thread / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
            if fields[_STATE] != _SLEEPS:
                return None
            done.add(f"{thread.name} {' '.join(fields[_CPU])}")
    except OSError:  # a thread that has just ended, or a system without /proc
        return None
    return frozenset(done) or None
