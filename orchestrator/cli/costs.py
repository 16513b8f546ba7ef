"""What is still to be sent and what it costs, as `plan` and `retry` say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.report.printed import count, duration, money, without_zeros

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.job.budget import PlannedCost


def costs_content(platforms: Iterable[PlannedCost]) -> dict[str, Any]:
    """Return tasks, numbers, billed rows, price and cost of each platform."""
    from orchestrator.report.summary import reused_content

    return {
        p.platform: {
            "tasks": p.tasks,
            "numbers": p.rows,
            "billed": p.billed,
            "skipped": p.skipped,
            "price_per_10000": p.price_per_10000,
            "cost": p.cost_usd,
            **({"reused": reused_content(p.reused), "saved": p.saved_usd} if p.reused.tasks else {}),
        }
        for p in platforms
    }


def _reused(platforms: Mapping[str, Any]) -> Iterator[str]:
    for name, costs in platforms.items():
        if (reused := costs.get("reused")) is None or not reused["numbers"] + reused["asked_again"]:
            continue
        saved = "" if costs["saved"] is None else f", which saves {money(costs['saved'])}"
        oldest = "" if reused["oldest"] is None else f" (the oldest of {reused['oldest'][:10]})"
        yield f"{name}: {count(reused['numbers'])} numbers are known from earlier jobs{oldest}{saved}"
        if again := reused["asked_again"]:
            yield f"{name}: {count(again)} more, the oldest, are asked again, as it takes no file that is shorter"


def _conditions(platforms: Mapping[str, Any]) -> Iterator[str]:
    for name, costs in platforms.items():
        if (its := costs.get("only_if")) is None:
            continue
        other, _, word = its["only_if"].partition(" == ")
        most = f"{count(its['at_most'])}, {money(its['at_most_usd'])}"
        yield f"{name}: asked only for numbers with {its['only_if']}: up to {most}"
        if (share := its["share"]) is None:
            yield f"{name}: how many that are, and what it saves, a trial of {other} tells"
            continue
        saved = (
            "" if its["saved_usd"] is None else f": {money(its['expected_usd'])}, which saves {money(its['saved_usd'])}"
        )
        shares = f"{share['share']:.0%} of those asked so far ({share['low']:.0%} to {share['high']:.0%})"
        yield f"{name}: {other} says {word} of {shares}{saved}"
        if (below := its["cheaper_below"]) is not None:
            yield (
                f"{name}: no other order is cheaper"
                if not below
                else f"{name}: asking it first, and {other} only if {name} == {word}, is cheaper where fewer than "
                f"{below:.0%} of all numbers have that"
            )


def cost_lines(plan: Mapping[str, Any], width: int) -> list[str]:
    """Show what `costs_content` has as a table, above the sum and the limit."""
    rows = [
        (
            name,
            *(count(costs[key]) for key in ("tasks", "numbers")),
            # Said where it says anything: most vendors bill as many as were sent.
            count(costs["billed"] if costs["billed"] != costs["numbers"] else 0),
            count(costs["skipped"]),
            money(costs["price_per_10000"]),
            money(costs["cost"]),
            duration(costs["expected_s"]) if "expected_s" in costs else "0",
        )
        for name, costs in plan["platforms"].items()
    ]
    header = ("platform", "tasks", "numbers", "billed", "skipped", "per 10,000", "cost", "takes")
    body = [*without_zeros(header, rows, width), *_reused(plan["platforms"]), *_conditions(plan["platforms"])]
    if plan.get("sandbox"):
        return [*body, f"planned cost {money(plan['cost'])} at a vendor; the embedded one is free"]
    limit = "no max_cost is set" if plan["max_cost"] is None else f"max_cost {money(plan['max_cost'])}"
    if others := plan.get("others_cost"):
        limit += f", of which other jobs with the same key have spent {money(others)}"
    picked = [its["at_most_usd"] for costs in plan["platforms"].values() if (its := costs.get("only_if"))]
    most = ""
    if plan["cost"] is not None and None not in picked and any(picked):
        most = f", up to {money(round(plan['cost'] + sum(picked), 9))} with what only_if picks"
    return [*body, f"planned cost {money(plan['cost'])}{most}, {limit}"]
