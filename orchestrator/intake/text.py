"""Reads plain text: one number a line. Lines end with LF, CRLF or CR; the last one may lack its end."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, BinaryIO

from orchestrator.intake.blocks import LineBlock

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_text(stream: BinaryIO, block_bytes: int) -> Iterator[LineBlock]:
    """Yield the text in blocks of whole lines, of about `block_bytes`, or of one line where that is longer.

    A byte order mark at the beginning is dropped.
    """
    head = stream.read(len(codecs.BOM_UTF8))
    buffer = bytearray(b"" if head == codecs.BOM_UTF8 else head)
    first_line = 1
    undecided = 0
    while data := stream.read(block_bytes):
        buffer += data
        if end := _end_of_lines(buffer, undecided):
            block = LineBlock(first_line, bytes(buffer[:end]))
            del buffer[:end]
            first_line += _count_lines(block.data)
            yield block
        undecided = max(len(buffer) - 1, 0)
    if buffer:
        yield LineBlock(first_line, bytes(buffer))


def _end_of_lines(buffer: bytearray, start: int) -> int:
    """Return where the last whole line ends; a CR at the very end may be half of a CRLF and does not count yet."""
    return max(buffer.rfind(b"\n", start), buffer.rfind(b"\r", start, len(buffer) - 1)) + 1


def _count_lines(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
