"""The rows of a trial stand where they belong, among those of the other chunks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from orchestrator.jobdir.chunk_files import write_chunk
from orchestrator.jobdir.column_files import write_columns
from orchestrator.jobdir.layout import chunk_path, columns_path
from orchestrator.jobdir.list_rows import ListRows
from orchestrator.master.base_chunks import MasterChunk
from orchestrator.master.kept_cells import KeptCells
from orchestrator.master.resolved import resolved

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", range(25))
def test_the_list_comes_in_its_order(tmp_path: Path, seed: int) -> None:
    """Whatever was drawn and however the rest is cut: every number, verdict and kept cell once, in the list's order."""
    dice = np.random.default_rng(seed)
    total = int(dice.integers(3, 40))
    trial = np.sort(dice.choice(total, int(dice.integers(1, total)), replace=False))
    numbers = np.arange(total) + 41_790_000_000
    list_rows = ListRows(trial)
    rest = total - len(trial)
    cuts = sorted({0, rest, *dice.integers(0, rest + 1, 3).tolist()})
    spans = [(0, len(trial)), *((len(trial) + a, b - a) for a, b in pairwise(cuts) if b > a)]
    (tmp_path / "chunks").mkdir()
    chunks = []
    for chunk, (first, count) in enumerate(spans, start=1):
        rows = list_rows.of(first, count)
        write_chunk(tmp_path, chunk, numbers[rows])
        write_columns(columns_path(tmp_path, chunk), ([str(row)] for row in rows.tolist()))
        chunks.append(
            MasterChunk(
                path=chunk_path(tmp_path, chunk),
                rows=count,
                cells=("held" if chunk == 1 else "pending",),
                first_row=first,
                columns=columns_path(tmp_path, chunk),
                places=trial if chunk == 1 else None,
            )
        )
    blocks = list(resolved(("instagram",), chunks))
    assert all(len(block.numbers) for block in blocks)
    assert np.concatenate([block.numbers for block in blocks]).tolist() == numbers.tolist()
    firsts = np.cumsum([0, *(len(block.numbers) for block in blocks)])[:-1]
    assert [block.first_row for block in blocks] == firsts.tolist()
    words = [block.words[0][code] for block in blocks for code in block.codes[0].tolist()]
    assert words == ["held" if row in set(trial.tolist()) else "pending" for row in range(total)]
    kept = KeptCells(chunks, 1)
    assert [cells[0] for cells in kept.take(total)] == [str(row) for row in range(total)]
    kept.must_be_over()
