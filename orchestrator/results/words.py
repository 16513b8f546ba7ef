"""Words of the vendor → verdicts, and verdicts → codes of one byte.

Undetermined is not a negative: only what plainly says no becomes `no`, and an empty cell is `unanswered`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.errors import DamagedResultError
from orchestrator.jobdir.verdict_words import OWN_WORDS, SYNONYMS, UNANSWERED
from orchestrator.redact import mask_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

VENDOR_PREFIX: Final = "vendor:"

MAX_WORDS: Final = 250
MAX_WORD_LENGTH: Final = 64
MAX_SPELLINGS: Final = 1000
"""Spellings that a file may use for its words, in case, spaces and cell type: bounds the look-up table."""

_QUOTED: Final = re.compile(r"=?([\"'])(.*)\1")
"""How a word is written that is to stay a text, `="yes"` for Excel."""

ODD: Final = 0xFF
"""In the place of a code: the cell can't be a verdict."""


class OddWordError(Exception):
    """What stands in the place of a verdict is none; says why."""


def verdict(cell: object) -> str:
    """Return the verdict that a cell of a result file stands for; an empty cell is `unanswered`.

    The word comes back in lower case, on one line, printable, and never equal to one of `OWN_WORDS` unless the cell
    was empty. Raises `OddWordError` for a word longer than `MAX_WORD_LENGTH`, and for a telephone number, which is what
    another column holds: words are counted, and counts are shown and stay after a purge.
    """
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # xlsx has no integers, 1 arrives as 1.0
    text = unicodedata.normalize("NFKC", str(cell)).lower()  # also letters of full width
    word = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    while quoted := _QUOTED.fullmatch(word):
        word = quoted[2].strip()
    word = word.strip('"')  # one that is left of a pair
    if len(word) > MAX_WORD_LENGTH:
        raise OddWordError(f"a verdict is {len(word)} characters long; at most {MAX_WORD_LENGTH} are believed")
    if mask_numbers(word) != word:
        raise OddWordError("a verdict is a telephone number")
    if word in OWN_WORDS:
        return VENDOR_PREFIX + word
    return SYNONYMS.get(word, word) or UNANSWERED


class WordTable:
    """The distinct verdicts of one file; a verdict's code is its index in `words`, and `unanswered` is 0.

    Cells that can't be verdicts are `ODD`, for the caller to count; `oddity` says what was odd about the last one.
    """

    def __init__(self) -> None:
        self.words = [UNANSWERED]
        self.oddity = ""
        self._codes: dict[object, int] = {}

    def copy(self) -> WordTable:
        """Return another one with the same words, for a table that may not be taken."""
        other = WordTable()
        other.words, other._codes = [*self.words], dict(self._codes)
        return other

    def codes(self, cells: Sequence[object]) -> NDArray[np.uint8]:
        """Return one code a cell; raises `DamagedResultError` when the file has too many different words."""
        for cell in sorted(set(cells).difference(self._codes), key=str):  # the same file gives the same codes
            try:
                word = verdict(cell)
            except OddWordError as error:
                self.oddity = str(error)
                continue
            if word not in self.words:
                self.words.append(word)
            self._codes[cell] = self.words.index(word)
            if len(self.words) > MAX_WORDS or len(self._codes) > MAX_SPELLINGS:
                raise DamagedResultError(f"the verdict column holds more than {MAX_WORDS} different words")
        return np.frombuffer(bytes(self._codes.get(cell, ODD) for cell in cells), np.uint8)
