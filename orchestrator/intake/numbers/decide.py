"""From text to numbers. The door `cells` says which digits are meant; `phonenumbers` decides what they are worth.

How its findings become reasons:

    what `phonenumbers` says                                    reason
    parse: NOT_A_NUMBER                                         not a number
    parse: INVALID_COUNTRY_CODE, no plus sign, no region set    no country code
    parse: INVALID_COUNTRY_CODE otherwise                       unknown country code
    parse: TOO_SHORT_AFTER_IDD, TOO_SHORT_NSN                   too short
    parse: TOO_LONG                                             too long
    not valid, and possible: TOO_SHORT, IS_POSSIBLE_LOCAL_ONLY  too short
    not valid, and possible: TOO_LONG                           too long
    not valid, and possible: anything else                      not a valid number of REGION
    anything but valid, of more than 15 digits                  too long: E.164 ends at 15 digits
    valid, of more than 15 digits                               too long: E.164 ends at 15 digits
    valid, with a calling code of `exclude_calling_codes`       excluded calling code
    valid, and valid as well behind the plus sign that it lacks read so if it is mobile, else rejected as ambiguous

A rejected text that is written like a date is called one.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import phonenumbers
from phonenumbers import (
    NumberParseException,
    PhoneMetadata,
    PhoneNumberFormat,
    PhoneNumberType,
    ValidationResult,
)

from orchestrator.cells import LONGEST_CELL, MAX_DIGITS, Cell, Fault, read_text
from orchestrator.errors import UsageError
from orchestrator.intake.blocks import FIRST_REASON, FROM_TEXT, PLAIN, CellBlock, Rows
from orchestrator.intake.numbers.reasons import EXCLUDED_BY, REASONS, Reason, not_valid_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.intake.blocks import Block
    from orchestrator.settings import JobSettings, LineType

if hasattr(phonenumbers, "enable_pattern_cache"):  # else a list of many regions compiles patterns at every number
    phonenumbers.enable_pattern_cache()

RAW_LIMIT = LONGEST_CELL
"""Characters of a raw text that are kept: all that can hold numbers."""

_PARSE_REASONS = {
    NumberParseException.NOT_A_NUMBER: Reason.NOT_A_NUMBER,
    NumberParseException.TOO_SHORT_AFTER_IDD: Reason.TOO_SHORT,
    NumberParseException.TOO_SHORT_NSN: Reason.TOO_SHORT,
    NumberParseException.TOO_LONG: Reason.TOO_LONG,
}
_POSSIBLE_REASONS = {
    ValidationResult.TOO_SHORT: Reason.TOO_SHORT,
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: Reason.TOO_SHORT,
    ValidationResult.TOO_LONG: Reason.TOO_LONG,
}
CODES = {reason: FIRST_REASON + i for i, reason in enumerate(REASONS)}
"""The codes of reasons in `Rows`."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9:.]+Z?)?|[0-9]{1,2}([./-])[0-9]{1,2}\1(?:[0-9]{2}){1,2}")
_SEVERAL_DIGITS = 7
"""Digits of what may be a number of its own."""
_SEVEN_DIGITS = re.compile(r"[0-9](?:[^\w;,|]*[0-9]){6,}")
_BEHIND = re.compile(r"\t|[/(\[{](?=\W{0,2}[0-9](?:[-. ]?[0-9]){0,3}(?![-. ]?[0-9]))")
"""What digits may stand behind that belong to no number: those of the next cell, or up to four."""
_FEWEST_WHOLE = 5
"""Digits that may be a whole number, for what is cut there; numbers are valid that have fewer."""
_MOST_CUTS = 200
"""Places to cut a cell at that are tried, as each takes as long as the cell; nobody writes so many."""
_COUNTED = re.compile(r"[^\w+]*[1-9][0-9]{0,2}\W{1,3}(?=0[0-9])")
"""The count of a line, in front of a number that begins with a zero."""
_UNSAFE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_LAST_BYTE = 0xFF
_ESCAPED_BYTE = range(0xDC80, 0xDD00)  # how surrogateescape hides a byte that is no UTF-8


