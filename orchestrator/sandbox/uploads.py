"""Uploaded files: one E.164 number a line, nothing else.

The vendor does not say whether one bad row fails the whole file. Here it does, as the harder of the two answers.
Duplicates are dropped before rows are counted, as at the vendor.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 32
_LINES = re.compile(rb"(?:\+[1-9][0-9]{4,14}\r?\n)*")  # E.164 has no lower bound; the shortest real numbers have five


class BadFileError(ValueError):
    """The uploaded file is not a list of E.164 numbers; the message names the line, never the number."""


def read_numbers(path: Path) -> NDArray[np.int64]:
    """Return the file's numbers in its order, duplicates dropped; raises `BadFileError` and `OSError`."""
    blocks: list[NDArray[np.int64]] = []
    lines, rest = 0, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            head, newline, rest = (rest + block).rpartition(b"\n")
            lines = _append(blocks, head + newline, lines)
            if len(rest) > _LONGEST_LINE_BYTES:
                raise BadFileError(f"line {lines + 1} is not an E.164 number")
    if rest:
        _append(blocks, rest + b"\n", lines)
    if not blocks:
        raise BadFileError("the file is empty")
    numbers = np.concatenate(blocks)
    _, first = np.unique(numbers, return_index=True)
    return numbers if len(first) == len(numbers) else numbers[np.sort(first)]


def _append(blocks: list[NDArray[np.int64]], text: bytes, lines: int) -> int:
    match = _LINES.match(text)
    good = match.end() if match else 0
    if good < len(text):
        line = lines + text.count(b"\n", 0, good) + 1
        raise BadFileError(f"line {line} is not an E.164 number")
    if text:
        blocks.append(np.fromstring(text.decode(), dtype=np.int64, sep="\n"))
    return lines + text.count(b"\n")
