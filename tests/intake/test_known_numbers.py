"""Where known numbers stand in a longer list: the same as by a dictionary, however small the groups are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from orchestrator.errors import ChangedError
from orchestrator.intake import known_numbers
from orchestrator.intake.known_numbers import KnownPlaces
from orchestrator.jobdir.arrays import load_array, pack_order, save_blocks, unpack_places

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("group_rows", [3, 100, 10_000])
def test_places_and_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_rows: int) -> None:
    """Known numbers come in the job's order, new ones in the list's, in blocks of any size."""
    monkeypatch.setattr(known_numbers, "GROUP_ROWS", group_rows)
    random = np.random.default_rng(5)
    listed = 41_790_000_000 + random.permutation(1000)
    known = random.permutation(listed[:800])[:700]
    blocks = [known[:1], known[1:1], known[1:300], known[300:]]
    found = KnownPlaces(blocks, np.array_split(listed, 7), len(listed), tmp_path / "places")
    place = {number: at for at, number in enumerate(listed.tolist())}
    old = [place[number] for number in known.tolist()]
    new = [at for at in range(1000) if at not in {*old}]
    assert np.flatnonzero(found.is_new).tolist() == new
    packed = pack_order(found.order())
    assert packed is not None
    assert unpack_places(packed).tolist() == [*old, *new]
    assert list((tmp_path / "places").iterdir()) == []


def test_the_order_of_the_list_takes_no_room(tmp_path: Path) -> None:
    """A list that was only added to has its rows where they were."""
    numbers = np.arange(41_790_000_000, 41_790_000_100)
    found = KnownPlaces([numbers[:60]], [numbers], 100, tmp_path / "places")
    assert pack_order(found.order()) is None


def test_numbers_that_are_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted over all groups, also where a group of the list has none."""
    monkeypatch.setattr(known_numbers, "GROUP_ROWS", 2)
    numbers = np.arange(41_790_000_000, 41_790_000_010)
    with pytest.raises(ChangedError, match="the list lacks 7 numbers that the job has already"):
        KnownPlaces([numbers], [numbers[:3]], 3, tmp_path / "places")


def test_blocks_in_one_file(tmp_path: Path) -> None:
    """Blocks that are written one behind the other are one array."""
    with (tmp_path / "array").open("wb") as file:
        save_blocks(file, [np.arange(3), np.arange(3, 3), np.arange(3, 9)], 9)
    with (tmp_path / "array").open("rb") as file:
        assert load_array(file).tolist() == list(range(9))
    assert np.load(tmp_path / "array").tolist() == list(range(9))
