"""What reading a list gives: plain values that the ledger keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How the list may be cut, in rows: `min_rows` is the largest of the platforms, `max_rows` the smallest."""

    chunk_size: int
    min_rows: int
    max_rows: int


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """One chunk: numbered from 1; `first_row` counts accepted numbers from 0; `sha256` is of its file.

    `columns_sha256` is of the file of its kept columns, "" without one. `places` are the rows of a retry's, packed.
    """

    chunk: int
    first_row: int
    rows: int
    sha256: str
    columns_sha256: str = ""
    places: bytes | None = None


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input as it was read: its absolute path, or "-" for standard input."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of rejected texts that might be numbers, in a sample of them, and of the tables' columns.

    `sampled` texts were looked at: `with_plus` of them would be valid with a plus sign in front, `with_zeros` with one
    in place of the zeros in front, and `by_region` counts those that a default region would make valid, best first.
    `columns` names, per table, a column that looks more like numbers than the chosen one: source, chosen, other.
    """

    sampled: int = 0
    with_plus: int = 0
    with_zeros: int = 0
    by_region: tuple[tuple[str, int], ...] = ()
    columns: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ListPlan:
    """The whole list. `read` = `accepted` + `duplicates` + `rejected`, exactly.

    `rejected_by_reason` has the reasons that occurred, in the order of `reasons.REASONS`. `from_text` counts the
    accepted numbers that were found in a text with letters, which is rarely what was meant. `columns` are the names of
    kept columns. `observed` is what `advice` is made of. `lists` has the hashes of rejected.csv and
    duplicates.csv. `empty` names the inputs without a row: empty, or with a header only.
    """

    inputs: tuple[InputFile, ...]
    read: int
    accepted: int
    duplicates: int
    rejected: int
    rejected_by_reason: dict[str, int]
    from_text: int
    chunks: tuple[PlannedChunk, ...]
    columns: tuple[str, ...] = ()
    observed: Observed = Observed()
    lists: Mapping[str, str] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
