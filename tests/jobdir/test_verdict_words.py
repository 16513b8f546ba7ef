from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.jobdir.verdict_words import OWN_WORDS, in_order

counts = st.dictionaries(st.sampled_from(["yes", "no", "ban", "wrong", "", *OWN_WORDS]), st.integers(1, 9))


@given(counts)
def test_verdicts_stand_in_one_order(counts: dict[str, int]) -> None:
    """Yes and no, then the vendor's other words by their number, then what the program says itself; none is lost."""
    ordered = in_order(counts)
    assert ordered == counts
    kinds = [0 if word in ("yes", "no") else 2 if word in ("", *OWN_WORDS) else 1 for word in ordered]
    assert kinds == sorted(kinds)
    others = [ordered[word] for word, kind in zip(ordered, kinds, strict=True) if kind == 1]
    assert others == sorted(others, reverse=True)
