from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sandbox.verdicts import WORDS, foreign_rows, missing_mask, missing_numbers, verdict, verdict_codes

MANY = np.arange(41_790_000_000, 41_790_050_000, dtype=np.int64)


@given(st.integers(0, 1000), st.lists(st.integers(10**6, 10**15 - 1), min_size=1, max_size=30))
def test_the_array_form_gives_the_same_verdicts(seed: int, numbers: list[int]) -> None:
    """Result files hold exactly what `verdict` says."""
    codes = verdict_codes(seed, "instagram", np.array(numbers, dtype=np.int64))
    assert [WORDS[code] for code in codes] == [verdict(seed, "instagram", f"+{number}") for number in numbers]


def test_most_verdicts_are_yes_or_no_and_the_others_occur() -> None:
    """`ban`, `unknown` and `N/A` are rare, and in a large file all of them stand."""
    counts = Counter(WORDS[code] for code in verdict_codes(0, "amazon", MANY))
    assert set(counts) == set(WORDS)
    assert counts["yes"] + counts["no"] > 0.97 * len(MANY)
    assert min(counts["yes"], counts["no"]) > 0.4 * len(MANY)


def test_platform_and_seed_decide_too() -> None:
    """Two platforms, or two seeds, know different things about a number."""
    alike = [
        np.mean(verdict_codes(0, "amazon", MANY) == verdict_codes(*other, MANY))
        for other in ((1, "amazon"), (0, "instagram"))
    ]
    assert max(alike) < 0.6


def test_missing_rows_are_few_never_the_first_and_differ_by_task() -> None:
    """A result is never empty, and a number that is asked again can be answered."""
    first, second = (missing_mask(0, task, MANY) for task in ("a", "b"))
    assert 0 < first.mean() < 0.01
    assert (first & second).sum() < 10
    assert not any(missing_mask(seed, "a", MANY[:1]).any() for seed in range(500))


def test_missing_numbers_speaks_e164() -> None:
    """Tests compute the gaps from a chunk's lines, without arrays."""
    lines = [f"+{number}" for number in MANY[:2000].tolist()]
    expected = {line for line, gone in zip(lines, missing_mask(3, "t", MANY[:2000]), strict=True) if gone}
    assert missing_numbers(3, "t", lines) == expected != set()


def test_foreign_rows_are_few_and_not_from_the_file() -> None:
    """A foreign row is a plausible number that this file did not hold."""
    own = MANY[::3]
    strangers = foreign_rows(0, "t", own)
    assert len(strangers) == len(own) // 200
    assert not np.isin(strangers, own).any()
    assert np.isin(strangers, MANY).mean() > 0.3  # they may well belong to another chunk
    assert len(foreign_rows(0, "t", own[:7])) == 0
