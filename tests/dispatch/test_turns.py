"""A vendor that several jobs call: their requests together are as far apart as those of one."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from orchestrator.dispatch.pace import TURN_S, Pace, Turns, wait_to_leave
from orchestrator.ledger import Turn

pytestmark = pytest.mark.looptime

RATE = 10.0
APART_S = 1 / RATE


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Given:
    """Gives out turns as the database does (`tests/ledger/test_sharing.py` has the real one), by a clock of its own."""

    holder: str = ""
    begins_at: float = 0.0
    ends_at: float = 0.0
    asked: int = 0
    places: list[int] = field(default_factory=list)

    def turn(self, holder: str, places: int, spacing_s: float, slack_s: float) -> Turn:
        self.asked += 1
        self.places.append(places)
        begins_at = max(now(), self.begins_at if holder == self.holder else self.ends_at)
        ends_at = begins_at + places * spacing_s + slack_s
        self.holder, self.begins_at, self.ends_at = holder, begins_at, max(self.ends_at, ends_at)
        return Turn(begins_at - now(), ends_at - now(), spacing_s)

    def pace(self, holder: str, *, way_s: float = 0.002, rng: random.Random | None = None) -> Pace:
        """Return the pace of a job to which the way to the database takes up to `way_s` in each direction."""

        async def ask(*, places: int, spacing_s: float, slack_s: float) -> Turn:
            await asyncio.sleep(way_s * (rng.random() if rng else 1.0))
            turn = self.turn(holder, places, spacing_s, slack_s)
            await asyncio.sleep(way_s * (rng.random() if rng else 1.0))
            return turn

        return Pace(RATE, now=now(), turns=Turns(ask))


async def leave(
    lefts: list[float], pace: Pace, until: float, *, every_s: float = 0.0, platform: Pace | None = None
) -> None:
    while now() < until:
        await wait_to_leave(*([platform] if platform else []), pace)
        lefts.append(now())
        if every_s:
            await asyncio.sleep(every_s)


async def test_one_that_is_alone_waits_for_nobody() -> None:
    """It leaves at its own pace, and asks about once in the time of a turn."""
    given, lefts = Given(), list[float]()
    await leave(lefts, given.pace("a"), 60.0)
    gaps = [later - earlier for earlier, later in pairwise(lefts)]
    assert min(gaps) >= APART_S - 1e-6
    assert len(lefts) >= 60 * RATE * 0.97
    assert given.asked <= 60 / TURN_S * 1.2 + 10


@pytest.mark.parametrize("jobs", [2, 5])
@pytest.mark.parametrize("way_s", [0.0005, 0.01, 0.4])
async def test_jobs_that_have_all_to_send(jobs: int, way_s: float) -> None:
    """Together they are never faster than one, hardly slower, and none gets more than the others."""
    given, rng = Given(), random.Random(jobs)  # noqa: S311 - test data
    lefts: list[list[float]] = [[] for _ in range(jobs)]
    paces = [given.pace(f"job {number}", way_s=way_s, rng=rng) for number in range(jobs)]
    await asyncio.gather(*(leave(left, pace, 60.0) for left, pace in zip(lefts, paces, strict=True)))
    together = sorted(at for left in lefts for at in left)
    assert min(later - earlier for earlier, later in pairwise(together)) >= APART_S - 1e-6
    assert len(together) >= 60 * RATE * (0.9 if way_s < 0.05 else 0.4)
    assert min(map(len, lefts)) >= 0.7 * max(map(len, lefts))


async def test_a_job_that_has_little_to_send_costs_the_others_little() -> None:
    """It takes one call at a time, and what it does not take the other has."""
    given = Given()
    busy, rare = list[float](), list[float]()
    await asyncio.gather(leave(busy, given.pace("a"), 60.0), leave(rare, given.pace("b"), 60.0, every_s=5.0))
    together = sorted(busy + rare)
    assert min(later - earlier for earlier, later in pairwise(together)) >= APART_S - 1e-6
    assert len(rare) >= 9
    assert len(busy) >= 60 * RATE * 0.9


async def test_jobs_whose_platforms_are_slower() -> None:
    """Two at half the vendor's rate each hardly notice one another: neither takes a turn that it could not use."""
    given = Given()
    one, other = list[float](), list[float]()
    work = [
        leave(lefts, given.pace(name), 60.0, platform=Pace(RATE / 2, now=now()))
        for name, lefts in (("a", one), ("b", other))
    ]
    await asyncio.gather(*work)
    together = sorted(one + other)
    assert min(later - earlier for earlier, later in pairwise(together)) >= APART_S - 1e-6
    assert min(len(one), len(other)) >= 60 * RATE / 2 * 0.75


async def test_one_that_slept_through_its_turn_asks_again() -> None:
    """Whatever froze it, what was given to others meanwhile is theirs."""
    given = Given()
    frozen, other = list[float](), list[float]()
    pace = given.pace("a")
    await leave(frozen, pace, 5.0)
    assert pace.turns is not None
    assert not pace.turns.is_over(now())
    until = now() + TURN_S + 0.1  # it does nothing for so long, in the middle of a turn
    await leave(other, given.pace("b"), until)
    assert pace.turns.is_over(now())
    await asyncio.gather(leave(frozen, pace, 20.0), leave(other, given.pace("c"), 20.0))
    together = sorted(frozen + other)
    assert min(later - earlier for earlier, later in pairwise(together)) >= APART_S - 1e-6


async def test_one_that_dies_is_waited_for_as_long_as_a_turn() -> None:
    """Its turn runs out; nobody has to find out that it is gone."""
    given, lefts = Given(), list[float]()
    dying = given.pace("a")
    await leave(lefts, dying, 5.0)
    died_at = now()
    after = list[float]()
    await leave(after, given.pace("b"), died_at + 3.0)
    assert after[0] - lefts[-1] >= APART_S - 1e-6
    assert after[0] - died_at <= TURN_S + 0.3


async def test_a_vendor_that_finds_us_too_fast() -> None:
    """One that was slowed down takes a call at a time: it does not keep the others from theirs."""
    given = Given()
    slow, other = list[float](), list[float]()
    pace = given.pace("a")
    pace.slow_down(now(), 1.0)
    pace.interval_s = 2.0
    await asyncio.gather(leave(slow, pace, 30.0), leave(other, given.pace("b"), 30.0))
    assert len(other) >= 30 * RATE * 0.85
    assert min(later - earlier for earlier, later in pairwise(slow)) >= 2.0 - 1e-6


async def test_the_lowest_limit_holds() -> None:
    """Where the database says that calls are further apart than this job was told, they are."""

    async def ask(*, places: int, spacing_s: float, slack_s: float) -> Turn:
        return Turn(0.0, places * 2 * spacing_s + slack_s, 2 * spacing_s)

    lefts = list[float]()
    await leave(lefts, Pace(RATE, now=now(), turns=Turns(ask)), 10.0)
    assert min(later - earlier for earlier, later in pairwise(lefts)) >= 2 * APART_S - 1e-6


async def test_a_database_that_fails_lets_nothing_leave() -> None:
    """The error comes out to whoever wished to leave, and the next one asks anew."""

    async def ask(*, places: int, spacing_s: float, slack_s: float) -> Turn:
        raise OSError(f"{places} {spacing_s} {slack_s}")

    pace = Pace(RATE, now=now(), turns=Turns(ask))
    for _ in range(2):
        with pytest.raises(OSError, match=r"0\.1 0\.02"):
            await wait_to_leave(pace)
    assert not pace.lock.locked()
