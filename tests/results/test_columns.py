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
        (["\u624b\u673a\u53f7", "instagram"], (0, 1)),
        (["id", "Phone No", "instagram"], (1, 2)),
        (["id", "Mobile No.", "instagram"], (1, 2)),
        (["id", "Tel-Nr.", "instagram"], (1, 2)),
        (["\uff2e\uff55\uff4d\uff42\uff45\uff52", "\u53f7\u7801", "instagram"], (0, 2)),
        (["Number", "verdict"], None),
        (["instagram"], None),
        ([], None),
    ],
)
def test_places(header: list[object], places: tuple[int, int] | None) -> None:
    """The number column has a known name; the verdict column is the platform's, else an alias's, else `activated`."""
    found = INSTAGRAM.find([header])
    assert (None if found is None or not found.numbers else (found.numbers[0], found.verdicts[0])) == places


def test_further_columns() -> None:
    """They are found by name, all of one name; without a verdict a header needs one of numbers and one of theirs."""
    wanted = Wanted("carrier", extras=("City", "region"), without_verdict=True)
    found = wanted.find([["Carriers"], ["number"], ["Phone", "city", "CITY", "x"]])
    assert found is not None
    assert (found.row, found.numbers, found.verdicts, found.extras) == (2, (0,), (), ((1, 2), ()))
    for other in (["city", "region"], ["number"], ["number", "instagram"], ["number", "msg"]):
        assert wanted.find([other]) is None
    assert wanted.shown == "a column for numbers (named number, phone or the like) and one of: City, region"


def test_spellings_name_what_was_looked_for() -> None:
    """The names are listed, the best first, for messages."""
    assert INSTAGRAM.spellings == ("instagram", "ins", "IG Status", "activated")


def test_the_row_that_names_both_is_the_header() -> None:
    """A title that is called as the platform is no header when one follows; where none does, it may be one."""
    found = INSTAGRAM.find([["Instagram"], ["x", "instagram"], [], ["phone", "Number", "instagram"]])
    assert found is not None
    assert (found.row, found.numbers, found.others, found.verdicts) == (3, (0, 1), (), (2,))
    other = INSTAGRAM.find([["x", "instagram", "y"], ["1", "2", "3"]])
    assert other is not None
    assert (other.row, other.numbers, other.others, other.verdicts) == (0, (), (0, 2), (1,))


def test_all_columns_of_verdicts_are_known() -> None:
    """The best name comes first, and none of them is taken for a column of numbers."""
    found = INSTAGRAM.find([["activated", "x", "IG-Status", "Phone No", "Instagram", "activated"]])
    assert found is not None
    assert (found.numbers, found.others, found.verdicts) == ((3,), (1,), (4, 2, 0, 5))
