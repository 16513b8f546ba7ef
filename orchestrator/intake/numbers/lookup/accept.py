"""The fast path: decides about whole blocks of lines with array operations.

It accepts a line only where the result is provably that of `normalise`, and leaves all others, whether good or bad, to
it. Two kinds of lines are decided:

- a plus sign and digits, the form that most lists have: the digits are looked up in the international table;
- lines that hold a number and, around or between its digits, nothing but characters that are passed over.
  Their digits are brought together, and go through the international table behind a plus sign or the default region's
  international prefix, through the region's national table otherwise.

Why it changes nothing to take the characters away: it is what the door `cells` does with them. It begins at the first
plus sign or digit, and passes over what is no letter, digit or `#` behind the last one; between the two it allows
punctuation, of which the ASCII part but for the apostrophe is used here. What else it sees in them is left to it: a
spreadsheet's floats, a second number, dates, digits that don't belong to it, and dots and other signs that hide some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from orchestrator.intake.numbers.lookup.lookup_tables import HEAD, MAX_TAIL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    import numpy.typing as npt

    from orchestrator.intake.numbers.lookup.lookup_tables import LookupTable, LookupTables

    Ints = npt.NDArray[np.int64]
    Bytes = npt.NDArray[np.uint8]
    Flags = npt.NDArray[np.bool_]
    Words = npt.NDArray[np.uint64]

UNDECIDED = 0
EXCLUDED = -1
"""What stands in place of a number: ask `normalise`; or a valid number whose calling code is not wanted."""

LONGEST_LINE = 64
"""Bytes of a line that is worth a try; `phonenumbers` gives up at 250 characters."""
MAX_DIGITS = 15
"""More digits are no number, or several, or have zeros in front."""
IN_DATES = range(6, 11)
"""Digits of day, month and year, maybe with an hour."""
LONGEST_MONTH = 2
"""Digits between the two signs of a date; other numbers have more there."""
TWO_NUMBERS = 15
"""Fewer digits are not two numbers on both sides of a slash, see `cells`."""
FEWEST_WHOLE = 5
"""Digits that may be a number for themselves, so that others behind a slash or in brackets are none of it."""
MOST_APART = 4
"""Digits that may stand behind a slash or in brackets, and be none of the number."""
LONGEST_COUNT = 3
"""Digits that lines may be counted with, in front of a number that begins with a zero."""
BATCH = 20_000
"""Lines that are looked at together: their arrays fit the processor's cache."""
FEW = 4
"""A batch with fewer messy lines than one in so many has them copied out; otherwise all its text is looked through."""

_PLUS = ord("+")
_ZERO = ord("0")
_DIGIT, _SIGN, _DOT, _INSIDE, _AROUND, _OTHER, _SLASH, _DASH, _OPENING = range(9)
_KINDS_OF = {
    _DIGIT: b"0123456789",
    _SIGN: b"+",
    _DOT: b".",
    _INSIDE: b" )]",
    _OPENING: b"([",
    _SLASH: b"/",
    _DASH: b"-",
    _AROUND: b"\t\"'`,;:|<>{}=!?$%&@^_",
}
_KINDS = bytes(next((kind for kind, chars in _KINDS_OF.items() if char in chars), _OTHER) for char in range(256))
_NO_DIGITS = bytes(char for char in range(256) if _KINDS[char] != _DIGIT)

_HIDING = (b"..", b"---", b"??", b"__", b"?_", b"_?")
"""Signs in a row that may stand for digits."""
_JOINING = b" .-"
"""Signs that stand within a number, one at a time."""

_SIGNS, _OTHERS, _FIELD = 21, 42, (1 << 21) - 1
_COUNTED = np.array([1, 1 << _SIGNS, 0, 0, 0, 1 << _OTHERS, 0, 0, 0], np.int64)
"""What a character of each kind adds to three counters in one integer: digits, signs, others."""

