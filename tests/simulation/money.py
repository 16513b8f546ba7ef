"""One seed of a world of money: the same operator with a budget, quotes, prices that move, and a month before.

What it looks at is the vendor's own: the files that were uploaded there, and what it has charged for them.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.config import load
from orchestrator.errors import ExitCode
from orchestrator.job.run import RunOptions
from orchestrator.jobdir.verdict_words import OWN_WORDS
from orchestrator.sandbox import read_tasks
from tests.simulation.checks import promise
from tests.simulation.commands import merge_job, plan_job, run_job
from tests.simulation.money_checks import check_cells, check_money, check_quote_held, check_trial
from tests.simulation.money_scenario import DAYS, EARLIER_S, FACTORS, MoneyScenario, PricedPlatform
from tests.simulation.whole import FINAL, Operator

if TYPE_CHECKING:
    from orchestrator.sandbox import Sandbox, TaskRecord
    from orchestrator.settings import Settings
    from tests.simulation.expectation import Cells
    from tests.simulation.runs import End


@dataclass(frozen=True)
class Quoted:
    """A quote with what it was made of; `decisions` counts what a person did that may pay for something again."""

    content: dict[str, Any]
    list_and_prices: tuple[Any, ...]
    decisions: int


class MoneyOperator(Operator):
    """A person who pays: looks at quotes, holds runs to them, and tops up."""

    scenario: MoneyScenario

    def begin_list(self) -> None:
        super().begin_list()
        self.earlier_tasks = 0
        self.known: dict[str, dict[str, str]] = {platform.name: {} for platform in self.platforms}
        self.quote: Quoted | None = None
        self.fills = 1

    # --- the world ---------------------------------------------------------------------------------------------------

    def charged(self) -> list[TaskRecord]:
        """Return what the vendor has charged for this job."""
        return read_tasks(self.vendor)[self.earlier_tasks :]

    def uploaded(self, record: TaskRecord) -> list[str]:
        """Return the numbers of a file as the vendor has it."""
        return (self.vendor / "uploads" / f"{record.id}.txt").read_text().split()

    def priced(self) -> dict[str, PricedPlatform]:
        return {it.name: it for it in self.platforms if isinstance(it, PricedPlatform)}

    def _vendor(self) -> Sandbox:
        self._shop = super()._vendor()
        return self._shop

    def _let(self, **options: Any) -> None:
        """Have the vendor take other prices, or give credit."""
        state = self._shop._state
        assert state is not None
        state.options = replace(state.options, **options)

    async def _live(self) -> None:
        if self.scenario.month_before:
            await self._month_before()
        spent = sum(record.cost for record in read_tasks(self.vendor))
        if self.scenario.balance_usd is not None:
            self._let(balance=round(spent + self.scenario.balance_usd, 9))
        await super()._live()

    async def _month_before(self) -> None:
        """Have an earlier job whose directory this one is told of."""
        self.mischief.healed = True
        (self.folder / "earlier.txt").write_text("\n".join(self.scenario.month_before) + "\n")
        path = self.folder / "earlier.toml"
        path.write_text(self.scenario.month_toml({name: front.base_url for name, front in self.fronts.items()}))
        settings = load(path)
        for _ in range(3):
            deed = await self.do(run_job(settings, RunOptions(), self.world()))
            if deed.code in FINAL:
                break
        # A night may have left some of it in doubt, and the rest unsent.
        (master,) = (self.folder / "earlier").glob("master*.csv")
        with master.open(newline="") as file:
            rows = list(csv.DictReader(file))
        young = DAYS[self.scenario.days]
        self.known = {name: {row["Number"]: row[name] for row in rows if row[name] in young} for name in self.known}
        self.earlier_tasks = len(read_tasks(self.vendor))
        self.slept_s += EARLIER_S
        self.mischief.healed = False
        self.note("month before", known={name: len(its) for name, its in self.known.items()})

    def _heal(self) -> None:
        super()._heal()
        self._let(balance=None)

    # --- runs --------------------------------------------------------------------------------------------------------

    async def _run(self, settings: Settings, options: RunOptions, end: End) -> ExitCode | None:
        if self.chance.random() < self.scenario.quotes:
            options = replace(options, quote=await self._held_to(settings))
        if self.chance.random() < 0.15 and self._has_trial():
            options = replace(options, trial=True)
        before = len(self.charged())
        code = await super()._run(settings, options, end)
        if options.quote and self.quote:
            check_quote_held(self, self.quote.content)
        if options.trial:
            check_trial(self, before)
            if code is ExitCode.DONE:  # nothing else was to be done: the rest is another run's
                return ExitCode.AGAIN
        return code

    def _has_trial(self) -> bool:
        return bool(self.read(lambda ledger: ledger.plan.trial_rows(), 0)) and not self.mischief.healed

    async def _held_to(self, settings: Settings) -> Any:
        """Return a quote that the next run can be held to; one that is not right any more is refused before."""
        path = self.folder / "quote.json"
        if self.quote is not None and self.quote.list_and_prices != self._list_and_prices():
            stale = run_job(settings, RunOptions(quote=path, extend=self.owes_extension()), self.world())
            await self.refused(stale, ExitCode.USAGE, "a quote of another list, or of other prices")
            self.note("stale quote")
            self.quote = None
        if self.owes_extension():
            return None
        if self.quote is None or self.quote.decisions != self._decisions():
            self.quote = None
            path.unlink(missing_ok=True)
            await self.do(plan_job(settings, self.world(), out=path))
            if not path.exists():
                return None
            self.quote = Quoted(json.loads(path.read_text()), self._list_and_prices(), self._decisions())
            self.note("quoted", cost=self.quote.content["cost"])
        return path

    def _list_and_prices(self) -> tuple[Any, ...]:
        return self.accepted, tuple((it.name, it.price, it.block, it.only_if) for it in self.priced().values())

    def _decisions(self) -> int:
        counts = self.story.counts
        return counts["decided"] + counts["retried"] + counts["mended"] + counts["grown"]

    # --- errands -----------------------------------------------------------------------------------------------------

    async def errand(self, name: str) -> None:
        if name == "price":
            self.note("errand", name=name)
            self._price()
        elif name not in {"join", "leave", "rename", "lose", "status"}:
            await super().errand(name)

    def _price(self) -> None:
        """Have the vendor take another price, which the configuration follows."""
        factor = self.chance.choice(FACTORS)
        self.platforms = [replace(it, factor=factor) for it in self.priced().values()]
        self._let(price_factor=factor)
        self.note("price", factor=factor)

    async def _extend(self) -> None:
        before = self.accepted
        await super()._extend()
        self.fills += self.accepted != before

    async def _merge(self) -> None:
        if self.begun() and not self._unplanned() and not self.owes_extension():
            deed = await self.do(merge_job(self.settings(healed=self.healed), self.world()))
            promise(deed.code is ExitCode.DONE, f"merge ends with {deed.code}: {deed.error}")
            if not deed.result.pending:
                check_cells(self)

    def otherwise_known(self, cells: Cells) -> Cells:
        """Lay the month before under the cells, and let those that are not asked wait for what they hang on."""
        for name, known in self.known.items():
            cells[name] |= {number: word for number, word in known.items() if cells[name].get(number) in OWN_WORDS}
        return cells

    def _judge(self) -> None:
        self.story.virtual_s = self.loop.time() - self._born_s
        self.story.rounds = self.loop.rounds
        check_money(self)
