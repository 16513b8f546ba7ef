"""Rows of a block by the fast path, line by line only where that has no answer.

The result is that of `decide_cells`, to the byte.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.intake.blocks import PLAIN, CellBlock, LineBlock, Rows, Texts, text_of
from orchestrator.intake.numbers.decide import CODES, NumberRules, decide, decide_cells
from orchestrator.intake.numbers.lookup.accept import EXCLUDED, UNDECIDED, accept_block, is_plain
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.line_ends import split_lines

if TYPE_CHECKING:
    import numpy.typing as npt

    from orchestrator.intake.blocks import Block
    from orchestrator.intake.numbers.lookup.lookup_tables import LookupTables

    Ints = npt.NDArray[np.int64]


def decide_block(block: Block, rules: NumberRules, tables: LookupTables) -> Rows:
    """Decide about every cell of a block; pure."""
    if isinstance(block, LineBlock):
        return _of_lines(block, rules, tables)
    return _of_cells(block, rules, tables)


def _of_lines(block: LineBlock, rules: NumberRules, tables: LookupTables) -> Rows:
    starts, ends = split_lines(block.data)
    lines = block.first_line + np.arange(len(starts), dtype=np.int64)
    filled = ends > starts
    numbers = accept_block(block.data, starts, ends, tables, rules.excluded)
    raws = _shown(block.data, starts, ends, numbers)
    codes = _codes(numbers)
    for row in np.flatnonzero(filled & (numbers == UNDECIDED)).tolist():
        if raw := text_of(block.data[starts[row] : ends[row]]).strip():
            numbers[row], codes[row], raws[row] = decide(raw, rules)
        else:
            filled[row] = False
    if not filled.all():
        numbers, lines, codes = numbers[filled], lines[filled], codes[filled]
        raws = list(compress(raws, filled.tolist()))
    return _finished(numbers, lines, codes, raws)


def _of_cells(block: CellBlock, rules: NumberRules, tables: LookupTables) -> Rows:
    text = ("\n".join(block.texts) + "\n").encode("utf-8", "surrogatepass")
    starts, ends = split_lines(text)
    if len(starts) != len(block.texts):
        return decide_cells(block, rules)  # there are line ends in cells
    numbers = accept_block(text, starts, ends, tables, rules.excluded)
    numbers[list(block.faults)] = UNDECIDED
    raws = _shown(text, starts, ends, numbers)
    codes = _codes(numbers)
    for row in np.flatnonzero(numbers == UNDECIDED).tolist():
        numbers[row], codes[row], raws[row] = decide(block.texts[row].strip(), rules, block.faults.get(row))
    return _finished(numbers, np.array(block.lines, np.int64), codes, raws)


def _codes(numbers: Ints) -> npt.NDArray[np.uint16]:
    """Return the codes of rows that are decided; what `accept_block` takes holds no letters."""
    return np.where(numbers == EXCLUDED, CODES[Reason.EXCLUDED], PLAIN).astype(np.uint16)


def _shown(text: bytes, starts: Ints, ends: Ints, numbers: Ints) -> list[bytes]:
    """Return the raw texts of rows that are decided: empty where they only repeat the number.

    They are as they stand in the list: what `accept_block` takes is short, printable ASCII.
    """
    raws = [b""] * len(numbers)
    for row in np.flatnonzero((numbers != UNDECIDED) & ~is_plain(text, starts, ends, numbers)).tolist():
        raw = text[starts[row] : ends[row]].strip()
        raws[row] = b"" if raw == b"+%d" % numbers[row] else raw
    return raws


def _finished(numbers: Ints, lines: Ints, codes: npt.NDArray[np.uint16], raws: list[bytes]) -> Rows:
    numbers[numbers == EXCLUDED] = 0
    return Rows(numbers, lines, codes, raws if any(raws) else Texts(len(raws)))
