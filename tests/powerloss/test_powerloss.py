"""The power fails while the whole program works. The campaign is `python -m tests.powerloss`."""

from __future__ import annotations

import sys

import pytest

from tests.powerloss.campaign import A_BLOCK, FIRST_LOSSES, Tally, lose_power
from tests.powerloss.operations import Lies, Sync

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace, which records a process, is for Linux")

AT_ONCE = 12


@pytest.mark.parametrize(
    "first",
    [0, 14 * A_BLOCK, 7 * A_BLOCK + FIRST_LOSSES],
    ids=["any time", "after a kill behind the first mkdir", "twice"],
)
def test_no_acknowledged_transition_is_lost(first: int) -> None:
    """Whatever of the unsynced is lost, torn or overtaken: the ledger opens and has every change that was acknowledged.

    And the program goes on to a complete master, with one charge for each task.
    """
    tally = Tally()
    assert list(lose_power(first, AT_ONCE, tally)) == []
    assert tally.distinct > AT_ONCE // 2


@pytest.mark.parametrize(
    ("lies", "caught"),
    [
        (lambda sync: sync.directory, "there is no ledger"),
        (lambda sync: sync.path == "ledger.sqlite-wal", "lacks some of"),
    ],
    ids=["no directory is synced", "synchronous = NORMAL"],
)
def test_a_missing_sync_is_caught(lies: Lies, caught: str) -> None:
    """With one kind of the program's syncs taken out of the recording, a promise is broken within a few losses."""
    assert any(caught in told for told in lose_power(2 * A_BLOCK, FIRST_LOSSES, Tally(), lies))


def test_no_promise_hangs_on_the_files_beside_the_ledger() -> None:
    """Were they not synced, what a loss takes of them would come back: out of the list, the results, and the vendor.

    A torn chunk file is not taken for a lost one: a person removes it, as the message says.
    """

    def lies(sync: Sync) -> bool:
        return not sync.directory and not sync.path.startswith("ledger")

    assert list(lose_power(2 * A_BLOCK, FIRST_LOSSES, Tally(), lies)) == []
