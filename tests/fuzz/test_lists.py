"""Altered lists are read or refused, and nothing else; the campaign is `python -m tests.fuzz.lists`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.workers import Workers
from tests.fuzz.lists import campaign, judge_list
from tests.fuzz.made_lists import _made, listing_of

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = 60
WITH_WORKERS = range(1000, 1006)


async def test_altered_lists() -> None:
    """The outcome is a plan that adds up, or a message that names the list; nothing dies."""
    tally = await campaign(0, SEEDS, 2)
    assert [f"{fault.what} (--seeds 1 --from {fault.seed})" for fault in tally.faults] == []
    assert sum(tally.outcomes.values()) == SEEDS
    assert min(tally.outcomes["read, told beforehand"], tally.outcomes["refused"]) > SEEDS // 12  # all kinds are there


async def test_with_worker_processes(tmp_path: Path) -> None:
    """The same holds where the pieces are run by worker processes, as in a job."""
    async with Workers(2) as workers:
        for seed in WITH_WORKERS:
            folder = tmp_path / str(seed)
            folder.mkdir()
            assert await judge_list(listing_of(seed), folder, workers)


def test_the_same_seed_gives_the_same_list() -> None:
    """A seed is all that is needed to replay."""
    lists = [listing_of(seed) for seed in range(40)]
    _made.cache_clear()
    assert [listing_of(seed) for seed in range(40)] == lists