_POWERS = 10 ** np.arange(19, dtype=np.int64)
_LAST = np.array([0, *((~0 << 8 * (8 - kept)) & ~(~0 << 64) for kept in range(1, 9))], np.uint64)
"""Masks that keep the last n bytes of a word, which were read last."""


def accept_block(
    text: bytes, starts: Ints, ends: Ints, tables: LookupTables, excluded: AbstractSet[int] = frozenset()
) -> Ints:
    """Return a number, `EXCLUDED` or `UNDECIDED` for every line of `text`; pure.

    Line i is `text[starts[i]:ends[i]]`, without its end; lines are in order. Numbers are E.164 without the plus sign.
    `excluded` are calling codes.
    """
    numbers = np.zeros(len(starts), np.int64)
    for begin in range(0, len(starts), BATCH):
        first, last = starts[begin : begin + BATCH], ends[begin : begin + BATCH]
        batch = numbers[begin : begin + BATCH]  # a view
        batch[:] = _accept_plain(text, first, last, tables)
        rest = np.flatnonzero((batch == UNDECIDED) & (last > first) & (last - first <= LONGEST_LINE))
        first, last = first[rest], last[rest]
        if len(rest) > len(batch) // FEW and last[-1] - first[0] < _FIELD:
            batch[rest] = _accept_messy(text[first[0] : last[-1]], first - first[0], last - first[0], tables)
        elif len(rest):
            lines = b"".join([text[i:j] for i, j in zip(first.tolist(), last.tolist(), strict=True)])
            limits = np.concatenate(([0], np.cumsum(last - first)))
            batch[rest] = _accept_messy(lines, limits[:-1], limits[1:], tables)
    if excluded:
        leading = numbers // _POWERS[np.maximum(np.searchsorted(_POWERS, numbers, side="right") - 3, 0)]
        numbers[(numbers > 0) & np.isin(tables.codes[leading], list(excluded))] = EXCLUDED
    return numbers


def is_plain(text: bytes, starts: Ints, ends: Ints, numbers: Ints) -> npt.NDArray[np.bool_]:
    """Tell for each line with a number whether it is just that number behind a plus sign."""
    digits = np.clip(ends - starts - 1, 1, len(_POWERS) - 1)
    first = np.frombuffer(text, np.uint8)[np.minimum(starts, len(text) - 1)]
    found: Flags = (numbers >= _POWERS[digits - 1]) & (numbers < _POWERS[digits]) & (first == _PLUS)
    return found


def _accept_plain(text: bytes, starts: Ints, ends: Ints, tables: LookupTables) -> Ints:
    """Decide about the lines that are a plus sign and 8 to 15 digits."""
    data, words = np.frombuffer(text, np.uint8), _words(text)
    lengths = ends - starts - 1
    fits = (lengths >= HEAD) & (lengths <= MAX_TAIL)
    lines = _chosen(fits)
    fits[lines] = (
        (data[starts[lines]] == _PLUS) & _are_digits(words[starts[lines] + 1]) & _are_digits(words[ends[lines] - HEAD])
    )
    lines = _chosen(fits)
    numbers = np.zeros(len(starts), np.int64)
    numbers[lines] = _international(data, starts[lines] + 1, lengths[lines], tables)
    return numbers


def _international(data: Bytes, starts: Ints, lengths: Ints, tables: LookupTables) -> Ints:
    """Look up runs of digits, `lengths` long, that stand in `data` at `starts`."""
    numbers = np.zeros(len(starts), np.int64)
    is_short = (lengths >= HEAD) & (lengths <= MAX_TAIL)
    short = _chosen(is_short)
    numbers[short], is_short[short] = _looked_up(data, starts[short], lengths[short] - HEAD, tables)
    if not is_short.all():
        rest = np.flatnonzero(~is_short)
        numbers[rest] = _walked(data, starts[rest], lengths[rest], tables)
    return numbers


