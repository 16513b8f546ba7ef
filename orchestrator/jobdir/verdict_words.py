"""The words that this program writes into cells itself, and the order in which verdicts are shown everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

UNANSWERED: Final = "unanswered"
OWN_WORDS: Final = (UNANSWERED, "failed", "held", "skipped", "pending")
"""Words that only this program may write into a cell."""
_FIRST: Final = ("yes", "no")
ANSWERED: Final = "answered"
"""What stands for a verdict on a platform that has none, but further columns only."""


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts of verdicts in the order in which they are shown everywhere: yes, no, others by number, ours."""

    def place(word: str) -> tuple[int, int, str]:
        fixed = (*_FIRST, "", *OWN_WORDS)
        return (fixed.index(word), 0, "") if word in fixed else (len(_FIRST), -counts[word], word)

    return {word: counts[word] for word in sorted(counts, key=place)}
