"""Each fault of the table, alone, against the whole program."""

from __future__ import annotations

import pytest

from tests.faults.bench import STYLES
from tests.faults.living import suffer
from tests.faults.rows import Row
from tests.faults.table import STRUCK

NUMBERED = list(enumerate(STRUCK))


def named(value: object) -> str:
    return f"{value.group}: {value.fault}" if isinstance(value, Row) else ""


@pytest.mark.parametrize(("place", "row"), NUMBERED, ids=named)
def test_while_it_lasts(place: int, row: Row) -> None:
    """The run ends as the table says; once the fault has healed, the next one ends with the complete master."""
    life = suffer(row, STYLES[place % 2], once=False)
    assert life.end == row.lasting, life.said
    assert row.says in life.said


@pytest.mark.parametrize(("place", "row"), [(place, row) for place, row in NUMBERED if row.once], ids=named)
def test_once(place: int, row: Row) -> None:
    """Struck once, most runs get over it; and the complete master comes of it as well."""
    life = suffer(row, STYLES[(place + 1) % 2], once=True)
    assert life.end == row.once, life.said
