"""Regular expressions over digits, as automata.

The patterns of `phonenumbers` are of a simple kind: digits, sets of digits, alternatives, repeats, groups, and an end
mark in a few prefixes. `compile_pattern` turns one into places; an entry of a place list is where matching may go on.
Entries stand in the order in which Python's `re` tries them, so that both questions can be answered exactly: does the
whole text match (`Subset`), and which prefix does `match` take (`Prefix`)?

What is not of that kind raises `UnsupportedPatternError`; the caller leaves such numbers to `phonenumbers` itself.
"""

from __future__ import annotations

from re import _constants as op  # type: ignore[attr-defined]  # Python's own parser, so that nothing is read differently
from re import _parser as parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL_DIGITS = 0b11_1111_1111
MATCH = -1
AT_END = -2
"""Targets that are no places: the pattern has matched here; it has matched if the text ends here."""

Entry = tuple[int, bool]
"""A place, or one of the targets above; whether the pattern's last group was closed on the way to it."""

Entries = tuple[Entry, ...]


class UnsupportedPatternError(Exception):
    """A pattern holds something that these automata don't know."""


class Places:
    """The places of compiled patterns: each takes one digit of a mask, and then goes on with its entries.

    Patterns that end alike share the places of their ends.
    """

    def __init__(self) -> None:
        self.masks: list[int] = []
        self.entries: list[Entries] = []
        self._known: dict[tuple[int, Entries], Entries] = {}

    def add(self, mask: int, entries: Entries) -> Entries:
        """Add a place unless it is there; return the entry that leads to it."""
        key = (mask, entries)
        if key not in self._known:
            self._known[key] = ((len(self.masks), False),)
            self.masks.append(mask)
            self.entries.append(entries)
        return self._known[key]


def compile_pattern(pattern: str, places: Places, goal: int = MATCH) -> Entries:
    """Add the places of `pattern`, and return the entries to begin with; `goal` is the target of a match."""
    tree = parser.parse(pattern)
    return _Compiler(places, goal, tree.state.groups - 1).sequence(tree, ((goal, False),))


class _Compiler:
    """Builds from the end to the beginning, so that what follows is always known."""

    def __init__(self, places: Places, goal: int, last_group: int) -> None:
        self._places = places
        self._goal = goal
        self._last_group = last_group

    def sequence(self, items: Iterable[Any], following: Entries) -> Entries:
        for kind, value in reversed(list(items)):
            following = self._item(kind, value, following)
        return following

    def _item(self, kind: Any, value: Any, following: Entries) -> Entries:
        match kind:
            case op.LITERAL | op.IN | op.CATEGORY:
                return self._places.add(_mask(kind, value), following)
            case op.BRANCH:
                return _unique(entry for branch in value[1] for entry in self.sequence(branch, following))
            case op.SUBPATTERN if not value[1] and not value[2]:
                if value[0] == self._last_group:
                    following = tuple((target, True) for target, _ in following)
                return self.sequence(value[3], following)
            case op.MAX_REPEAT if value[1] is not op.MAXREPEAT:
                least, most, content = value
                entries = following
                for _ in range(most - least):
                    entries = _unique((*self.sequence(content, entries), *following))
                for _ in range(least):
                    entries = self.sequence(content, entries)
                return entries
            case op.AT if value in {op.AT_END, op.AT_END_STRING} and {target for target, _ in following} == {
                self._goal
            }:
                return tuple((AT_END, closed) for _, closed in following)
        raise UnsupportedPatternError(str(kind))


def _unique(entries: Iterable[Entry]) -> Entries:
    """Drop what was tried before."""
    return tuple(dict.fromkeys(entries))


def _mask(kind: Any, value: Any) -> int:
    match kind:
        case op.LITERAL if 0 <= value - ord("0") <= 9:  # noqa: PLR2004 - a digit
            return 1 << int(value - ord("0"))
        case op.RANGE if ord("0") <= value[0] <= value[1] <= ord("9"):
            return sum(1 << (digit - ord("0")) for digit in range(value[0], value[1] + 1))
        case op.CATEGORY if value is op.CATEGORY_DIGIT:
            return ALL_DIGITS
        case op.IN if all(one is not op.NEGATE for one, _ in value):
            mask = 0
            for one in value:
                mask |= _mask(*one)
            return mask
    raise UnsupportedPatternError(str(kind))


class Subset:
    """Reads digits and knows all patterns that match the whole of what was read: states are sets of targets."""

    def __init__(self, places: Places, begins: Iterable[Entries]) -> None:
        self._places = places
        self._following: dict[frozenset[int], tuple[frozenset[int], ...]] = {}
        self.start = frozenset(target for entries in begins for target, _ in entries)

    def following(self, state: frozenset[int]) -> tuple[frozenset[int], ...]:
        """Return the states after each of the ten digits; the empty one is never left."""
        found = self._following.get(state)
        if found is None:
            masks, entries = self._places.masks, self._places.entries
            places = [place for place in state if place >= 0]
            if all(masks[place] == ALL_DIGITS for place in places):
                found = (frozenset(target for place in places for target, _ in entries[place]),) * 10
            else:
                found = tuple(
                    frozenset(target for place in places if masks[place] >> digit & 1 for target, _ in entries[place])
                    for digit in range(10)
                )
            self._following[state] = found
        return found

    def step(self, state: frozenset[int], digit: int) -> frozenset[int]:
        """Return the state after one more digit."""
        return self.following(state)[digit]


Threads = tuple[tuple[int, bool], ...]
"""Where the tries stand, in their order, each with whether the last group was closed."""


class Prefix:
    """Reads digits as `re.match` would: the first try that succeeds wins, though it be found late."""

    def __init__(self, pattern: str | None) -> None:
        self._places = Places()
        self._following: dict[Threads, tuple[Threads, ...]] = {}
        self.start: Threads = compile_pattern(pattern, self._places) if pattern else ()

    @staticmethod
    def matched(threads: Threads) -> tuple[Threads, bool | None]:
        """Return the tries that go before the match that was found here, and whether that closed the last group.

        None means that nothing was found here.
        """
        for i, (target, closed) in enumerate(threads):
            if target == MATCH:
                return threads[:i], closed
        return threads, None

    def following(self, threads: Threads) -> tuple[Threads, ...]:
        """Return the tries after each of the ten digits."""
        found = self._following.get(threads)
        if found is None:
            found = self._following[threads] = tuple(self.step(threads, digit) for digit in range(10))
        return found

    def step(self, threads: Threads, digit: int) -> Threads:
        """Return the tries after one more digit; those that wanted the end are gone."""
        return _unique(
            (target, closed or more)
            for place, closed in threads
            if place >= 0 and self._places.masks[place] >> digit & 1
            for target, more in self._places.entries[place]
        )
