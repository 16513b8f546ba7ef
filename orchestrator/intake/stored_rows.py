"""From blocks to files of rows: what a worker makes of a part of the list."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.intake.blocks import FIRST_REASON, FROM_TEXT, CellBlock, Declared, Look, Rows, write_rows
from orchestrator.intake.kept_columns import write_kept
from orchestrator.intake.numbers.decide import NumberRules, decide_cells
from orchestrator.intake.numbers.turned_away import turn_away

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.intake.blocks import Block
    from orchestrator.intake.numbers.lookup.lookup_tables import LookupTables


@dataclass(frozen=True, slots=True)
class StoredRows:
    """A file of rows, and what is in it.

    `rejected` counts by reason; `from_text` counts codes of that name; `largest` is the largest number. `first_line` is
    that of the first row where lines count up from it, else None. `columns` are the names of kept columns, whose cells
    stand in a file beside it. `look` is that of the block; `declared` stands
    with the last one of a file. `filled_lines` counts the lines of a text on which the rows stand, `left` what may be
    numbers in other columns of a table, and is left unread.
    """

    path: Path
    rows: int
    rejected: Counter[str]
    from_text: int = 0
    largest: int = 0
    first_line: int | None = None
    columns: tuple[str, ...] = ()
    look: Look | None = None
    declared: Declared | None = None
    filled_lines: int = 0
    left: int = 0

    @property
    def numbers(self) -> int:
        """How many rows have a number, repeated ones included."""
        return self.rows - sum(self.rejected.values())


def normalise_block(block: Block, rules: NumberRules, tables: LookupTables | None = None) -> Rows:
    """Decide about every cell of a block; pure. With tables most are decided at once, to the same effect."""
    if tables is None:
        return decide_cells(block, rules)
    from orchestrator.intake.numbers.blockwise import decide_block  # noqa: PLC0415 - small lists need none of it

    return decide_block(block, rules, tables)


def store_block(block: Block, rules: NumberRules, path: Path, tables: LookupTables | None = None) -> StoredRows:
    """Normalise a block and write its rows to `path`, kept columns beside it: a piece; raises `StorageError`."""
    rows = turn_away(normalise_block(block, rules, tables), rules)
    write_rows(path, rows)
    counts = np.bincount(rows.codes, minlength=FIRST_REASON + len(rules.reasons)).tolist()
    stored = StoredRows(
        path,
        len(rows.lines),
        Counter({reason: counts[code] for code, reason in enumerate(rules.reasons, FIRST_REASON) if counts[code]}),
        from_text=counts[FROM_TEXT],
        largest=int(rows.numbers.max(initial=0)),
        first_line=rows.first_line,
        filled_lines=len(rows.lines) if rows.cells is None else len(np.unique(rows.lines)),
    )
    if not isinstance(block, CellBlock):
        return stored
    if block.names:
        kept = block.kept if rows.cells is None else [block.kept[cell] for cell in rows.cells.tolist()]
        write_kept(path, kept)
    filled_lines = stored.filled_lines if block.filled_lines is None else block.filled_lines
    return replace(stored, columns=block.names, look=block.look, filled_lines=filled_lines, left=block.left)
