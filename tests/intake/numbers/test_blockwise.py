from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.intake.blocks import Block, CellBlock, LineBlock, Rows
from orchestrator.intake.numbers.decide import NumberRules
from orchestrator.intake.numbers.lookup.lookup_tables import load_tables
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.stored_rows import normalise_block

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    "+41798284651", " +41798284651\t", "079 828 46 51", "call 079 828 46 51", "", "  ", "\x1c", "+8613912345678",
    "0086 139 1234 5678", "12", "J\u00fcrg", "+41798284651.0", "4.1798284651E+10", "2024-01-31", "(079) 828-46-51",
    "\u0664\u0661", "+12002000000", "'+41798284651;", "41798284651", "+41 (0)79 828 46 51", "x" * 300, "+41 79",
    "+1\x002015550123", "+41798284651;+41798284652", "079 828 46 51/0798284652", "0798284651 or 12345678", "x;y",
    "+49 33841/1234567", "0798284651 0798284652",
]  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def check(block: Block, rules: NumberRules, folder: Path) -> Rows:
    """Compare the rows of a block with those that are decided one by one."""
    found = normalise_block(block, rules, load_tables(rules.default_region, folder))
    expected = normalise_block(block, rules)
    assert found.numbers.tolist() == expected.numbers.tolist()
    assert found.lines.tolist() == expected.lines.tolist()
    assert found.codes.tolist() == expected.codes.tolist()
    assert list(found.raws) == list(expected.raws)
    cells = [None if rows.cells is None else rows.cells.tolist() for rows in (found, expected)]
    assert cells[0] == cells[1]
    assert [array.dtype for array in (found.numbers, found.lines, found.codes)] == ["int64", "int64", "uint16"]
    return found


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("rules", [NumberRules("CH", frozenset({86})), NumberRules(None, frozenset())])
def test_lines_of_all_kinds(end: str, rules: NumberRules, folder: Path) -> None:
    """Numbers, reasons, line numbers and raw texts are those of `normalise_block`, whatever the lines hold."""
    rnd = random.Random(1)  # noqa: S311 - the same every time
    lines = LINES * 20
    rnd.shuffle(lines)
    for data in (end.join(lines).encode(), (end.join(lines) + end).encode("cp1252", "replace"), b"", end.encode()):
        check(LineBlock(7, data), rules, folder)


def test_a_block_of_plain_lines_keeps_no_text(folder: Path) -> None:
    """Where every line is just its number there is nothing to show beside it."""
    rows = check(LineBlock(1, b"+41798284651\n" * 9), NumberRules(None, frozenset()), folder)
    assert rows.numbers.tolist() == [41798284651] * 9
    assert rows.raw(8) == "+41798284651"


def test_cells_of_all_kinds(folder: Path) -> None:
    """Empty cells are rows, faults go before numbers, and line ends within cells are part of them."""
    rules = NumberRules("CH", frozenset({86}))
    lines = list(range(3, 3 + 2 * len(LINES), 2))
    check(CellBlock(lines, LINES), rules, folder)
    check(CellBlock(lines, LINES, {0: Reason.DATE, 5: Reason.FORMULA}), rules, folder)
    check(CellBlock([1, 2, 3], ["+41798284651\n", "+4179\r8284651", "\ud83d"]), rules, folder)
    check(CellBlock([1, 2], ["+41798284651\r", "\ud83d +41798284651"]), rules, folder)
    check(CellBlock([], []), rules, folder)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(st.sampled_from(LINES), st.text(max_size=12), st.text("+0123456789 /-", min_size=12, max_size=24)),
        max_size=12,
    ),
    st.booleans(),
)
def test_any_cells(folder: Path, texts: list[str], lines: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """The same for any texts, in lines and in cells."""
    rules = NumberRules("CH", frozenset({86}))
    data = "\n".join(texts).encode("utf-8", "surrogatepass")
    check(LineBlock(1, data) if lines else CellBlock(range(len(texts)), texts), rules, folder)
