"""Why a row of the list was rejected: a closed list of reasons, and their codes.

A number that is not valid in its region names the region, so that the counts alone tell which setting is wrong. Those
reasons follow from the calling codes that `phonenumbers` knows.
"""

from __future__ import annotations

from enum import StrEnum

import phonenumbers

from orchestrator.cells import MAX_DIGITS, Fault
from orchestrator.settings import LineType


class Reason(StrEnum):
    """The reasons that name no region, in the order in which they are shown."""

    NOT_A_NUMBER = Fault.NOT_A_NUMBER.value
    EMPTY = Fault.EMPTY.value
    NO_COUNTRY_CODE = "no country code"
    UNKNOWN_CODE = "unknown country code"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    BEYOND_E164 = f"too long: E.164 ends at {MAX_DIGITS} digits"
    AMBIGUOUS = "a number both with its calling code in front and without"
    EXCLUDED = "excluded calling code"
    ROUNDED = Fault.ROUNDED.value
    DATE = Fault.DATE.value
    LABELLED = Fault.LABELLED.value
    PARTIAL = Fault.PARTIAL.value
    FORMULA = "a formula without a value"
    HIDDEN = Fault.HIDDEN.value
    MORE_DIGITS = "more digits beside the number than an extension has"
    TORN = "a quote that is opened and not closed"
    MOVED = "a row with more or fewer cells than the first one"
    ELSEWHERE = "no number in its column, and seven digits or more in another one"
    LINE_TOO_LONG = Fault.LINE_TOO_LONG.value


NOT_VALID = "not a valid number of "
"""What the other reasons begin with."""


def not_valid_in(calling_code: int) -> str:
    """Return the reason for a number that is not valid in the main region of its calling code.

    Codes without a region, such as 800, are named themselves.
    """
    region = phonenumbers.region_code_for_country_code(calling_code)
    return NOT_VALID + (region if region.isalpha() else f"+{calling_code}")


LINE_TYPE = "line type "
"""What the reasons of `line_types` begin with; the type follows."""

EXCLUDED_BY = "excluded by "
"""What the reasons of `exclude` begin with; the list's name follows. They have the codes behind those of `REASONS`."""

_NOT_VALID = tuple(sorted(map(not_valid_in, phonenumbers.COUNTRY_CODE_TO_REGION_CODE)))
REASONS: tuple[str, ...] = (*Reason, *(f"{LINE_TYPE}{kind}" for kind in LineType), *_NOT_VALID)
"""All reasons, in the order in which they are shown. Rows keep the position of theirs as a code, see `blocks`."""

NUMBERLIKE = frozenset((Reason.NO_COUNTRY_CODE, Reason.TOO_SHORT, Reason.TOO_LONG, *_NOT_VALID))
"""The reasons of what another reading might accept."""
