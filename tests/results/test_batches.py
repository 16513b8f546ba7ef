"""Batches keep every row's cells, however they are joined."""

from __future__ import annotations

from orchestrator.results.batches import Batch, batch, joined

Cells = list[object]


def rows(one: Batch) -> list[tuple[int, object]]:
    return list(zip(one.numbers.tolist(), one.verdicts, strict=True))


def test_cells() -> None:
    """Cells come back in their order; equal ones are kept once."""
    one = batch(["+41791234567", "", "x"], ["yes", 1.0, "yes"])
    assert rows(one) == [(41791234567, "yes"), (0, 1.0), (-1, "yes")]
    assert list(one.cells) == ["yes", 1.0]
    assert rows(batch([], [])) == []


def test_joined() -> None:
    """Joined batches have the rows of each, one after the other."""
    parts = [batch(["41791234567"], ["yes"]), batch([], []), batch(["41791234568", ""], ["no", "yes"])]
    assert rows(joined(parts)) == [row for part in parts for row in rows(part)]
    assert joined(parts[:1]) is parts[0]
