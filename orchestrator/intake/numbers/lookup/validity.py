"""Which national numbers of a calling code are valid, as `phonenumbers.is_valid_number` says, digit by digit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.intake.numbers.lookup.patterns import AT_END, Entries, Places, Subset, compile_pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phonenumbers import PhoneMetadata, PhoneNumberDesc

MAX_NATIONAL = 17
"""Digits that `phonenumbers` lets a national number have."""

_TYPES = (
    "fixed_line", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail",
)  # fmt: skip


class Valid(NamedTuple):
    """How far a national number was read: its length, its patterns' places, the regions whose leading digits it has."""

    length: int
    places: frozenset[int]
    named: int


class Validity:
    """Tells which national numbers of a calling code are valid, reading them digit by digit."""

    def __init__(self, regions: Sequence[PhoneMetadata]) -> None:
        self._places = Places()
        self._begins: list[Entries] = []
        self._goals: dict[tuple[int, str, frozenset[int]], int] = {}
        self._regions: list[_Region] = []
        for number, metadata in enumerate(regions):
            general = self._kind((number, "general"), metadata.general_desc)
            types = {self._kind((number, "type"), getattr(metadata, name)) for name in _TYPES}
            if not metadata.same_mobile_and_fixed_line_pattern:
                types.add(self._kind((number, "type"), metadata.mobile))
            leading = None
            if len(regions) > 1 and metadata.leading_digits is not None:
                leading = self._goal((number, "leading", frozenset()), metadata.leading_digits)
            self._regions.append(_Region(general, [kind for kind in types if kind is not None], leading))
        self._subset = Subset(self._places, self._begins)
        self._leading = {region.leading: i for i, region in enumerate(self._regions) if region.leading is not None}
        self._following: dict[Valid, list[Valid | None]] = {}
        self.start = Valid(0, self._subset.start, 0)

    def following(self, state: Valid) -> list[Valid | None]:
        """Return how far the number is read after each of the ten digits; None when no such number is valid."""
        found = self._following.get(state)
        if found is None:
            found = [None] * 10
            if state.length < MAX_NATIONAL:
                following = self._subset.following(state.places)
                known = {places: self._valid(state, places) for places in set(following)}
                found = [known[places] for places in following]
            self._following[state] = found
        return found

    def step(self, state: Valid, digit: int) -> Valid | None:
        """Return the same after one digit."""
        return None if state.length == MAX_NATIONAL else self._valid(state, self._subset.step(state.places, digit))

    def accepts(self, state: Valid | None) -> bool:
        """Follow `region_code_for_number`: the first region that takes the number decides."""
        if state is None:
            return False
        for i, region in enumerate(self._regions):
            if region.leading is None:
                if region.accepts(state):
                    return True
            elif state.named >> i & 1:
                return region.accepts(state)
        return False

    def _valid(self, before: Valid, places: frozenset[int]) -> Valid | None:
        if not places:
            return None
        named = before.named
        if not self._leading.keys().isdisjoint(places):
            for goal, region in self._leading.items():
                named |= (goal in places) << region
        return Valid(before.length + 1, places, named)

    def _kind(self, owner: tuple[int, str], description: PhoneNumberDesc | None) -> _Kind | None:
        if description is None or not description.national_number_pattern:
            return None
        lengths = frozenset(description.possible_length)
        return _Kind(self._goal((*owner, lengths), description.national_number_pattern), lengths)

    def _goal(self, key: tuple[int, str, frozenset[int]], pattern: str) -> int:
        """Return the goal for `key`, which another pattern may have too: fewer goals make fewer states."""
        goal = self._goals.setdefault(key, AT_END - 1 - len(self._goals))
        self._begins.append(compile_pattern(pattern, self._places, goal))
        return goal


class _Kind(NamedTuple):
    """A kind of number: the goal of its pattern, and its lengths, none meaning any."""

    goal: int
    lengths: frozenset[int]

    def accepts(self, state: Valid) -> bool:
        """Tell whether the number that was read is of this kind."""
        return self.goal in state.places and (not self.lengths or state.length in self.lengths)


class _Region(NamedTuple):
    general: _Kind | None
    types: list[_Kind]
    leading: int | None

    def accepts(self, state: Valid) -> bool:
        """Follow `_number_type_helper`: a number is valid when it is of any type."""
        return self.general is not None and self.general.accepts(state) and any(t.accepts(state) for t in self.types)
