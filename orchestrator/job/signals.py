"""Wishes to stop, for work on an event loop: see `orchestrator.interrupts`."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.interrupts import Interrupts, listen, of_process, to_take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def handled(stop: Callable[[str], None]) -> Iterator[None]:
    """Hand a signal's name to `stop`, also of one that came before; leave the process at once on a second one."""
    loop = asyncio.get_running_loop()
    interrupts = of_process() or Interrupts(os._exit, loop.time)
    kinds = to_take()
    for kind in kinds:  # by the loop, which is woken by them
        loop.add_signal_handler(kind, interrupts.came, kind)
    try:
        with interrupts.heard_by(lambda kind: stop(kind.name)):
            yield
    finally:
        for kind in kinds:
            loop.remove_signal_handler(kind)
        if of_process() is not None:
            listen()
