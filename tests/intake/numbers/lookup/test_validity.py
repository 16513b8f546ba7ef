from __future__ import annotations

import random

import phonenumbers
import pytest
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberDesc

from orchestrator.intake.numbers.lookup.validity import MAX_NATIONAL, Validity

RANDOM = random.Random(1)  # noqa: S311 - the same every time


def validity(code: int) -> Validity:
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
    return Validity([metadata(code, region) for region in regions])


def metadata(code: int, region: str) -> PhoneMetadata:
    found = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    assert found is not None
    return found


def accepts(known: Validity, number: str) -> bool:
    state = known.start
    for digit in number:
        following = known.step(state, int(digit))
        assert following == known.following(state)[int(digit)]
        if following is None:
            return False
        state = following
    return known.accepts(state)


@pytest.mark.parametrize("code", [1, 7, 39, 41, 44, 49, 61, 262, 358, 590, 599, 800, 883])
def test_valid_national_numbers(code: int) -> None:
    """Regions that share a calling code, leading digits, types, lengths: what is valid is what `phonenumbers` says."""
    known = validity(code)
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]:
        plan = metadata(code, region)
        kinds = (plan.fixed_line, plan.mobile, plan.toll_free, plan.premium_rate, plan.voip, plan.uan)
        for kind in kinds:
            for number in _around(kind):
                expected = phonenumbers.is_valid_number(_number(code, number))
                assert accepts(known, number) == expected, (code, number)


def test_nothing_is_valid_before_it_is_read_and_beyond_the_longest() -> None:
    """No digits are no number, and reading ends where no number goes on."""
    known = validity(49)
    assert not known.accepts(None)
    assert not known.accepts(known.start)
    assert known.following(known.start._replace(length=MAX_NATIONAL)) == [None] * 10
    assert known.step(known.start._replace(length=MAX_NATIONAL), 1) is None


def test_a_region_without_a_general_description_has_no_numbers() -> None:
    """As `phonenumbers` has it, nothing is valid there."""
    plan = PhoneMetadata(id="ZY", country_code=999, fixed_line=PhoneNumberDesc("1"), register=False)
    known = Validity([plan])
    assert not accepts(known, "1")


def _around(kind: PhoneNumberDesc | None) -> list[str]:
    if kind is None or not kind.example_number:
        return []
    number = kind.example_number
    changed = [f"{number[:i]}{RANDOM.randrange(10)}{number[i + 1 :]}" for i in range(len(number)) for _ in range(3)]
    return [number, number[:-1], f"{number}0", *changed]


def _number(code: int, national: str) -> PhoneNumber:
    zeros = len(national) - len(national.lstrip("0"))
    return PhoneNumber(
        country_code=code,
        national_number=int(national),
        italian_leading_zero=zeros > 0,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )
