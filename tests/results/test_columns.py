"""Columns are found by the many spellings vendors use."""

from __future__ import annotations

import pytest

from orchestrator.results.columns import Wanted

INSTAGRAM = Wanted("instagram", ("ins", "IG Status"))


@pytest.mark.parametrize(
    ("header", "places"),
    [
        (["Number", "instagram"], (0, 1)),
        (["number", "Instagram "], (0, 1)),
        (["activated", "Phone"], (1, 0)),
        (["Mobile Number", "x", "ACTIVATED"], (0, 2)),
        (["phone_number", "ig_status"], (0, 1)),
        (["N\u00famero", "INSTAGRAM"], (0, 1)),
        (["Nu\u0301mero", "instagram"], (0, 1)),
        (["Number", "ins", "activated"], (0, 1)),
        (["Number", "activated", "ins", "instagram"], (0, 3)),
        ([1.0, None, "Number", "instagram"], (2, 3)),
        (["Number", "verdict"], None),
        (["instagram"], None),
        ([], None),
    ],
)
def test_places(header: list[object], places: tuple[int, int] | None) -> None:
    """The number column has a known name; the verdict column is the platform's, else an alias's, else `activated`."""
    assert INSTAGRAM.places(header) == places


def test_spellings_name_what_was_looked_for() -> None:
    """The names are listed, the best first, for messages."""
    assert INSTAGRAM.spellings == ("instagram", "ins", "IG Status", "activated")
