"""What a job still costs against what it may cost: one reckoning and one judgement for all commands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.errors import ExitCode
from orchestrator.records import NANO, ReusedSums
from orchestrator.report.printed import money
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.ledger import Ledger
    from orchestrator.records import Standing, Task
    from orchestrator.settings import Settings

TOLERANCE: Final = 1.001
"""An end that is dearer than planned by less is not worth a word: vendors round amounts up."""


@dataclass(frozen=True, slots=True)
class PlannedCost:
    """What a platform's tasks that were not sent yet will cost; `cost_usd` is None without a price.

    `priced_usd` is what the price alone gives, whatever the vendor has told so far; `billed` are the rows it bills.
    What was `reused` is not sent.
    """

    platform: str
    tasks: int
    rows: int
    skipped: int
    cost_usd: float | None
    priced_usd: float | None = None
    billed: int = 0
    price_per_10000: float | None = None
    reused: ReusedSums = ReusedSums()  # noqa: RUF009 - frozen, so one for all is safe

    @property
    def saved_usd(self) -> float | None:
        """What sending the numbers would cost at most whose verdicts were taken from earlier jobs."""
        return None if self.price_per_10000 is None else round(self.reused.numbers * self.price_per_10000 / 10_000, 9)


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a run would not send what is planned: `code` is how it would end, `text` names the way out.

    `needed_usd` is the max_cost that would do, None where another thing is missing.
    """

    code: ExitCode
    text: str
    needed_usd: float | None = None

    @property
    def finding_code(self) -> ExitCode:
        """How a command that only plans ends: what it needs itself is all there, so nothing is wrong with its use."""
        return ExitCode.SOME_FAILED if self.code is ExitCode.USAGE else self.code


def planned_costs(
    ledger: Ledger,
    settings: Settings,
    *,
    further: Mapping[str, Sequence[int]] | None = None,
    last_chunks: Mapping[str, int] | None = None,
) -> tuple[PlannedCost, ...]:
    """Return, per platform in config order, what is still to be sent, with tasks of `further` sizes, if any.

    With `last_chunks` only what is to be sent of a platform up to that chunk counts, and nothing of one without any.

    Where the vendor has told more than the price gave so far, the rest is expected to cost accordingly more.
    """
    standing = ledger.platforms.standing()
    costs = []
    for name, platform in settings.platforms.items():
        last_chunk = None if last_chunks is None else last_chunks.get(name, 0)
        sizes = Counter(ledger.tasks.planned_sizes(name, last_chunk=last_chunk)) + Counter(
            (further or {}).get(name, ())
        )
        so_far = standing[name].money
        is_unpriced = platform.price_per_10000 is None and not settings.is_sandbox  # that one costs nothing
        priced = sum(platform.cost_nano(rows) * tasks for rows, tasks in sizes.items())
        nano = sum(so_far.expected(platform.cost_nano(rows)) * tasks for rows, tasks in sizes.items())
        costs.append(
            PlannedCost(
                platform=name,
                tasks=sum(sizes.values()),
                rows=sum(rows * tasks for rows, tasks in sizes.items()),
                skipped=standing[name].tasks(State.SKIPPED),
                reused=standing[name].reused,
                cost_usd=None if is_unpriced else nano / NANO,
                billed=sum(platform.billed_rows(rows) * tasks for rows, tasks in sizes.items()),
                price_per_10000=platform.price_per_10000,
                priced_usd=None if is_unpriced else priced / NANO,
            )
        )
    return tuple(costs)


def total_cost(costs: Sequence[PlannedCost]) -> float | None:
    """Return the planned cost in USD; None when a platform that has tasks to send has no price."""
    due = [cost.cost_usd for cost in costs if cost.tasks]
    known = [cost for cost in due if cost is not None]
    return round(sum(known), 9) if len(known) == len(due) else None


def shortfall(balance_usd: float | None, costs: Sequence[PlannedCost]) -> str:
    """Say how much a balance lacks for what is still to be sent to its vendor; "" when nothing, or nobody knows."""
    cost_usd = total_cost(costs)
    if balance_usd is None or not cost_usd or balance_usd + 1 / NANO >= cost_usd:
        return ""
    return (
        f"the balance is {money(round(balance_usd, 9))}, what is left to send there costs {money(cost_usd)}: "
        f"{money(round(cost_usd - balance_usd, 9))} are missing; top it up"
    )


def outlook(standings: Iterable[Standing], costs: Sequence[PlannedCost]) -> str:
    """Say by how much the job will be dearer than its prices gave, by what is known so far; "" when it won't be."""
    if total_cost(costs) is None:
        return ""
    spent = [(standing.money.spent, standing.money.quoted) for standing in standings]
    planned_usd = sum(quoted for _, quoted in spent) / NANO + sum(cost.priced_usd or 0.0 for cost in costs)
    expected_usd = sum(nano for nano, _ in spent) / NANO + sum(cost.cost_usd or 0.0 for cost in costs)
    if expected_usd <= planned_usd * TOLERANCE:
        return ""
    return (
        f"by what is spent so far the job will cost {money(round(expected_usd, 9))} in the end, "
        f"{money(round(expected_usd - planned_usd, 9))} more than planned: set price_per_10000 and billing_block to "
        "what the vendor takes, and see orchestrator plan"
    )


def cost_again(settings: Settings, task: Task) -> float | None:
    """Return what another submit of a task would cost in USD; None where no price is known."""
    platform = settings.platforms.get(task.key.platform)
    if platform is None or (platform.price_per_10000 is None and not settings.is_sandbox):
        return None
    return platform.cost_nano(task.rows) / NANO


def objection(
    settings: Settings, costs: Sequence[PlannedCost], spent_nano: int, others_nano: int = 0
) -> Objection | None:
    """Return what speaks against sending what `costs` has, when `spent_nano` (1e-9 USD) are spent; None when nothing.

    Other jobs have spent `others_nano` of the same budget. The embedded vendor costs nothing.
    """
    if settings.is_sandbox or not any(cost.tasks for cost in costs):
        return None
    cost_usd, max_cost, spent_usd = total_cost(costs), settings.budget.max_cost, (spent_nano + others_nano) / NANO
    if cost_usd is None:
        unpriced = [cost.platform for cost in costs if cost.tasks and cost.cost_usd is None]
        return Objection(
            ExitCode.USAGE,
            f"no price is known for {', '.join(unpriced)}, so no budget can hold; set its price_per_10000",
        )
    needed_usd = round(spent_usd + cost_usd, 9)
    if max_cost is None:
        return Objection(
            ExitCode.USAGE,
            f"[budget] max_cost is not set, and without it nothing is sent; the plan costs {money(cost_usd)}; set "
            f"max_cost to {money(needed_usd)} or more if it is worth it",
        )
    if needed_usd > max_cost + 1 / NANO:
        spent = f", {money(spent_usd)} are spent" if spent_usd else ""
        spent += f" ({money(others_nano / NANO)} of them by other jobs with the same key)" if others_nano else ""
        alone = ", or [budget] shared to false if that is none of this job's" if others_nano else ""
        return Objection(
            ExitCode.OVER_BUDGET,
            f"what is left to send costs {money(cost_usd)}{spent}, and [budget] max_cost is {money(max_cost)}: "
            f"{money(round(needed_usd - max_cost, 9))} are missing; set max_cost to {money(needed_usd)} or more if it "
            f"is worth it{alone}",
            needed_usd,
        )
    return None
