"""The index has every number of the job once, ascending, with the cells that the master has, however it was sorted."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orchestrator.master import MasterChunk, Overlay
from orchestrator.master.number_index import NumberIndex, build_index

Chunk = Callable[..., MasterChunk]
MakeOverlay = Callable[..., Overlay]


def content(index: NumberIndex) -> dict[int, tuple[str, ...]]:
    numbers, *codes = index.arrays()
    assert (np.diff(numbers) > 0).all()
    words = [[words[code] for code in column.tolist()] for words, column in zip(index.words, codes, strict=True)]
    return dict(zip(numbers.tolist(), zip(*words, strict=True), strict=True))


@pytest.mark.parametrize("run_rows", [1, 7, 50, 1_000])
def test_every_number_with_its_cells(tmp_path: Path, chunk: Chunk, overlay: MakeOverlay, run_rows: int) -> None:
    """Long lists are sorted in runs and merged: the same as at once, later generations and words of ours included."""
    dice = random.Random(run_rows)  # noqa: S311 - numbers for a test
    numbers = [f"+{n}" for n in dice.sample(range(41_790_000_000, 41_790_009_999), 200)]
    verdicts = [dice.choice(("yes", "no", "ban")) for _ in numbers]
    base = [
        chunk(numbers[first : first + 40], verdicts[first : first + 40], "pending" if first else "held")
        for first in range(0, 200, 40)
    ]
    later = [overlay("a", 2, [3, 77, 199], numbers, ["late", "late", "yes"])]

    index = build_index(tmp_path, ("a", "b"), (), lambda: base, lambda: later, run_rows)

    expected = {
        int(n): (v, "pending" if i >= 40 else "held") for i, (n, v) in enumerate(zip(numbers, verdicts, strict=True))
    }
    for row, word in ((3, "late"), (77, "late"), (199, "yes")):
        expected[int(numbers[row])] = (word, expected[int(numbers[row])][1])
    assert content(index) == expected
    assert index.columns == ("a", "b")
    assert not list(tmp_path.glob("run0-*")) or run_rows > 200
