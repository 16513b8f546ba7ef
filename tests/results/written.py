"""Verdict files as the program leaves them, for whoever reads them."""

from __future__ import annotations

from pathlib import Path

from orchestrator.jobdir.verdict_files import Verdicts, verdict_bytes


def write_verdicts(path: Path, verdicts: Verdicts) -> None:
    """Write a verdict file, and its folder when there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(verdict_bytes(verdicts))
