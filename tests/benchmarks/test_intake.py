"""Lists are read as many times as fast as with `phonenumbers` as was recorded, or at least half of it."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.intake.blocks import LineBlock
from orchestrator.intake.cutting import write_chunks
from orchestrator.intake.duplicates.in_memory import drop_duplicates
from orchestrator.intake.numbers.decide import NumberRules
from orchestrator.intake.numbers.lookup.lookup_tables import load_tables
from orchestrator.intake.stored_rows import store_block
from tests.benchmarks import recorded
from tests.benchmarks.figures import took
from tests.benchmarks.intake import CHUNK, theirs, write_list

if TYPE_CHECKING:
    from pathlib import Path

LINES = 80_000
FEW = 4_000
ROUNDS = 3


def test_ratio(tmp_path: Path) -> None:
    """Side by side, in turns, with the same chunk files, the median ratio is at least half of the recorded one."""
    write_list(tmp_path / "list.txt", LINES)
    block = LineBlock(1, (tmp_path / "list.txt").read_bytes())
    tables = load_tables(None, tmp_path)

    def ours() -> None:
        stored = store_block(block, NumberRules(None, frozenset()), tmp_path / "rows", tables)
        unique = drop_duplicates([stored.path], tmp_path)
        begins = range(0, unique.accepted, CHUNK)
        sizes = np.diff([*begins, unique.accepted]).tolist()
        paths = [tmp_path / f"ours{number:06d}.txt" for number in range(len(sizes))]
        write_chunks(unique.accepted_file, list(zip(begins, sizes, paths, strict=True)))

    ours()  # both sides have their imports behind them
    theirs(tmp_path, FEW)
    ratios = []
    for _ in range(ROUNDS):
        fast = min(took(ours) for _ in range(3)) / LINES
        ratios.append(took(lambda: theirs(tmp_path, FEW)) / FEW / fast)
    found = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("ours*.txt")))
    assert found.startswith(b"".join(path.read_bytes() for path in sorted(tmp_path.glob("theirs*.txt"))))
    assert statistics.median(ratios) >= recorded.INTAKE / 2, [round(ratio, 1) for ratio in ratios]
