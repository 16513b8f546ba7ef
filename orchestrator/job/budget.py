"""What a job still costs against what it may cost: one judgement for `plan`, `run` and `retry`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import ExitCode
from orchestrator.job.ledger_plan import NANO, total_cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.job.ledger_plan import PlannedCost
    from orchestrator.settings import Settings


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a run would not send what is planned: `code` is how it would end, `text` names the way out."""

    code: ExitCode
    text: str


def objection(settings: Settings, costs: Sequence[PlannedCost], spent_nano: int) -> Objection | None:
    """Return what speaks against sending what `costs` has, when `spent_nano` (1e-9 USD) are spent; None when nothing.

    The embedded vendor costs nothing.
    """
    if settings.is_sandbox or not any(cost.tasks for cost in costs):
        return None
    if unpriced := [cost.platform for cost in costs if cost.tasks and cost.cost_usd is None]:
        return Objection(
            ExitCode.USAGE,
            f"no price is known for {', '.join(unpriced)}, so no budget can hold; set its price_per_10000",
        )
    cost_usd, max_cost, spent_usd = total_cost(tuple(costs)) or 0.0, settings.budget.max_cost, spent_nano / NANO
    if max_cost is None:
        return Objection(
            ExitCode.USAGE,
            f"[budget] max_cost is not set, and without it nothing is sent; the plan costs {cost_usd:.4f} USD; set "
            "max_cost to what it may cost",
        )
    if spent_usd + cost_usd > max_cost + 1 / NANO:
        spent = f", {spent_usd:.4f} USD are spent" if spent_nano else ""
        return Objection(
            ExitCode.OVER_BUDGET, f"the plan costs {cost_usd:.4f} USD{spent}, and max_cost is {max_cost:g} USD"
        )
    return None
