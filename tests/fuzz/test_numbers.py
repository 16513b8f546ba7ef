"""The fast path of numbers beside `phonenumbers`, for all neighbours of all examples; a sample is in tests/intake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import phonenumbers
import pytest

from tests.intake.numbers.lookup.compared import compare_neighbours, compare_random_digits

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    """Let `phonenumbers` keep what it compiles: with all regions at once it would compile for every number."""
    if hasattr(phonenumbers, "enable_pattern_cache"):
        phonenumbers.enable_pattern_cache()


def test_all_neighbours_of_all_examples(tmp_path: Path) -> None:
    """Each digit replaced by each other one, or left out, or followed by more: decided as `phonenumbers` would."""
    assert compare_neighbours(tmp_path, one_in=1) > 120_000


def test_many_random_digits(tmp_path: Path) -> None:
    """Random digits behind every calling code, and behind what is none."""
    assert compare_random_digits(tmp_path, a_code=260) > 60_000
