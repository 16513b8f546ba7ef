from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.intake.blocks import FROM_TEXT, Rows, Texts, write_rows
from orchestrator.intake.duplicates import in_buckets as buckets
from orchestrator.intake.duplicates.in_buckets import drop_in_buckets, find_repeated, grouped, split_for
from orchestrator.intake.duplicates.in_memory import Unique, drop_duplicates
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.stored_rows import StoredRows
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def stored(path: Path, numbers: Sequence[int], *, gaps: bool = False, code: int = 0) -> StoredRows:
    """Write a file of rows."""
    values = np.array(numbers, np.int64)
    lines = np.arange(len(values)) * (2 if gaps else 1) + 7
    codes = np.where(values == 0, 2, code).astype(np.uint16)
    rows = Rows(values, lines, codes, Texts(len(values)))
    write_rows(path, rows)
    rejected: Counter[str] = Counter({Reason.NOT_A_NUMBER: int((values == 0).sum())})
    from_text = int((codes == FROM_TEXT).sum())
    return StoredRows(path, len(values), rejected, from_text, int(values.max(initial=0)), rows.first_line)


def contents(unique: Unique, *, positions: bool) -> tuple[object, ...]:
    """Return all that came out."""
    return (
        unique.accepted,
        unique.duplicates,
        unique.from_text,
        np.fromfile(unique.accepted_file, "<i8").tolist(),
        np.load(unique.duplicates_file).tolist(),
        np.fromfile(unique.positions_file, "<i8").tolist() if positions else None,
    )


@pytest.mark.parametrize("largest", [9, 10**12, 10**15, 10**18 - 1])
@pytest.mark.parametrize("positions", [False, True])
async def test_buckets_give_what_one_piece_gives(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    largest: int,
    positions: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Numbers, table of duplicates, positions and counts are the same, however the list is cut."""
    monkeypatch.setattr(buckets, "GROUP_ROWS", 700)
    monkeypatch.setattr(buckets, "BUCKET_ROWS", 300)
    monkeypatch.setattr(buckets, "PART_ROWS", 100)
    rng = np.random.default_rng(largest)
    files = []
    for i, rows in enumerate((500, 0, 900, 1, 300, 400)):
        numbers = rng.integers(max(0, largest - 1500), largest, rows)
        numbers[rng.random(rows) < 0.1] = 0
        files.append(stored(tmp_path / f"{i}", numbers.tolist(), gaps=i == 2, code=FROM_TEXT * (i > 3)))
    (tmp_path / "once").mkdir()
    expected = drop_duplicates([one.path for one in files], tmp_path / "once", positions=positions)
    async with Workers(2) as workers:
        found = await drop_in_buckets(files, tmp_path, workers, positions=positions)
    assert contents(found, positions=positions) == contents(expected, positions=positions)
    assert found.duplicates > 0
    for path in (found.accepted_file, found.duplicates_file):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_a_number_that_is_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bucket is read in parts; the first appearance of all stays."""
    monkeypatch.setattr(buckets, "GROUP_ROWS", 100)
    rng = np.random.default_rng(3)
    scattered = []
    files = [stored(tmp_path / f"{i}", rng.choice([5, 5, 5, 6, 7, 8, 900], 90).tolist()) for i in range(6)]
    groups = grouped(files)
    split = split_for(groups, 1)
    for i, group in enumerate(groups):
        scattered.append(buckets.scatter(group, split, tmp_path / f"s{i}"))
    monkeypatch.setattr(buckets, "PART_ROWS", 200)
    found = buckets.find(scattered, 0, split, [group.begin for group in groups], tmp_path / "found")
    assert len(found) > 1
    monkeypatch.setattr(buckets, "PART_ROWS", 10_000)
    (once,) = buckets.find(scattered, 0, split, [group.begin for group in groups], tmp_path / "once")
    for number in range(len(groups)):
        for some, all_ in zip(
            buckets._duplicates_of(found, number), buckets._duplicates_of([once], number), strict=True
        ):
            assert some.tolist() == all_.tolist()


async def test_lists_without_a_number(tmp_path: Path) -> None:
    """Rejected rows only: nothing is left, and nothing is wrong."""
    async with Workers(1) as workers:
        found = await drop_in_buckets([stored(tmp_path / "0", [0, 0, 0])], tmp_path, workers)
    assert (found.accepted, found.duplicates) == (0, 0)


@given(st.lists(st.integers(0, 20), max_size=60), st.sampled_from([5, 58, 64]))
def test_first_appearances(values: list[int], width: int) -> None:
    """Every value but its first appearance is found, with that; also where value and place don't fit a word."""
    first: dict[int, int] = {}
    expected = {place: first[value] for place, value in enumerate(values) if first.setdefault(value, place) != place}
    repeated, firsts = find_repeated(np.array(values, np.uint64), width)
    assert dict(zip(repeated.tolist(), firsts.tolist(), strict=True)) == expected


def test_groups_and_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are whole files, in order; buckets keep the budget, and each worker has one."""
    monkeypatch.setattr(buckets, "GROUP_ROWS", 3)
    files = [stored(tmp_path / f"{i}", [10**12] * rows) for i, rows in enumerate((2, 2, 5, 1))]
    groups = grouped(files)
    assert [(group.begin, group.rows, len(group.files)) for group in groups] == [(0, 4, 2), (4, 5, 1), (9, 1, 1)]
    assert split_for(groups, 1).bits == 0
    assert split_for(groups, 3).bits == 2
    assert split_for(groups, 1).width == 40
    monkeypatch.setattr(buckets, "BUCKET_ROWS", 1)
    assert split_for(groups, 2).bits == 4
    assert split_for([], 4).width == 2
    assert grouped([]) == []
