"""What other programs are told while a job runs: a few events with names and fields that stay. Pure.

The log is for people and says more, in words that may change; these are made from it. `manual/programs.md` lists them,
and a test compares. What they are made from is redacted: no number and no key stands in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 1
"""It is raised when a name or field goes or changes its meaning; further ones may come without that."""

WARNING: Final = "warning"


@dataclass(frozen=True, slots=True)
class EventKind:
    """An event: the fields that it always has, null where they say nothing, and what of the log it is made from."""

    fields: tuple[str, ...]
    made_from: tuple[str, ...]


EVENTS: Final = {
    "run": EventKind(("job", "serial"), ("run",)),
    "planned": EventKind(("read", "accepted", "duplicates", "rejected", "chunks"), ("planned",)),
    "accepted": EventKind(("platform", "chunk", "check", "task_id"), ("accepted",)),
    "done": EventKind(("task", "rows", "verdicts"), ("done",)),
    "held": EventKind(("task", "task_id", "reason"), ("in_doubt", "stalled")),
    "failed": EventKind(("task", "task_id", "reason"), ("failed", "refused")),
    "finding": EventKind(("task", "reason"), ("finding", "alarm")),
    "progress": EventKind(
        (
            *("percent", "done", "tasks", "at_the_vendor", "held", "failed", "numbers_per_min"),
            *("cost_usd", "planned_usd", "left_s", "by_platform"),
        ),
        ("progress",),
    ),
    "stopped": EventKind(
        ("platform", "vendor", "reason"),
        ("platform_stopped", "vendor_says_stop", "vendor_out_of_reach", "balance_too_low", "over_budget"),
    ),
    "stopping": EventKind(("reason",), ("stopping",)),
    "writing_master": EventKind((), ("writing_master",)),
    WARNING: EventKind(("about", "task", "platform", "vendor", "reason"), ()),
    "run_ended": EventKind(("exit_code", "reason"), ("run_ended",)),
}

_NAMES: Final = {source: name for name, kind in EVENTS.items() for source in kind.made_from}


def public(name: str, said: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the event that the log's event `name` is to other programs; None when it is none."""
    told = _NAMES.get(name, WARNING if said["level"] != "info" else "")
    if not told:
        return None
    fields = {"about": name, **said} if told == WARNING else said
    return {"v": VERSION, "event": told, "at": said["timestamp"]} | {
        field: fields.get(field) for field in EVENTS[told].fields
    }
