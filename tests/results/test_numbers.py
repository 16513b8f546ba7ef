"""Chunk files are strict, result cells are lenient, and neither ever yields a number that does not stand there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.results.numbers import BLANK, NOT_A_NUMBER, as_numbers, read_chunk

e164 = st.integers(10**6, 10**15 - 1)


@given(st.lists(e164, min_size=1))
def test_chunk_file_round_trip(tmp_path_factory: pytest.TempPathFactory, numbers: list[int]) -> None:
    """A chunk file comes back as its numbers in its order, with its hash."""
    path = tmp_path_factory.mktemp("chunks") / "000001.txt"
    content = "".join(f"+{number}\n" for number in numbers).encode()
    path.write_bytes(content)
    chunk = read_chunk(path)
    assert chunk.numbers.tolist() == numbers
    assert chunk.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "+41791234567",
        "41791234567\n",
        "+41791234567\r\n",
        "+41791234567\n\n",
        "+417912 34567\n",
        "+\n",
        "+41+79\n1\n",
    ],
)
def test_what_is_no_chunk_file(tmp_path: Path, content: str) -> None:
    """Anything else than a plus sign and digits a line is an error that names the file."""
    (tmp_path / "000001.txt").write_text(content, newline="")
    with pytest.raises(StorageError, match=r"000001\.txt: not a chunk file"):
        read_chunk(tmp_path / "000001.txt")


def test_missing_chunk_file(tmp_path: Path) -> None:
    """A missing chunk file is an error of the disk."""
    with pytest.raises(StorageError, match="No such file"):
        read_chunk(tmp_path / "000001.txt")


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("+41798284651", 41798284651),
        ("41798284651", 41798284651),
        (" +41798284651 ", 41798284651),
        ("0041798284651", 41798284651),
        ("'+41798284651", 41798284651),
        ("+41 79 828-46 51", 41798284651),
        ("+1 (202) 555-0123", 12025550123),
        ("41798284651.0", 41798284651),
        (41798284651, 41798284651),
        (41798284651.0, 41798284651),
        ("", BLANK),
        ("  ", BLANK),
        (None, BLANK),
        (41798284651.5, NOT_A_NUMBER),
        ("41798284651.5", NOT_A_NUMBER),
        ("4.1798E+10", NOT_A_NUMBER),
        ("0798284651", NOT_A_NUMBER),
        ("-41798284651", NOT_A_NUMBER),
        ("4_1798284651", NOT_A_NUMBER),
        ("\u0664\u0661\u0667\u0669\u0668\u0662\u0668\u0664\u0666\u0665\u0661", NOT_A_NUMBER),
        ("1234567890123456", NOT_A_NUMBER),
        (1e15, NOT_A_NUMBER),
        (float("nan"), NOT_A_NUMBER),
        (float("inf"), NOT_A_NUMBER),
        (-41798284651.0, NOT_A_NUMBER),
        (True, NOT_A_NUMBER),
        ("total", NOT_A_NUMBER),
        ("1234", NOT_A_NUMBER),
    ],
)
def test_cells(cell: object, number: int) -> None:
    """A cell is the number it shows, whatever surrounds it; a rounded or odd one is none."""
    assert as_numbers([cell]).tolist() == [number]
    assert as_numbers([cell, "+41791234567", 1.5, None])[0] == number


@given(st.lists(e164))
def test_whole_columns(numbers: list[int]) -> None:
    """Columns of text, with and without the plus sign, and of floats give the same numbers as one by one."""
    for cells in ([f"+{n}" for n in numbers], [str(n) for n in numbers], [float(n) for n in numbers], list(numbers)):
        assert as_numbers(cells).tolist() == numbers
