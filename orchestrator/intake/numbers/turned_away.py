"""Valid numbers that are not wanted: those of the lists in `exclude`, and of other types than `line_types`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import phonenumbers
from phonenumbers import PhoneNumberType

from orchestrator.files import disk_errors
from orchestrator.intake.blocks import FIRST_REASON, Rows
from orchestrator.intake.numbers.reasons import LINE_TYPE, REASONS
from orchestrator.settings import LineType

if TYPE_CHECKING:
    import numpy.typing as npt

    from orchestrator.intake.numbers.decide import NumberRules

    Ints = npt.NDArray[np.int64]

_TYPES = {value: LineType(PhoneNumberType.to_string(value).lower()) for value in PhoneNumberType.values()}


def line_type(number: int) -> LineType:
    """Return what kind of number this is; it is in E.164 form, without the plus sign."""
    return _TYPES[phonenumbers.number_type(phonenumbers.parse(f"+{number}"))]


def stand_in(numbers: Ints, listed: Ints) -> npt.NDArray[np.bool_]:
    """Tell which numbers stand in a sorted list."""
    places = np.searchsorted(listed, numbers)
    found = np.zeros(len(numbers), np.bool_)
    inside = np.flatnonzero(places < len(listed))
    found[inside] = listed[places[inside]] == numbers[inside]
    return found


def turn_away(rows: Rows, rules: NumberRules) -> Rows:
    """Reject the numbers of `rows` that are not wanted; raises `StorageError`."""
    if not rules.exclude and not rules.line_types:
        return rows
    codes = rows.codes.copy()
    wanted = rows.numbers > 0
    for place, one in enumerate(rules.exclude):
        with disk_errors(one.path):
            listed = np.load(one.path, mmap_mode="r", allow_pickle=False)
            is_listed = wanted & stand_in(rows.numbers, listed)
        codes[is_listed] = FIRST_REASON + len(REASONS) + place
        wanted &= ~is_listed
    for row in np.flatnonzero(wanted).tolist() if rules.line_types else ():
        if (kind := line_type(int(rows.numbers[row]))) not in rules.line_types:
            codes[row] = FIRST_REASON + REASONS.index(f"{LINE_TYPE}{kind}")
            wanted[row] = False
    turned = np.flatnonzero((rows.numbers > 0) & ~wanted)
    if not len(turned):
        return rows
    raws = list(rows.raws)
    for row in turned.tolist():
        raws[row] = raws[row] or b"+%d" % rows.numbers[row]
    return Rows(np.where(wanted, rows.numbers, 0), rows.lines, codes, raws, rows.cells)
