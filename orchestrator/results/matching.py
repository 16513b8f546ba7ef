"""Rows of a result file → places of the chunk, in any order, doubled or foreign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.results.numbers import BLANK

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Matcher:
    """Collects the verdicts of one chunk; memory is some 30 bytes a number of the chunk.

    `codes` holds a code a number, of a `kind` that has room for all codes, 0 where nothing was said; `own` counts rows
    of the chunk (doubled ones too), `foreign` all others but blank ones. Of further tables, only what they add counts:
    `overruled` are rows of theirs that say something else than an earlier table did. `sorted` are the chunk's numbers.
    """

    def __init__(self, numbers: NDArray[np.int64], kind: type[np.unsignedinteger[Any]] = np.uint8) -> None:
        self._order = np.argsort(numbers)
        self.sorted = numbers[self._order]
        self._seen = np.zeros(len(numbers), np.bool_)
        self._contradicted = np.zeros(len(numbers), np.bool_)
        self._said = np.zeros(len(numbers), kind)
        self._earlier: NDArray[np.bool_] | None = None
        self.own = 0
        self.foreign = 0
        self.overruled = 0

    def next_table(self) -> None:
        """Take what follows for another table, in which what was said already may stand again."""
        self._earlier = self._seen.copy()

    def place(self, numbers: NDArray[np.int64], codes: NDArray[np.unsignedinteger[Any]]) -> None:
        """Take rows: `numbers[i]` was said to be `codes[i]`; code 0 is an empty cell."""
        turn = np.argsort(numbers)  # a search in their order is several times as fast, and order means nothing here
        numbers, codes = numbers[turn], codes[turn]
        where = np.minimum(np.searchsorted(self.sorted, numbers), len(self.sorted) - 1)
        ours = self.sorted[where] == numbers
        blank = (numbers == BLANK) & (codes == 0)
        foreign = int(np.count_nonzero(~ours & ~blank))
        places, codes = self._order[where[ours]], codes[ours]
        if self._earlier is not None:
            old, said = self._earlier[places], self._said[places]
            self.overruled += int(np.count_nonzero(old & (codes != 0) & (said != 0) & (codes != said)))
            places, codes = places[~old], codes[~old]
            foreign = foreign if len(places) else 0
        self.own += len(places)
        self.foreign += foreign
        self._seen[places] = True
        # The codes are written, then read back: a row that finds another code than its own was contradicted, be it by
        # another row of this batch or by an earlier one. An empty cell says nothing, so it contradicts nothing.
        spoken = codes != 0
        places, codes = places[spoken], codes[spoken]
        fresh = self._said[places] == 0
        self._said[places[fresh]] = codes[fresh]
        self._contradicted[places[self._said[places] != codes]] = True

    @property
    def codes(self) -> NDArray[np.unsignedinteger[Any]]:
        """The codes, in chunk order; contradicted numbers are 0."""
        return np.where(self._contradicted, self._said.dtype.type(0), self._said)

    @property
    def complete(self) -> bool:
        """Whether every number of the chunk has a row."""
        return bool(self._seen.all())

    @property
    def matched(self) -> int:
        """How many numbers of the chunk have a row."""
        return int(np.count_nonzero(self._seen))

    @property
    def doubled(self) -> int:
        """How many rows repeat a number of the chunk."""
        return self.own - self.matched

    @property
    def contradictions(self) -> int:
        """How many numbers of the chunk have rows that disagree."""
        return int(np.count_nonzero(self._contradicted))
