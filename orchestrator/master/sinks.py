"""What every format of the master is to the writer, and the simplest of them: csv."""

from __future__ import annotations

from itertools import chain
from typing import IO, TYPE_CHECKING, Protocol, Self

from orchestrator.files import csv_safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.master.chunks import ResolvedChunk
    from orchestrator.master.tally import Tally

NUMBER = "Number"
"""The first column's header; the platforms follow."""


class Sink(Protocol):
    """Takes the master block by block, then once its counts; `rows` is how many rows it wrote.

    A context manager: leaving it lets go of what an exception left open.
    """

    rows: int

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, block: ResolvedChunk) -> None:
        """Take further rows."""

    def finish(self, tally: Tally) -> None:
        """Write what comes after the rows."""


class CsvSink:
    """UTF-8, commas, CRLF, RFC 4180; what a spreadsheet could take for a formula gets an apostrophe."""

    def __init__(self, file: IO[bytes], platforms: Sequence[str]) -> None:
        self.rows = 0
        self._file = file
        file.write(",".join([NUMBER, *(_field(platform) for platform in platforms)]).encode() + b"\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held but the file, which is the caller's."""

    def write(self, block: ResolvedChunk) -> None:
        """Append the rows."""
        self.rows += len(block.numbers)
        tables = [[b"," + _field(word).encode() for word in column.words] for column in block.columns]
        tables[-1] = [cell + b"\r\n" for cell in tables[-1]]
        self._file.write(render(block, tables))

    def finish(self, tally: Tally) -> None:
        """Nothing follows the rows."""


def _field(text: str) -> str:
    safe = csv_safe(text)
    return '"' + safe.replace('"', '""') + '"' if any(mark in safe for mark in ',"\r\n') else safe


def render(block: ResolvedChunk, cells: Sequence[Sequence[bytes]]) -> bytes:
    """Join every number and its cells, row by row; `cells[platform][code]` is what to write for a code."""
    numbers = [b"+%d" % number for number in block.numbers.tolist()]
    looked_up = (map(table.__getitem__, codes.tolist()) for table, codes in zip(cells, block.codes, strict=True))
    return b"".join(chain.from_iterable(zip(numbers, *looked_up, strict=True)))
