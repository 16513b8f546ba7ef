"""What every reader of tables gives: the two columns, some rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.results.numbers import as_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class Batch(NamedTuple):
    """Rows that follow each other: int64 as `as_numbers` gives them, and the verdict cells as the parser gave them."""

    numbers: NDArray[np.int64]
    verdicts: Sequence[object]


def batch(numbers: Sequence[object], verdicts: Sequence[object]) -> Batch:
    """Return a batch of cells; both columns have the same length."""
    return Batch(as_numbers(numbers), verdicts)
