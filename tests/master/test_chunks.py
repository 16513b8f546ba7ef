"""Rows of a chunk and its verdicts belong together, or the master is not written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.master import MasterChunk
from orchestrator.master.chunks import Block, Column, blocks
from orchestrator.results import Verdicts, verdict_path, write_verdicts

Chunk = Callable[..., MasterChunk]


def test_blocks_cover_the_chunk(chunk: Chunk) -> None:
    """A chunk longer than a block comes in several, every row once and in order, beside its own verdict."""
    numbers = [f"+4915{i:09d}" for i in range(200_000)]
    words = ["yes" if i % 7 else "no" for i in range(200_000)]
    parts = list(blocks(chunk(numbers, words, "held")))
    assert len(parts) > 1
    assert [number.decode() for part in parts for number in part.numbers] == numbers
    assert [part.columns[0].words[code] for part in parts for code in part.columns[0].codes] == words
    assert {part.columns[1].words for part in parts} == {("held",)}
    assert all(len(part.columns[1].codes) == len(part.numbers) for part in parts)


def test_leading_digits(chunk: Chunk) -> None:
    """The first three digits of every number are given, whatever its length."""
    (block,) = blocks(chunk(["+41798284651", "+12025550123", "+5001234", "+999000000000123"], "held"))
    assert block.leading.tolist() == [417, 120, 500, 999]


def test_cut_and_render(chunk: Chunk) -> None:
    """A cut holds its rows of every column; rendering joins numbers and prepared cells."""
    (block,) = blocks(chunk(["+41798284651", "+12025550123", "+5001234"], ["yes", "no", "yes"], "held"))
    cut = block.cut(1, 3)
    tables = [[f",{word}".encode() for word in column.words] for column in cut.columns]
    tables[-1] = [cell + b"\n" for cell in tables[-1]]
    assert cut.render(tables) == b"+12025550123,no,held\n+5001234,yes,held\n"
    assert isinstance(cut, Block)
    assert cut.columns[1] == Column(("held",), b"\0\0")


def test_verdicts_of_another_chunk(chunk: Chunk, tmp_path: Path) -> None:
    """A verdict file that names another chunk's hash is refused, although its length fits."""
    ours = chunk(["+41798284651"], ["yes"])
    write_verdicts(verdict_path(tmp_path, "p0", 1), Verdicts(("unanswered", "no"), b"\1", "t", "ab" * 32))
    with pytest.raises(StorageError, match="not the chunk its verdicts belong to"):
        list(blocks(ours))


def test_verdicts_of_another_length(chunk: Chunk, tmp_path: Path) -> None:
    """A verdict file with more or fewer rows than the chunk is refused."""
    ours = chunk(["+41798284651"], ["yes"])
    write_verdicts(verdict_path(tmp_path, "p0", 1), Verdicts(("unanswered",), b"\0\0"))
    with pytest.raises(StorageError, match="2 verdicts for 1 numbers"):
        list(blocks(ours))


@pytest.mark.parametrize("rows", [1, 3])
def test_chunk_of_another_length(chunk: Chunk, rows: int) -> None:
    """A chunk file with more or fewer lines than planned is refused."""
    made = chunk(["+41798284651", "+12025550123"], "held")
    with pytest.raises(StorageError, match="not the chunk"):
        list(blocks(MasterChunk(made.path, rows, made.cells)))


@pytest.mark.parametrize("content", ["+41798284651", "+41 798284651\n", "\n", "+41798284651\n\n", "<&>123\n"])
def test_what_is_no_chunk_file(tmp_path: Path, content: str) -> None:
    """Only plus signs, digits and line ends get into the master's first column."""
    (tmp_path / "c.txt").write_text(content)
    with pytest.raises(StorageError, match="not a chunk file"):
        list(blocks(MasterChunk(tmp_path / "c.txt", 1, ("held",))))


def test_verdicts_without_a_chunk_hash(chunk: Chunk, tmp_path: Path) -> None:
    """Verdicts that name no chunk are taken by their length."""
    ours = chunk(["+41798284651"], ["yes"])
    write_verdicts(verdict_path(tmp_path, "p0", 1), Verdicts(("unanswered", "no"), b"\1"))
    (block,) = blocks(ours)
    assert block.columns[0].words[block.columns[0].codes[0]] == "no"
