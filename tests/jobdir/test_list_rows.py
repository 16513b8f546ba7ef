"""Where the rows of chunks stand in the list."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.jobdir.arrays import pack_places
from orchestrator.jobdir.list_rows import ALL_IN_ORDER, ListRows, draw, rows_of_chunks
from orchestrator.records import Chunk


@pytest.mark.parametrize("seed", range(30))
def test_each_row_of_the_list_has_one_place(seed: int) -> None:
    """The trial's rows are those that were drawn, the others stand around them in order; both ways agree."""
    dice = np.random.default_rng(seed)
    total = int(dice.integers(2, 60))
    size = int(dice.integers(1, total))
    trial = draw(total, size, f"job-{seed}")
    list_rows = ListRows(trial)
    others = np.setdiff1d(np.arange(total), trial)
    expected = np.concatenate([trial, others])
    cut = int(dice.integers(0, total - size))
    parts = [list_rows.of(0, size), list_rows.of(size, cut), list_rows.of(size + cut, total - size - cut)]
    assert np.concatenate(parts).tolist() == expected.tolist()
    assert np.concatenate(list(list_rows.in_list_order(filter(len, parts)))).tolist() == list(range(total))


def test_without_a_trial_places_are_rows() -> None:
    """Also where a retry has places of its own: that says nothing of the list's chunks."""
    chunks = [Chunk(1, 0, 5, "a"), Chunk(2, 1, 2, "b", 2, "instagram", places=pack_places(np.array([1, 3])))]
    assert rows_of_chunks(chunks) is ALL_IN_ORDER
    assert ALL_IN_ORDER.of(3, 2).tolist() == [3, 4]
    chunks[0] = Chunk(1, 0, 2, "a", places=pack_places(np.array([1, 3])))
    assert rows_of_chunks(chunks).of(2, 3).tolist() == [0, 2, 4]


def test_each_row_is_drawn_as_often_and_each_seed_draws_its_own() -> None:
    """A sample that favoured a part of the list would say little of the rest."""
    drawn = np.bincount(np.concatenate([draw(50, 10, f"s{n}") for n in range(2_000)]), minlength=50)
    assert abs(drawn - 400).max() < 5 * np.sqrt(400 * 0.8)
    assert draw(50, 10, "a").tolist() == draw(50, 10, "a").tolist() != draw(50, 10, "b").tolist()
    assert len(set(draw(50, 50, "all").tolist())) == 50
