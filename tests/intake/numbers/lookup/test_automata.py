from __future__ import annotations

import phonenumbers
import pytest
from phonenumbers import PhoneMetadata, PhoneNumberDesc

from orchestrator.intake.numbers.lookup import automata as numbering
from orchestrator.intake.numbers.lookup.automata import Automaton, international, national
from orchestrator.intake.numbers.lookup.patterns import UnsupportedPatternError


@pytest.fixture(scope="module")
def everywhere() -> Automaton:
    return international()


def label(automaton: Automaton, digits: str) -> int:
    state = automaton.start
    for digit in digits:
        state = automaton.steps[state][int(digit)]
    return automaton.labels[state]


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("41798284651", 1), ("410798284651", 2), ("390612345678", 1), ("80012345678", 1), ("78121234567", 1),
        ("4479111234561", 0), ("999123456789", 0), ("0041798284651", 0), ("", 0), ("41", 0), ("37080012345", 1),
    ],
)  # fmt: skip
def test_labels_behind_a_plus_sign(everywhere: Automaton, digits: str, expected: int) -> None:
    """The label is 1 for a number that stays, one more for every digit dropped, and 0 for what is undecided."""
    assert label(everywhere, digits) == expected


@pytest.mark.parametrize(
    ("region", "digits", "expected"),
    [
        ("CH", "0798284651", 2), ("CH", "798284651", 1), ("CH", "41798284651", 3), ("CH", "0041798284651", 0),
        ("US", "6502530000", 1), ("US", "16502530000", 2), ("RU", "84951234567", 2), ("IT", "0612345678", 1),
        ("IT", "3911234567", 1), ("HU", "06201234567", 3), ("AR", "01112345678", 2), ("BR", "011987654321", 2),
        ("NF", "01234", 0), ("CH", "1", 0),
    ],
)  # fmt: skip
def test_labels_in_a_region(region: str, digits: str, expected: int) -> None:
    """Without a plus sign national prefixes and the region's own calling code are dropped; rewriting is left alone."""
    assert label(national(region), digits) == expected


def test_automata_are_minimal(everywhere: Automaton) -> None:
    """No two states are alike, and state 0 leads nowhere."""
    states = list(zip(everywhere.labels, everywhere.steps, strict=True))
    assert len(set(states)) == len(states) < 20_000
    assert states[0] == (0, (0,) * 10)


def test_metadata_that_is_not_understood_is_left_to_phonenumbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a calling code with patterns of a new kind, or without any, no number is decided; others are not touched."""
    broken = {"CH": "1+", "LI": None}

    def metadata(code: int, region: str) -> PhoneMetadata:
        found = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
        if found is None or region not in broken:
            assert found is not None
            return found
        general = PhoneNumberDesc(national_number_pattern=broken[region], possible_length=(9,))
        return PhoneMetadata(id=region, country_code=code, general_desc=general, register=False)

    monkeypatch.setattr(numbering, "_metadata", metadata)
    monkeypatch.setattr(phonenumbers, "COUNTRY_CODE_TO_REGION_CODE", {41: ("CH",), 423: ("LI",), 43: ("AT",)})
    found = international()
    assert label(found, "41798284651") == label(found, "4232345678") == 0
    assert label(found, "436641234567") == 1
    assert national("CH").start == 0


def test_regions_without_metadata_are_left_alone() -> None:
    """A region that `phonenumbers` lists but has nothing about decides nothing."""
    with pytest.raises(UnsupportedPatternError):
        numbering._metadata(41, "XX")
