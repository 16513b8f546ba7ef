"""The embedded vendor: a stand-in for the paid one, and stricter. It imports nothing else of this package.

Both styles as documented, deterministic verdicts, work that takes time by the clock, results behind signed links at a
second port, faults by seed. State outlives a restart; `tasks.jsonl` says what was charged.
"""

from orchestrator.sandbox.catalog import ApiStyle, cost, platform_of
from orchestrator.sandbox.faults import FAULTS, expand_faults
from orchestrator.sandbox.record import TaskRecord, read_breaches, read_requests, read_tasks
from orchestrator.sandbox.results import ResultFormat
from orchestrator.sandbox.server import Sandbox
from orchestrator.sandbox.state import Options, task_id
from orchestrator.sandbox.verdicts import WORDS, missing_numbers, verdict

__all__ = [
    "FAULTS",
    "WORDS",
    "ApiStyle",
    "Options",
    "ResultFormat",
    "Sandbox",
    "TaskRecord",
    "cost",
    "expand_faults",
    "missing_numbers",
    "platform_of",
    "read_breaches",
    "read_requests",
    "read_tasks",
    "task_id",
    "verdict",
]
