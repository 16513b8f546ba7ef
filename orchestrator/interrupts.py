"""SIGINT, SIGTERM and SIGHUP, from the first line of the program to its last.

The first of a kind is a wish to stop, a second one of the same kind stops at once, with 128 + its number. A CI system
that cancels a job sends SIGINT, then SIGTERM some seconds later: that SIGTERM is no second wish. A SIGHUP that is
ignored on entry, as under nohup, stays ignored.

A wish that comes while nobody hears wishes waits for one who does: what is imported first takes longer than a CI system
may let the program live. Imports nothing heavy for the same reason.
"""

from __future__ import annotations

import atexit
import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

SAME_CANCEL_S: Final = 15.0
KINDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A command was told to stop by the signal `kind`. Event loops let a `KeyboardInterrupt` pass, and nothing else."""

    def __init__(self, kind: signal.Signals) -> None:
        super().__init__(kind.name)
        self.kind = kind


class Interrupts:
    """What the signals that came so far mean."""

    def __init__(self, leave_at_once: Callable[[int], object], clock: Callable[[], float]) -> None:
        self._leave_at_once = leave_at_once
        self._clock = clock
        self._came_at: dict[signal.Signals, float] = {}
        self._hear: Callable[[signal.Signals], None] | None = None
        self._unheard: list[signal.Signals] = []

    def came(self, kind: signal.Signals) -> None:
        now = self._clock()
        interrupted_at = self._came_at.get(signal.SIGINT)
        if kind is signal.SIGTERM and interrupted_at is not None and now - interrupted_at < SAME_CANCEL_S:
            return
        if kind in self._came_at:
            self._leave_at_once(128 + kind)
            return
        self._came_at[kind] = now
        if self._hear is None:
            self._unheard.append(kind)
        else:
            self._hear(kind)

    @contextmanager
    def heard_by(self, hear: Callable[[signal.Signals], None]) -> Iterator[None]:
        """Hand wishes to `hear`, those that nobody has heard so far first."""
        before, self._hear = self._hear, hear
        try:
            while self._unheard:
                hear(self._unheard.pop(0))
            yield
        finally:
            self._hear = before


_of_process: Interrupts | None = None


def of_process() -> Interrupts | None:
    """Return what listens in this process, if it is the program's own."""
    return _of_process


def to_take() -> list[signal.Signals]:
    """Return the kinds that are not to be ignored."""
    return [kind for kind in KINDS if kind is not signal.SIGHUP or signal.getsignal(kind) is not signal.SIG_IGN]


def listen() -> None:
    """Take the signals of this process from now on."""
    global _of_process  # noqa: PLW0603 - signals belong to the process
    if _of_process is None:
        # Nothing is lost by leaving at once: the ledger has every release, and the next run finds what was cut off.
        _of_process = Interrupts(os._exit, time.monotonic)
        atexit.register(_ignore)
    for kind in to_take():
        signal.signal(kind, _came)


def _came(number: int, _frame: FrameType | None) -> None:
    if _of_process is not None:
        _of_process.came(signal.Signals(number))


def _ignore() -> None:
    """Let nothing change the exit code any more: the interpreter takes handlers of its own away before it ends."""
    for kind in KINDS:
        signal.signal(kind, signal.SIG_IGN)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` in the block at the first wish."""

    def interrupt(kind: signal.Signals) -> None:
        raise Interrupted(kind)

    if _of_process is None:
        yield
        return
    with _of_process.heard_by(interrupt):
        yield
