from __future__ import annotations

from orchestrator.intake.blocks import FIRST_REASON
from orchestrator.intake.numbers.reasons import NUMBERLIKE, REASONS, Reason, not_valid_in
from orchestrator.settings import LineType


def test_the_list_of_reasons_is_closed() -> None:
    """Users and outside checks rely on these words; what follows names a region, or a code that has none."""
    assert list(REASONS[: len(Reason)]) == [
        "not a number", "empty cell", "no country code", "unknown country code", "too short", "too long",
        "too long: E.164 ends at 15 digits", "a number both with its calling code in front and without",
        "excluded calling code", "rounded by a spreadsheet", "a date",
        "behind a word or as an extension, and without a plus sign",
        "beside a whole number, and without its calling or area code", "a formula without a value",
        "some digits are hidden",
        "more digits beside the number than an extension has", "a quote that is opened and not closed",
        "a row with more or fewer cells than the first one",
        "no number in its column, and seven digits or more in another one", "line too long",
    ]  # fmt: skip
    others = REASONS[len(Reason) :]
    types = [f"line type {kind}" for kind in LineType]
    assert list(others[: len(types)]) == types
    assert all(reason.startswith("not a valid number of ") for reason in others[len(types) :])
    assert len(set(REASONS)) == len(REASONS) < (1 << 16) - FIRST_REASON


def test_regions() -> None:
    """A shared calling code counts for its main region, one without a region for itself."""
    assert [not_valid_in(code) for code in (41, 1, 44, 800)] == [
        "not a valid number of CH",
        "not a valid number of US",
        "not a valid number of GB",
        "not a valid number of +800",
    ]
    assert {not_valid_in(41), Reason.TOO_SHORT} <= NUMBERLIKE <= set(REASONS)
