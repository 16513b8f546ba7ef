"""Reads plain text: one number a line. Lines end with LF, CRLF or CR; the last one may lack its end.

No line is longer in memory than `MAX_LINE_BYTES` and a block: of a longer one only the beginning is kept, to be shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from orchestrator.intake.blocks import MAX_LINE_BYTES, CellBlock, LineBlock, text_of
from orchestrator.intake.numbers.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN_BYTES = 1000

_LF = ord("\n")


def read_text(stream: BinaryIO, block_bytes: int) -> Iterator[LineBlock | CellBlock]:
    """Yield the text in blocks of whole lines, of about `block_bytes`, or of one line where that is longer.

    A line above `MAX_LINE_BYTES` is a cell with a fault.
    """
    lines = LineBuffer(stream, block_bytes)
    undecided = 0
    while lines.fill():
        if (end := lines.first_end()) > MAX_LINE_BYTES:
            yield lines.take_long(end)
            undecided = 0
        if end := end_of_lines(lines.buffer, undecided):
            yield LineBlock(lines.line, lines.take(end))
        undecided = max(len(lines.buffer) - 1, 0)
    if lines.buffer:
        yield LineBlock(lines.line, lines.take(len(lines.buffer)))


class LineBuffer:
    """What was read of a stream and not given on. `line` is the number of the first line in `buffer`, from 1."""

    def __init__(self, stream: BinaryIO, block_bytes: int, line: int = 1) -> None:
        self.buffer = bytearray()
        self.line = line
        self._stream = stream
        self._block_bytes = min(block_bytes, MAX_LINE_BYTES)  # so that only the first line can be a long one

    def fill(self) -> bool:
        """Read a further block; False at the end."""
        data = self._stream.read(self._block_bytes)
        self.buffer += data
        return bool(data)

    def take(self, end: int) -> bytes:
        """Take whole lines off the buffer."""
        data = bytes(self.buffer[:end])
        del self.buffer[:end]
        self.line += count_lines(data)
        return data

    def first_end(self) -> int:
        """Return how long the first line is at least, if it may be a long one, else 0."""
        if len(self.buffer) <= MAX_LINE_BYTES:
            return 0
        return first_end(self.buffer)

    def long_cell(self, seen_bytes: int) -> CellBlock:
        """Return a cell for the line or record at the beginning, which is too long: what is shown of it."""
        shown = bytes(self.buffer[: min(seen_bytes, SHOWN_BYTES)])
        return CellBlock([self.line], [_beginning(shown)], {0: Reason.LINE_TOO_LONG})

    def take_long(self, seen_bytes: int) -> CellBlock:
        """Take a line that is too long: a cell with what is shown of it."""
        block = self.long_cell(seen_bytes)
        self.line += 1
        while (end := first_end(self.buffer)) == len(self.buffer):
            self.buffer.clear()
            if not self.fill():
                return block
        if end == len(self.buffer) - 1:
            self.fill()  # a CR may be half of a CRLF
        del self.buffer[: end + 2 if self.buffer.startswith(b"\r\n", end) else end + 1]
        return block


def count_lines(data: bytes | bytearray) -> int:
    ends = int(np.count_nonzero(np.frombuffer(data, np.uint8) == _LF))  # several times as fast as `count`
    return ends + data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else ends


def first_end(buffer: bytearray, start: int = 0) -> int:
    """Return where the line at `start` ends, without its end; the buffer's length if it does not."""
    ends = buffer.find(b"\n", start), buffer.find(b"\r", start)
    return min((end for end in ends if end >= 0), default=len(buffer))


def end_of_lines(buffer: bytearray, start: int) -> int:
    """Return where the last whole line ends; a CR at the very end may be half of a CRLF and does not count yet."""
    return max(buffer.rfind(b"\n", start), buffer.rfind(b"\r", start, len(buffer) - 1)) + 1


def _beginning(data: bytes) -> str:
    """Return the text of bytes that may end in the middle of a character."""
    for cut in range(4):
        try:
            return data[: len(data) - cut].decode()
        except UnicodeDecodeError:
            continue
    return text_of(data)
