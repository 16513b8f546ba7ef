from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.errors import StorageError, UsageError
from orchestrator.intake.cutting import can_be_cut, chunk_sizes, filled_up, picked_sizes, write_chunks
from orchestrator.intake.plan import ChunkLimits
from orchestrator.jobdir.layout import chunk_folder, chunk_path

if TYPE_CHECKING:
    from pathlib import Path

few = st.integers(1, 60)


@pytest.mark.parametrize(
    ("total", "limits", "expected"),
    [
        (7, ChunkLimits(20, 1, 100), [7]),
        (20, ChunkLimits(20, 1, 100), [20]),
        (41, ChunkLimits(20, 1, 100), [20, 20, 1]),
        (45, ChunkLimits(20, 10, 100), [20, 25]),
        (45, ChunkLimits(20, 10, 20), [20, 13, 12]),
        (50, ChunkLimits(20, 10, 20), [20, 20, 10]),
        (5, ChunkLimits(20, 5, 10), [5]),
    ],
)
def test_cuts(total: int, limits: ChunkLimits, expected: list[int]) -> None:
    """Chunks are full; a last one that is too small joins its neighbour, or both are halved."""
    assert chunk_sizes(total, limits) == expected


@pytest.mark.parametrize(
    ("total", "limits", "message"),
    [
        (0, ChunkLimits(20, 1, 100), "the list has 0 numbers"),
        (9, ChunkLimits(20, 10, 100), "the list has 9 numbers.*10 .its min_rows.*when_too_small"),
        (100, ChunkLimits(50, 1, 40), "chunk_size = 50 .*1 to 40 .*set chunk_size = 34$"),
        (100, ChunkLimits(5, 10, 40), "chunk_size = 5 .*set chunk_size = 34$"),
        (120, ChunkLimits(100, 100, 110), "no chunk_size was found"),
        (50, ChunkLimits(10, 40, 30), "no chunk_size was found"),
    ],
)
def test_no_legal_cut(total: int, limits: ChunkLimits, message: str) -> None:
    """Where the rule gives a chunk that a platform does not take, the message says what would do."""
    with pytest.raises(UsageError, match=message):
        chunk_sizes(total, limits)


@given(st.integers(1, 400), few, few, few)
def test_properties_of_a_cut(total: int, chunk_size: int, min_rows: int, spread: int) -> None:
    """A cut keeps every row and every limit, and all but the last two chunks are full."""
    limits = ChunkLimits(chunk_size, min_rows, min_rows + spread)
    try:
        sizes = chunk_sizes(total, limits)
    except UsageError as error:
        advice = re.search(r"set chunk_size = (\d+)$", str(error))
        assume(advice is not None)
        assert advice is not None
        sizes = chunk_sizes(total, ChunkLimits(int(advice[1]), min_rows, min_rows + spread))
        chunk_size = int(advice[1])
    assert sum(sizes) == total
    assert all(min_rows <= size <= min_rows + spread for size in sizes)
    assert all(size == chunk_size for size in sizes[:-2])


@given(st.integers(0, 9), few, few, st.data())
def test_any_full_cut_is_taken_as_it_is(full: int, min_rows: int, more: int, data: st.DataObject) -> None:
    """Nothing is joined or halved without need."""
    chunk_size = min_rows + more
    rest = data.draw(st.integers(min_rows, chunk_size))
    limits = ChunkLimits(chunk_size, min_rows, chunk_size)
    assert chunk_sizes(full * chunk_size + rest, limits) == [chunk_size] * full + [rest]


@given(st.integers(0, 400), few, few, few)
def test_what_was_picked_is_cut_as_far_as_it_goes(total: int, chunk_size: int, min_rows: int, spread: int) -> None:
    """Nothing is cut otherwise than a list; where that can't be, as many as any legal cut takes, and fewer are left.

    Compared with a search over all numbers of chunks; with as many as `filled_up` says none is left.
    """
    limits = ChunkLimits(chunk_size, min_rows, min_rows + spread)

    def is_legal(rows: int) -> bool:
        return any(n * min_rows <= rows <= n * limits.max_rows for n in range(rows // min_rows + 1))

    sizes = picked_sizes(total, limits)
    assert sum(sizes) == next(rows for rows in range(total, -1, -1) if is_legal(rows))
    assert all(min_rows <= size <= limits.max_rows for size in sizes)
    assert total - sum(sizes) < min_rows
    if can_be_cut(total, limits):
        assert sizes == chunk_sizes(total, limits)
    filled = filled_up(total, limits)
    assert filled == next(rows for rows in range(total, 1000) if is_legal(rows))
    assert sum(picked_sizes(filled, limits)) == filled


def test_chunk_file(tmp_path: Path) -> None:
    """A chunk file holds its stretch of the accepted numbers, one a line; it is private, and its hash is returned."""
    np.array([41, 42, 43, 44], "<i8").tofile(tmp_path / "accepted")
    path = chunk_path(tmp_path, 17)
    path.parent.mkdir()
    (sha256,) = write_chunks(tmp_path / "accepted", [(1, 2, path)])
    assert path == tmp_path / "chunks" / "000017.txt"
    assert path.read_bytes() == b"+42\n+43\n"
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["000017.txt"]


@pytest.mark.parametrize("stretches", [[(0, 1), (1, 3), (4, 2)], [(4, 2), (0, 1)], [(3, 1)]])
def test_chunk_files_of_one_piece(tmp_path: Path, stretches: list[tuple[int, int]]) -> None:
    """Each file has its own stretch, also where numbers have different lengths and stretches don't follow another."""
    numbers = [41, 4912345, 1, 390612345678, 7, 86]
    np.array(numbers, "<i8").tofile(tmp_path / "accepted")
    chunk_folder(tmp_path).mkdir()
    paths = [chunk_path(tmp_path, chunk) for chunk in range(1, len(stretches) + 1)]
    hashes = write_chunks(tmp_path / "accepted", [(*s, path) for s, path in zip(stretches, paths, strict=True)])
    contents = [path.read_bytes() for path in paths]
    expected = ["".join(f"+{number}\n" for number in numbers[first : first + rows]) for first, rows in stretches]
    assert contents == [text.encode() for text in expected]
    assert hashes == [hashlib.sha256(content).hexdigest() for content in contents]


def test_a_chunk_file_that_cant_be_written(tmp_path: Path) -> None:
    """A failing disk comes out as an error of the disk."""
    np.array([41], "<i8").tofile(tmp_path / "accepted")
    with pytest.raises(StorageError, match=r"000001\.txt"):
        write_chunks(tmp_path / "accepted", [(0, 1, chunk_path(tmp_path, 1))])


@pytest.mark.parametrize("total", [-9, -2, 0])
def test_less_than_nothing_can_not_be_cut(total: int) -> None:
    """A trial may be larger than all that is left."""
    assert not can_be_cut(total, ChunkLimits(8, 1, 8))
