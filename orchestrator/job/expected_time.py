"""How long a platform will take for what is still to be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.dispatch.caution import CANARY_FROM_TASKS

if TYPE_CHECKING:
    from orchestrator.job.budget import PlannedCost
    from orchestrator.ledger import Ledger
    from orchestrator.settings import Settings

USUAL_TASK_ROWS: Final = 20_000
USUAL_TASK_S: Final = 29 * 60.0
"""How long a task takes in the vendor's own example."""


def expected_s(ledger: Ledger, settings: Settings, cost: PlannedCost) -> float:
    """Return how long a platform will take with `max_in_flight` tasks at a time.

    A number takes as long as in the tasks of this job that are done, before there are any as in the vendor's example.
    """
    platform = settings.platforms[cost.platform]
    done, rows, took_s = ledger.tasks.durations(cost.platform)
    if settings.is_sandbox:
        a_number_s = 1 / settings.sandbox.pace
    else:
        a_number_s = took_s / rows if done else USUAL_TASK_S / USUAL_TASK_ROWS
    at_a_time = min(platform.max_in_flight, cost.tasks)
    # The last ones leave room: whole rounds of tasks of the mean size.
    rounds = -(-cost.tasks // at_a_time)
    task_s = a_number_s * cost.rows / cost.tasks
    canary_s = task_s if platform.canary and cost.tasks >= CANARY_FROM_TASKS and not done else 0.0
    return max(rounds * task_s, cost.tasks / platform.requests_per_second) + canary_s
