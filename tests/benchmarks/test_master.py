"""The workbook stays as fast as it was, beside openpyxl in the same minute on the same machine."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.master import quick_ratio
from tests.benchmarks.recorded import MASTER


def test_ratio_to_openpyxl(tmp_path: Path) -> None:
    """Rows a second are at least half as many times those of openpyxl as when that was recorded."""
    assert quick_ratio(tmp_path) > MASTER / 2
