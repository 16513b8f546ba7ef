"""The program's own logger: what is said through it goes to the log that is open around it, and nowhere else.

Not by structlog's configuration, which is one for the process: in another program's process it is that program's, and
two jobs there have two logs.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.typing import EventDict, FilteringBoundLogger


class Hears(Protocol):
    """Takes an event: its level, and its fields with its name as `event`."""

    def __call__(self, level: str, event: EventDict) -> object:
        """Take one."""


_open: ContextVar[Hears | None] = ContextVar("open log", default=None)


@contextmanager
def heard_by(hears: Hears) -> Iterator[None]:
    """Hand what is said inside the block, and by what is begun in it, to `hears`."""
    token = _open.set(hears)
    try:
        yield
    finally:
        _open.reset(token)


def _hand_over(_: Any, level: str, event: EventDict) -> EventDict:
    if hears := _open.get():
        hears(level, event)
    raise structlog.DropEvent


log: FilteringBoundLogger = structlog.wrap_logger(
    None, processors=[_hand_over], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
)
