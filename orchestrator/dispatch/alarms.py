"""Whether a result is like those before it: a vendor that is blocked itself answers "no" to everything, and charges.

A task is an alarm when its share of a word differs from that of the tasks before it by more than chance allows. Two
tests have to agree:

- *Fisher's exact test*, on the task's numbers against all before it: exact for few numbers and for rare words, where a
  normal approximation cries wolf.
- *How far tasks of this list lie apart.* Chunks are runs of a list, and lists are sorted: by country, by source, by
  age. So shares spread wider than draws from one urn, and by how much is estimated from the tasks so far (the
  overdispersion of quasi-binomial models). Until some are known it counts as none, with the weight of `PRIOR_TASKS`;
  the estimate's own uncertainty makes the test one of Student.

Each task is a look, and many looks find something by chance. The n-th one may raise a false alarm with the chance
CHANCE / (n (n + 1)), shared by the words that are looked at. These sum to CHANCE, however long the job is (the union
bound, which asks for no independence): by chance alone at most one job in a hundred has an alarm at all.

Results that say one word of all numbers are an alarm of their own, without the second test: where other words were seen
before, when chance does not explain that none is there; where none ever was, from `ONE_WORD_NUMBERS` numbers on, which
a list with fewer than four others in a thousand may have by chance. Pure.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from orchestrator.jobdir.verdict_words import ALARM, ANSWERED, UNANSWERED, UNDETERMINED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.records import PastResult

CHANCE: Final = 0.01
PRIOR_TASKS: Final = 4
ONE_WORD_NUMBERS: Final = 1_000
"""Of so many numbers at least three in a thousand would have to be different to be seen 19 times in 20."""
MOST_WORDS: Final = 12
"""The vendor decides how many words there are."""
PAST: Final = 1_000
"""So many tasks of earlier runs are remembered."""

_UNSURE: Final = "unknown"
_NEVER_BELOW: Final = 2.0
"""Standard deviations that no test would find remarkable: most tasks are judged by this alone."""
_NEGLIGIBLE: Final = 1e-12
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is remarkable about a task, and whether that is `one_word` for all of its numbers."""

    text: str
    one_word: bool = False


@dataclass(slots=True)
class WordSums:
    """The tasks of a generation so far, summed: `squares` are the sums of count² / numbers, by word."""

    tasks: int = 0
    numbers: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    squares: dict[str, float] = field(default_factory=dict)

    def add(self, counts: Mapping[str, int]) -> None:
        """Take a task in."""
        numbers = sum(counts.values())
        self.tasks += 1
        self.numbers += numbers
        for word, count in counts.items():
            self.counts[word] += count
            self.squares[word] = self.squares.get(word, 0.0) + count * count / numbers

    def spread(self, word: str) -> float:
        """Return by how much the variance of the word's share exceeds that of draws from one urn; at least 1."""
        share = self.counts[word] / self.numbers
        chi2 = (self.squares[word] - share * share * self.numbers) / (share * (1.0 - share))
        return max(1.0, (PRIOR_TASKS + chi2) / (PRIOR_TASKS + self.tasks - 1))


@dataclass(slots=True)
class UsualResults:
    """What results of a platform are like. A generation is compared with itself: a retry asks for other numbers.

    `begins` has the first chunk of each generation but the first; `looks` counts the tasks that were judged. `one_word`
    says that results of one word are to be expected.
    """

    begins: tuple[int, ...] = ()
    looks: int = 0
    one_word: bool = False
    generations: dict[int, WordSums] = field(default_factory=dict)

    @classmethod
    def of(cls, past: Iterable[PastResult], begins: Iterable[int], *, looks: int, one_word: bool) -> UsualResults:
        """Take what earlier runs have read, save for alarms of one word, which say nothing about the others."""
        usual = cls(tuple(begins)[1:], looks, one_word)
        for result in past:
            counts = _folded(result.counts)
            if one_word or not (result.finding.startswith(ALARM) and _one_word(counts)):
                usual._shares(result.chunk).add(counts)
        return usual

    def judge(self, chunk: int, counts: Mapping[str, int]) -> Alarm | None:
        """Compare a task with those before it, and take it in; None when it is like them."""
        counts = _folded(counts)
        if not counts or ANSWERED in counts:  # of a platform without verdicts there is nothing to compare
            return None
        self.looks += 1
        shares = self._shares(chunk)
        alarm = _judged(shares, counts, CHANCE / (self.looks * (self.looks + 1)), one_word=self.one_word)
        if alarm is None or not alarm.one_word:
            shares.add(counts)
        return alarm

    def _shares(self, chunk: int) -> WordSums:
        return self.generations.setdefault(bisect_right(self.begins, chunk), WordSums())


