"""Worlds of money in virtual time: quotes, trials, budgets, prices that move, conditions, and a month before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.job import run, selecting
from orchestrator.jobdir.chunk_files import read_chunk
from orchestrator.jobdir.layout import chunk_path
from orchestrator.ledger.transitions import Transitions
from orchestrator.records import Chunk
from tests.simulation.checks import BrokenPromiseError
from tests.simulation.money import MoneyOperator
from tests.simulation.money_scenario import DAYS, ERRANDS, MoneyScenario, drawn_money
from tests.simulation.playing import play

SEEDS = 40
PLAYED = 4
A_BATCH = 2


def live(seed: int, scenario: MoneyScenario | None = None) -> None:
    play(seed, scenario or drawn_money(seed), "--money", live=MoneyOperator)


@pytest.mark.parametrize("first", range(0, PLAYED, A_BATCH))
def test_money_is_spent_as_promised(first: int) -> None:
    """Whatever a seed brings: no more than quoted and allowed, nothing that is known, nobody who does not fit."""
    for seed in range(first, first + A_BATCH):
        live(seed)


def test_the_seeds_have_everything() -> None:
    """Each kind of condition, age, budget and errand is among those of a test run."""
    worlds = [drawn_money(seed) for seed in range(SEEDS)]
    assert {errand for world in worlds for errand in world.errands} == set(ERRANDS)
    assert {world.days for world in worlds} == set(DAYS)
    chains = [[bool(it.only_if[0]) for it in world.priced] for world in worlds]
    assert {sum(chain) for chain in chains} == {0, 1, 2}
    for some in ("month_before", "balance_usd", "quotes", "growth"):
        assert 3 < sum(bool(getattr(world, some)) for world in worlds) < SEEDS - 3, some
    assert {world.options.billing_block for world in worlds} == {1, 7, 100}


def quiet(seed: int, **changes: Any) -> MoneyScenario:
    """Return a world without faults; what is changed is what a test is about."""
    world = drawn_money(seed, faults=[])
    calm: dict[str, Any] = {
        "faulty_runs": 1,
        "curiosity": 0.0,
        "errands": (),
        "limit_usd": 100.0,
        "balance_usd": None,
        "purged": False,
    }
    return replace(world, **calm | changes)


def caught(said: str, **changes: Any) -> None:
    """See that one of some worlds is broken, and how that is said."""

    def some() -> None:
        for seed in range(40):
            live(seed, quiet(seed, **changes))

    with pytest.raises(BrokenPromiseError, match=said):
        some()


def test_asking_for_what_is_known_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "_marked", all_of_them)
    caught(r"was asked for \d+ numbers that are known", days="90")


def all_of_them(choice: selecting.Choice, chunk: Chunk, again: object) -> object:
    del again
    return read_chunk(chunk_path(choice.directory, chunk.chunk)).numbers * 2 + 1


def test_a_stale_quote_that_is_taken_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "check_quote", lambda *_: None)
    monkeypatch.setattr(run, "beyond_quote", lambda *_: None)
    caught("a quote of another list, or of other prices", quotes=1.0, errands=("price", "retry"))


def test_a_budget_that_nobody_holds_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    release = Transitions.release

    def without_limit(self: Transitions, key: object, **options: object) -> None:
        release(self, key, **options | {"max_cost_nano": None})  # type: ignore[arg-type]

    monkeypatch.setattr(Transitions, "release", without_limit)
    monkeypatch.setattr(run, "objection", lambda *_: None)
    caught(r"was charged, and \d+\.\d+ allowed", limit_usd=0.0)
