"""Rows find their place in the chunk, in any order and in any batches."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.results.matching import Matcher

CHUNK = [50, 10, 40, 20]


def place(*batches: list[tuple[int, int]]) -> Matcher:
    matcher = Matcher(np.array(CHUNK, np.int64))
    for batch in batches:
        numbers, codes = [number for number, _ in batch], [code for _, code in batch]
        matcher.place(np.array(numbers, np.int64), np.array(codes, np.uint8))
    return matcher


def test_places() -> None:
    """Codes stand where the chunk has the number, not where the file has it."""
    matcher = place([(10, 1), (20, 2), (50, 1)])
    assert matcher.codes.tolist() == [1, 1, 0, 2]
    assert (matcher.own, matcher.matched, matcher.foreign) == (3, 3, 0)


def test_foreign_and_blank() -> None:
    """Numbers below, between and above those of the chunk are foreign; so is a verdict without a number."""
    matcher = place([(-1, 0), (5, 1), (30, 1), (99, 1), (0, 1), (0, 0), (40, 1)])
    assert (matcher.own, matcher.foreign) == (1, 5)


def test_an_empty_cell_contradicts_nothing() -> None:
    """An empty row beside an answer leaves the answer, in either order."""
    matcher = place([(10, 0), (10, 2), (20, 2)], [(20, 0)])
    assert matcher.codes.tolist() == [0, 2, 0, 2]
    assert (matcher.contradictions, matcher.doubled) == (0, 2)


def test_contradiction_is_final() -> None:
    """Two answers that differ leave the number unanswered, whatever a third row says."""
    matcher = place([(10, 1), (10, 2)], [(10, 2), (20, 1)])
    assert matcher.codes.tolist() == [0, 0, 0, 1]
    assert (matcher.contradictions, matcher.doubled) == (1, 2)


@given(st.lists(st.tuples(st.sampled_from([*CHUNK, 0, 7]), st.integers(0, 3)), max_size=12), st.integers(0, 12))
def test_batches_do_not_matter(rows: list[tuple[int, int]], cut: int) -> None:
    """Cutting the rows into batches anywhere changes nothing."""
    whole, parts = place(rows), place(rows[:cut], rows[cut:])
    assert whole.codes.tolist() == parts.codes.tolist()
    for name in ("own", "foreign", "matched", "doubled", "contradictions"):
        assert getattr(whole, name) == getattr(parts, name)