def _folded(counts: Mapping[str, int]) -> dict[str, int]:
    """Count the words for "could not tell" as one, and leave out what is not there."""
    folded: Counter[str] = Counter()
    for word, count in counts.items():
        folded[_UNSURE if word in UNDETERMINED else word] += count
    return {word: count for word, count in folded.items() if count}


def _one_word(counts: Mapping[str, int]) -> str:
    """Return the word that stands for each number that has any, "" where there are several, or none."""
    said = [word for word in counts if word != UNANSWERED]
    return said[0] if len(said) == 1 else ""


def _judged(shares: WordSums, counts: Mapping[str, int], chance: float, *, one_word: bool) -> Alarm | None:
    numbers = sum(counts.values())
    words = [word for word, _ in (shares.counts + Counter(counts)).most_common(MOST_WORDS)]
    chance /= len(words)
    if not one_word and (word := _one_word(counts)):
        all_said = shares.numbers - shares.counts[UNANSWERED]
        others = all_said - shares.counts[word]
        here = counts[word]
        if not others and all_said + here >= ONE_WORD_NUMBERS:
            so_far = f", as of the {all_said:,} numbers before it" if all_said else ""
            return Alarm(f"{ALARM}all of its {here:,} numbers are {word}{so_far}", one_word=True)
        if others and _fisher(others, all_said, 0, here) < chance:
            usual = f"{_percent(others / all_said)} of the {all_said:,} numbers before it are not"
            return Alarm(f"{ALARM}all of its {here:,} numbers are {word}, and {usual}", one_word=True)
    if not shares.numbers:
        return None
    for word in words:
        here, before = counts.get(word, 0), shares.counts[word]
        share = (before or 0.5) / shares.numbers  # a word that was not seen yet may be rare
        if share < 1.0 and (away := _away(share, shares.numbers, here, numbers)) > _NEVER_BELOW:
            spread = shares.spread(word) if before else 1.0
            if _student(away / math.sqrt(spread), PRIOR_TASKS + shares.tasks - 1) < chance and (
                _fisher(before, shares.numbers, here, numbers) < chance
            ):
                of_all = f"{_percent(before / shares.numbers)} of the {shares.numbers:,} numbers before it"
                return Alarm(
                    f"{ALARM}{_percent(here / numbers)} of its {numbers:,} numbers are {word}, {of_all}: more "
                    "than chance explains"
                )
    return None


def _away(share: float, numbers_before: int, here: int, numbers: int) -> float:
    """Return by how many standard deviations the count of a word differs from what is expected."""
    variance = numbers * share * (1.0 - share) * (1.0 + numbers / numbers_before)
    return abs(here - numbers * share) / math.sqrt(variance)


def _student(t: float, degrees: int) -> float:
    """Return the chance of a value as far from 0 as `t`, to either side.

    It is Wallace's approximation, which is a little too high far out with few degrees: that raises no alarm.
    """
    z = math.sqrt(degrees * math.log1p(t * t / degrees)) * (8 * degrees + 1) / (8 * degrees + 3)
    return 2.0 * _NORMAL.cdf(-z)


def _fisher(before: int, numbers_before: int, here: int, numbers: int) -> float:
    """Return the chance of a share as far away as this one if the words fell at random: the tail twice."""
    marked, total = before + here, numbers_before + numbers
    is_more = here * total > marked * numbers
    step = 1 if is_more else -1
    last = min(marked, numbers) if is_more else max(0, marked - numbers_before)
    # The hypergeometric chance of this very share.
    chosen = _log_choose(marked, here) + _log_choose(total - marked, numbers - here) - _log_choose(total, numbers)
    at, term = here, math.exp(chosen)
    tail = term
    while at != last and term > tail * _NEGLIGIBLE:
        if is_more:
            term *= (marked - at) * (numbers - at) / ((at + 1) * (numbers_before - marked + at + 1))
        else:
            term *= at * (numbers_before - marked + at) / ((marked - at + 1) * (numbers - at + 1))
        at += step
        tail += term
    return min(1.0, 2.0 * tail)


def _log_choose(of: int, some: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"
