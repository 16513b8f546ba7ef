"""Which result files go to a worker in one call: a call costs more than a small file, and so does a sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

T = TypeVar("T")

ROWS_TOGETHER: Final = 20_000
FILES_TOGETHER: Final = 64


def together(waiting: deque[T], rows: Callable[[T], int]) -> list[T]:
    """Take the next file, however large, and those behind it that are small enough to go with it."""
    batch = [waiting.popleft()]
    sum_rows = rows(batch[0])
    while waiting and len(batch) < FILES_TOGETHER and sum_rows + rows(waiting[0]) <= ROWS_TOGETHER:
        batch.append(waiting.popleft())
        sum_rows += rows(batch[-1])
    return batch
