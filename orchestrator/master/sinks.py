"""What every format of the master is to the writer, and the simplest of them: csv."""

from __future__ import annotations

import codecs
from typing import IO, TYPE_CHECKING, Protocol, Self

import numpy as np

from orchestrator.files import csv_safe
from orchestrator.jobdir.extra_files import CellKind
from orchestrator.master.row_text import Piece, assemble, column_pieces, enclosed
from orchestrator.settings import CsvStyle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.master.base_chunks import ResolvedChunk
    from orchestrator.master.master_layout import MasterLayout
    from orchestrator.master.tally import Tally

_ROW_END = b"\r\n"
_NUMBER = b"+"


class Sink(Protocol):
    """Takes the master block by block, then once its counts; `rows` is how many rows it wrote.

    A context manager: leaving it lets go of what an exception left open.
    """

    rows: int

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, block: ResolvedChunk, kept: Sequence[Sequence[str]]) -> None:
        """Take further rows, and their cells in the columns that are kept, if any are."""

    def finish(self, tally: Tally) -> None:
        """Write what comes after the rows."""


class CsvSink:
    """UTF-8, commas, CRLF, RFC 4180; what a spreadsheet could take for a formula gets an apostrophe.

    For an Excel whose decimal sign is a comma there are semicolons, and a byte order mark, without which it takes the
    text for one of its old code pages.
    """

    def __init__(self, file: IO[bytes], layout: MasterLayout) -> None:
        self.rows = 0
        self._file = file
        self._delimiter = ";" if layout.csv is CsvStyle.EXCEL else ","
        decimals = layout.csv is CsvStyle.EXCEL
        self._formats = [
            (lambda text: self._cell(text.replace(".", ","))) if decimals and kind is CellKind.DECIMAL else self._cell
            for kind in layout.kinds
        ]
        file.write(codecs.BOM_UTF8 if layout.csv is CsvStyle.EXCEL else b"")
        file.write(b"".join(map(self._cell, layout.header))[1:] + _ROW_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held but the file, which is the caller's."""

    def write(self, block: ResolvedChunk, kept: Sequence[Sequence[str]]) -> None:
        self.rows += len(block.numbers)
        pieces = column_pieces(block.in_order, self._formats)
        if kept:
            pieces.append(Piece([b"".join(map(self._cell, cells)) for cells in kept], np.arange(len(kept))))
        text = assemble(block.numbers, enclosed(pieces, b"", _ROW_END + _NUMBER))
        self._file.write(_NUMBER)
        self._file.write(text.data[: -len(_NUMBER)])

    def finish(self, tally: Tally) -> None:
        """Nothing follows the rows."""

    def _cell(self, text: str) -> bytes:
        """Return a field behind the delimiter that keeps it apart from the one before."""
        safe = csv_safe(text)
        if any(mark in safe for mark in (self._delimiter, '"', "\r", "\n")):
            safe = '"' + safe.replace('"', '""') + '"'
        return (self._delimiter + safe).encode()
