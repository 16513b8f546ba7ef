"""Each result file of the table, alone, against the whole program."""

from __future__ import annotations

import re

import pytest

from tests.faults.files import DEATHS, DONE, FAILED, FILES, Death, die, is_refused, read_by_all
from tests.results.test_file_faults import Fault


@pytest.mark.parametrize("fault", FILES, ids=lambda fault: fault.name)
def test_a_file(fault: Fault) -> None:
    """It is refused for its reason, and once the vendor mends it it is taken without paying; or it is read right."""
    life = read_by_all(fault)
    assert not fault.reason or re.search(fault.reason, life.said)
    if is_refused(fault):
        assert life.end == FAILED, life.said
        return
    assert life.end == DONE, life.said
    assert life.verdicts == life.expected
    assert (f"foreign={fault.foreign}" in life.said) == bool(fault.foreign)


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.name)
def test_a_file_that_ends_its_parser(death: Death) -> None:
    """It costs that file only: the run goes on, and once the file is mended it is taken without paying."""
    life = die(death)
    assert life.end == FAILED, life.said
    assert death.says in life.said
