"""The composition root: wires the stages of one job. What the commands call, and nothing below it."""

from orchestrator.job.planning import PlannedCost, PlanReport
from orchestrator.job.preview import plan
from orchestrator.job.purging import PurgeReport, purge
from orchestrator.job.resolving import Adopt, Decision, GiveUp, Resubmit, UseResult, resolve
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
    "Resubmit",
    "RetryReport",
    "RunOptions",
    "StatusReport",
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
