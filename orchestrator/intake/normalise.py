"""From text to numbers. `phonenumbers` decides what is valid and what form it has; its semantics are the specification.

How its findings become reasons:

    what `phonenumbers` says                                    reason
    parse: NOT_A_NUMBER, or bytes that are no text              not a number
    parse: INVALID_COUNTRY_CODE, no plus sign, no region set    no country code
    parse: INVALID_COUNTRY_CODE otherwise                       not a valid number
    parse: TOO_SHORT_AFTER_IDD, TOO_SHORT_NSN                   too short
    parse: TOO_LONG                                             too long
    not valid, and possible: TOO_SHORT, IS_POSSIBLE_LOCAL_ONLY  too short
    not valid, and possible: TOO_LONG                           too long
    not valid, and possible: anything else                      not a valid number
    valid, with a calling code of `exclude_calling_codes`       excluded calling code
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import Rows, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.intake.blocks import Block
    from orchestrator.settings import JobSettings

RAW_LIMIT = 200
"""Characters of a raw text that are kept."""

PLAIN = 0
FROM_TEXT = 1
FIRST_REASON = 2


class Reason(StrEnum):
    """Why a line was rejected: a closed list, in the order in which it is shown."""

    NOT_A_NUMBER = "not a number"
    NO_COUNTRY_CODE = "no country code"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    NOT_VALID = "not a valid number"
    EXCLUDED = "excluded calling code"


REASONS = tuple(Reason)
"""The code of a rejected row is `FIRST_REASON` plus the position here; others are `PLAIN` and `FROM_TEXT`."""

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
_CODES = {reason: FIRST_REASON + i for i, reason in enumerate(REASONS)}
_START = re.compile(r"[+\uff0b\d]")  # where phonenumbers lets a number begin
_LETTER = re.compile(r"[^\W\d_]")
_UNDECODABLE = re.compile(r"[\ud800-\udfff]")
_UNSAFE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_LAST_BYTE = 0xFF
_ESCAPED_BYTE = range(0xDC80, 0xDD00)  # how surrogateescape hides a byte that is no UTF-8


@dataclass(frozen=True, slots=True)
class NumberRules:
    """The settings that decide what is accepted."""

    default_region: str | None
    excluded: frozenset[int]

    @classmethod
    def of(cls, job: JobSettings) -> NumberRules:
        """Take the rules out of the settings; raises `UsageError` for a region that does not exist."""
        region = job.default_region
        if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
            raise UsageError(f"default_region = {region!r}: there is no such region; two capital letters, such as CH")
        return cls(region, frozenset(job.exclude_calling_codes))


@dataclass(frozen=True, slots=True)
class StoredRows:
    """A file of rows, and what is in it."""

    path: Path
    rows: int
    rejected: Counter[Reason]


def normalise(raw: str, rules: NumberRules) -> int | Reason:
    """Return the E.164 number in `raw` without its plus sign, or the reason why there is none."""
    if _UNDECODABLE.search(raw):
        return Reason.NOT_A_NUMBER
    try:
        number = phonenumbers.parse(raw, rules.default_region)
    except NumberParseException as error:
        return _parse_reason(error, raw, rules)
    if not phonenumbers.is_valid_number(number):
        return _POSSIBLE_REASONS.get(phonenumbers.is_possible_number_with_reason(number), Reason.NOT_VALID)
    if number.country_code in rules.excluded:
        return Reason.EXCLUDED
    return int(phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:])


def normalise_block(block: Block, rules: NumberRules) -> Rows:
    """Decide about every cell of a block; pure."""
    numbers, lines, codes, raws = [], [], [], []
    for line, raw in block.cells():
        found = normalise(raw, rules)
        lines.append(line)
        if isinstance(found, Reason):
            numbers.append(0)
            codes.append(_CODES[found])
            raws.append(_visible(raw))
        else:
            numbers.append(found)
            codes.append(FROM_TEXT if _LETTER.search(raw) else PLAIN)
            raws.append(b"" if raw == f"+{found}" else _visible(raw))
    return Rows(np.array(numbers, np.int64), np.array(lines, np.int64), np.array(codes, np.uint8), raws)


def store_block(block: Block, rules: NumberRules, path: Path) -> StoredRows:
    """Normalise a block and write its rows to `path`: a piece; raises `StorageError`."""
    rows = normalise_block(block, rules)
    write_rows(path, rows)
    counts = np.bincount(rows.codes, minlength=FIRST_REASON + len(REASONS)).tolist()
    rejected = Counter({reason: counts[code] for reason, code in _CODES.items() if counts[code]})
    return StoredRows(path, len(rows.lines), rejected)


def _parse_reason(error: NumberParseException, raw: str, rules: NumberRules) -> Reason:
    if error.error_type != NumberParseException.INVALID_COUNTRY_CODE:
        return _PARSE_REASONS[error.error_type]
    start = _START.search(raw)
    if rules.default_region is None and start is not None and start[0].isdigit():
        return Reason.NO_COUNTRY_CODE
    return Reason.NOT_VALID


def _visible(raw: str) -> bytes:
    r"""Return `raw` as UTF-8 that is safe to show, cut: undecodable bytes and control characters become `\xNN`."""
    text = _UNSAFE.sub(_escape, raw)
    return (text if len(text) <= RAW_LIMIT else text[: RAW_LIMIT - 1] + "\N{HORIZONTAL ELLIPSIS}").encode()


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code in _ESCAPED_BYTE:
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= _LAST_BYTE else f"\\u{code:04x}"
