"""How many lines a text has, counted in its bytes as they come: by nothing of what reads them, so that it tells of it.

Lines end with LF, CRLF or CR, in every encoding. A line counts as filled when it has a letter or a digit that is no
blank in any code page: those are what no reader of lists may pass over.
"""

from __future__ import annotations

import codecs
import io
import string
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_HEAD_BYTES: Final = 1 << 16
"""What tells the encoding."""

_PIECE_BYTES: Final = 1 << 18

_UNITS: Final = {
    codecs.BOM_UTF32_LE: "<u4",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: ">u4",
    codecs.BOM_UTF16_LE: "<u2",
    codecs.BOM_UTF16_BE: ">u2",
}
_FEWEST_PAIRS: Final = 4
_ASCII: Final = 0x80
_TEN: Final = 10
_LF: Final = ord("\n")
_SLICE_BYTES: Final = 1 << 14
"""What is looked at together, so that all of it stays in the processor's cache."""
_FILLED, _END = b"0", b"\n"
_LETTERS: Final = (string.digits + string.ascii_letters).encode()
_BEYOND: Final = bytes(range(0xC3, 0xE1))
"""Letters of code pages, and what letters and digits of other scripts begin with in UTF-8; no blank does."""
_KINDS: Final = bytes.maketrans(_LETTERS + _BEYOND + b"\r", _FILLED * len(_LETTERS + _BEYOND) + _END)
"""A table by which each sign becomes one of the two."""
_PASSED_OVER: Final = bytes(byte for byte in range(256) if _KINDS[byte] not in _FILLED + _END)
_OTHER_SCRIPTS: Final = range(0xC0, 0x800)
"""Code points whose bytes in UTF-8 count as filled, too."""


class CountedText(io.RawIOBase):
    """A readable stream over `stream`, which counts what goes through it."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._count = LineCount()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what is there, at most the length of `buffer`; 0 is the end. Raises what the stream below does."""
        view = memoryview(buffer).cast("B")
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self._count.add(data)
        return len(data)

    def buffered(self) -> BinaryIO:
        return io.BufferedReader(self, _PIECE_BYTES)

    def counted(self) -> LineCount:
        """Read what is left, and return the count of all."""
        rest = bytearray(_HEAD_BYTES)
        while self.readinto(rest):
            pass
        self._count.end()
        return self._count


class LineCount:
    """Counts `lines`, and the `filled` ones of them, of a text that is added piece by piece."""

    def __init__(self) -> None:
        self.lines = 0
        self.filled = 0
        self._waiting = b""
        self._unit: str | None = None
        self._is_open = self._is_filled = self._is_behind_cr = False

    def add(self, data: bytes) -> None:
        """Count what comes next."""
        self._waiting += data
        if self._unit is not None or len(self._waiting) >= _HEAD_BYTES:
            self._take()

    def end(self) -> None:
        """Count the last line, which may lack its end."""
        self._take()
        self.lines += self._is_open
        self.filled += self._is_filled
        self._is_open = self._is_filled = False

    def _take(self) -> None:
        if self._unit is None:
            self._unit = _unit_of(self._waiting)
        size = np.dtype(self._unit).itemsize
        whole = len(self._waiting) - len(self._waiting) % size
        data, self._waiting = self._waiting[:whole], self._waiting[whole:]
        if not data:
            return
        if size > 1:  # each unit as a byte that counts as it does
            units = np.frombuffer(data, self._unit)
            others = np.where((units >= _OTHER_SCRIPTS.start) & (units < _OTHER_SCRIPTS.stop), _BEYOND[0], 0)
            data = np.where(units < _ASCII, units, others).astype(np.uint8).tobytes()
        has_returns = b"\r" in data
        if has_returns:
            self.lines += data.count(b"\r") - data.count(b"\r\n")
        self.lines += int(np.count_nonzero(np.frombuffer(data, np.uint8) == _LF))
        self.lines -= self._is_behind_cr and data.startswith(b"\n")
        text = _FILLED * self._is_filled + data
        self.filled += _filled(text, has_returns=has_returns)
        tail = text[max(text.rfind(b"\n"), text.rfind(b"\r")) + 1 :]
        self._is_open, self._is_filled = bool(tail), bool(tail.translate(_KINDS, _PASSED_OVER))
        self._is_behind_cr = data.endswith(b"\r")


def _unit_of(head: bytes) -> str:
    """Return what the text consists of, as numpy names it: bytes, or wider numbers where a mark or zeros say so."""
    for mark, unit in _UNITS.items():
        if head.startswith(mark):
            return unit
    pairs = np.frombuffer(head[: len(head) // 2 * 2], np.uint8).reshape(-1, 2)
    if len(pairs) >= _FEWEST_PAIRS:
        first, second = (pairs == 0).mean(axis=0).tolist()
        for unit, zeros, others in (("<u2", second, first), (">u2", first, second)):
            if zeros > 0.8 and others < 0.1:  # noqa: PLR2004 - nearly all, and hardly any
                return unit
    return "u1"


def _filled(text: bytes, *, has_returns: bool) -> int:
    """Return how many line ends stand behind a filled line."""
    if not has_returns:  # mostly a digit stands before each of them, and that is seen at once
        signs = np.frombuffer(text, np.uint8)
        ends = behind_digits = 0
        for begin in range(0, len(signs), _SLICE_BYTES):
            is_end = signs[begin + 1 : begin + _SLICE_BYTES + 1] == _LF
            is_digit = signs[begin : begin + len(is_end)] - ord("0") < _TEN
            ends += int(np.count_nonzero(is_end))
            behind_digits += int(np.count_nonzero(is_end & is_digit))
        if ends == behind_digits and not text.startswith(b"\n"):
            return ends
    kinds = np.frombuffer(text.translate(_KINDS, _PASSED_OVER), np.uint8)
    return int(np.count_nonzero(kinds[1:] < kinds[:-1]))
