"""What `phonenumbers` makes of plain digits, as automata built from its metadata.

An automaton answers for every text of digits, in one walk, what `parse`, `is_valid_number` and `format_number` would
give together. Its answer is a label: 0 means "not decided here", and `1 + n` that the number is valid, and that n
digits are dropped from it:

    automaton                  reads                          drops                        leaves
    international              what stands behind a plus      national prefix behind       calling code and
                                                              the calling code             the rest
    national, of one region    digits without a plus          national prefix, or the      the rest, to stand behind
                                                              region's calling code        the calling code

The steps of `phonenumbers.parse` that are followed, with their names there: `_extract_country_code` (calling codes are
no prefixes of each other), `_maybe_extract_country_code`, `_maybe_strip_national_prefix_carrier_code`,
`_test_number_length`, `region_code_for_number`, `_number_type_helper`. Left undecided are a national prefix that is
rewritten instead of dropped, digits that begin with an international prefix, and what is valid both with its first
digits as the calling code of the region and without, of which `decide` makes more than `phonenumbers` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import phonenumbers
from phonenumbers import PhoneMetadata

from orchestrator.cells import MAX_DIGITS
from orchestrator.intake.numbers.lookup.patterns import (
    AT_END,
    MATCH,
    Places,
    Prefix,
    Subset,
    Threads,
    UnsupportedPatternError,
)
from orchestrator.intake.numbers.lookup.patterns import compile_pattern as compiled
from orchestrator.intake.numbers.lookup.validity import Valid, Validity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHORTEST = 3
"""Digits that a text must have for `phonenumbers` to see a number in it."""
State = TypeVar("State")


class Machine(Protocol[State]):
    """Reads digits, and never comes back to a state."""

    start: State

    def following(self, state: State) -> Sequence[State | None]:
        """Return the states after each of the ten digits; None where nothing that goes on like this gets a label."""

    def label(self, state: State) -> int:
        """Return the label of a text that ends here."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """A minimal automaton: `steps[state][digit]` is the next state, `labels[state]` the answer; state 0 is dead.

    `begins` are the states behind each calling code.
    """

    start: int
    steps: list[tuple[int, ...]]
    labels: list[int]
    begins: Mapping[int, int] = field(default_factory=dict)


def international(known: Automaton | None = None) -> Automaton:
    """Build the automaton of what stands behind a plus sign; the default region plays no part in it.

    What is `known` behind a calling code is taken as it is.
    """
    if known is not None and known.start:
        return known
    reduction = _Reduction(known)
    begins = {} if known is None else dict(known.begins)
    for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        try:
            begins[code] = begins[code] if code in begins else reduction.add(_National(code))
        except UnsupportedPatternError:
            begins[code] = 0
    start = reduction.join({str(code): state for code, state in begins.items()})
    return replace(reduction.automaton(start), begins=begins)


def national(region: str) -> Automaton:
    """Build the automaton of what stands without a plus sign where `region` is the default one."""
    reduction = _Reduction()
    try:
        return reduction.automaton(reduction.add(_Local(region)))
    except UnsupportedPatternError:
        return reduction.automaton(0)


class _Reduction:
    """Makes automata minimal: states that answer alike for all texts become one."""

    def __init__(self, known: Automaton | None = None) -> None:
        known = known or Automaton(0, [], [])
        self._steps = [*known.steps]
        self._labels = [*known.labels]
        self._known = {state: number for number, state in enumerate(zip(self._labels, self._steps, strict=True))}
        self._number(0, (0,) * 10)

    def add(self, machine: Machine[Any]) -> int:
        """Add all states of a machine without loops; return where it begins."""
        memo: dict[Any, int] = {None: 0}

        def reduced(state: Any) -> int:
            found = memo.get(state)
            if found is None:
                following = machine.following(state)
                # Most digits lead to the same object: looking that up by its value costs more than all the rest.
                different = {id(one): one for one in following}
                numbers = {key: reduced(one) for key, one in different.items()}
                found = memo[state] = self._number(machine.label(state), tuple(numbers[id(one)] for one in following))
            return found

        return reduced(machine.start)

    def join(self, starts: dict[str, int], behind: str = "") -> int:
        """Add states that lead through the digits of each key to its state."""
        if behind in starts:
            return starts[behind]
        if not any(key.startswith(behind) for key in starts):
            return 0
        return self._number(0, tuple(self.join(starts, f"{behind}{digit}") for digit in range(10)))

    def automaton(self, start: int) -> Automaton:
        return Automaton(start, self._steps, self._labels)

    def _number(self, label: int, following: tuple[int, ...]) -> int:
        key = (label, following)
        if key not in self._known:
            self._known[key] = len(self._steps)
            self._steps.append(following)
            self._labels.append(label)
        return self._known[key]


class _Plan:
    """What parsing takes from the metadata of one region."""

    def __init__(self, metadata: PhoneMetadata) -> None:
        general = metadata.general_desc
        if general is None or general.national_number_pattern is None:
            raise UnsupportedPatternError("no general description")
        places = Places()
        self.viable = Subset(places, [compiled(general.national_number_pattern, places)])
        self.prefix = Prefix(metadata.national_prefix_for_parsing)
        self.rewrites = bool(metadata.national_prefix_transform_rule)
        self._possible = frozenset(general.possible_length)
        self._local = frozenset(general.possible_length_local_only)

    def is_viable(self, places: frozenset[int]) -> bool:
        return MATCH in places

    def is_too_long(self, length: int) -> bool:
        return length > max(self._possible) and length not in self._local

    def may_be_left(self, length: int) -> bool:
        """Follow the check of what is left without a national prefix: neither too short, nor local, nor impossible."""
        return length not in self._local and (length in self._possible or length > max(self._possible))


class _NationalReading(NamedTuple):
    """A national number being read, and what would be left of it without its national prefix.

    `cut` is where the prefix ends, None without one. `rest` and `rest_viable` begin there.
    """

    length: int
    whole: Valid | None
    whole_viable: frozenset[int] = frozenset()
    tries: Threads = ()
    cut: int | None = None
    closed: bool = False
    rest: Valid | None = None
    rest_viable: frozenset[int] = frozenset()


class _National:
    """Reads the national part of a number, with or without a national prefix; labels say how much of it is dropped."""

    def __init__(self, code: int, region: str | None = None) -> None:
        regions = [_metadata(code, one) for one in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]]
        self._plan = _Plan(regions[0] if region is None else _metadata(code, region))
        self._validity = Validity(regions)
        self._longest = MAX_DIGITS - len(str(code))
        self.start = self._looked_at(
            _NationalReading(0, self._validity.start, self._plan.viable.start, self._plan.prefix.start)
        )

    def following(self, state: _NationalReading) -> list[_NationalReading | None]:
        nowhere: list[Valid | None] = [None] * 10
        wholes = nowhere if state.whole is None else self._validity.following(state.whole)
        if not state.tries and not state.cut:
            known = {whole: whole and _NationalReading(whole.length, whole) for whole in set(wholes)}
            return [known[whole] for whole in wholes]
        viable = self._plan.viable
        parts = zip(
            wholes,
            viable.following(state.whole_viable),
            self._plan.prefix.following(state.tries),
            nowhere if state.rest is None else self._validity.following(state.rest),
            viable.following(state.rest_viable),
            strict=True,
        )
        # Most digits of a state lead to the same, which is made once.
        made: dict[tuple[object, ...], _NationalReading | None] = {}
        following = []
        for part in parts:
            if part not in made:
                whole, whole_viable, tries, rest, rest_viable = part
                read = self._looked_at(
                    _NationalReading(
                        state.length + 1, whole, whole_viable, tries, state.cut, state.closed, rest, rest_viable
                    )
                )
                made[part] = read if read.whole or read.rest or read.tries else None
            following.append(made[part])
        return following

    def step(self, state: _NationalReading, digit: int) -> _NationalReading | None:
        viable = self._plan.viable
        following = self._looked_at(
            _NationalReading(
                state.length + 1,
                None if state.whole is None else self._validity.step(state.whole, digit),
                viable.step(state.whole_viable, digit),
                self._plan.prefix.step(state.tries, digit),
                state.cut,
                state.closed,
                None if state.rest is None else self._validity.step(state.rest, digit),
                viable.step(state.rest_viable, digit),
            )
        )
        return following if following.whole or following.rest or following.tries else None

    def label(self, state: _NationalReading) -> int:
        if state.length < SHORTEST or (state.closed and self._plan.rewrites):
            return 0
        if any(target == AT_END for target, _ in state.tries):
            return 0  # a prefix that is the whole number
        cut = state.cut or 0
        is_needed = self._plan.is_viable(state.whole_viable) and not self._plan.is_viable(state.rest_viable)
        if not cut or is_needed or not self._plan.may_be_left(state.length - cut):  # it is no prefix, and is kept
            return int(state.length <= self._longest and self._validity.accepts(state.whole))
        return 1 + cut if state.length - cut <= self._longest and self._validity.accepts(state.rest) else 0

    def drops(self, state: _NationalReading, viable: frozenset[int]) -> bool:
        """Tell whether `_maybe_strip_national_prefix_carrier_code` may drop something.

        `viable` is of all digits that were read.
        """
        if not state.cut and not state.closed and not any(target == AT_END for target, _ in state.tries):
            return False
        changes_much = state.closed and self._plan.rewrites
        return changes_much or not self._plan.is_viable(viable) or self._plan.is_viable(state.rest_viable)

    def _looked_at(self, state: _NationalReading) -> _NationalReading:
        """Begin to read the rest where a prefix ends; forget what no longer matters."""
        tries, closed = Prefix.matched(state.tries)
        if closed is not None:
            start = self._validity.start, self._plan.viable.start
            state = state._replace(tries=tries, cut=state.length, closed=closed, rest=start[0], rest_viable=start[1])
        if not state.tries and not state.cut:
            return _NationalReading(state.length, state.whole)
        return state


class _Behind(NamedTuple):
    """What stands behind the region's calling code: as the region sees it, if it may, and as its main region does."""

    here: _NationalReading | None
    there: _NationalReading
    viable: frozenset[int]


