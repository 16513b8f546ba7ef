"""What the vendor knows: a pure function of seed, platform and number, so that tests can compute it by themselves.

The same number has the same verdict in every task, style and file. How a file spells it is decided in `shapes`; a
reader that undoes the spelling gets the words of this module back, in lower case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from orchestrator.sandbox.chance import hash64, mix, mix_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WORDS = ("yes", "no", "ban", "unknown", "N/A")
"""Every verdict; the first two make up all but 150 in 10,000."""

_FURTHER: dict[str, tuple[str, ...]] = {
    "activetime": tuple(f"2026-{month:02}-15" for month in range(1, 13)),
    "activedays": tuple(map(str, range(366))),
    "telegram_days": ("1", "7", "30", "N/A"),
    "number_type": ("mobile", "landline", "voip"),
    "country_code": ("CH", "US", "DE"),
    "avatar": tuple(f"https://pictures.example/{place}.jpg" for place in range(1000)),
    "age": ("18-24", "25-34", "35-44", "45-54"),
}
"""What further columns hold; the others have `yes`, `no` and a blank."""
_OTHERS = ("yes", "no", "")

_BOUNDS = (5_500, 9_850, 9_900, 9_950, 10_000)
_PARTS = 10_000
_MISSING_PER_10_000 = 50
_FOREIGN_SHARE = 200
_SMALLEST_WITH_FOREIGN = 8


def verdict(seed: int, platform: str, number: str) -> str:
    """Return one of `WORDS` for a number in E.164 form; `platform` is the vendor's own name (see `catalog`)."""
    share = mix(hash64(seed, "verdict", platform), int(number)) % _PARTS
    return next(word for word, bound in zip(WORDS, _BOUNDS, strict=True) if share < bound)


def verdict_codes(seed: int, platform: str, numbers: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the positions in `WORDS` of all verdicts, in the order of `numbers`."""
    shares = mix_all(hash64(seed, "verdict", platform), numbers) % np.uint64(_PARTS)
    return np.searchsorted(np.array(_BOUNDS, dtype=np.uint64), shares, side="right")


def further_cells(seed: int, platform: str, column: str, numbers: NDArray[np.int64]) -> list[str]:
    """Return what stands in a further column of a platform's result, in the order of `numbers`."""
    words = _FURTHER.get(column, _OTHERS)
    places = mix_all(hash64(seed, "further", platform, column), numbers) % np.uint64(len(words))
    return [words[place] for place in places.tolist()]


def missing_mask(seed: int, task_id: str, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which rows the fault `missing_rows` leaves out of a task's result.

    About 0.5 %. Never the first: a result without any row of its file would be useless however often it is fetched.
    It depends on the task, so that numbers that are asked again in another task can get their verdict.
    """
    mask = mix_all(hash64(seed, "missing", task_id), numbers) % np.uint64(_PARTS) < _MISSING_PER_10_000
    mask[:1] = False
    return mask


def missing_numbers(seed: int, task_id: str, numbers: Sequence[str]) -> frozenset[str]:
    """Return those of a task's numbers (E.164, in the file's order, no duplicates) that `missing_rows` leaves out."""
    mask = missing_mask(seed, task_id, np.array([int(number) for number in numbers], dtype=np.int64))
    return frozenset(number for number, missing in zip(numbers, mask.tolist(), strict=True) if missing)


def foreign_rows(seed: int, task_id: str, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return numbers that were not in the file, for the fault `foreign_rows`; none for the smallest files.

    They are neighbours of the file's own numbers: in a list of numbers that follow each other, these belong to other
    chunks of the same job, which is the mix-up that hurts. One for 200 rows, so that they never are the most.
    """
    if len(numbers) < _SMALLEST_WITH_FOREIGN:
        return np.empty(0, dtype=np.int64)
    wanted = max(1, len(numbers) // _FOREIGN_SHARE)
    order = np.argsort(mix_all(hash64(seed, "foreign", task_id), numbers), kind="stable")
    neighbours = np.unique(np.concatenate([numbers[order[: 4 * wanted]] + step for step in (1, -1, 1000)]))
    strangers = neighbours[~np.isin(neighbours, numbers)]
    return strangers[:wanted]
