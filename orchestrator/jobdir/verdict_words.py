"""The words that this program writes into cells itself, and the order in which verdicts are shown everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNANSWERED: Final = "unanswered"
SKIPPED: Final = "skipped"
OWN_WORDS: Final = (UNANSWERED, "failed", "held", SKIPPED, "pending")
"""Words that only this program may write into a cell."""
SYNONYMS: Final = dict.fromkeys(("sí", "si", "evet", "是", "true", "1", "1.0"), "yes") | dict.fromkeys(
    ("hay\N{LATIN SMALL LETTER DOTLESS I}r", "hayir", "否", "false", "0", "0.0"), "no"
)
"""What vendors say in place of yes and no: no cell has these."""
_FIRST: Final = ("yes", "no")
UNDETERMINED: Final = ("unknown", "n/a")
"""The vendor's words for "could not tell"."""
ANSWERED: Final = "answered"
"""What stands for a verdict on a platform that has none, but further columns only."""

CHECKED_AT: Final = "checked_at"
"""The column that says when a verdict was checked, where some were taken from earlier jobs."""

ALARM: Final = "alarm: "
"""How the finding of a task begins whose words are not like those of the tasks before it."""

NOT_IN_JOB: Final = "not in the job"
"""What is said of a number where there is no cell for it."""

TOP_WORDS: Final = 12
"""The vendor decides how many different words there are; what shows them stays readable."""
OTHER_WORDS: Final = "other words"

MEANINGS: Final = {
    "yes": "The number has an account on this platform.",
    "no": "The number has no account on this platform.",
    "ban": "The vendor says that the number's account is banned.",
    ANSWERED: "The vendor gave columns for this number; the platform has no verdict.",
    "unknown": "The vendor could not tell. This is not a no.",
    "n/a": "The vendor could not tell. This is not a no.",
    "unanswered": "The task is done, but the vendor said nothing about this number. This is not a no.",
    "failed": "The task failed for good, so there is no verdict.",
    "held": "The task waits for a decision: orchestrator status --held lists what to decide.",
    "skipped": "Not asked: the list is too short for this platform, or the number is none of those of its only_if.",
    "pending": "Not finished yet: run again to go on.",
    OTHER_WORDS: "Rarer words of the vendor, taken together here; the rows have them as they came.",
}
VENDORS_WORD: Final = "The vendor's own word, as it came."


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts of verdicts in the order in which they are shown everywhere: yes, no, others by number, ours."""

    def place(word: str) -> tuple[int, int, str]:
        fixed = (*_FIRST, "", *OWN_WORDS)
        return (fixed.index(word), 0, "") if word in fixed else (len(_FIRST), -counts[word], word)

    return {word: counts[word] for word in sorted(counts, key=place)}


def shown_words(total: Mapping[str, int]) -> tuple[str, ...]:
    """Return the words that get a column of their own; where there are too many, the rarer ones share one."""
    if len(total) <= TOP_WORDS:
        return tuple(total)
    top = sorted(total, key=lambda word: (word not in MEANINGS, -total[word]))[: TOP_WORDS - 1]
    return (*(word for word in total if word in top), OTHER_WORDS)


def folded(counts: Mapping[str, int], words: Sequence[str]) -> dict[str, int]:
    """Return the counts of `words`, which `shown_words` chose."""
    shown = dict.fromkeys(words, 0)
    for word, number in counts.items():
        shown[word if word in shown else OTHER_WORDS] += number
    return shown
