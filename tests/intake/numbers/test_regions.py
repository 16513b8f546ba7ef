"""Numbers of all regions, as `phonenumbers` writes them and people put them into cells: never somebody else's."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import phonenumbers
import pytest
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

from orchestrator.intake.numbers.decide import NumberRules, decide

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = (
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.TOLL_FREE,
)
BETWEEN = ("/", " / ", ";", ", ", " or ", "\n", " - ", " | ", "  ", "\t", " ")
SURE = (";", ", ", " or ", " | ")
"""What is between two numbers and never within one."""


def numbers_of(region: str, chance: random.Random) -> list[PhoneNumber]:
    """Draw a number of each kind that a region has."""
    found = []
    for kind in KINDS:
        example = phonenumbers.example_number_for_type(region, kind)
        for _ in range(20):
            if example is None:
                break
            known = phonenumbers.national_significant_number(example)
            drawn = known[:3] + "".join(chance.choice("0123456789") for _ in known[3:])
            number = phonenumbers.parse(f"+{example.country_code}{drawn}")
            if phonenumbers.is_valid_number(number) and phonenumbers.region_code_for_number(number) == region:
                found.append(number)
                break
    return found


def value(number: PhoneNumber) -> int:
    return int(written(number, PhoneNumberFormat.E164)[1:])


def written(number: PhoneNumber, how: int = PhoneNumberFormat.NATIONAL) -> str:
    return phonenumbers.format_number(number, how)


def cells_of_one(number: PhoneNumber) -> Iterator[str]:
    national, e164 = written(number), str(value(number))
    yield from (national, "".join(filter(str.isdigit, national)), phonenumbers.national_significant_number(number))
    yield from (national.replace(" ", ".").replace("-", "."), national.replace(" ", "/", 1))
    yield from (written(number, PhoneNumberFormat.INTERNATIONAL), written(number, PhoneNumberFormat.RFC3966))
    yield from (f"+{e164}", f"Tel. {national}", f"{national} (Anna)")


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_it_is_the_number_that_was_written(region: str) -> None:
    """One in a cell is read; of two no other is; and both are where what is between them leaves no doubt."""
    chance = random.Random(region)  # noqa: S311 - the same every time
    rules = NumberRules(region, frozenset())
    numbers = numbers_of(region, chance)
    for number in numbers:
        for text in cells_of_one(number):
            assert [found for found, _, _ in decide(text, rules)] == [value(number)], text
        bare = [found for found, _, _ in decide(str(value(number)), rules)]
        may_be_another = phonenumbers.number_type(number) != PhoneNumberType.MOBILE
        assert bare == [value(number)] or (bare == [0] and may_be_another)
        other = chance.choice(numbers)
        for sign in BETWEEN:
            for how in (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL):
                for behind in (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL):
                    text = f"{written(number, how)}{sign}{written(other, behind)}"
                    found = [one for one, _, _ in decide(text, rules) if one]
                    assert set(found) <= {value(number), value(other)}, text
                    if sign in SURE and how == behind == PhoneNumberFormat.INTERNATIONAL:
                        assert found == [value(number), value(other)], text
