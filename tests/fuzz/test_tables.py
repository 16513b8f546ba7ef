"""Every way of reading a table gives what was drawn; the campaign is `python -m tests.fuzz.tables`."""

from __future__ import annotations

from tests.fuzz.tables import judge_all, tables_campaign

SEEDS = 250
OF_OTHERS = 7000
"""Where a batch with another region begins, and another form that LibreOffice writes."""


async def test_drawn_tables() -> None:
    """What is drawn comes back from the plain way, the fast one, and the one in place; nothing vanishes."""
    tally = await tables_campaign(0, SEEDS, 2)
    assert [f"{fault.what} (--seeds 1 --from {fault.seed})" for fault in tally.faults] == []
    assert sum(tally.outcomes.values()) == SEEDS
    refused = sum(count for kind, count in tally.outcomes.items() if kind.startswith("refused"))
    assert refused < SEEDS // 20  # nearly all are read


def test_through_an_office() -> None:
    """So do tables that went through LibreOffice, where it is there."""
    tally = judge_all(OF_OTHERS + 99, 1)
    assert tally.faults == []
