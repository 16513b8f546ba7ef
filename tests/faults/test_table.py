"""The table of faults as people read it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.faults import hosts
from tests.faults.files import DEATHS, FILES
from tests.faults.front import PLACES
from tests.faults.table import ALL, STRUCK, markdown

TABLE = Path(__file__).with_name("README.md")


def test_the_table_is_current() -> None:
    """README.md beside this file says what the rows say; `python -m tests.faults` writes it anew."""
    assert TABLE.read_text(encoding="utf-8") == markdown()


def test_every_fault_stands_once() -> None:
    """Names tell the rows of a group apart."""
    assert [name for name, times in Counter((row.group, row.fault) for row in ALL).items() if times > 1] == []


def test_every_row_is_tested() -> None:
    """No row stands in the table that no test lives through."""
    assert len(ALL) == len(STRUCK) + len(FILES) + len(DEATHS)


def test_the_campaign_draws_every_row() -> None:
    """What strikes a call is a fault of the simulation as well, at the same place, under the same name.

    Faults of the machine are jumps of the clock, nights and errands there; files are drawn by a family of their own.
    """
    left = [
        row.fault
        for row in STRUCK
        if row.group not in {hosts.CONNECT, hosts.HOST}
        and row.strike.fault.removesuffix(" same").removesuffix(" other") not in PLACES[row.strike.place]
    ]
    assert left == []
