"""Rows of a block by the fast path, line by line only where that has no answer.

The result is that of `decide_cells`, to the byte.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.intake.blocks import PLAIN, LineBlock, Rows, Texts, text_of
from orchestrator.intake.numbers.decide import CODES, NumberRules, decide, decide_cells
from orchestrator.intake.numbers.lookup.accept import EXCLUDED, UNDECIDED, accept_block, is_plain
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.line_ends import split_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from orchestrator.intake.blocks import Block
    from orchestrator.intake.numbers.lookup.lookup_tables import LookupTables

    Ints = npt.NDArray[np.int64]
    Decided = tuple[int, int, bytes]


def decide_block(block: Block, rules: NumberRules, tables: LookupTables) -> Rows:
    """Decide about every cell of a block; pure."""
    cells: Sequence[str] | None = None
    faults: Mapping[int, str] = {}
    if isinstance(block, LineBlock):
        text = block.data
        starts, ends = split_lines(text)
        lines, filled = block.first_line + np.arange(len(starts), dtype=np.int64), ends > starts
    else:
        cells, faults = block.texts, block.faults
        text = ("\n".join(cells) + "\n").encode("utf-8", "surrogatepass")
        starts, ends = split_lines(text)
        if len(starts) != len(cells):
            return decide_cells(block, rules)  # there are line ends in cells
        lines, filled = np.array(block.lines, np.int64), np.ones(len(starts), np.bool_)
    numbers = accept_block(text, starts, ends, tables, rules.excluded)
    numbers[list(faults)] = UNDECIDED
    raws = _shown(text, starts, ends, numbers)
    # What `accept_block` takes holds no letters.
    codes = np.where(numbers == EXCLUDED, CODES[Reason.EXCLUDED], PLAIN).astype(np.uint16)
    more: dict[int, list[Decided]] = {}
    for row in np.flatnonzero(filled & (numbers == UNDECIDED)).tolist():
        raw = (text_of(text[starts[row] : ends[row]]) if cells is None else cells[row]).strip()
        if cells is None and not raw:
            filled[row] = False
            continue
        (numbers[row], codes[row], raws[row]), *others = decide(raw, rules, faults.get(row))
        if others:
            more[row] = others
    return _finished(numbers, lines, codes, raws, filled, more)


def _shown(text: bytes, starts: Ints, ends: Ints, numbers: Ints) -> list[bytes]:
    """Return the raw texts of rows that are decided: empty where they only repeat the number.

    They are as they stand in the list: what `accept_block` takes is short, printable ASCII.
    """
    raws = [b""] * len(numbers)
    for row in np.flatnonzero((numbers != UNDECIDED) & ~is_plain(text, starts, ends, numbers)).tolist():
        raw = text[starts[row] : ends[row]].strip()
        raws[row] = b"" if raw == b"+%d" % numbers[row] else raw
    return raws


def _finished(
    numbers: Ints,
    lines: Ints,
    codes: npt.NDArray[np.uint16],
    raws: list[bytes],
    filled: npt.NDArray[np.bool_],
    more: Mapping[int, list[Decided]],
) -> Rows:
    """Return the rows of filled lines or cells, with `more` of them behind those of cells with several numbers."""
    numbers[numbers == EXCLUDED] = 0
    if more:
        counts = filled.astype(np.int64)
        for row, others in more.items():
            counts[row] += len(others)
        owners = np.repeat(np.arange(len(counts)), counts)
        numbers, lines, codes = numbers[owners], lines[owners], codes[owners]
        raws = [raws[owner] for owner in owners.tolist()]
        ends = np.cumsum(counts)
        for row, others in more.items():
            for place, found in enumerate(others, int(ends[row]) - len(others)):
                numbers[place], codes[place], raws[place] = found
        return Rows(numbers, lines, codes, raws, (np.cumsum(filled) - 1)[owners])
    if not filled.all():
        numbers, lines, codes = numbers[filled], lines[filled], codes[filled]
        raws = list(compress(raws, filled.tolist()))
    return Rows(numbers, lines, codes, raws if any(raws) else Texts(len(raws)))