class _Trial(NamedTuple):
    """Digits without a plus, read in two ways at once: as a national number, and behind the region's calling code.

    `begins` tells whether they begin with that code, so far. A reading is None when nothing valid can come of it.
    """

    length: int
    national: _NationalReading | None
    viable: frozenset[int]
    abroad: frozenset[int]
    begins: bool
    behind: _Behind | None


class _Local:
    """Reads digits without a plus sign, in a default region."""

    def __init__(self, region: str) -> None:
        code = phonenumbers.country_code_for_region(region)
        metadata = _metadata(code, region)
        self._code = str(code)
        self._plan = _Plan(metadata)
        self._here = _National(code, region)
        self._there = _National(code)
        places = Places()
        abroad = metadata.international_prefix
        self._abroad = Subset(places, [compiled(abroad, places)] if abroad else [])
        self.start = _Trial(0, self._here.start, self._plan.viable.start, self._abroad.start, begins=True, behind=None)

    def following(self, state: _Trial) -> list[_Trial | None]:
        return [self._step(state, digit) for digit in range(10)]

    def _step(self, state: _Trial, digit: int) -> _Trial | None:
        abroad = self._abroad.step(state.abroad, digit)
        if MATCH in abroad:
            return None
        national = None if state.national is None else self._here.step(state.national, digit)
        viable = self._plan.viable.step(state.viable, digit)
        begins = state.begins and self._code[state.length : state.length + 1] in {"", str(digit)}
        behind = None
        if begins and state.length + 1 == len(self._code):  # its last digit begins the reading behind it
            behind = _Behind(self._here.start, self._there.start, self._plan.viable.start)
        elif begins and state.behind is not None:
            here = None if state.behind.here is None else self._here.step(state.behind.here, digit)
            there = self._there.step(state.behind.there, digit)
            if there is not None:
                behind = _Behind(here, there, self._plan.viable.step(state.behind.viable, digit))
        if national is None and behind is None and not (begins and state.length + 1 < len(self._code)):
            return None
        return _Trial(state.length + 1, national, viable, abroad, begins, behind)

    def label(self, state: _Trial) -> int:
        if state.begins and state.length > len(self._code):
            viable, too_long = self._plan.is_viable(state.viable), self._plan.is_too_long(state.length)
            if (
                state.behind is None
                or state.behind.here is None
                or self._here.drops(state.behind.here, state.behind.viable)
            ):
                if too_long or not viable:
                    return 0
            elif too_long or (not viable and self._plan.is_viable(state.behind.viable)):
                return 1 + len(self._code) if self._there.label(state.behind.there) == 1 else 0
        if state.national is None or (state.behind is not None and self._there.label(state.behind.there)):
            return 0
        return self._here.label(state.national)


def _metadata(code: int, region: str) -> PhoneMetadata:
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if metadata is None:
        raise UnsupportedPatternError(f"no metadata for {region}")
    return metadata
