from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.intake.numbers.lookup.patterns import (
    AT_END,
    MATCH,
    Places,
    Prefix,
    Subset,
    UnsupportedPatternError,
    compile_pattern,
)

PATTERNS = [
    "0", "[08]", "0|80?", "80?|0", "06", "0(?:[1-3]\\d|4)?", "(?:0|90)(?:(1[245]|31)(\\d{2,3}))?",
    "0?(?:(11|2(?:3|45?))15)?",
    "([24-9]\\d{2})$|0", "(1[12]\\d)|0", "\\d{3}", "(?:1|12)(?:3|23)?", "1(?:[2-5]|6\\d){1,2}",
]  # fmt: skip
digits = st.text(alphabet="0123456789", max_size=9)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_whole_matches(pattern: str) -> None:
    """All texts of up to four digits, and those of the pattern's own: the answer is that of `fullmatch`."""
    places = Places()
    subset = Subset(places, [compile_pattern(pattern, places)])
    for text in _texts():
        state = subset.start
        for digit in text:
            state = subset.step(state, int(digit))
        expected = re.fullmatch(pattern, text) is not None
        assert (MATCH in state or AT_END in state) == expected, text


@pytest.mark.parametrize("pattern", PATTERNS)
def test_prefixes(pattern: str) -> None:
    """The prefix that is found, and whether the last group took part, is that of `match`."""
    compiled = re.compile(pattern)
    for text in _texts():
        found = compiled.match(text)
        closed = None if found is None else bool(found.groups()) and found.groups()[-1] is not None
        assert _prefix(pattern, text) == (None if found is None else (found.end(), closed)), text


@given(st.sampled_from(PATTERNS), digits)
def test_prefixes_of_any_digits(pattern: str, text: str) -> None:
    """The same for longer texts."""
    found = re.match(pattern, text)
    assert (_prefix(pattern, text) or (None,))[0] == (None if found is None else found.end())


def test_no_pattern_has_no_prefix() -> None:
    """A region without a national prefix finds none."""
    assert Prefix(None).start == Prefix("").start == ()


def test_patterns_share_their_ends() -> None:
    """What ends alike is stored once, and several patterns can be told apart by their goals."""
    places = Places()
    begins = [compile_pattern("1\\d{5}", places, -3), compile_pattern("2\\d{5}", places, -3)]
    assert len(places.masks) == 7
    subset = Subset(places, begins)
    state = subset.start
    for digit in (2, 0, 0, 0, 0, 0):
        state = subset.step(state, digit)
    assert state == {-3}
    assert subset.following(state) == (frozenset(),) * 10


@pytest.mark.parametrize(
    "pattern",
    ["1+", "1*", "a", "[^1]", "1.", "^1", "1$2", "(1)\\1", "(?=1)1", "[1-a]", "\\D", "(?i:1)", "1??", "(?!1)2"],
)
def test_what_is_not_known_is_refused(pattern: str) -> None:
    """A pattern of another kind is an error, never a guess."""
    with pytest.raises(UnsupportedPatternError):
        compile_pattern(pattern, Places())


def _texts() -> list[str]:
    short = ["".join(text) for length in range(5) for text in itertools.product("01235689", repeat=length)]
    return [*short, "0111511", "1115", "115", "24515", "02315", "90311234", "0121234567", "0901", "180020", "16061"]


def _prefix(pattern: str, text: str) -> tuple[int, bool] | None:
    prefix = Prefix(pattern)
    tries, best = prefix.start, None
    for place in range(len(text) + 1):
        tries, closed = prefix.matched(tries)
        if closed is not None:
            best = (place, closed)
        if place < len(text):
            tries = prefix.step(tries, int(text[place]))
    ended = [closed for target, closed in tries if target == AT_END]
    return (len(text), ended[0]) if ended else best
