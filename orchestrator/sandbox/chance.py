"""Everything that looks random here is a hash of the seed and of what it decides about.

So a run can be repeated, a test can compute what must come out, and nothing depends on the order of calls.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # splitmix64


@lru_cache(maxsize=4096)
def hash64(seed: int, *parts: object) -> int:
    """Return 64 well-mixed bits of `seed` and `parts`; `parts` count by their text."""
    text = "\x1f".join(str(part) for part in (seed, *parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def chance(seed: int, *parts: object) -> float:
    """Return a share in [0, 1) that `seed` and `parts` decide."""
    return (hash64(seed, *parts) >> 11) / (1 << 53)


def pick(options: Sequence[T], seed: int, *parts: object) -> T:
    return options[hash64(seed, *parts) % len(options)]


def mix(key: int, number: int) -> int:
    """Return 64 bits for `number` under `key`; `mix_all` gives the same for a whole array."""
    bits = ((number ^ key) + _GOLDEN) & _MASK
    bits = ((bits ^ (bits >> 30)) * _FIRST) & _MASK
    bits = ((bits ^ (bits >> 27)) * _SECOND) & _MASK
    return bits ^ (bits >> 31)


def mix_all(key: int, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return `mix` of every number: hashing them one by one would make a million rows take seconds."""
    bits = (numbers.astype(np.uint64) ^ np.uint64(key)) + np.uint64(_GOLDEN)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(_FIRST)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(_SECOND)
    return bits ^ (bits >> np.uint64(31))