def _looked_up(data: Bytes, starts: Ints, tails: Ints, tables: LookupTables) -> tuple[Ints, Flags]:
    """Return the numbers of eight digits and a tail that are valid for sure, and where more need not be looked at."""
    words = _words(data)
    heads = _eight_digits(words[starts])
    leading = heads // 100
    pairs = tables.shortcuts.leading[leading].astype(np.int64) * 100 + (heads - leading * 100)
    states = tables.shortcuts.pairs[pairs]
    bits = tails.astype(np.uint16)
    sure = tables.shortcuts.sure[states] >> bits & np.uint16(1)
    hopeless = tables.shortcuts.hopeless[states] >> bits & np.uint16(1)
    last = words[starts + tails] & _LAST[tails]
    numbers = (heads * _POWERS[tails] + _eight_digits(last)) * sure
    return numbers, (sure | hopeless).astype(np.bool_)


def _chosen(flags: Flags) -> Ints | slice:
    """Return where the flags are, as a slice where that is everywhere: it takes no copies."""
    return slice(None) if flags.all() else np.flatnonzero(flags)


def _walked(data: Bytes, starts: Ints, lengths: Ints, tables: LookupTables) -> Ints:
    """Look up digits one by one; a national prefix behind the calling code is dropped."""
    labels = _labels(data, starts, lengths, tables.international)
    good = np.flatnonzero(labels)
    starts, lengths, dropped = starts[good], lengths[good], labels[good].astype(np.int64) - 1
    leading = _joined(data, starts, np.minimum(lengths, 3))
    code = tables.code_digits[leading]
    numbers = np.zeros(len(labels), np.int64)
    calling = _joined(data, starts, code) * _POWERS[lengths - code - dropped]
    numbers[good] = calling + _joined(data, starts + code + dropped, lengths - code - dropped)
    return numbers


def _labels(data: Bytes, starts: Ints, lengths: Ints, table: LookupTable) -> Bytes:
    """Walk all runs of digits through a table at once, and return their labels."""
    states = np.full(len(starts), table.start, np.int64)
    steps = table.steps.ravel()
    for i, going in _places(lengths):
        states[going] = steps[states[going] * 10 + (data[starts[going] + i] & 15)]
    return table.labels[states]


def _joined(data: Bytes, starts: Ints, lengths: Ints) -> Ints:
    """Return the values of runs of at most 18 digits."""
    values = np.zeros(len(starts), np.int64)
    for i, going in _places(lengths):
        values[going] = values[going] * 10 + (data[starts[going] + i] & 15)
    return values


def _places(lengths: Ints) -> Iterator[tuple[int, Ints | slice]]:
    """Yield each place that any run of digits has, with the runs that have it."""
    shortest = int(lengths.min(initial=1 << 62))
    for i in range(int(lengths.max(initial=0))):
        yield i, slice(None) if i < shortest else np.flatnonzero(lengths > i)


def _accept_messy(text: bytes, starts: Ints, ends: Ints, tables: LookupTables) -> Ints:
    """Decide about lines whose digits can be brought together."""
    digits = np.frombuffer(text.translate(None, _NO_DIGITS), np.uint8)
    begin, counts, is_signed, is_clean = _shapes(text, starts, ends)
    numbers = np.zeros(len(starts), np.int64)
    signed = np.flatnonzero(is_clean & is_signed)
    numbers[signed] = _international(digits, begin[signed], counts[signed], tables)
    if tables.national is not None:
        bare = np.flatnonzero(is_clean & ~is_signed)
        numbers[bare] = _bare(digits, begin[bare], counts[bare], tables, tables.national)
    return numbers


