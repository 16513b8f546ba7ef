"""Altered result files are read or refused, and nothing else; the campaign is `python -m tests.fuzz.results`."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.results import WRITERS, _made, campaign, file_of, outcome, rows_of

SEEDS = 600


async def test_altered_files() -> None:
    """The outcome is damage or a report that fits the chunk, and nothing dies."""
    tally = await campaign(0, SEEDS, 2)
    assert [f"{fault.what} (--seeds 1 --from {fault.seed})" for fault in tally.faults] == []
    assert sum(tally.outcomes.values()) == SEEDS
    assert min(tally.outcomes["read"], tally.outcomes["damaged"]) > SEEDS // 5  # the alterations go neither too far


def test_the_same_seed_gives_the_same_file() -> None:
    """A seed is all that is needed to replay."""
    files = [file_of(seed) for seed in range(40)]
    _made.cache_clear()
    assert [file_of(seed) for seed in range(40)] == files


def test_unaltered_files_are_read(tmp_path: Path) -> None:
    """What the writers write is read before it is altered."""
    rows = [(number, word if word in {"yes", "no"} else "no") for number, word in rows_of(1)]
    for writer in WRITERS:
        assert "60 0 0" in outcome(writer(rows), tmp_path, [number for number, _ in rows])
