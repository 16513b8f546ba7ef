"""What is still to be sent and what it costs, as `plan` and `retry` say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.report.printed import count, money, without_zeros

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.job.budget import PlannedCost


def costs_content(platforms: Iterable[PlannedCost]) -> dict[str, Any]:
    """Return tasks, numbers and cost of each platform."""
    return {
        p.platform: {"tasks": p.tasks, "numbers": p.rows, "skipped": p.skipped, "cost": p.cost_usd} for p in platforms
    }


def cost_lines(plan: Mapping[str, Any], width: int) -> list[str]:
    """Show what `costs_content` has as a table, above the sum and the limit."""
    rows = [
        (name, *(count(costs[key]) for key in ("tasks", "numbers", "skipped")), money(costs["cost"]))
        for name, costs in plan["platforms"].items()
    ]
    body = without_zeros(("platform", "tasks", "numbers", "skipped", "cost"), rows, width)
    limit = "no max_cost is set" if plan["max_cost"] is None else f"max_cost {money(plan['max_cost'])}"
    return [*body, f"planned cost {money(plan['cost'])}, {limit}"]
