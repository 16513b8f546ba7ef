"""The counts are those of the rows."""

from __future__ import annotations

from collections.abc import Callable

import phonenumbers
import pytest

from orchestrator.master import MasterChunk
from orchestrator.master.base_chunks import base_blocks
from orchestrator.master.tally import Tally, calling_code_label, calling_codes

Chunk = Callable[..., MasterChunk]


@pytest.fixture
def tally(chunk: Chunk) -> Tally:
    """Give the counts of two chunks that have different words."""
    tally = Tally(["instagram", "amazon"])
    first = chunk(["+41798284651", "+12025550123", "+41791234567"], ["yes", "ban", "no"], ["yes", "unanswered", "yes"])
    second = chunk(["+4915112345678", "+2101234567"], ["zz", "ban"], "pending")
    for block in (*base_blocks(first, 0), *base_blocks(second, 0)):
        tally.add(block)
    return tally


def test_counts_in_order(tally: Tally) -> None:
    """Yes and no come first, then the vendor's words by frequency, then ours."""
    assert {platform: list(counts.items()) for platform, counts in tally.counts.items()} == {
        "instagram": [("yes", 1), ("no", 1), ("ban", 2), ("zz", 1)],
        "amazon": [("yes", 2), ("unanswered", 1), ("pending", 2)],
    }
    assert list(tally.words.items()) == [
        *[("yes", 3), ("no", 1), ("ban", 2), ("zz", 1)],
        *[("unanswered", 1), ("pending", 2)],
    ]
    assert tally.rows == 5


def test_by_calling_code(tally: Tally) -> None:
    """Cells are counted by calling code, over all platforms, the largest first; a number of no country has its row."""
    table = tally.by_calling_code
    assert table == {
        41: {"yes": 3, "no": 1},
        0: {"ban": 1, "pending": 1},
        1: {"ban": 1, "unanswered": 1},
        49: {"zz": 1, "pending": 1},
    }
    assert next(iter(table)) == 41


def test_calling_codes_are_those_of_the_library() -> None:
    """For an example number of every region the first three digits give the code that the library parses."""
    for region in phonenumbers.SUPPORTED_REGIONS:
        number = phonenumbers.example_number(region)
        assert number is not None
        digits = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
        assert calling_codes()[int(digits[:3])] == number.country_code
    for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        assert calling_codes()[int(f"{code}00"[:3])] == code


def test_no_calling_code_begins_another() -> None:
    """Three digits decide, because no calling code is the beginning of another."""
    codes = [str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE]
    assert not [(a, b) for a in codes for b in codes if a != b and b.startswith(a)]


@pytest.mark.parametrize(
    ("code", "label"),
    [(41, "+41 CH"), (1, "+1 US and others"), (800, "+800 international"), (0, "no calling code")],
)
def test_labels(code: int, label: str) -> None:
    """A reader sees the code and whose it is."""
    assert calling_code_label(code) == label
