"""What reading a list gives: plain values that the ledger keeps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How the list may be cut, in rows: `min_rows` is the largest of the platforms, `max_rows` the smallest."""

    chunk_size: int
    min_rows: int
    max_rows: int


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """One chunk: numbered from 1; `first_row` counts accepted numbers from 0; `sha256` is of its file."""

    chunk: int
    first_row: int
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input as it was read: its absolute path, or "-" for standard input."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ListPlan:
    """The whole list. `read` = `accepted` + `duplicates` + `rejected`, exactly.

    `rejected_by_reason` has the reasons that occurred, in the order of `Reason`. `from_text` counts the accepted
    numbers that were found in a text with letters, which is rarely what was meant.
    """

    inputs: tuple[InputFile, ...]
    read: int
    accepted: int
    duplicates: int
    rejected: int
    rejected_by_reason: dict[str, int]
    from_text: int
    chunks: tuple[PlannedChunk, ...]
