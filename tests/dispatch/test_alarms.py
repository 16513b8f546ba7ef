from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from orchestrator.dispatch.alarms import Alarm, UsualResults, _fisher, _student
from orchestrator.records import PastResult

USUAL = {"yes": 0.3, "no": 0.675, "unknown": 0.02, "unanswered": 0.005}
RARE = {"yes": 0.01, "no": 0.98, "unknown": 0.008, "unanswered": 0.002}
SEEDS = 200


def drawn(seed: int, tasks: int, numbers: int, shares: dict[str, float]) -> list[dict[str, int]]:
    """Draw tasks at random from one urn."""
    rows = np.random.default_rng(seed).multinomial(numbers, list(shares.values()), tasks)
    return [dict(zip(shares, row, strict=True)) for row in rows.tolist()]


def judged(usual: UsualResults, tasks: list[dict[str, int]]) -> list[Alarm | None]:
    return [usual.judge(chunk, counts) for chunk, counts in enumerate(tasks, 1)]


@pytest.mark.parametrize(
    ("tasks", "numbers", "shares"), [(60, 2_000, USUAL), (60, 20_000, USUAL), (150, 100, USUAL), (60, 2_000, RARE)]
)
def test_chance_alone_raises_hardly_an_alarm(tasks: int, numbers: int, shares: dict[str, float]) -> None:
    """Of 200 jobs drawn at random at most one in a hundred may have one, with all of its looks together."""
    alarmed = sum(any(judged(UsualResults(), drawn(seed, tasks, numbers, shares))) for seed in range(SEEDS))
    # With a chance of 0.01 each, more than 6 of 200 come less than once in two hundred times.
    assert alarmed <= 6


@pytest.mark.parametrize(
    ("numbers", "shares"),
    [
        (20_000, USUAL | {"yes": 0.27, "no": 0.705}),
        (2_000, USUAL | {"yes": 0.15, "no": 0.825}),
        (2_000, USUAL | {"no": 0.575, "unknown": 0.12}),
        (2_000, USUAL | {"no": 0.655, "unanswered": 0.025}),
    ],
)
def test_a_drift_is_noticed_at_its_first_task(numbers: int, shares: dict[str, float]) -> None:
    """A share of yes, of unknown or of unanswered that is another from one task on, after thirty usual ones."""
    noticed = 0
    for seed in range(50):
        usual = UsualResults()
        assert not any(judged(usual, drawn(seed, 30, numbers, USUAL)))
        noticed += usual.judge(31, drawn(seed + SEEDS, 1, numbers, shares)[0]) is not None
    assert noticed == 50


def test_a_sorted_list_is_not_one_alarm_after_another() -> None:
    """Its chunks differ by what they are runs of: once that is seen, it is what is usual for this list."""
    alarms = []
    for seed in range(50):
        random = np.random.default_rng(seed)
        shares = [random.beta(6, 14) for _ in range(100)]
        tasks = [{"yes": (yes := int(random.binomial(2_000, share))), "no": 2_000 - yes} for share in shares]
        alarms.append(sum(alarm is not None for alarm in judged(UsualResults(), tasks)))
    assert max(alarms) <= 3
    assert sum(alarms) / len(alarms) < 1


def test_a_vendor_that_says_no_to_everything() -> None:
    """Each of its tasks is an alarm, also the tenth: what says nothing does not become what is usual."""
    usual = UsualResults()
    assert not any(judged(usual, drawn(1, 20, 100, USUAL)))
    alarms = judged(usual, [{"no": 100}] * 10)
    assert all(alarm is not None and alarm.one_word for alarm in alarms)
    assert alarms[0] is not None
    assert alarms[0].text.startswith("alarm: all of its 100 numbers are no, and 3")
    assert usual.judge(31, drawn(2, 1, 100, USUAL)[0]) is None


def test_one_word_from_the_start() -> None:
    """Nobody knows better: from a thousand numbers on. Where it is to be expected it is none."""
    few = [{"no": 300, "unanswered": 2}] * 4
    assert [alarm is not None for alarm in judged(UsualResults(), few)] == [False, False, False, True]
    (alarm,) = judged(UsualResults(), [{"yes": 1_000}])
    assert alarm == Alarm("alarm: all of its 1,000 numbers are yes", one_word=True)
    assert not any(judged(UsualResults(one_word=True), few * 5))


def test_a_rare_word_makes_one_word_usual() -> None:
    """With three others in ten thousand most tasks of a hundred have none."""
    usual = UsualResults()
    assert usual.judge(1, {"no": 9_997, "yes": 3}) is None
    assert not any(judged(usual, [{"no": 100}] * 50))


def test_a_retry_is_compared_with_itself() -> None:
    """It asks for what was not answered before: it is not like the whole list, and needs not be."""
    usual = UsualResults(begins=(21,))
    assert not any(judged(usual, drawn(1, 20, 2_000, USUAL)))
    assert usual.judge(21, {"yes": 20, "unanswered": 380}) is None
    assert usual.judge(20, {"yes": 20, "unanswered": 380}) is not None


def test_a_platform_without_verdicts_has_no_alarm() -> None:
    """All of its numbers have the one word for that they have columns."""
    assert not any(judged(UsualResults(), [{"answered": 5_000}] * 5))


def test_the_next_run_knows_what_was_usual() -> None:
    """What was an alarm of one word is not part of it; and its looks go on."""
    past = [PastResult(at, counts, "") for at, counts in enumerate(drawn(1, 20, 2_000, USUAL), 1)]
    blocked = PastResult(21, {"no": 2_000}, "alarm: all of its 2,000 numbers are no")
    usual = UsualResults.of([*past, blocked], [1], looks=21, one_word=False)
    assert (usual.looks, usual.generations[0].tasks) == (21, 20)
    assert usual.judge(22, drawn(2, 1, 2_000, USUAL)[0]) is None
    assert usual.judge(23, {"no": 2_000}) is not None


def test_the_exact_test_counts_what_there_is() -> None:
    """Against the hypergeometric distribution, counted out."""

    def chance(here: int, marked: int, numbers: int, total: int) -> float:
        return math.comb(marked, here) * math.comb(total - marked, numbers - here) / math.comb(total, numbers)

    for before, numbers_before, here, numbers in ((3, 40, 9, 30), (12, 40, 1, 30), (0, 25, 4, 10), (5, 5, 0, 4)):
        marked, total = before + here, numbers_before + numbers
        its = partial(chance, marked=marked, numbers=numbers, total=total)
        is_more = here / numbers > marked / total
        tail = range(here, min(marked, numbers) + 1) if is_more else range(max(0, marked - numbers_before), here + 1)
        assert _fisher(before, numbers_before, here, numbers) == pytest.approx(min(1.0, 2 * sum(map(its, tail))))


@pytest.mark.parametrize(("t", "degrees", "chance"), [(2.776, 4, 0.05), (8.610, 4, 0.001), (3.850, 20, 0.001)])
def test_students_tail(t: float, degrees: int, chance: float) -> None:
    """Against a table of the t distribution; far out it is a little too high, and never too low."""
    assert chance * 0.99 <= _student(t, degrees) <= chance * 1.2
