"""What the trial says: shares of its verdicts with intervals, what it cost, and what the rest would cost and take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError
from orchestrator.job.budget import planned_costs
from orchestrator.job.expected_time import expected_s
from orchestrator.jobdir.verdict_words import UNDETERMINED
from orchestrator.records import NANO
from orchestrator.report.cost_ledger import usd
from orchestrator.tasks import State, TaskKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.job.budget import PlannedCost
    from orchestrator.ledger import Ledger
    from orchestrator.records import Task
    from orchestrator.report.summary import Share, TrialContent, TrialPlatform
    from orchestrator.settings import Settings

Z: Final = 1.959963984540054
"""Of the interval in which a share lies in 95 of 100 trials."""


def check_trial(ledger: Ledger, settings: Settings) -> None:
    """Raise `UsageError` when the job has no trial that could be sent alone."""
    if not ledger.plan.trial_rows():
        begun = ledger.runs.begun
        raise UsageError(
            f"{settings.source}: this job has no trial: "
            + (
                "it has begun without one, and goes on without --trial"
                if begun
                else "its list is short, or [job] trial_rows is 0; set trial_rows, or run without --trial"
            )
        )


def trial_is_read(ledger: Ledger, settings: Settings) -> bool:
    """Whether each platform's task of the trial is done, or skipped for a trial that is too small for it.

    A platform of which nearly all is known has none.
    """
    tasks = {name: ledger.tasks.get(TaskKey(name, chunk)) for name, chunk in trial_chunks(ledger, settings).items()}
    return all(task is not None and task.state in {State.DONE, State.SKIPPED} for task in tasks.values())


def trial_chunks(ledger: Ledger, settings: Settings) -> dict[str, int]:
    """Return the chunk that is each platform's trial, for those that have one; it is sent before all others."""
    chunks = {name: ledger.plan.trial_of(name) for name in settings.platforms}
    return {name: chunk for name, chunk in chunks.items() if chunk}


def share(part: int, of: int) -> Share:
    """Return the share of some rows, with the interval of Wilson in which that of the list lies, 19 times in 20.

    It holds for few rows and for shares near 0 and 1, where the usual one has no width.
    """
    if not of:
        return {"share": 0.0, "low": 0.0, "high": 1.0}
    p, z2 = part / of, Z * Z
    middle, around = p + z2 / (2 * of), Z * math.sqrt(p * (1 - p) / of + z2 / (4 * of * of))
    low, high = ((middle + sign * around) / (1 + z2 / of) for sign in (-1, 1))
    return {"share": round(p, 6), "low": round(max(0.0, low), 6), "high": round(min(1.0, high), 6)}


def trial_content(ledger: Ledger, settings: Settings, balances: Mapping[str, float]) -> TrialContent | None:
    """Return what the trial says so far; None for a job without one. `balances` are in USD, by vendor."""
    if not (rows := ledger.plan.trial_rows()):
        return None
    costs = {cost.platform: cost for cost in planned_costs(ledger, settings)}
    tasks = {name: ledger.tasks.get(TaskKey(name, chunk)) for name, chunk in trial_chunks(ledger, settings).items()}
    spent = ledger.platforms.spent_nano()
    rest = [cost.cost_usd for cost in costs.values() if cost.tasks]
    known = [one for one in rest if one is not None]
    max_cost = settings.budget.max_cost
    return {
        "rows": rows,
        "read": trial_is_read(ledger, settings),
        "platforms": {
            name: _platform(ledger, settings, task, costs[name]) for name, task in tasks.items() if task is not None
        },
        "rest_cost": round(sum(known), 9) if len(known) == len(rest) else None,
        "rest_expected_s": max(
            (expected_s(ledger, settings, cost) for cost in costs.values() if cost.tasks), default=0.0
        ),
        "budget_left": None if max_cost is None or math.isinf(max_cost) else round(max_cost - spent / NANO, 9),
        "balances": dict(balances),
    }


def _platform(ledger: Ledger, settings: Settings, task: Task, rest: PlannedCost) -> TrialPlatform:
    words: Mapping[str, int] = {}
    if task.state is State.DONE:
        words = ledger.tasks.evidence_of(task.key).get("counts", {})
    told = sum(words.values())
    platform = settings.platforms[task.key.platform]
    took_s = None if task.submitted_at is None or task.progress_at is None else task.progress_at - task.submitted_at
    return {
        "state": task.state.value,
        "numbers": task.rows,
        "yes": share(words.get("yes", 0), told),
        "unknown": share(sum(words.get(word, 0) for word in UNDETERMINED), told),
        "unanswered": share(words.get("unanswered", 0), told),
        "billed": platform.billed_rows(task.rows),
        "quoted": None if platform.price_per_10000 is None else usd(platform.cost_nano(task.rows)),
        "charged": usd(task.cost_nano),
        "took_s": None if took_s is None else round(max(0.0, took_s), 3),
        "rest_tasks": rest.tasks,
        "rest_numbers": rest.rows,
        "rest_cost": rest.cost_usd,
    }
