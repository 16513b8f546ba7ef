"""How a list may be cut, and what reading it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.records import Chunk, ListCounts, Listed


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How the list may be cut, in rows: `min_rows` is the largest of the platforms, `max_rows` the smallest.

    `trial_rows` are drawn from all of it by `seed`, as the first chunk.
    """

    chunk_size: int
    min_rows: int
    max_rows: int
    trial_rows: int = 0
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of rejected texts that might be numbers, in a sample of them, and of the tables' columns.

    `sampled` texts were looked at: `with_plus` of them would be valid with a plus sign in front, `with_zeros` with one
    in place of the zeros in front, and `by_region` counts those that a default region would make valid, best first.
    `fields` is the share of what is not a number that looks like rows of a table. `columns` names, per table, a column
    that looks more like numbers than the chosen one: source, chosen, other.
    """

    sampled: int = 0
    with_plus: int = 0
    with_zeros: int = 0
    by_region: tuple[tuple[str, int], ...] = ()
    fields: float = 0.0
    columns: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReadList:
    """The whole list. `observed` is what `advice` is made of.

    `empty` names the inputs that have nothing in them. `said` are sentences about the lists of `exclude`.
    """

    listed: Listed
    chunks: tuple[Chunk, ...] = ()
    observed: Observed = Observed()
    empty: tuple[str, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def counts(self) -> ListCounts:
        """How its lines were read."""
        return self.listed.counts
