"""What the program logs, as a list."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.logger import heard_by

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Gather the events that are logged inside the block, each with its level as `log_level`."""
    events: list[dict[str, Any]] = []
    with heard_by(lambda level, event: events.append({**event, "log_level": level})):
        yield events
