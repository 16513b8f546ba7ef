"""Run the program while a watchdog notes how long each callback holds the event loop.

    python -m tests.e2e.watchdog REPORT run -c config.toml

What counts is the processor time of the loop's own thread: what others do on the machine does not, nor does waiting.
The report is JSON, the worst first: milliseconds, the callback or the task's coroutine, and where it was seen at work
by a thread that looks at it from time to time. A collection of garbage holds whatever callback it happens in, so the
longest one is told apart.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import itertools
import json
import sys
import threading
import time
import traceback
from pathlib import Path

LOOK_S = 0.004
PATIENCE_S = 0.012
WORST = 40
FRAMES = 6
PLACES = 8


class Watchdog:
    """Wraps the one place where an event loop runs a callback; `worst` is a heap of the longest."""

    def __init__(self) -> None:
        self.worst: list[tuple[float, int, str, list[str]]] = []
        self.steps = 0
        self.frozen = 0
        self.collection_s = 0.0
        self._collecting_since = 0.0
        self._order = itertools.count()
        self._since = 0.0
        self._seen: list[str] = []
        self._thread = threading.get_ident()
        self._ended = threading.Event()

    def watch(self) -> None:
        """Begin."""
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            name = _name(handle)
            self._seen = []
            self._since = time.perf_counter()
            began = time.thread_time()
            run(handle)
            took_s = time.thread_time() - began
            self._since = 0.0
            self._note(took_s, name)

        setattr(asyncio.Handle, "_run", timed)  # noqa: B010 - it is no attribute that may be set, for type checkers
        gc.callbacks.append(self._collect)
        threading.Thread(target=self._look, daemon=True).start()

    def _collect(self, phase: str, _info: dict[str, int]) -> None:
        """Time a collection of garbage on the loop's thread."""
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collecting_since = time.thread_time()
        elif self._since:
            self.collection_s = max(self.collection_s, time.thread_time() - self._collecting_since)

    def _note(self, took_s: float, name: str) -> None:
        self.steps += 1
        if self.steps == 1:
            self.frozen = gc.get_freeze_count()
        if len(self.worst) < WORST or took_s > self.worst[0][0]:
            heapq.heappush(self.worst, (took_s, next(self._order), name, self._seen))
        if len(self.worst) > WORST:
            heapq.heappop(self.worst)

    def _look(self) -> None:
        while not self._ended.wait(LOOK_S):
            since = self._since
            if since and time.perf_counter() - since > PATIENCE_S:
                self._seen.append(_place(self._thread))

    def report(self) -> str:
        """End; return the report."""
        self._ended.set()
        callbacks = [
            {"ms": round(took_s * 1000, 1), "callback": name, "seen_at": list(dict.fromkeys(seen))[:PLACES]}
            for took_s, _, name, seen in sorted(self.worst, reverse=True)
        ]
        facts = {
            "steps": self.steps,
            "objects_left_alone": self.frozen,
            "longest_collection_ms": round(self.collection_s * 1000, 1),
        }
        return json.dumps(facts | {"callbacks": callbacks}, indent=1)


def _name(handle: asyncio.Handle) -> str:
    """Name a callback; that of a task is its coroutine."""
    callback = getattr(handle, "_callback", None)
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        coroutine = owner.get_coro()
        return f"{owner.get_name()}: {getattr(coroutine, '__qualname__', coroutine)}"
    return str(getattr(callback, "__qualname__", callback))


def _place(thread: int) -> str:
    """Say what a thread is doing now: the innermost lines."""
    frames = traceback.extract_stack(sys._current_frames()[thread])[-FRAMES:]
    return " < ".join(f"{Path(frame.filename).stem}.{frame.name}:{frame.lineno}" for frame in reversed(frames))


def main(report: Path, arguments: list[str]) -> int:
    """Run one command under the watchdog."""
    watchdog = Watchdog()
    watchdog.watch()
    from orchestrator.cli import main as orchestrator  # noqa: PLC0415 - as the program itself does, after its start

    try:
        return orchestrator(arguments)
    finally:
        report.write_text(watchdog.report())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
