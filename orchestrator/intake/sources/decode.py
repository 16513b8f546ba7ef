"""Any encoding → UTF-8, as a stream, in bounded memory.

A byte order mark decides; without one, text in which nearly every other byte is NUL is UTF-16. Everything else passes
as it is: `blocks.text_of` tells UTF-8 from code pages line by line.
"""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_BYTES = 1 << 16
"""How much of a stream is looked at before it is read."""

_PIECE_BYTES = 1 << 18
_MARKS = (
    (codecs.BOM_UTF8, ""),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FEWEST_PAIRS = 4


class Peeked(io.RawIOBase):
    """A readable stream whose first bytes are known as `head`, and are read again.

    `mark` is what a file of this text begins with that is to be read as the one it comes from was.
    """

    def __init__(self, stream: BinaryIO, head_bytes: int = HEAD_BYTES, mark: bytes = b"") -> None:
        super().__init__()
        self.mark = mark
        self.head = stream.read(head_bytes)
        self._stream = stream
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what is there, at most the length of `buffer`; 0 is the end. Raises what the stream below does."""
        view = memoryview(buffer).cast("B")
        data = self.head[self._at : self._at + len(view)] or self._stream.read(len(view))
        self._at += len(data)
        view[: len(data)] = data
        return len(data)

    def buffered(self) -> BinaryIO:
        return io.BufferedReader(self, _PIECE_BYTES)


def as_utf8(stream: BinaryIO) -> Peeked:
    """Return a stream of the same text in UTF-8, or in a code page, without its byte order mark.

    What is wrong in UTF-16 becomes U+FFFD.
    """
    peeked = Peeked(stream)
    mark, encoding = _encoding(peeked.head)
    rest = peeked.buffered()
    rest.read(len(mark))
    if encoding:
        return Peeked(io.BufferedReader(_Transcoded(rest, encoding), _PIECE_BYTES), mark=codecs.BOM_UTF8)
    return Peeked(rest, mark=mark)


class _Transcoded(io.RawIOBase):
    """A stream of text in another encoding, as UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._ready and not self._ended:
            data = self._stream.read(_PIECE_BYTES)
            self._ended = not data
            self._ready = self._decoder.decode(data, self._ended).encode()
        view = memoryview(buffer).cast("B")
        data, self._ready = self._ready[: len(view)], self._ready[len(view) :]
        view[: len(data)] = data
        return len(data)


def _encoding(head: bytes) -> tuple[bytes, str]:
    """Return the byte order mark that `head` begins with, and the name of an encoding other than UTF-8."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return mark, encoding
    pairs = len(head) // 2
    high, low = head[: 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if pairs >= _FEWEST_PAIRS:
        if low > pairs * 0.8 and high < pairs * 0.1:
            return b"", "utf-16-le"
        if high > pairs * 0.8 and low < pairs * 0.1:
            return b"", "utf-16-be"
    return b"", ""