@dataclass(frozen=True, slots=True)
class ExcludeList:
    """A list of numbers that are never sent: its name, and the file of them, sorted."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class NumberRules:
    """The settings that decide what is accepted; without `line_types` all are."""

    default_region: str | None
    excluded: frozenset[int]
    line_types: frozenset[LineType] = frozenset()
    exclude: tuple[ExcludeList, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        return (*REASONS, *(f"{EXCLUDED_BY}{one.name}" for one in self.exclude))

    @classmethod
    def of(cls, job: JobSettings) -> NumberRules:
        """Take the rules out of the settings; raises `UsageError` for a region that does not exist."""
        region = job.default_region
        if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
            raise UsageError(f"default_region = {region!r}: there is no such region; two capital letters, such as CH")
        return cls(region, frozenset(job.exclude_calling_codes), frozenset(job.line_types))


def normalise(raw: str, rules: NumberRules) -> int | str:
    """Return the first E.164 number in `raw` without its plus sign, or the reason why there is none."""
    number, code, _ = decide(raw, rules)[0]
    return number or REASONS[code - FIRST_REASON]


def decide_cells(block: Block, rules: NumberRules) -> Rows:
    """Decide about every cell of a block, one by one; pure."""
    faults = block.faults if isinstance(block, CellBlock) else {}
    numbers, lines, codes, raws, cells = [], [], [], [], []
    for cell, (line, raw) in enumerate(block.cells()):
        for number, code, shown in decide(raw, rules, faults.get(cell)):
            numbers.append(number)
            lines.append(line)
            codes.append(code)
            raws.append(shown)
            cells.append(cell)
    return Rows(
        np.array(numbers, np.int64),
        np.array(lines, np.int64),
        np.array(codes, np.uint16),
        raws,
        np.array(cells, np.int64) if cells and cells[-1] + 1 < len(cells) else None,
    )


def decide(raw: str, rules: NumberRules, fault: str | None = None) -> list[tuple[int, int, bytes]]:
    """Return number, code and raw text of each number in a cell, see `Rows`, one row at least.

    `fault` is a reason to reject the cell unread.
    """
    cell = Cell(fault=Fault.NOT_A_NUMBER) if fault else read_text(raw)
    reason = fault or cell.fault
    if reason is None and _has_more_digits(raw, cell.numbers):
        reason = Reason.MORE_DIGITS
    if reason is None and _takes_in_more(raw.strip(), cell.numbers, rules):
        reason = Reason.MORE_DIGITS
    rows = []
    refused = dict(cell.refused)
    if not _has_area_codes(rules.default_region):
        refused = {place: why for place, why in refused.items() if why is not Fault.PARTIAL}
    for place, text in enumerate(cell.numbers if reason is None else [""]):
        found = reason or refused.get(place) or _valid(text, rules)
        if not fault and isinstance(found, str) and _DATE.fullmatch(raw):
            found = Reason.DATE
        shown = raw if reason is not None or len(cell.numbers) == 1 else text.replace("(", "")
        if isinstance(found, str):
            rows.append((0, CODES[found], _visible(shown)))
        else:
            code = FROM_TEXT if cell.beside or place else PLAIN
            rows.append((found, code, b"" if shown == f"+{found}" else _visible(shown)))
    return rows


@lru_cache
def _has_area_codes(region: str | None) -> bool:
    """Whether a number of the region may lack its area code: where nothing is dialled in front of one, it has none."""
    metadata = None if region is None else PhoneMetadata.metadata_for_region(region)
    return metadata is not None and metadata.national_prefix is not None


def _has_more_digits(raw: str, numbers: Sequence[str]) -> bool:
    """Whether seven digits or more stand in a cell that are in none of the numbers which were read out of it.

    None are known to do so. This is counted without the reader of cells, so that what it may get wrong is rejected, and
    seen, and no number vanishes.
    """
    if len(numbers) == 1 and len(raw) <= len(numbers[0]) + _SEVERAL_DIGITS:
        return False
    read = ["".join(filter(str.isdigit, number)) for number in numbers]
    plain = "".join(str(unicodedata.decimal(sign, sign)) for sign in raw)
    for run in _SEVEN_DIGITS.findall(plain):
        left = digits = "".join(filter(str.isdigit, run))
        for number in read:
            left = left.replace(number, "", 1)
        # Zeros may be a float's.
        if digits.rstrip("0") not in "".join(read) and len(left.strip("0")) >= _SEVERAL_DIGITS:
            return True
    return False


def _takes_in_more(raw: str, numbers: Sequence[str], rules: NumberRules) -> bool:
    """Whether a cell has a valid number that went into a longer one, with digits that stand apart from it.

    Where numbers have no fixed length, as in Germany, Italy or Indonesia, those make somebody else's number of it: the
    next cell's, `030 1234567/8`, `030 1234567 (2)`, or what lines are counted with: `2. 01512 3456789`. Digits behind a
    dash are an extension that is dialled.
    """
    rests = [raw[: cut.start()] for cut in _BEHIND.finditer(raw)]
    rests += [raw[cut.end() :] for cut in (_COUNTED.match(raw),) if cut]
    if not rests or not (accepted := {one for text in numbers if isinstance(one := _valid(text, rules), int)}):
        return False
    if len(rests) > _MOST_CUTS:
        return True
    cut_off = {one for rest in rests for one in read_text(rest).numbers if len(one) >= _FEWEST_WHOLE}
    whole = {found for one in cut_off.difference(numbers) if isinstance(found := _valid(one, rules), int)}
    return not whole <= accepted


def _valid(text: str, rules: NumberRules) -> int | str:
    found = _parsed(text, rules)
    if isinstance(found, int) and rules.default_region and not text.startswith(("+", "0")):
        found = _with_its_code(text, found, rules.default_region)
    digits = sum(map(str.isdigit, str(found) if isinstance(found, int) else text))
    return Reason.BEYOND_E164 if digits > MAX_DIGITS else found


def _with_its_code(text: str, found: int, region: str) -> int | str:
    """Return what digits are that may begin with their region's calling code, where `phonenumbers` found `found`.

    It takes `628123456789` for a number of Indonesia without its code, since the rules of some countries let nearly
    everything be one. People write mobile numbers so, with the code and without the plus; of others nobody can tell.
    """
    if not text.startswith(str(phonenumbers.country_code_for_region(region))):
        return found
    try:
        number = phonenumbers.parse(f"+{text}")
    except NumberParseException:
        return found
    other = int(phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:])
    if other == found or not phonenumbers.is_valid_number(number):
        return found
    is_mobile = phonenumbers.number_type(number) == PhoneNumberType.MOBILE
    return other if is_mobile else Reason.AMBIGUOUS


def _parsed(text: str, rules: NumberRules) -> int | str:
    try:
        number = phonenumbers.parse(text, rules.default_region)
    except NumberParseException as error:
        if error.error_type != NumberParseException.INVALID_COUNTRY_CODE:
            return _PARSE_REASONS[error.error_type]
        return Reason.UNKNOWN_CODE if rules.default_region or text.startswith("+") else Reason.NO_COUNTRY_CODE
    if not phonenumbers.is_valid_number(number):
        possible = phonenumbers.is_possible_number_with_reason(number)
        return _POSSIBLE_REASONS.get(possible) or not_valid_in(number.country_code or 0)
    if number.country_code in rules.excluded:
        return Reason.EXCLUDED
    return int(phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:])


def _visible(raw: str) -> bytes:
    r"""Return `raw` as UTF-8 that is safe to show, cut: undecodable bytes and control characters become `\xNN`."""
    text = _UNSAFE.sub(_escape, raw)
    return (text if len(text) <= RAW_LIMIT else text[: RAW_LIMIT - 1] + "\N{HORIZONTAL ELLIPSIS}").encode()


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code in _ESCAPED_BYTE:
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= _LAST_BYTE else f"\\u{code:04x}"
