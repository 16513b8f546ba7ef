"""Readers agree with what was drawn, and so with each other; the campaign is `python -m tests.fuzz.readers`."""

from __future__ import annotations

from tests.fuzz.readers import readers_campaign

SEEDS = 400


async def test_random_tables() -> None:
    """Numbers and words come back as they were drawn, whatever the writer, from every reader and from the check."""
    tally = await readers_campaign(0, SEEDS, 2)
    assert [f"{fault.what} (--seeds 1 --from {fault.seed})" for fault in tally.faults] == []
    assert tally.outcomes["agreed"] == SEEDS
