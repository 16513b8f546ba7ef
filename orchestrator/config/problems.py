"""How a problem in the configuration is worded: what was found, which word was meant, how a key is named.

No message repeats a secret: credentials inside URLs and phone numbers are masked here, and the keys whose values could
be secrets are never shown at all (`fields.PRIVATE`).
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Place = tuple[str | int, ...]
"""The keys that lead to a value, from the top of the file; an int is a position in a list."""

SHOWN_LENGTH = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_CREDENTIALS = re.compile(r"(?<!\S)(\w+://)?\S*@")  # begun at words only, or a long one would cost its length squared
_QUERY = re.compile(r"([?#]).*", re.DOTALL)
_NUMBER = re.compile(r"\+[\d ()-]{7,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    place: Place
    text: str


def shown(value: object) -> str:
    """Say what a TOML value is, in its own spelling where that is short and safe."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            is_short = not isinstance(value, int) or abs(value) < 10**SHOWN_LENGTH
            return str(value) if is_short else "a very large number"
        case str():
            text = _CREDENTIALS.sub(r"\1…@", value)
            if "://" in text:  # tokens stand behind the question mark
                text = _QUERY.sub(r"\1…", text)
            text = _NUMBER.sub("+…", text)
            if len(text) > SHOWN_LENGTH:
                text = text[:SHOWN_LENGTH] + "…"
            return json.dumps(text, ensure_ascii=False)
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table"
    return "a date or a time"


def guess(word: str, words: Iterable[str]) -> str:
    """Return the one of `words` that `word` was probably meant to be, or an empty string."""
    by_lower = {known.lower(): known for known in words}
    matches = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[matches[0]] if matches else ""


def did_you_mean(word: object, words: Iterable[str]) -> str:
    """Return the guess as the end of a sentence: "; did you mean instagram?", or an empty string."""
    meant = guess(word, words) if isinstance(word, str) else ""
    return f"; did you mean {meant}?" if meant and meant != word else ""


def dotted(place: Place) -> str:
    """Name a key as TOML does: `platforms.amazon.min_rows`."""
    keys = (part for part in place if isinstance(part, str))
    return ".".join(key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False) for key in keys)


def titled(place: Place, *, is_table: bool) -> str:
    """Name a key with its table in front: `[platforms.amazon] min_rows`, `[job] inputs, item 2`."""
    keys = tuple(part for part in place if isinstance(part, str))
    items = "".join(f", item {part + 1}" for part in place if isinstance(part, int))
    if is_table:
        return f"[{dotted(keys)}]"
    table = f"[{dotted(keys[:-1])}] " if len(keys) > 1 else ""
    return f"{table}{dotted(keys[-1:])}{items}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Join words as a sentence does: `a, b and c`."""
    *front, end = words
    return f"{', '.join(front)} {last} {end}" if front else end
