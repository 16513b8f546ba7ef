"""Every command under every fault of the vendor and the network, with a list and an account full of canaries."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import ExitCode
from orchestrator.sandbox import FAULTS
from tests.privacy.acts import COMMANDS, whole_life
from tests.privacy.stage import Stage
from tests.simulation.faults import ALL


@pytest.mark.parametrize(("number", "fault"), list(enumerate(("", *ALL, *FAULTS))))
def test_nothing_private_is_written(number: int, fault: str, folder: Path) -> None:
    """Whatever the vendor quotes, no output, log, summary or ledger repeats it, and every file is its owner's alone."""
    with Stage(folder, [fault] if fault else []) as stage:
        whole_life(stage, swapped=number % 2 == 1, to_the_end=number % 12 == 0)
    assert stage.findings == []
    assert {command for command, _ in stage.codes} == COMMANDS
    assert ExitCode.INTERNAL not in {code for _, code in stage.codes}
    assert stage.search.files > 20
    assert stage.looks


def test_the_master_as_a_workbook_holds_nothing_but_its_numbers(folder: Path) -> None:
    """Neither the key nor a link stands in any part of the workbook."""
    with Stage(folder, ["spell: gone"]) as stage:
        stage.config.write_text(stage.config.read_text().replace('["csv"]', '["xlsx", "csv"]'))
        whole_life(stage)
    assert stage.workbooks
    assert stage.findings == []
