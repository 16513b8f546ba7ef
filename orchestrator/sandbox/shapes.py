"""How one task's result is spelt and laid out. Some are as documented; the others are odd in ways that were seen.

The oddities are always on, by seed and task: no `+`, numeric cells, another order, other headers, other words for yes
and no, a wrong `<dimension>`, shared or inline strings, cells without references.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from orchestrator.sandbox.catalog import FURTHER_COLUMNS, VERDICT_HEADERS, ApiStyle
from orchestrator.sandbox.chance import chance, pick
from orchestrator.sandbox.verdicts import WORDS


class NumberForm(StrEnum):
    """How a number is written."""

    PLUS = "plus"  # +41798284651
    PLAIN = "plain"  # 41798284651, as text
    NUMERIC = "numeric"  # 41798284651, as a numeric cell; in text files the same as PLAIN


class RowOrder(StrEnum):
    """In which order the rows stand."""

    AS_SENT = "as sent"
    REVERSED = "reversed"
    SORTED = "sorted"
    SHUFFLED = "shuffled"


class Dimension(StrEnum):
    """What the sheet says about its own size."""

    RIGHT = "right"
    ABSENT = "absent"
    WRONG = "wrong"  # too small: readers that believe it lose rows


@dataclass(frozen=True, slots=True)
class Shape:
    """The layout of one task's result; `words` spell `verdicts.WORDS`, position by position.

    Without a `verdict_header` there are no verdicts, and `further` are the headers of other columns.
    """

    number_header: str
    verdict_header: str
    words: tuple[str, ...]
    form: NumberForm
    order: RowOrder
    folder: bool  # whether the files of a zip stand in a folder named after the task
    registered: str  # the name of the text file with the numbers that have an account
    cell_references: bool
    shared_strings: bool
    dimension: Dimension
    further: tuple[str, ...] = ()

    @property
    def headers(self) -> tuple[str, ...]:
        return (self.number_header, *filter(None, (self.verdict_header,)), *self.further)


_DOCUMENTED_SHARE = 0.4
_NUMBER_HEADERS = ("Number", "number", "Phone", "Mobile Number")
_YES_NO = (("yes", "no"), ("Yes", "No"), ("YES", "NO"), ("true", "false"), ("1", "0"), ("evet", "hay\u0131r"))
_SPANISH = (("sí", "no"), ("Sí", "No"), ("si", "no"))
_REGISTERED = ("registered.txt", "activated.txt")


@lru_cache(maxsize=1024)
def shape_of(seed: int, task_id: str, style: ApiStyle, platform: str) -> Shape:
    """Return the layout of a task's result."""
    spanish = style is ApiStyle.V1 and platform == "amazon"
    words = _SPANISH if spanish else _YES_NO
    if chance(seed, "documented", task_id) < _DOCUMENTED_SHARE:
        return Shape(
            number_header="Number",
            verdict_header=VERDICT_HEADERS.get(platform, platform),
            words=(*words[0], *WORDS[2:]),
            form=NumberForm.PLUS,
            order=RowOrder.AS_SENT,
            folder=True,
            registered=_REGISTERED[0],
            cell_references=True,
            shared_strings=True,
            dimension=Dimension.RIGHT,
            further=FURTHER_COLUMNS.get(platform, ()),
        )
    own = VERDICT_HEADERS.get(platform, platform)
    headers = (own, own.upper(), own.capitalize(), *(("activated", "Activated") if own == platform else ()))
    return Shape(
        number_header=pick(_NUMBER_HEADERS, seed, "number header", task_id),
        verdict_header=pick(headers, seed, "verdict header", task_id),
        words=(*pick(words, seed, "words", task_id), *WORDS[2:]),
        form=pick(tuple(NumberForm), seed, "form", task_id),
        order=pick(tuple(RowOrder), seed, "order", task_id),
        folder=pick((True, True, True, False), seed, "folder", task_id),
        registered=pick(_REGISTERED, seed, "registered", task_id),
        cell_references=pick((True, False), seed, "references", task_id),
        shared_strings=pick((True, False), seed, "strings", task_id),
        dimension=pick(tuple(Dimension), seed, "dimension", task_id),
        further=FURTHER_COLUMNS.get(platform, ()),
    )
