"""Rows of a chunk and its verdicts belong together, or the master is not written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import StorageError
from orchestrator.jobdir.layout import verdict_path
from orchestrator.jobdir.verdict_files import Verdicts
from orchestrator.master import MasterChunk
from orchestrator.master.base_chunks import ROWS_AT_ONCE, CodedColumn, ResolvedChunk, base_blocks, gathered
from tests.results.written import write_verdicts

Chunk = Callable[..., MasterChunk]


def test_blocks_cover_the_chunk(chunk: Chunk) -> None:
    """A chunk longer than a block comes in several, every row once and in order, beside its own verdict."""
    numbers = [f"+4915{i:09d}" for i in range(200_000)]
    words = ["yes" if i % 7 else "no" for i in range(200_000)]
    parts = list(base_blocks(chunk(numbers, words, "held"), 7))
    assert len(parts) > 1
    assert [f"+{number}" for part in parts for number in part.numbers.tolist()] == numbers
    assert [part.words[0][code] for part in parts for code in part.codes[0].tolist()] == words
    assert [part.first_row for part in parts] == [7, 7 + len(parts[0].numbers), 7 + len(parts[0].numbers) * 2][
        : len(parts)
    ]
    assert {part.columns[1].words for part in parts} == {("held",)}
    assert all(len(part.columns[1].codes) == len(part.numbers) for part in parts)


def block_of(first_row: int, *cells: tuple[tuple[str, ...], list[int]], rows: int = 2) -> ResolvedChunk:
    """Make a block whose numbers are its rows; `cells` are words and codes, platform by platform."""
    columns = tuple(CodedColumn(words, np.array(codes, np.uint8)) for words, codes in cells)
    return ResolvedChunk(first_row, np.arange(first_row, first_row + rows), columns)


def test_small_neighbours_go_together() -> None:
    """Each row keeps its number and its words, though every block has words and codes of its own."""
    blocks = [
        block_of(5, (("unanswered", "yes"), [1, 0]), (("held",), [0, 0])),
        block_of(7, (("unanswered", "no", "yes"), [2, 1]), (("pending",), [0, 0])),
    ]
    (one,) = gathered(blocks)
    assert (one.first_row, one.numbers.tolist()) == (5, [5, 6, 7, 8])
    read = [[words[code] for code in codes] for words, codes in zip(one.words, one.codes, strict=True)]
    assert read == [["yes", "unanswered", "yes", "no"], ["held", "held", "pending", "pending"]]


def test_no_more_than_some_rows_go_together() -> None:
    """Memory stays that of a chunk: a block that does not fit begins the next one, and a large one stays as it is."""
    half = ROWS_AT_ONCE // 2
    sizes = [half, half, 1, 2 * ROWS_AT_ONCE, 1]
    firsts = [sum(sizes[:place]) for place in range(len(sizes))]
    blocks = [block_of(first, (("yes",), [0] * rows), rows=rows) for first, rows in zip(firsts, sizes, strict=True)]
    assert [len(block.numbers) for block in gathered(blocks)] == [ROWS_AT_ONCE, 1, 2 * ROWS_AT_ONCE, 1]
    assert [number for block in gathered(blocks) for number in block.numbers.tolist()] == list(range(sum(sizes)))
    assert list(gathered([])) == []


def test_many_words_together() -> None:
    """Where the blocks have more words together than a byte can tell apart, the codes become wider."""
    words = [tuple(f"{block}-{word}" for word in range(200)) for block in range(2)]
    blocks = [block_of(200 * place, (names, list(range(200))), rows=200) for place, names in enumerate(words)]
    (one,) = gathered(blocks)
    assert [one.words[0][code] for code in one.codes[0]] == [*words[0], *words[1]]


def test_cut(chunk: Chunk) -> None:
    """A cut holds its rows of every column, and knows where in the list it begins."""
    (block,) = base_blocks(chunk(["+41798284651", "+12025550123", "+5001234"], ["yes", "no", "yes"], "held"), 10)
    cut = block.cut(1, 3)
    assert (cut.first_row, cut.numbers.tolist()) == (11, [12025550123, 5001234])
    assert cut.words == (("unanswered", "yes", "no"), ("held",))
    assert [codes.tolist() for codes in cut.codes] == [[2, 1], [0, 0]]
    assert isinstance(cut.columns[0], CodedColumn)


def test_chunk_out_of_place(chunk: Chunk) -> None:
    """A chunk that says where it begins is refused anywhere else."""
    made = chunk(["+41798284651"], "held")
    placed = MasterChunk(made.path, made.rows, made.cells, first_row=5)
    assert len(list(base_blocks(placed, 5))) == 1
    with pytest.raises(StorageError, match="begins at row 5, but the list is at row 4"):
        list(base_blocks(placed, 4))


def test_verdicts_of_another_chunk(chunk: Chunk, tmp_path: Path) -> None:
    """A verdict file that names another chunk's hash is refused, although its length fits."""
    ours = chunk(["+41798284651"], ["yes"])
    write_verdicts(verdict_path(tmp_path, "p0", 1), Verdicts(("unanswered", "no"), b"\1", "t", "ab" * 32))
    with pytest.raises(StorageError, match="not the chunk its verdicts belong to"):
        list(base_blocks(ours, 0))


