from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sandbox.chance import chance, hash64, mix, mix_all, pick


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 10**15), min_size=1, max_size=20))
def test_array_and_single_number_are_mixed_alike(key: int, numbers: list[int]) -> None:
    """A test that computes one expectation gets what the vectorised code wrote."""
    assert mix_all(key, np.array(numbers, dtype=np.int64)).tolist() == [mix(key, number) for number in numbers]


def test_chance_is_fixed_by_seed_and_parts() -> None:
    """The same question has the same answer in every process; frozen here."""
    assert chance(1, "slow", 7) == chance(1, "slow", 7)
    assert (hash64(0, "a"), mix(0, 1)) == (hash64(0, "a"), 10451216379200822465)


def test_chance_is_spread_evenly_and_moves_with_the_seed() -> None:
    """A rate of 10 % strikes about every tenth thing, and other things with another seed."""
    hits = {seed: {n for n in range(5_000) if chance(seed, "x", n) < 0.1} for seed in (1, 2)}
    assert all(400 < len(found) < 600 for found in hits.values())
    assert hits[1] != hits[2]


def test_pick_reaches_every_option() -> None:
    """No option is out of reach."""
    assert {pick("abc", 3, n) for n in range(50)} == set("abc")
