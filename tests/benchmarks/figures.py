"""What a process and its descendants take: time, processor time, memory; and the table that figures stand in.

Memory is resident memory, summed over the processes alive at a moment, at its highest of many looks: pages that they
share count once for each, so it is an upper bound.
"""

from __future__ import annotations

import gc
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

INTERVAL_S = 0.05


@dataclass(slots=True)
class Usage:
    """What was seen of some processes; `ended` once nobody looks any more."""

    peak_bytes: int = 0
    cpu_by_process: dict[int, float] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def cpu_s(self) -> float:
        """Processor time of all of them, up to the last look."""
        return sum(self.cpu_by_process.values())

    def look(self, process: psutil.Process, *, children_only: bool) -> None:
        """Look at a process and its descendants once."""
        held = 0
        try:
            family = process.children(recursive=True)
        except psutil.NoSuchProcess:
            return
        for one in family if children_only else (process, *family):
            try:
                held += one.memory_info().rss
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            self.cpu_by_process[one.pid] = times.user + times.system
        self.peak_bytes = max(self.peak_bytes, held)


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run took: seconds by the clock and of processor time, and the peak of its memory."""

    clock_s: float
    cpu_s: float
    peak_bytes: int


@contextmanager
def looked_at(pid: int, *, children_only: bool = False) -> Iterator[Usage]:
    """Look at a process and its descendants, or at these alone, again and again, until the block ends."""
    usage = Usage()

    def look() -> None:
        process = psutil.Process(pid)
        while True:
            usage.look(process, children_only=children_only)
            if usage.ended.wait(INTERVAL_S):
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield usage
    finally:
        usage.ended.set()
        thread.join()


def watched(
    command: Sequence[str], *, environ: Mapping[str, str] | None = None, codes: tuple[int, ...] = (0,)
) -> Taken:
    """Run a command to its end; raises `SystemExit`, with what it said, when it ends with another of `codes`."""
    began = time.perf_counter()
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ) as run,  # noqa: S603
        looked_at(run.pid) as usage,
    ):
        _, said = run.communicate()
        clock_s = time.perf_counter() - began
    if run.returncode not in codes:
        raise SystemExit(f"{' '.join(command)}: ended with {run.returncode}\n{said.decode()[-2000:]}")
    return Taken(clock_s, usage.cpu_s, usage.peak_bytes)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table; `same` says how the outputs of both sides were compared."""

    what: str
    baseline: str
    ours: str
    ratio: str
    at_least: str
    aim: str
    peak: str
    same: str


HEADER = Row("what", "baseline", "ours", "ratio", "at least", "aim", "peak memory", "same output")


def line(row: Row) -> str:
    """Write a row in Markdown."""
    return f"| {' | '.join(getattr(row, name) for name in Row.__slots__)} |"


def megabytes(size_bytes: float) -> str:
    """Write an amount of memory."""
    return f"{size_bytes / 1e6:,.0f} MB"


def took(run: Callable[[], object]) -> float:
    """Return the processor time of one call: what others do on the machine hardly counts."""
    gc.collect()
    started = time.process_time()
    run()
    return time.process_time() - started