def test_verdicts_of_another_length(chunk: Chunk, tmp_path: Path) -> None:
    """A verdict file with more or fewer rows than the chunk is refused."""
    ours = chunk(["+41798284651"], ["yes"])
    write_verdicts(verdict_path(tmp_path, "p0", 1), Verdicts(("unanswered",), b"\0\0"))
    with pytest.raises(StorageError, match="2 verdicts for 1 numbers"):
        list(base_blocks(ours, 0))


@pytest.mark.parametrize("rows", [1, 3])
def test_chunk_of_another_length(chunk: Chunk, rows: int) -> None:
    """A chunk file with more or fewer lines than planned is refused."""
    made = chunk(["+41798284651", "+12025550123"], "held")
    with pytest.raises(StorageError, match="not the chunk"):
        list(base_blocks(MasterChunk(made.path, rows, made.cells), 0))


@pytest.mark.parametrize("content", ["+41798284651", "+41 798284651\n", "\n", "+41798284651\n\n", "<&>123\n"])
def test_what_is_no_chunk_file(tmp_path: Path, content: str) -> None:
    """Only plus signs, digits and line ends get into the master's first column."""
    (tmp_path / "c.txt").write_text(content)
    with pytest.raises(StorageError, match="not a chunk file"):
        list(base_blocks(MasterChunk(tmp_path / "c.txt", 1, ("held",)), 0))


def test_verdicts_without_a_chunk_hash(chunk: Chunk, tmp_path: Path) -> None:
    """Verdicts that name no chunk are taken by their length."""
    ours = chunk(["+41798284651"], ["yes"])
    write_verdicts(verdict_path(tmp_path, "p0", 1), Verdicts(("unanswered", "no"), b"\1"))
    (block,) = base_blocks(ours, 0)
    assert block.words[0][block.codes[0][0]] == "no"


def test_a_block_pays_for_its_own_words_only() -> None:
    """Of a column with another text in each row, a part has the texts of its rows, and small columns are left alone."""
    words = ("", *(f"w{place}" for place in range(999)))
    column = CodedColumn(words, np.arange(1000, dtype=np.uint32)[::-1])
    part = column.cut(10, 400)
    assert len(part.words) == 390
    assert [part.words[code] for code in part.codes] == [words[code] for code in column.codes[10:400]]
    assert column.cut(0, 1000).words is words
    few = CodedColumn(("", "yes"), np.zeros(10, np.uint8))
    assert few.cut(0, 1).words == ("", "yes")
