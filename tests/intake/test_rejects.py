from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.files import csv_safe, sha256_of
from orchestrator.intake.blocks import LineBlock
from orchestrator.intake.duplicates.in_memory import drop_duplicates
from orchestrator.intake.numbers.decide import NumberRules
from orchestrator.intake.rejects import SourceRows, write_rejects
from orchestrator.intake.stored_rows import store_block

if TYPE_CHECKING:
    from pathlib import Path

RULES = NumberRules(None, frozenset())


@pytest.mark.parametrize("text", ["=1+1", "-1-1", "@sum", "\tx", "\rx", "+41-79", "+x", "+", "+1\n", "+\u0661"])
def test_what_could_be_a_formula_is_text(text: str) -> None:
    """A text that a spreadsheet could take for a formula gets an apostrophe."""
    assert csv_safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "+41798284651", "+41 79", "-1", "41", "a=1", "'=1", " =1"])
def test_anything_else_stays(text: str) -> None:
    """Numbers in E.164 form and harmless text are written as they are."""
    assert csv_safe(text) == text


@given(st.text(max_size=8))
def test_safe_is_safe(text: str) -> None:
    """What comes out is never changed by a second pass, and loses nothing."""
    assert csv_safe(csv_safe(text)) == csv_safe(text)
    assert csv_safe(text).removeprefix("'") == text.removeprefix("'")


@pytest.fixture
def write(tmp_path: Path) -> Path:
    """Write both tables for two inputs, the first in two blocks."""
    blocks = [
        ("a.txt", LineBlock(1, b'+41798284651\n=1+1\n"quoted", text\n')),
        ("a.txt", LineBlock(4, b"+41 79 828 46 51\n+4179\n")),
        ("-b.txt", LineBlock(1, b"\n\xff\n+41798284651\n+41798284652\n+41798284652\n")),
    ]
    stored = [store_block(block, RULES, tmp_path / f"{i}") for i, (_, block) in enumerate(blocks)]
    parts = [SourceRows(rows.path, rows.rows, source) for rows, (source, _) in zip(stored, blocks, strict=True)]
    duplicates_file = drop_duplicates([part.path for part in parts], tmp_path).duplicates_file
    written = write_rejects(parts, 1, duplicates_file, tmp_path)
    assert (written.sample, written.repeated) == (("+4179",), (0, 1, 2))
    assert (written.not_numbers, written.fields) == (3, 1)
    assert written.hashes == {name: sha256_of(tmp_path / name) for name in ("rejected.csv", "duplicates.csv")}
    return tmp_path


def test_rejected(write: Path) -> None:
    """rejected.csv has every rejected line in list order, quoted as RFC 4180 has it."""
    assert (write / "rejected.csv").read_bytes() == (
        b"line,raw,reason,source\r\n"
        b"2,'=1+1,not a number,a.txt\r\n"
        b'3,"""quoted"", text",not a number,a.txt\r\n'
        b"5,+4179,too short,a.txt\r\n"
        b"2,\xc3\xbf,not a number,'-b.txt\r\n"
    )


def test_duplicates(write: Path) -> None:
    """duplicates.csv names the line, the text, the number, and where that first was."""
    with (write / "duplicates.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["line", "raw", "number", "first_line", "source", "first_source"],
            ["4", "+41 79 828 46 51", "+41798284651", "1", "a.txt", "a.txt"],
            ["3", "+41798284651", "+41798284651", "1", "'-b.txt", "a.txt"],
            ["5", "+41798284652", "+41798284652", "4", "'-b.txt", "'-b.txt"],
        ]


def test_private(write: Path) -> None:
    """Both tables hold numbers, so only their owner may read them."""
    assert {(write / f"{name}.csv").stat().st_mode & 0o777 for name in ("rejected", "duplicates")} == {0o600}
