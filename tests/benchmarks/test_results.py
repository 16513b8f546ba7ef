"""Results are read as many times as fast as with openpyxl as was recorded, or at least half of it."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.results import check_result, read_verdicts
from tests.benchmarks.recorded import RESULTS
from tests.benchmarks.results import check_of, prepare, theirs

ROWS = 20_000
ROUNDS = 3


def took(run: Callable[[], object]) -> float:
    """Return the processor time of one call: what others do on the machine hardly counts."""
    gc.collect()
    started = time.process_time()
    run()
    return time.process_time() - started


@pytest.mark.parametrize("kind", RESULTS)
def test_ratio(kind: str, tmp_path: Path) -> None:
    """Side by side, in turns, with the same verdicts, the median ratio is at least half of the recorded one."""
    prepare(tmp_path, kind, files=1, rows=ROWS)
    check = check_of(tmp_path, 0)
    check_result(check)  # both sides have their imports behind them
    ratios = []
    for _ in range(ROUNDS):
        fast = min(took(lambda: check_result(check)) for _ in range(3))
        ratios.append(took(lambda: theirs(tmp_path, 1)) / fast)
    written = read_verdicts(check.verdicts)
    assert [written.words[code] for code in written.codes] == json.loads((tmp_path / "000000.json").read_text())
    assert statistics.median(ratios) >= RESULTS[kind] / 2, [round(ratio, 1) for ratio in ratios]
