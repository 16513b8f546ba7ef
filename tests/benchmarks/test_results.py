"""Results are read as many times as fast as with openpyxl as was recorded, or at least half of it."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from orchestrator.files import make_private_directory
from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.results import take_results
from tests.benchmarks.figures import took
from tests.benchmarks.recorded import RESULTS
from tests.benchmarks.results import check_of, prepare, theirs

ROWS = 20_000
ROUNDS = 3


@pytest.mark.parametrize("kind", RESULTS)
def test_ratio(kind: str, tmp_path: Path) -> None:
    """Side by side, in turns, with the same verdicts, the median ratio is at least half of the recorded one."""
    prepare(tmp_path, kind, files=1, rows=ROWS)
    check = check_of(tmp_path, 0)
    make_private_directory(check.verdicts.parent)
    take_results((check,))  # both sides have their imports behind them
    ratios = []
    for _ in range(ROUNDS):
        fast = min(took(lambda: take_results((check,))) for _ in range(3))
        ratios.append(took(lambda: theirs(tmp_path, 1)) / fast)
    written = read_verdicts(check.verdicts)
    assert [written.words[code] for code in written.codes] == json.loads((tmp_path / "000000.json").read_text())
    assert statistics.median(ratios) >= RESULTS[kind] / 2, [round(ratio, 1) for ratio in ratios]
