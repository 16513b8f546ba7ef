"""Each fault of the table, alone, against the whole program."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.faults.bench import STYLES
from tests.faults.living import suffer
from tests.faults.rows import Row
from tests.faults.table import STRUCK

ROWS = [pytest.param(row, place % 2, id=f"{row.group}: {row.fault}") for place, row in enumerate(STRUCK)]
ONCE = [case for case, row in zip(ROWS, STRUCK, strict=True) if row.once]
BOMBS = [row for row in STRUCK if row.strike.fault == "after: bomb"]


@pytest.mark.parametrize(("row", "style"), ROWS)
def test_while_it_lasts(row: Row, style: int) -> None:
    """The run ends as the table says; once the fault has healed, the next one ends with the complete master."""
    life = suffer(row, STYLES[style], once=False)
    assert life.end == row.lasting, life.said
    assert row.says in life.said


@pytest.mark.parametrize(("row", "style"), ONCE)
def test_once(row: Row, style: int) -> None:
    """Struck once, most runs get over it; and the complete master comes of it as well."""
    life = suffer(row, STYLES[1 - style], once=True)
    assert life.end == row.once, life.said


@pytest.mark.parametrize("row", BOMBS, ids=lambda row: row.group)
def test_a_bomb_takes_no_memory(row: Row) -> None:
    """What unpacks to a gigabyte is cut off long before."""
    tracemalloc.start()
    try:
        suffer(row, "instagram", once=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 128 << 20
