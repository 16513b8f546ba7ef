"""SIGINT and SIGTERM: the first stops in good order, a second one of the same kind stops at once.

A CI system that cancels a job sends SIGINT, then SIGTERM some seconds later: that SIGTERM is no second wish.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = structlog.get_logger()

SAME_CANCEL_S = 15.0


class Interrupts:
    """What the signals that came so far mean."""

    def __init__(
        self, stop: Callable[[str], None], leave_at_once: Callable[[int], None], clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._leave_at_once = leave_at_once
        self._came_at: dict[signal.Signals, float] = {}

    def came(self, kind: signal.Signals) -> None:
        """Take one signal."""
        now = self._clock()
        interrupted_at = self._came_at.get(signal.SIGINT)
        if kind is signal.SIGTERM and interrupted_at is not None and now - interrupted_at < SAME_CANCEL_S:
            return
        if kind in self._came_at:
            self._leave_at_once(128 + kind)
            return
        self._came_at[kind] = now
        self._stop(kind.name)


@contextmanager
def handled(stop: Callable[[str], None]) -> Iterator[None]:
    """Hand the first signal's name to `stop`; leave the process at once, with 128 + its number, on a second one.

    Nothing is lost by leaving at once: the ledger has every release, and the next run finds what was cut off.
    """
    loop = asyncio.get_running_loop()
    interrupts = Interrupts(stop, os._exit, loop.time)
    kinds = (signal.SIGINT, signal.SIGTERM)
    for kind in kinds:
        loop.add_signal_handler(kind, interrupts.came, kind)
    try:
        yield
    finally:
        for kind in kinds:
            loop.remove_signal_handler(kind)
