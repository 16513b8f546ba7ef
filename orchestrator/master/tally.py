"""Counts the master while it streams by: verdicts per platform, and verdicts per calling code."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.jobdir.digits import leading_digits
from orchestrator.jobdir.verdict_words import in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from orchestrator.master.base_chunks import ResolvedChunk

_LEADING: Final = 1000
_INTERNATIONAL: Final = "001"


class Tally:
    """Counts of one master; memory grows with the different words, not with the rows."""

    def __init__(self, platforms: Sequence[str]) -> None:
        self.platforms = tuple(platforms)
        self.rows = 0
        self._by_leading: tuple[dict[str, NDArray[np.int64]], ...] = tuple({} for _ in platforms)

    def add(self, block: ResolvedChunk) -> None:
        self.rows += len(block.numbers)
        leading = leading_digits(block.numbers)
        for known, column in zip(self._by_leading, block.columns, strict=True):
            keys = column.codes * np.int64(_LEADING) + leading
            grid = np.bincount(keys, minlength=_LEADING * len(column.words)).reshape(len(column.words), _LEADING)
            for word, counted in zip(column.words, grid, strict=True):
                if counted.any():
                    known[word] = known.get(word, 0) + counted

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Return platform → verdict → rows: yes and no, then the vendor's words by frequency, then our own."""
        return {
            platform: in_order({word: int(by_leading.sum()) for word, by_leading in known.items()})
            for platform, known in zip(self.platforms, self._by_leading, strict=True)
        }

    @property
    def words(self) -> dict[str, int]:
        """Return verdict → cells, over all platforms, in the order of `counts`."""
        total: dict[str, int] = {}
        for counts in self.counts.values():
            for word, count in counts.items():
                total[word] = total.get(word, 0) + count
        return in_order(total)

    @property
    def by_calling_code(self) -> dict[int, dict[str, int]]:
        """Return calling code → verdict → cells, over all platforms; the code with most cells first."""
        codes = calling_codes()
        table: dict[int, dict[str, int]] = {}
        for known in self._by_leading:
            for word, by_leading in known.items():
                for leading in np.flatnonzero(by_leading).tolist():
                    row = table.setdefault(codes[leading], {})
                    row[word] = row.get(word, 0) + int(by_leading[leading])
        return dict(sorted(table.items(), key=lambda item: (-sum(item[1].values()), item[0])))


@cache
def calling_codes() -> tuple[int, ...]:
    """Return the calling code for each of the first three digits 0 to 999; 0 where there is none.

    No calling code is the beginning of another, so three digits decide, and no number needs to be parsed.
    """
    known = _regions()
    return tuple(
        next((code for code in (n // 100, n // 10, n) if code in known and f"{n:03}".startswith(str(code))), 0)
        for n in range(_LEADING)
    )


def calling_code_label(code: int) -> str:
    """Return what a reader sees: `+41 CH`, `+1 US and others`, `+800 international`."""
    regions = [region for region in _regions().get(code, ()) if region != _INTERNATIONAL]
    if not code:
        return "no calling code"
    if not regions:
        return f"+{code} international"
    return f"+{code} {regions[0]}" + (" and others" if len(regions) > 1 else "")


def _regions() -> dict[int, tuple[str, ...]]:
    """Return the regions of each calling code; the library is loaded when the counts are shown, not before."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE  # noqa: PLC0415

    return COUNTRY_CODE_TO_REGION_CODE
