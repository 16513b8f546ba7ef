"""What a seed decides before anything happens: the list, the configuration, the vendor, the faults, the operator."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.sandbox import FAULTS, Options
from tests.simulation.faults import BEYOND, OF_ADDRESS, OF_LINE, OF_STORE, drawn_names
from tests.simulation.listing import KINDS, Keep, drawn_lines, grown, numbers_in

KEY = "k-simulated-0123456789abcdef"
EPOCH = 1_763_740_000.0
DAY_S = 86_400.0
KNOWN = {
    "instagram": ("simple", "/ins/api/simple/tasks", ""),
    "amazon": ("v1", "/v1/tasks", "amazon"),
    "twitter": ("simple", "/x/api/simple/tasks", ""),
    "viber": ("v1", "/v1/tasks", "viber"),
}
"""Platforms, as the sandbox knows them: style, path, task type."""
PRICES = {"amazon": 2.0}
SMALL = ("instagram", "twitter", "viber")
"""Those of which the embedded vendor takes files of any size."""
OTHER_NAMES = ("first", "second", *KNOWN)
"""What a platform may be called instead: some names are those of other platforms."""
SECURED_SHARE = 0.05
LOOKS = ("plan", "merge", "verify", "status")
ERRANDS = ("retry", "retry", "extend", "join", "leave", "mend", "older copy", *LOOKS)
"""What an operator may do between two runs; only looking changes nothing."""
CURIOUS = (*ERRANDS, "rename", "lose")
"""What a curious one does before a faulty run."""


def stream(seed: int, name: str) -> random.Random:
    """Give a source of chance of its own, so that drawing more from one changes nothing in another."""
    return random.Random(f"{seed} {name}")  # noqa: S311 - a seed has to be repeatable


@dataclass(frozen=True)
class PlatformDraw:
    """One platform's table of the configuration.

    `kind` is what the vendor calls it, whatever its name is by now. `by_default` says nothing of its columns. A file
    has `least` numbers, and no more than `most`.
    """

    kind: str
    vendor: str
    rate: float
    max_in_flight: int
    canary: bool
    called: str = ""
    by_default: bool = False
    least: int = 1
    most: int = 10_000_000

    @property
    def name(self) -> str:
        return self.called or self.kind

    def toml(self) -> str:
        style, path, task_type = KNOWN[self.kind]
        lines = [
            f"[platforms.{self.name}]",
            f'vendor = "{self.vendor}"',
            f'style = "{style}"',
            f'path = "{path}"',
            f"requests_per_second = {self.rate}",
            f"max_in_flight = {self.max_in_flight}",
            f"canary = {str(self.canary).lower()}",
            f"price_per_10000 = {PRICES.get(self.kind, 1.0)}",
            f"min_rows = {self.least}",
            f"max_rows = {self.most}",
        ]
        lines += [] if self.by_default else [f'result_columns = ["{self.kind}", "activated"]']
        return "\n".join(lines + ([f'task_type = "{task_type}"'] if task_type else []))


@dataclass(frozen=True)
class Night:
    """The machine is suspended: the world goes on for `lasts_s`, the loop's clock does not, and connections die.

    `silent`: they do not say so.
    """

    at_s: float
    lasts_s: float
    silent: bool


@dataclass(frozen=True)
class Away:
    """A job whose ledger is in a database, and whose directory may be in a bucket.

    `lost_disks` is the chance that a coordinator that is killed loses its disk, `taken_over` that a faulty run is
    frozen, replaced and woken. The `troubles` strike trips to the database and calls of the store.
    """

    in_bucket: bool
    lease_s: float = 30.0
    lost_disks: float = 0.0
    taken_over: float = 0.0
    troubles: tuple[str, ...] = ()
    rate: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """One seed's world. Times in seconds of the event loop, from the start.

    `growth` are later states of the list, `newcomer` a platform that may join. `embedded` means base_url = "sandbox",
    `secured` that vendors go by a name and speak TLS. `errands` are done once all is finished, each followed by runs to
    the next end; `curiosity` is the chance of one before each of the faulty runs. The vendor takes up to `slow_s` to
    answer a submit; a faulty run that says so is repeated up to `repeats` times before anybody looks.
    """

    seed: int
    lines: tuple[str, ...]
    numbers: tuple[str, ...]
    chunk_size: int
    platforms: tuple[PlatformDraw, ...]
    vendors: dict[str, float]
    polling: tuple[float, float, float]
    backoff: tuple[float, float, float]
    budget_share: float
    formats: tuple[str, ...]
    takes_s: float
    sandbox_faults: tuple[str, ...]
    options: Options
    faults: tuple[str, ...]
    rate: float
    slow_disk: bool
    jumps: tuple[tuple[float, float], ...]
    faulty_runs: int
    heals_in_a_run: bool
    table: str = "txt"
    keep: Keep = False
    growth: tuple[tuple[str, ...], ...] = ()
    newcomer: PlatformDraw | None = None
    embedded: bool = False
    secured: bool = False
    nights: tuple[Night, ...] = ()
    curiosity: float = 0.0
    errands: tuple[str, ...] = ()
    purged: bool = False
    slow_s: float = 0.0
    repeats: int = 0
    trial_rows: int | None = None
    away: Away | None = None

    @property
    def chunks(self) -> int:
        return -(-len(self.numbers) // self.chunk_size)

    @property
    def full_cost(self) -> float:
        return sum(PRICES.get(p.kind, 1.0) * len(self.numbers) / 10_000 for p in self.platforms)

    @property
    def pace(self) -> float:
        """How fast the vendor works, in numbers a second."""
        return self.chunk_size / self.takes_s

    def max_cost(self, *, healed: bool) -> float:
        """Return the budget: enough for everything and every resubmit once the faults have stopped."""
        return 100.0 if healed else self.full_cost * self.budget_share

    @property
    def everyone(self) -> tuple[PlatformDraw, ...]:
        """All platforms that the job ever has."""
        return (*self.platforms, *((self.newcomer,) if self.newcomer else ()))

    def bound_s(self, tasks: int = 0) -> float:
        """Return how long a run of at most so many tasks without faults may take: a few times of what it does."""
        slowest = min(*self.vendors.values(), *(p.rate for p in self.everyone))
        at_once = min(self.options.max_in_flight or 20, *(p.max_in_flight for p in self.everyone))
        tasks = max(tasks, self.chunks * len(self.platforms))
        _, longest_s, _ = self.polling
        each_s = self.takes_s * 1.25 + 2 * longest_s + 30
        each_s += self.slow_s
        return (
            300.0
            + (2 + tasks / at_once) * each_s
            + tasks * self.slow_s
            + tasks * 40 / slowest
            + 3600.0 * self.heals_in_a_run
        )

    def toml(
        self,
        base_urls: dict[str, str],
        *,
        healed: bool = False,
        platforms: Sequence[PlatformDraw] | None = None,
        directory: str = "job",
        database: str = "",
    ) -> str:
        """Write the configuration, for vendors at `base_urls` and, when they are not all, some `platforms`.

        `directory` and `database` are where directory and ledger are.
        """
        lines = [
            "[job]",
            'name = "sim"',
            f'inputs = ["list.{self.table}"]',
            f'directory = "{directory}"',
            f"chunk_size = {self.chunk_size}",
            *([] if self.trial_rows is None else [f"trial_rows = {self.trial_rows}"]),
            "max_rejected = 1.0",
            "[polling]",
            "min_interval_s = {}\nmax_interval_s = {}\ngive_up_after_h = {}".format(*self.polling),
            "[backoff]",
            "base_delay_s = {}\nmax_delay_s = {}\ngive_up_after_s = {}".format(*self.backoff),
            "[budget]",
            f"max_cost = {self.max_cost(healed=healed):.9f}",
            "[output]",
            f"formats = {list(self.formats)}",
            f"keep_columns = {str(self.keep).lower() if isinstance(self.keep, bool) else list(self.keep)}",
            "[workers]",
            "count = 2",
        ]
        if self.away is not None:
            lines += ["[ledger]", f'url = "{database}"', f"lease_s = {self.away.lease_s}"]
            lines += ["[storage]", 'scratch = "scratch"']
        for name, rate in self.vendors.items():
            lines += [f"[vendors.{name}]", f'base_url = "{base_urls[name]}"', f"requests_per_second = {rate}"]
        if self.embedded:
            lines += [
                "[sandbox]",
                f"seed = {self.seed}",
                f"faults = {list(self.sandbox_faults)}",
                f"pace = {self.pace}",
            ]
        chosen = self.platforms if platforms is None else platforms
        return "\n".join([*lines, *(platform.toml() for platform in chosen), ""])


def drawn(seed: int, *, faults: Sequence[str] | None = None, rate: float = 0.3) -> Scenario:
    """Draw the world of a seed; `faults` by name instead of drawn ones."""
    chance = stream(seed, "scenario")
    life = stream(seed, "life")
    lines = drawn_lines(chance)
    numbers = numbers_in(lines)
    chunk_size = max(chance.choice((5, 10, 20, 40, 60)), -(-len(numbers) // 16))
    names, drawn_rate = drawn_names(stream(seed, "faults"))
    embedded = faults is None and life.random() < 0.06
    address = stream(seed, "address")
    secured = faults is None and not embedded and address.random() < SECURED_SHARE
    if secured:
        names = (*names, *address.sample(OF_ADDRESS, address.choice((1, 1, 2, len(OF_ADDRESS)))))
        drawn_rate = drawn_rate or 0.2
    vendors = {"main": _rate(chance)} | ({"other": _rate(chance)} if chance.random() < 0.2 and not embedded else {})
    platforms, newcomer = _platforms(chance, life, list(vendors), SMALL if embedded else tuple(KNOWN))
    least_s = chance.choice((0.0, 0.2, 1.0, 5.0))
    base_s = chance.choice((0.1, 1.0, 5.0))
    at_once = chance.choice((None, None, None, 2))
    # A vendor that takes few tasks at a time throttles for a minute: that must not count as out of reach.
    give_up_s = chance.choice((20.0, 300.0, 3600.0)) if at_once is None else 3600.0
    takes_s = chance.choice((0.1, 3.0, 30.0, 600.0))
    longest_s = max(least_s + chance.choice((2.0, 30.0, 300.0)), takes_s / 10)  # or a seed is nothing but polling
    table, keep = _form(life)
    errands, growth = _errands(life, lines)
    beyond = stream(seed, "beyond")
    if faults is None and not embedded and beyond.random() < 0.25:
        names = (*names, *beyond.sample(BEYOND, beyond.choice((1, 1, 2, 3))))
        drawn_rate = drawn_rate or beyond.choice((0.2, 0.6))
    if beyond.random() < 0.25:
        errands = (*errands, *("lose",) * beyond.choice((1, 1, 2)))
    naming = stream(seed, "naming")
    if naming.random() < 0.25:
        shuffled = [*errands, *("rename",) * naming.choice((1, 1, 2, 3))]
        naming.shuffle(shuffled)
        errands = tuple(shuffled)
    platforms = tuple(replace(platform, by_default=naming.random() < 0.5) for platform in platforms)
    money = stream(seed, "money")
    return Scenario(
        seed=seed,
        trial_rows=money.choice((None, None, 0, 1, 4, 30)),
        lines=lines,
        numbers=numbers,
        chunk_size=chunk_size,
        platforms=platforms,
        vendors=vendors,
        polling=(least_s, longest_s, chance.choice((0.02, 0.2, 1.0))),
        backoff=(base_s, base_s + chance.choice((1.0, 20.0, 60.0)), give_up_s),
        budget_share=chance.choice((0.5, 1.0, 1.0, 3.0, 3.0)),
        formats=("csv", *life.choices(((), ("xlsx",), ("parquet",), ("parquet", "xlsx")), (90, 4, 4, 2))[0]),
        takes_s=takes_s,
        sandbox_faults=_sandbox_faults(chance),
        options=Options(
            min_rows=dict.fromkeys(KNOWN, 1),
            max_in_flight=at_once,
            link_lifetime_s=chance.choice((5, 3600)),
            currency=money.choice(("USD", "USD", None, "EUR")),
        ),
        faults=names if faults is None else tuple(faults),
        rate=drawn_rate if faults is None else rate,
        slow_disk=chance.random() < 0.2,
        jumps=() if embedded else _jumps(chance),
        faulty_runs=chance.choice((0, 1, 2, 3, 5)),
        heals_in_a_run=chance.random() < 0.3,
        table=table,
        keep=keep,
        growth=growth,
        newcomer=newcomer,
        embedded=embedded,
        secured=secured,
        nights=_nights(life),
        curiosity=life.choice((0.0, 0.0, 0.3, 0.8)),
        errands=errands,
        purged=life.random() < 0.2,
        slow_s=beyond.choices((0.0, 6.0, 25.0), (85, 10, 5))[0] if not embedded else 0.0,
        repeats=beyond.choices((0, 5, 15), (80, 12, 8))[0],
    )


def moved(scenario: Scenario, *, in_bucket: bool) -> Scenario:
    """Return the same world with the ledger in a database, and the directory in a bucket, or here.

    An embedded vendor is a process of its own there: it would go with the disk.
    """
    chance = stream(scenario.seed, "away")
    fitting = (*OF_LINE, *OF_STORE) if in_bucket else OF_LINE
    names = chance.sample(fitting, chance.choice((0, 1, 1, 2, 3)))
    away = Away(
        in_bucket,
        lease_s=chance.choice((5.0, 30.0, 30.0, 120.0)),
        lost_disks=chance.choice((0.0, 0.5, 1.0)),
        taken_over=chance.choice((0.0, 0.3, 0.8)),
        troubles=tuple(names),
        rate=chance.choice((0.01, 0.05, 0.2)),
    )
    return replace(scenario, away=away, embedded=False)


def _platforms(
    chance: random.Random, life: random.Random, vendors: list[str], known: tuple[str, ...]
) -> tuple[tuple[PlatformDraw, ...], PlatformDraw]:
    """Draw the platforms of the beginning, and the one that may join them."""

    def platform(name: str, chance: random.Random) -> PlatformDraw:
        in_flight = chance.choice((1, 2, 4, 20))
        return PlatformDraw(name, chance.choice(vendors), _rate(chance), in_flight, chance.random() < 0.6)

    first = chance.sample(known, min(chance.choice((1, 2, 2, 3)), len(known) - 1))
    others = [name for name in known if name not in first]
    return tuple(platform(name, chance) for name in first), platform(life.choice(others), life)


def _form(life: random.Random) -> tuple[str, Keep]:
    """Draw what kind of file the list is, and which of its columns are kept."""
    table = life.choices(KINDS, (70, 18, 4, 5, 3))[0]
    keep: Keep = life.choice((False, True, ("city",))) if table != "txt" else False
    return table, keep


def _errands(life: random.Random, lines: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Draw what is done after the end, and how the list grows."""
    errands = tuple(life.sample(ERRANDS, life.choice((0, 0, 1, 1, 2, 3))))
    once = grown(life, lines, "+4178")
    return errands, (once, grown(life, once, "+4176"))


def _jumps(chance: random.Random) -> tuple[tuple[float, float], ...]:
    return tuple(
        (chance.uniform(0, 600), chance.choice((-DAY_S, DAY_S, -60.0, 3600.0)))
        for _ in range(chance.choice((0, 0, 1, 3)))
    )


def _nights(life: random.Random) -> tuple[Night, ...]:
    if life.random() < 0.75:
        return ()
    at_s = life.choice((1.0, 30.0, 600.0)) * life.random()
    return (Night(at_s, life.choice((600.0, 8 * 3600.0, 3 * DAY_S)), life.random() < 0.5),)


def _rate(chance: random.Random) -> float:
    return chance.choice((0.5, 2.0, 5.0, 20.0, 100.0, math.inf))


def _sandbox_faults(chance: random.Random) -> tuple[str, ...]:
    kind = chance.random()
    if kind < 0.4:
        return ()
    if kind < 0.8:
        return tuple(chance.sample(FAULTS, 2))
    return FAULTS
