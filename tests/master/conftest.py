"""Chunks with verdicts, small and made on the spot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from orchestrator.jobdir.layout import verdict_path
from orchestrator.jobdir.verdict_files import Verdicts
from orchestrator.master import MasterChunk, Overlay
from tests.results.written import write_verdicts

Cells = Sequence[str] | str


@pytest.fixture
def chunk(tmp_path: Path) -> Callable[..., MasterChunk]:
    """Give a maker of chunks: numbers, then per platform a list of verdicts, or one word for all."""
    made = 0

    def make(numbers: Sequence[str], *columns: Cells) -> MasterChunk:
        nonlocal made
        made += 1
        path = tmp_path / "chunks" / f"{made:06d}.txt"
        path.parent.mkdir(exist_ok=True)
        content = "".join(f"{number}\n" for number in numbers).encode()
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        cells = tuple(_cells(tmp_path, place, made, column, digest) for place, column in enumerate(columns))
        return MasterChunk(path, len(numbers), cells)

    return make


@pytest.fixture
def overlay(tmp_path: Path) -> Callable[..., Overlay]:
    """Give a maker of overlays: platform, generation, rows, all numbers of the list, and verdicts or one word."""
    made = 1000

    def make(platform: str, generation: int, rows: Sequence[int], numbers: Sequence[str], cells: Cells) -> Overlay:
        nonlocal made
        made += 1
        path = tmp_path / "chunks" / f"{made:06d}.rows"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(np.array(rows, "<i8").tobytes())
        content = "".join(f"{numbers[row]}\n" for row in rows).encode()
        path.with_suffix(".txt").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return Overlay(platform, generation, path, _cells(tmp_path, 0, made, cells, digest))

    return make


def _cells(directory: Path, place: int, made: int, column: Cells, digest: str) -> Path | str:
    if isinstance(column, str):
        return column
    words = tuple(dict.fromkeys(["unanswered", *column]))
    path = verdict_path(directory, f"p{place}", made)
    write_verdicts(path, Verdicts(words, bytes(words.index(word) for word in column), "task", digest))
    return path
