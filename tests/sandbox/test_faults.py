from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from orchestrator.sandbox.faults import (
    FAULTS,
    Moment,
    download_is_damaged,
    expand_faults,
    link_is_expired,
    status_fate,
    strikes,
    submit_fate,
)

ALL = frozenset(FAULTS)
CALLS = range(1, 4_001)


def test_names_are_fixed() -> None:
    """The command line and the configuration use these names."""
    assert FAULTS == (
        "error_500",
        "throttle_429",
        "reset_before",
        "reset_after",
        "slow",
        "expired_link",
        "truncated_file",
        "missing_rows",
        "foreign_rows",
    )


def test_all_stands_for_every_fault() -> None:
    """`all` may stand alone or beside names."""
    assert expand_faults(["all"]) == expand_faults(["slow", "all"]) == ALL
    assert expand_faults(["slow"]) == {"slow"}
    assert expand_faults([]) == frozenset()


@pytest.mark.parametrize(("name", "hint"), [("slwo", "did you mean 'slow'"), ("zzzz", "known are error_500")])
def test_an_unknown_fault_is_refused_with_a_hint(name: str, hint: str) -> None:
    """A misspelt fault must not pass as a run without faults."""
    with pytest.raises(ValueError, match=hint):
        expand_faults([name])


def test_without_faults_nothing_befalls() -> None:
    """No fault is ever on by itself."""
    for n in CALLS:
        for fate in (submit_fate(0, frozenset(), "/p", n), status_fate(0, frozenset(), "t", n)):
            assert (fate.fault, fate.slow_s) == ("", 0.0)
        assert not link_is_expired(0, frozenset(), "t", n)
        assert not download_is_damaged(0, frozenset(), "t", n)


def test_submit_fates_are_moderate_and_of_every_kind() -> None:
    """Each submit fault strikes 2 to 10 % of the calls, at the moments its name allows."""
    fates = [submit_fate(1, ALL, "/p", n) for n in CALLS]
    counts = Counter(fate.fault for fate in fates)
    assert set(counts) == {"", "error_500", "throttle_429", "reset_before", "reset_after"}
    assert all(0.02 < counts[fault] / len(CALLS) < 0.1 for fault in counts if fault)
    moments = {(fate.fault, fate.moment) for fate in fates if fate.fault}
    before = {(fault, m) for fault in counts if fault != "reset_after" for m in (Moment.EARLY, Moment.WHOLE)}
    assert moments == {(f, m) for f, m in before if f} | {("reset_after", Moment.MADE)}
    assert {fate.slow_moment for fate in fates if fate.slow_s} == {Moment.WHOLE, Moment.MADE}
    assert 2 < max(fate.slow_s for fate in fates) <= 3
    assert {fate.retry_after_s for fate in fates} == {1, 2, 3}


def test_status_fates_strike_before_the_answer() -> None:
    """A status call makes nothing, so there is nothing to be struck after."""
    fates = [status_fate(1, ALL, "t", n) for n in CALLS]
    assert {fate.fault for fate in fates} == {"", "error_500", "throttle_429", "reset_before"}
    assert {fate.moment for fate in fates} == {fate.slow_moment for fate in fates} == {Moment.EARLY}


def test_the_same_call_has_the_same_fate() -> None:
    """Seed and call decide, nothing else; another seed decides otherwise."""
    first, again, other = ([submit_fate(seed, ALL, "/p", n) for n in CALLS] for seed in (1, 1, 2))
    assert first == again != other


def test_one_fault_switched_on_brings_only_itself() -> None:
    """A test that asks for resets gets no 500."""
    only = frozenset({"reset_after"})
    assert {submit_fate(1, only, "/p", n).fault for n in CALLS} == {"", "reset_after"}


def test_an_expired_link_is_followed_by_a_good_one() -> None:
    """Asking again always helps."""
    expired = [link_is_expired(1, ALL, "t", n) for n in CALLS]
    assert 0.05 < sum(expired) / len(expired) < 0.2
    assert not any(a and b for a, b in pairwise(expired))


def test_only_the_first_two_downloads_can_be_damaged() -> None:
    """A third fetch is always whole."""
    damaged = {n for n in range(1, 20) for task in range(500) if download_is_damaged(1, ALL, f"t{task}", n)}
    assert damaged == {1, 2}


def test_only_some_tasks_hold_foreign_rows() -> None:
    """Most results are clean."""
    share = sum(strikes(0, ALL, "foreign_rows", task) for task in range(1000)) / 1000
    assert 0.15 < share < 0.35
