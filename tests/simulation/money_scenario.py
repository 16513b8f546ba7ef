"""What a seed decides about money: a job of the month before, conditions, prices that move, quotes, a tight budget.

It is drawn over the world of the same seed (`scenario.drawn`), whose list, faults, kills and growth it keeps.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from tests.simulation.faults import OF_RESULT
from tests.simulation.listing import numbers_in
from tests.simulation.scenario import DAY_S, KNOWN, PRICES, PlatformDraw, Scenario, drawn, stream

FACTORS = (1.0, 0.35, 1.7, 0.0035, 40.0)
"""What a price may become; such that every number costs a whole number of nano-dollars."""
ERRANDS = ("retry", "retry", "extend", "mend", "price", "older copy", "plan", "merge", "verify")
EARLIER_S = 40 * DAY_S
"""How long ago the month before was."""
DAYS = {"30": (), "90": ("yes", "no"), "{yes = 90, no = 14}": ("yes",), "{yes = 14, no = 90}": ("no",)}
"""What `[reuse] days` may say, and which words are young enough by it."""
NANO_USD = 1e-9
OTHER_ID = "after: id of another"
"""What the vendor tells of that task's cost is another's, of the month before even: nobody could count it right."""


@dataclass(frozen=True)
class PricedPlatform(PlatformDraw):
    """A platform with a price of its own, whole blocks that are billed, and maybe a condition."""

    factor: float = 1.0
    block: int = 1
    only_if: tuple[str, str] = ("", "")

    @property
    def price(self) -> float:
        """What 10,000 numbers cost, in USD."""
        return round(PRICES.get(self.kind, 1.0) * self.factor, 9)

    def cost(self, rows: int) -> float:
        """Return what a task costs, in USD."""
        return round(-(-rows // self.block) * self.block * self.price / 10_000, 9)

    def toml(self) -> str:
        told = {"price_per_10000": f"{self.price:.9f}", "billing_block": str(self.block)}
        lines = [line for line in super().toml().splitlines() if line.partition(" = ")[0] not in told]
        lines += [f"{key} = {value}" for key, value in told.items()]
        if self.only_if[0]:
            lines.append(f'only_if = "{self.only_if[0]} == {self.only_if[1]}"')
        return "\n".join(lines)


@dataclass(frozen=True)
class MoneyScenario(Scenario):
    """A seed's world of money. `month_before` are the lines of an earlier job, () for none, which `days` go by.

    `limit_usd` is the budget while there are faults, `balance_usd` what the account has then, None for plenty.
    `quotes` is how often a run is held to a quote.
    """

    month_before: tuple[str, ...] = ()
    days: str = "90"
    limit_usd: float = 0.0
    balance_usd: float | None = None
    quotes: float = 0.0

    @property
    def priced(self) -> list[PricedPlatform]:
        return [platform for platform in self.platforms if isinstance(platform, PricedPlatform)]

    def max_cost(self, *, healed: bool) -> float:
        return 1_000.0 if healed else self.limit_usd

    def bound_s(self, tasks: int = 0) -> float:
        return super().bound_s(tasks) * len(self.platforms)  # they may wait for one another

    def month_toml(self, base_urls: dict[str, str]) -> str:
        """Write the configuration of the month before: all platforms are asked for all of its numbers."""
        plain = [replace(platform, only_if=("", ""), least=1) for platform in self.priced]
        text = super().toml(base_urls, healed=True, platforms=plain, directory="earlier")
        return text.replace(f"list.{self.table}", "earlier.txt")

    def toml(
        self,
        base_urls: dict[str, str],
        *,
        healed: bool = False,
        platforms: Sequence[PlatformDraw] | None = None,
        **where: str,
    ) -> str:
        text = super().toml(base_urls, healed=healed, platforms=platforms, **where)
        return f'{text}\n[reuse]\njobs = ["earlier"]\ndays = {self.days}\n' if self.month_before else text


def drawn_money(seed: int, *, faults: Sequence[str] | None = None, rate: float = 0.3) -> MoneyScenario:
    """Draw the world of a seed; `faults` by name instead of drawn ones."""
    world = drawn(seed, faults=faults, rate=rate)
    money = stream(seed, "a world of money")
    block = money.choice((1, 1, 1, 7, 100))
    least = money.choice((1, 1, 1, 4, 9))
    platforms = _conditions(money, [_priced(money, it, block) for it in _some(money, world)])
    # What is left may be short of the least where something is known, or fits: a shorter list would be refused.
    chunk_size = max(world.chunk_size, least)
    most = chunk_size if _comes_out(len(world.numbers), least, chunk_size) and money.random() < 0.5 else 10_000_000
    platforms = tuple(replace(it, least=least, most=most) for it in platforms)
    full = sum(_most(platform, len(world.numbers), chunk_size) for platform in platforms)
    task = platforms[0].cost(chunk_size)
    known = () if money.random() < 0.4 else _month_before(money, world.lines)
    kept = {field.name: getattr(world, field.name) for field in fields(Scenario)}
    kept |= {
        "chunk_size": chunk_size,
        "platforms": platforms,
        "vendors": {"main": world.vendors["main"]},
        "newcomer": None,
        "growth": world.growth if least == 1 else (),  # what comes with it may be too few for a file
        "embedded": False,
        "keep": False,
        "formats": ("csv",),
        "errands": tuple(money.sample(ERRANDS, money.choice((0, 1, 2, 3)))),
        "faults": tuple(name for name in world.faults if name not in (*OF_RESULT, OTHER_ID)),
        "options": replace(
            world.options,
            min_rows=dict.fromkeys(KNOWN, least),
            billing_block=block,
            currency=money.choice(("USD", None, "EUR")),
        ),
    }
    limit = money.choice((2 * full, full, full - NANO_USD, full / 2, task, task - NANO_USD, 3 * task + NANO_USD, 0.0))
    return MoneyScenario(
        **kept,
        month_before=known,
        days=money.choice(tuple(DAYS)),
        limit_usd=max(0.0, limit),
        balance_usd=money.choice((None, None, None, full / 2, task)),
        quotes=money.choice((0.0, 0.3, 0.9)),
    )


def _some(money: random.Random, world: Scenario) -> list[PlatformDraw]:
    """Return the platforms of a world, up to three of them; those that are added are like the first."""
    there = [replace(it, vendor="main") for it in world.platforms]
    others = [kind for kind in KNOWN if kind not in {it.kind for it in there}]
    wanted = money.choice((1, 2, 2, 3, 3))
    while len(there) < wanted:
        there.append(replace(there[0], kind=others.pop()))
    return there[:wanted]


def _priced(money: random.Random, platform: PlatformDraw, block: int) -> PricedPlatform:
    own = {field.name: getattr(platform, field.name) for field in fields(PlatformDraw)}
    return PricedPlatform(**own, factor=1.0, block=block)


def _conditions(money: random.Random, platforms: list[PricedPlatform]) -> tuple[PricedPlatform, ...]:
    """Let platforms hang on others, in chains and beside one another, and stand in any order."""
    bound = [platforms[0]]
    for place, platform in enumerate(platforms[1:], 1):
        other = money.choice(platforms[:place]).name
        word = money.choice(("yes", "yes", "no"))
        bound.append(replace(platform, only_if=(other, word) if money.random() < 0.7 else ("", "")))
    money.shuffle(bound)
    return tuple(bound)


def _month_before(money: random.Random, lines: tuple[str, ...]) -> tuple[str, ...]:
    """Draw what the month before has asked for: some of the list, or all of it, and others beside."""
    numbers = list(numbers_in(lines))
    some = money.sample(numbers, money.choice((1, len(numbers) // 2, len(numbers) - 2, len(numbers))))
    return (*some, *(f"+4176{number:07d}" for number in range(1, money.choice((2, 9)))))


def _comes_out(numbers: int, least: int, chunk_size: int) -> bool:
    """Whether a list can be cut into full files, but for the last two, of which none is too small."""
    rest = numbers % chunk_size
    return rest == 0 or rest >= least or (numbers > chunk_size and (chunk_size + rest) // 2 >= least)


def _most(platform: PricedPlatform, numbers: int, chunk_size: int) -> float:
    full, rest = divmod(numbers, chunk_size)
    return full * platform.cost(chunk_size) + (platform.cost(rest) if rest else 0.0)
