"""In doubt or not, at the level of the whole program: a vendor that cuts a submit off at every single byte.

A task that may exist at the vendor is never sent again by itself, and one that can't exist there is never held.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest

from orchestrator.dispatch.caution import Caution
from orchestrator.job.run import RunOptions
from orchestrator.ledger.platform_table import PlatformTable
from orchestrator.tasks import HELD, State
from tests.simulation.crashes import small_job
from tests.simulation.faults import AFTER, EARLY, INSTEAD
from tests.simulation.loop import Life, VirtualLoop
from tests.simulation.playing import scratch, substituted
from tests.simulation.scenario import PlatformDraw, Scenario
from tests.simulation.whole import Operator
from tests.simulation.wire import TAIL_BYTES, Blow

SHARES = 4
NO_TASK = {
    *("400", "401", "402", "403", "404", "405", "413", "422", "429", "429 after", "429 absurd", "429 date", "500"),
}
"""Answers in which the vendor says itself that it made no task."""


@dataclass(frozen=True)
class Verdict:
    """What the first run made of its submits, and what the vendor had charged by then."""

    states: Counter[State]
    charged: Counter[State]
    submit_bytes: int

    @property
    def held(self) -> int:
        return sum(self.states[state] for state in HELD)


def long_job(name: str, chunks: int, rate: float) -> Scenario:
    """Give a job of many chunks of one number each, which all make requests of the same length."""
    numbers = tuple(f"+4179{number:07d}" for number in range(1_000_000, 1_000_000 + chunks))
    platform = PlatformDraw(name, "main", rate, chunks, canary=False)
    return replace(
        small_job(),
        lines=numbers,
        numbers=numbers,
        chunk_size=1,
        platforms=(platform,),
        vendors={"main": float("inf")},
        polling=(10_000.0, 20_000.0, 24.0),  # so that all connections of the first run are submits
    )


class Executioner(Operator):
    """An operator whose vendor deals a blow to every `nth` connection of the first run, which only submits.

    The others are served, so that neither caution nor an outage ends the run before every blow was dealt.
    """

    def __init__(self, scenario: Scenario, folder: Path, loop: VirtualLoop, blows: Sequence[Blow], nth: int) -> None:
        super().__init__(scenario, folder, loop)
        self.blows, self.nth = list(blows), nth
        self.connections = 0
        self.first_only = bool(blows)
        self.verdict = Verdict(Counter(), Counter(), 0)

    def blow(self) -> Blow | None:
        self.connections += 1
        return self.blows.pop(0) if self.blows and self.connections % self.nth == 0 else None

    async def _faulty_times(self) -> None:
        (front,) = self.fronts.values()
        front.blade = self.blow
        await self._run(self.settings(healed=False), RunOptions(submit_only=True), self._to_its_end)
        front.blade = lambda: None
        states = {task.key: task.state for task in self._tasks(*State)}
        assert len({self.key_of(record) for record in self.charged()}) == len(self.charged())
        charged = Counter(states[self.key_of(record)] for record in self.charged())
        self.verdict = Verdict(Counter(states.values()), charged, front.submit_bytes)

    async def _better_times(self) -> None:
        if not self.first_only:
            await super()._better_times()

    def _judge(self) -> None:
        if not self.first_only:
            super()._judge()

    async def _to_its_end(self, run: asyncio.Task[object], life: Life) -> None:
        del life
        await asyncio.wait([run])


@contextmanager
def heedless() -> Iterator[None]:
    """Let nothing stop the platform, however many doubts wait: here each single answer is judged."""
    with (
        patch.object(Caution, "allowed", lambda _: 1),
        patch.object(Caution, "_judge", lambda _: None),
        patch.object(PlatformTable, "unsure", lambda *_: 0),
        patch.object(Operator, "_check_doubts", lambda _: None),
    ):
        yield


def execute(name: str, blows: Sequence[Blow], *, nth: int = 2, rate: float = 5.0, spare: int = 4) -> Verdict:
    """Deal each blow to one submit, and return where all tasks stand when there is nothing more to submit."""
    loop = VirtualLoop()
    with scratch() as folder, substituted(), heedless():
        operator = Executioner(long_job(name, nth * len(blows) + spare, rate), folder, loop, blows, nth)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(operator.play())
    assert not operator.blows
    assert not loop.complaints
    return operator.verdict


@cache
def submit_bytes(name: str) -> int:
    return execute(name, []).submit_bytes


@pytest.mark.parametrize("share", range(SHARES))
def test_reset_at_every_byte(share: int) -> None:
    """Cut at any byte before the last ones leave, a task goes out again by itself; from there on each is held."""
    length = submit_bytes("instagram")
    cuts = range(share, length + 1, SHARES)
    verdict = execute("instagram", [Blow(cut) for cut in cuts])
    after_release = sum(cut > length - TAIL_BYTES for cut in cuts)
    assert verdict.held == verdict.states[State.IN_DOUBT] == after_release
    assert verdict.states[State.SUBMITTED] == verdict.states.total() - after_release
    assert verdict.charged == {State.SUBMITTED: verdict.states[State.SUBMITTED]}


@pytest.mark.parametrize("name", ["instagram", "amazon"])
def test_reset_around_the_held_bytes(name: str) -> None:
    """Both styles hold back the same: one byte less at the vendor is safe, one byte more is in doubt."""
    length = submit_bytes(name)
    tail = length - TAIL_BYTES
    safe = execute(name, [Blow(cut) for cut in (0, 1, length // 2, tail - 1, tail)])
    assert (safe.held, safe.states[State.SUBMITTED]) == (0, safe.states.total())
    unsafe = execute(name, [Blow(cut) for cut in (tail + 1, length - 1, length)])
    assert (unsafe.held, unsafe.charged[State.IN_DOUBT]) == (3, 0)


def test_stalled_at_any_point() -> None:
    """A vendor that takes all bytes and reads none has been handed a whole request: each of these is held."""
    length = submit_bytes("instagram")
    places = (0, 1, length // 2, length - TAIL_BYTES, length - 1, length)
    verdict = execute("instagram", [Blow(place, stalls=True) for place in places], nth=12, rate=0.1, spare=40)
    assert verdict.held == len(places)
    assert verdict.charged == {State.SUBMITTED: verdict.states[State.SUBMITTED]}


def struck(fault: str, rate: float = 0.3) -> Verdict:
    """Let a fault strike a share of the submits of a short job, and see it to its end."""
    loop = VirtualLoop()
    scenario = replace(long_job("amazon", 16, 5.0), polling=(0.2, 2.0, 0.1), faults=(fault,), rate=rate)
    with scratch() as folder, substituted(), heedless():
        operator = Executioner(scenario, folder, loop, [], 2)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(operator.play())
        assert operator.story.counts[f"fault {fault}"] or any(fault in line for line in operator.story.trace)
    return operator.verdict


@pytest.mark.parametrize("how", AFTER)
def test_what_was_charged_is_never_called_safe(how: str) -> None:
    """The vendor has made the task, and its answer is spoilt: none of these is sent again by itself."""
    charged = struck(f"after: {how}").charged
    assert charged[State.PLANNED] == charged[State.FAILED] == 0
    assert charged.total() > 0


@pytest.mark.parametrize("how", [*(f"early: {how}" for how in EARLY), *(f"cut: {how}" for how in ("first", "held"))])
def test_what_was_not_released_is_never_held(how: str) -> None:
    """An answer, or a reset, before the last bytes left says by itself that there is no task."""
    verdict = struck(how)
    expected = 0 if "unknown id" not in how else verdict.states[State.IN_DOUBT]
    assert verdict.states[State.IN_DOUBT] == expected


@pytest.mark.parametrize("how", [how for how in INSTEAD if how not in NO_TASK | {"unknown id"}])
def test_an_answer_that_proves_nothing_is_held(how: str) -> None:
    """After the last bytes left, an answer that does not say that there is no task leaves a doubt."""
    verdict = struck(f"instead: {how}")
    assert verdict.held > 0
    assert verdict.charged[State.IN_DOUBT] == 0


@pytest.mark.parametrize("how", sorted(NO_TASK - {"500"}))
def test_an_answer_that_says_that_there_is_no_task_is_believed(how: str) -> None:
    """Some answers are the vendor's own word: sent again later, or given up, but never held."""
    assert struck(f"instead: {how}").held == 0


def test_a_failure_in_the_vendors_own_words_is_believed_five_times() -> None:
    """A chunk that meets it once more is held, and no other one; nothing was charged for it."""
    verdict = struck("instead: 500")
    assert verdict.held == verdict.states[State.IN_DOUBT] == 1
    assert verdict.charged[State.IN_DOUBT] == 0
