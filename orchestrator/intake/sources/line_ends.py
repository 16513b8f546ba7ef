"""Where lines begin and end in a block of text: the same lines that `bytes.splitlines` gives, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

_LF, _CR = ord("\n"), ord("\r")


def split_lines(text: bytes) -> tuple[Ints, Ints]:
    """Return where each line of `text` starts and where it ends, without its line end: LF, CRLF, or CR."""
    data = np.frombuffer(text, np.uint8)
    is_end = data == _LF
    returns = np.flatnonzero(data == _CR) if b"\r" in text else np.empty(0, np.int64)
    before_feed = np.append(is_end, np.False_)[returns + 1]
    is_end[returns[~before_feed]] = True
    ends = np.flatnonzero(is_end)
    starts = np.concatenate(([0], ends + 1))
    if len(text) == starts[-1]:
        starts = starts[:-1]
    else:
        ends = np.append(ends, len(text))
    if before_feed.any():
        ends -= np.isin(ends - 1, returns[before_feed], assume_unique=True)
    return starts, ends
