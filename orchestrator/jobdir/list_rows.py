"""Where the rows of chunks stand in the list: those of a trial are drawn from all of it, the others go round them.

The chunks for all platforms have the places 0, 1, 2, … in their order, the trial's first; its rows of the list are
known, and all others follow from them. Without a trial both are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.jobdir.arrays import unpack_places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from orchestrator.records import Chunk


@dataclass(frozen=True, slots=True, eq=False)
class ListRows:
    """The list's rows of the places that chunks have; `trial` are those of the trial, ascending."""

    trial: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def of(self, first: int, count: int) -> NDArray[np.int64]:
        """Return the rows of `count` places from `first` on, which are all of the trial or none of it."""
        size = len(self.trial)
        if first < size:
            return self.trial[first : first + count]
        others = np.arange(first - size, first - size + count, dtype=np.int64)
        return others + np.searchsorted(self.others_before, others, side="right")

    def of_chunk(self, chunk: Chunk) -> NDArray[np.int64]:
        """Return the rows of a chunk for all platforms."""
        return self.of(chunk.first_row, chunk.rows)

    @property
    def others_before(self) -> NDArray[np.int64]:
        """Return how many rows that are not of the trial stand before each that is."""
        return self.trial - np.arange(len(self.trial), dtype=np.int64)

    def in_list_order(self, parts: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the values of all places as the list has them; `parts` are those of the chunks, in their order."""
        if not len(self.trial):
            yield from parts
            return
        rest = iter(parts)
        of_trial = next(rest)
        place, done = len(self.trial), 0
        for values in rest:
            rows = self.of(place, len(values))
            end = int(rows[-1]) + 1
            both = np.empty(end - done, values.dtype)
            both[rows - done] = values
            drawn = slice(*np.searchsorted(self.trial, (done, end)))
            both[self.trial[drawn] - done] = of_trial[drawn]
            yield both
            place, done = place + len(values), end
        yield of_trial[np.searchsorted(self.trial, done) :]


ALL_IN_ORDER: Final = ListRows()
"""Without a trial."""


def rows_of_chunks(chunks: Iterable[Chunk]) -> ListRows:
    """Return where the rows of a job's chunks stand; those for a single platform say nothing of it."""
    trials = (chunk.places for chunk in chunks if chunk.only is None and chunk.places is not None)
    packed = next(trials, None)
    return ALL_IN_ORDER if packed is None else ListRows(unpack_places(packed))


def draw(total: int, size: int, seed: str) -> NDArray[np.int64]:
    """Draw `size` of `total` rows, each with the same chance, ascending; the same for the same `seed`."""
    numbers = np.random.default_rng(list(seed.encode()))
    return np.sort(numbers.choice(total, size, replace=False, shuffle=False).astype(np.int64))
