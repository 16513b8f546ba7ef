"""What every reader of tables gives: the two columns, some rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from orchestrator.results.numbers import as_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Batch(NamedTuple):
    """Rows, in any order: int64 as `as_numbers` gives them, and verdict cells as the parser gave them.

    There are few different cells: row i has `cells[which[i]]`.
    """

    numbers: NDArray[np.int64]
    cells: Sequence[object]
    which: NDArray[np.intp]

    @property
    def verdicts(self) -> list[object]:
        """The verdict cell of every row."""
        return [self.cells[place] for place in self.which.tolist()]


def batch(numbers: Sequence[object], verdicts: Sequence[object]) -> Batch:
    """Return a batch of cells; both columns have the same length."""
    return coded(as_numbers(numbers), verdicts)


def coded(numbers: NDArray[np.int64], verdicts: Sequence[object]) -> Batch:
    """Return a batch whose verdicts are one cell a row."""
    cells = list(dict.fromkeys(verdicts))
    places = {cell: place for place, cell in enumerate(cells)}
    return Batch(numbers, cells, np.fromiter(map(places.__getitem__, verdicts), np.intp, len(verdicts)))


def joined(batches: Sequence[Batch]) -> Batch:
    """Return one batch of all rows."""
    if len(batches) == 1:
        return batches[0]
    cells = [cell for batch in batches for cell in batch.cells]
    firsts = np.cumsum([0, *(len(batch.cells) for batch in batches[:-1])])
    which = [batch.which + first for batch, first in zip(batches, firsts.tolist(), strict=True)]
    return Batch(np.concatenate([batch.numbers for batch in batches]), cells, np.concatenate(which))
