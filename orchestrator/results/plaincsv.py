"""A fast reader of csv as programs write it: no quotes, as many cells in every row.

It looks at whole blocks of lines. The first block that is not plain ends it: since no quote was open until there,
the general reader goes on from that line as if it had read all of them.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final, NamedTuple

import numpy as np

from orchestrator.results.batches import Batch, coded
from orchestrator.results.numbers import as_numbers, plain_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLOCK_BYTES: Final = 1 << 20
MAX_LINE_BYTES: Final = 1 << 16
"""Below the longest cell that the general reader takes, which counts in characters."""


class Layout(NamedTuple):
    """How the rows are laid out: cells a row, what separates them, and which two are wanted."""

    cells: int
    delimiter: bytes
    number: int
    verdict: int


def read_lines(file: IO[bytes], layout: Layout) -> Iterator[Batch]:
    """Yield batches from where `file` stands; ends at the end, or at the start of a block that is not plain."""
    while True:
        start = file.tell()
        block = file.read(BLOCK_BYTES)
        rest = file.readline(MAX_LINE_BYTES)
        whole = len(rest) < MAX_LINE_BYTES or rest.endswith(b"\n")
        batch = _read_block(block + rest, layout) if whole else None
        if batch is None:
            file.seek(start)
            return
        yield batch


def _read_block(block: bytes, layout: Layout) -> Batch | None:
    lines = block.replace(b"\r\n", b"\n")
    if not lines or b"\r" in lines or b'"' in lines:
        return None
    if not lines.endswith(b"\n"):
        lines += b"\n"
    if not _is_table(lines, layout) or not _is_text(lines):
        return None
    cells = lines.replace(layout.delimiter, b"\n").split(b"\n")
    cells.pop()
    words = cells[layout.verdict :: layout.cells]
    texts = {word: word.decode() for word in set(words)}
    return coded(_numbers(cells[layout.number :: layout.cells]), list(map(texts.__getitem__, words)))


def _is_table(lines: bytes, layout: Layout) -> bool:
    """Whether every line has as many cells as the header, and none is too long."""
    text = np.frombuffer(lines, np.uint8)
    delimiter, line_end = layout.delimiter[0], ord("\n")
    ends = np.flatnonzero((text == delimiter) | (text == line_end))
    if len(ends) % layout.cells:
        return False
    marks = text[ends].reshape(-1, layout.cells)
    lengths = np.diff(ends[layout.cells - 1 :: layout.cells], prepend=-1)
    return bool(
        (marks[:, :-1] == delimiter).all() and (marks[:, -1] == line_end).all() and lengths.max() <= MAX_LINE_BYTES
    )


def _is_text(lines: bytes) -> bool:
    try:
        return lines.isascii() or bool(lines.decode())
    except UnicodeDecodeError:
        return False


def _numbers(cells: Sequence[bytes]) -> np.typing.NDArray[np.int64]:
    numbers = plain_numbers(b"\n".join(cells) + b"\n", len(cells))
    return as_numbers([cell.decode() for cell in cells]) if numbers is None else numbers
