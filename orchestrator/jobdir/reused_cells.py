"""The verdicts of a chunk that were taken from earlier jobs, as the ledger keeps them: packed, in chunk order.

They stand in the ledger, not in a file: nothing of this job's own could make them anew if a file were lost.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from orchestrator.errors import StorageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

REUSED_WORDS: Final = ("skipped", "yes", "no")
"""What a code means; a number of which nothing was taken is not asked here, but in a later generation or not at all."""
_MOMENTS: Final = np.dtype("<u4")


class ReusedCells(NamedTuple):
    """`codes[i]` indexes `REUSED_WORDS`; `moments[i]` is when number i was checked, in s since the epoch, 0 if not."""

    codes: NDArray[np.uint8]
    moments: NDArray[np.int64]


def pack_reused(cells: ReusedCells) -> bytes:
    known = cells.moments[cells.codes > 0]
    return zlib.compress(cells.codes.tobytes() + known.astype(_MOMENTS).tobytes(), 1)


def unpack_reused(packed: bytes, rows: int) -> ReusedCells:
    """Return what `pack_reused` packed; raises `StorageError` for anything else."""
    try:
        content = zlib.decompress(packed)
        codes = np.frombuffer(content, np.uint8, rows)
        known = np.frombuffer(content, _MOMENTS, offset=rows)
        if codes.max(initial=0) >= len(REUSED_WORDS):
            raise ValueError
        moments = np.zeros(rows, np.int64)
        moments[codes > 0] = known
    except (zlib.error, ValueError):
        raise StorageError(
            "the ledger's record of reused verdicts makes no sense; restore the job's directory from its last run"
        ) from None
    return ReusedCells(codes, moments)


def moment_text(at: float) -> str:
    """Write when a verdict was checked, as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(text: str) -> int:
    """Return the moment that `moment_text` wrote, 0 for an empty text."""
    return int(datetime.fromisoformat(text).timestamp()) if text else 0