def _bare(digits: Bytes, begin: Ints, counts: Ints, tables: LookupTables, national: LookupTable) -> Ints:
    """Look up digits without a plus sign: behind the international prefix, or else as the region sees them."""
    numbers = np.zeros(len(begin), np.int64)
    is_abroad = np.zeros(len(begin), np.bool_)
    if tables.abroad is not None:
        prefix = len(tables.abroad)
        is_abroad = counts > prefix
        for i, digit in enumerate(tables.abroad):
            is_abroad[is_abroad] = digits[begin[is_abroad] + i] == digit
        is_abroad[is_abroad] = digits[begin[is_abroad] + prefix] != _ZERO
        numbers[is_abroad] = _international(digits, begin[is_abroad] + prefix, counts[is_abroad] - prefix, tables)
    at_home = np.flatnonzero(~is_abroad)
    labels = _labels(digits, begin[at_home], counts[at_home], national)
    good = at_home[labels != 0]
    dropped = labels[labels != 0].astype(np.int64) - 1
    kept = counts[good] - dropped
    numbers[good] = tables.region_code * _POWERS[kept] + _joined(digits, begin[good] + dropped, kept)
    return numbers


def _shapes(text: bytes, starts: Ints, ends: Ints) -> tuple[Ints, Ints, Flags, Flags]:
    """Look at what the lines are made of.

    Returns for each line where its digits begin among all digits of the text, how many they are, whether a plus sign
    stands before them, and whether nothing speaks against bringing them together.
    """
    kinds = np.frombuffer(text.translate(_KINDS), np.uint8)
    before = np.concatenate(([0], np.cumsum(_COUNTED[kinds])))
    here = before[ends] - before[starts]
    begin, counts = before[starts] & _FIELD, here & _FIELD
    signs = here >> _SIGNS & _FIELD
    is_clean = (counts > 0) & (counts <= MAX_DIGITS) & (signs <= 1) & (here >> _OTHERS == 0)
    is_signed = signs == 1
    sign = np.flatnonzero(kinds == _SIGN)[before[starts[is_signed]] >> _SIGNS & _FIELD]
    is_clean[is_signed] &= before[sign] & _FIELD == begin[is_signed]
    found = np.flatnonzero(is_clean)
    digits = np.flatnonzero(kinds == _DIGIT)
    first, last = digits[begin[found]], digits[begin[found] + counts[found] - 1]
    if _AROUND in kinds:
        number = np.zeros(len(starts), np.int64)
        number[is_signed] = sign
        around = np.concatenate(([0], np.cumsum(kinds == _AROUND)))
        is_clean[found] &= around[np.where(is_signed[found], number[found], first)] == around[last]
    if _DOT in kinds:
        dots = np.concatenate(([0], np.cumsum(kinds == _DOT)))
        is_clean &= dots[ends] - dots[starts] != 1  # it may be a spreadsheet's float, such as `41798284651.0`
        is_clean[found] &= dots[last] - dots[first] != 1  # and be so in front of a full stop
    if _SLASH in kinds:
        slashes = np.concatenate(([0], np.cumsum(kinds == _SLASH)))
        is_clean &= (slashes[ends] == slashes[starts]) | (counts < TWO_NUMBERS)
    is_cut = (kinds == _SLASH) | (kinds == _OPENING)
    if is_cut.any():
        cuts = np.concatenate(([0], np.cumsum(is_cut)))
        whole = digits[begin[found] + np.minimum(FEWEST_WHOLE, counts[found]) - 1]
        behind = cuts[last] - cuts[whole]
        one = np.flatnonzero(behind == 1)
        place = np.flatnonzero(is_cut)[cuts[whole[one]]]
        behind[one] = ~_go_on(text, digits, np.searchsorted(digits, place), last[one])
        is_clean[found] &= behind == 0
    is_clean[found] &= is_signed[found] | ~_are_counted(text, digits, begin[found], counts[found])
    in_dates = ~is_signed[found] & (counts[found] >= IN_DATES.start) & (counts[found] < IN_DATES.stop)
    is_clean[found[in_dates]] &= ~_like_dates(kinds, before, first[in_dates], last[in_dates])
    for hiding in _HIDING:
        if hiding in text:
            is_clean &= ~_holds(text, hiding, starts, ends)
    return begin, counts, is_signed, is_clean


