"""The composition root: wires the stages of one job. What the commands call, and nothing below it.

Each name is imported when it is asked for: `status` should not wait for what only `run` needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.job.planning import PlannedCost, PlanReport
    from orchestrator.job.preview import plan
    from orchestrator.job.purging import PurgeReport, purge
    from orchestrator.job.resolving import (
        Adopt,
        Decision,
        GiveUp,
        Refetch,
        ResolveReport,
        Resubmit,
        Undo,
        UseResult,
        resolve,
    )
    from orchestrator.job.retrying import RetryReport, retry
    from orchestrator.job.running import Outcome, RunOptions, run
    from orchestrator.job.sheet import merge
    from orchestrator.job.standing import StatusReport, status
    from orchestrator.job.verifying import VerifyReport, verify
    from orchestrator.job.world import World, real_world

__all__ = [
    "Adopt",
    "Decision",
    "GiveUp",
    "Outcome",
    "PlanReport",
    "PlannedCost",
    "PurgeReport",
    "Refetch",
    "ResolveReport",
    "Resubmit",
    "RetryReport",
    "RunOptions",
    "StatusReport",
    "Undo",
    "UseResult",
    "VerifyReport",
    "World",
    "merge",
    "plan",
    "purge",
    "real_world",
    "resolve",
    "retry",
    "run",
    "status",
    "verify",
]

_HOMES = {
    "planning": ("PlanReport", "PlannedCost"),
    "preview": ("plan",),
    "purging": ("PurgeReport", "purge"),
    "resolving": (
        *("Adopt", "Decision", "GiveUp", "Refetch", "ResolveReport", "Resubmit", "Undo", "UseResult", "resolve"),
    ),
    "retrying": ("RetryReport", "retry"),
    "running": ("Outcome", "RunOptions", "run"),
    "sheet": ("merge",),
    "standing": ("StatusReport", "status"),
    "verifying": ("VerifyReport", "verify"),
    "world": ("World", "real_world"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(name)
    return getattr(import_module(f"orchestrator.job.{_HOME[name]}"), name)
