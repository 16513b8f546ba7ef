from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.intake.blocks import LineBlock
from orchestrator.intake.duplicates.in_memory import drop_duplicates, find_duplicates, starts
from orchestrator.intake.numbers.decide import NumberRules
from orchestrator.intake.stored_rows import store_block

if TYPE_CHECKING:
    from pathlib import Path

RULES = NumberRules("CH", frozenset())


@given(st.lists(st.integers(0, 6), max_size=40))
def test_first_appearance_stays(numbers: list[int]) -> None:
    """Every number but its first appearance is a duplicate, in list order, and points to the first; 0 is no number."""
    first: dict[int, int] = {}
    expected = []
    for position, number in enumerate(numbers):
        if number and first.setdefault(number, position) != position:
            expected.append((position, first[number]))
    duplicates, firsts = find_duplicates(np.array(numbers, np.int64))
    assert list(zip(duplicates.tolist(), firsts.tolist(), strict=True)) == expected


def test_over_several_files(tmp_path: Path) -> None:
    """Files of rows count as one list; what was accepted out of other text is counted once, rejected rows never."""
    texts = (b"+41798284651\ncall 0798284652\nx\n", b"\n\n", b"\n+41798284652\nor 079 8284651\nmy 0798284653")
    paths = []
    for i, text in enumerate(texts):
        paths.append(store_block(LineBlock(1, text), RULES, tmp_path / f"{i}").path)
    unique = drop_duplicates(paths, tmp_path)
    assert (unique.accepted, unique.duplicates, unique.from_text) == (3, 2, 2)
    assert np.fromfile(unique.accepted_file, "<i8").tolist() == [41798284651, 41798284652, 41798284653]
    assert np.load(unique.duplicates_file).tolist() == [[3, 1, 2], [4, 0, 1]]
    assert not unique.positions_file.exists()
    assert drop_duplicates(paths, tmp_path, positions=True) == unique
    assert np.fromfile(unique.positions_file, "<i8").tolist() == [0, 1, 5]
    for path in (unique.accepted_file, unique.positions_file, unique.duplicates_file):
        assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_at_all(tmp_path: Path) -> None:
    """An empty list leaves empty files."""
    unique = drop_duplicates([], tmp_path)
    assert (unique.accepted, unique.duplicates, unique.from_text) == (0, 0, 0)


def test_starts() -> None:
    """Each file begins where the one before it ends."""
    assert starts([3, 0, 2]) == [0, 3, 3]
    assert starts([]) == []