def _go_on(text: bytes, digits: Ints, begin: Ints, last: Ints) -> Flags:
    """Tell where more digits follow from `begin` on than may stand there for themselves, as close as in a number."""
    data = np.frombuffer(text, np.uint8)
    joins = np.zeros(256, np.bool_)
    joins[list(_JOINING)] = True
    run = digits[np.minimum(begin[:, None] + np.arange(MOST_APART + 1), len(digits) - 1)]
    before, after = run[:, :-1], run[:, 1:]
    is_close = (after - before == 1) | ((after - before == 2) & joins[data[np.minimum(before + 1, len(data) - 1)]])  # noqa: PLR2004 - one between
    found: Flags = is_close.all(axis=1) & (run[:, -1] <= last)
    return found


def _are_counted(text: bytes, digits: Ints, begin: Ints, counts: Ints) -> Flags:
    """Tell where a few digits stand apart in front of a zero, as a list's lines are counted."""
    data = np.frombuffer(text, np.uint8)
    first = digits[begin]
    found = np.zeros(len(begin), np.bool_)
    for length in range(1, LONGEST_COUNT + 1):
        before = digits[begin + np.minimum(length, counts) - 1]
        behind = digits[begin + np.minimum(length, counts - 1)]
        found |= (before == first + length - 1) & (behind > first + length) & (data[behind] == _ZERO)
    return found


def _like_dates(kinds: Bytes, counted: Ints, first: Ints, last: Ints) -> Flags:
    """Tell where two of the same sign stand in a run of digits, as close to one another as around a month.

    `counted` has the digits before each place in its lowest field.
    """
    is_sign = (kinds == _DOT) | (kinds == _SLASH) | (kinds == _DASH)
    places = np.append(np.flatnonzero(is_sign), [0, 0])
    before = np.concatenate(([0], np.cumsum(is_sign)))
    number = before[first]
    one, other = places[number], places[number + 1]
    are_two = before[last] - number == 2  # noqa: PLR2004 - one before the month, and one behind
    between = (counted[other] - counted[one]) & _FIELD
    found: Flags = are_two & (between <= LONGEST_MONTH) & (kinds[one] == kinds[other])
    return found


def _holds(text: bytes, signs: bytes, starts: Ints, ends: Ints) -> Flags:
    """Tell which lines have these signs in a row."""
    data = np.frombuffer(text, np.uint8)
    length = len(signs)
    same = np.ones(len(data) - length + 1, np.bool_)
    for place, sign in enumerate(signs):
        same &= data[place : len(data) - length + 1 + place] == sign
    before = np.concatenate(([0], np.cumsum(same), np.full(length, same.sum())))
    found: Flags = before[np.maximum(ends - length + 1, starts)] > before[starts]
    return found


def _words(data: bytes | Bytes) -> Words:
    """Return the eight bytes that begin at each place, the first in the lowest byte; no copy is made."""
    return np.ndarray((max(len(data) - 7, 0),), "<u8", buffer=data, strides=(1,))


def _are_digits(words: Words) -> npt.NDArray[np.bool_]:
    high = np.uint64(0xF0F0F0F0F0F0F0F0)
    above = (words + np.uint64(0x0606060606060606)) & high
    found: Flags = ((words & high) | above >> np.uint64(4)) == np.uint64(0x3333333333333333)
    return found


def _eight_digits(words: Words) -> Ints:
    """Return the values of eight digits each, adding neighbours in parallel; bytes of 0 count as digits 0."""
    values = words & np.uint64(0x0F0F0F0F0F0F0F0F)
    values = (values * np.uint64(2561) >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    values = (values * np.uint64(6553601) >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    return (values * np.uint64(42949672960001) >> np.uint64(32)).astype(np.int64)
