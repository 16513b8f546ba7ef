"""Every command under every fault of the vendor and the network, with a list and an account full of baits."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import ExitCode
from orchestrator.sandbox import FAULTS
from tests.privacy.acts import COMMANDS, whole_life
from tests.privacy.baits import NATIONAL, spellings
from tests.privacy.stage import Stage
from tests.results.test_file_faults import Fault, packed, text, zipped_as
from tests.simulation.faults import ALL
from tests.simulation.hostile import HOSTILE

QUOTED = spellings(NATIONAL[0])[0]


@pytest.mark.parametrize(("number", "fault"), list(enumerate(("", *ALL, *FAULTS))), ids=["no fault", *ALL, *FAULTS])
def test_nothing_private_is_written(number: int, fault: str, folder: Path) -> None:
    """Whatever the vendor quotes, no output, log, summary or ledger repeats it, and every file is its owner's alone."""
    with Stage(folder, [fault] if fault else []) as stage:
        whole_life(stage, swapped=number % 2 == 1, to_the_end=number % 12 == 0)
    assert stage.findings == []
    assert {command for command, _ in stage.codes} == COMMANDS
    assert ExitCode.INTERNAL not in {code for _, code in stage.codes}
    assert stage.search.files > 20
    assert stage.looks


QUOTING = [
    Fault("a name beside each verdict", lambda rows: text([[*row, "Aurelia Quillfeather"] for row in rows])),
    Fault("a number as a column's name", lambda rows: text([[*rows[0], QUOTED], *rows[1:]])),
    Fault("a number as a file's name", lambda rows: packed({f"{QUOTED}.csv": text(rows)})),
    Fault(
        "a number as an unsafe name",
        lambda rows: packed({f"{QUOTED}?.csv": text(rows)}).replace(b"?.csv", b"\0.csv"),
        "unsafe name",
    ),
    Fault("a number as an unsafe name beside the table", zipped_as(f"{QUOTED}\0.csv")),
    Fault("a page with a number", lambda _: f"<html>cannot use {QUOTED}</html>".encode(), "no table with a column"),
    Fault("a row with a line of words", lambda rows: text([*rows, ["Threnody", f"no: {QUOTED}"]]), "telephone number"),
]
"""Result files that hold baits where the vendor's own do not."""
LIVES = 12
"""Among how many jobs the files are shared out: a good one ends its task, so a job has room for a few."""


@pytest.mark.parametrize("part", range(LIVES))
def test_no_file_brings_anything_in(part: int, folder: Path) -> None:
    """Whatever a result file holds, nothing of it comes out anywhere but in the master."""
    files = [*HOSTILE, *QUOTING][part::LIVES]
    with Stage(folder, ["file: hostile"], files) as stage:
        whole_life(stage)
    assert stage.findings == []
    assert stage.sent == {fault.name for fault in files}
    assert ExitCode.INTERNAL not in {code for _, code in stage.codes}


def test_the_master_as_a_workbook_holds_nothing_but_its_numbers(folder: Path) -> None:
    """Neither the key nor a link stands in any part of the workbook."""
    with Stage(folder, ["spell: gone"]) as stage:
        stage.config.write_text(stage.config.read_text().replace('["csv"]', '["xlsx", "csv"]'))
        whole_life(stage)
    assert stage.workbooks
    assert stage.findings == []
