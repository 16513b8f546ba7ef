"""Result file → its further columns, for the numbers of its chunk: what was paid for beside the verdict.

They are read whenever they are asked for, out of the raw result that is kept, so a column can be named after the job
has ended. The rules are those of verdicts: rows of other numbers say nothing, and where rows of one number disagree,
its cell is empty.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import unicodedata
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.errors import DamagedResultError, StorageError
from orchestrator.files import disk_errors, replace_together
from orchestrator.jobdir.chunk_files import read_chunk
from orchestrator.jobdir.extra_files import ExtraColumn, Extras, extras_bytes
from orchestrator.pieces import PieceFiles, on_files
from orchestrator.results.checked_zip import ResultLimits
from orchestrator.results.columns import NUMBER_HEADERS, Wanted, plain_header
from orchestrator.results.matching import Matcher
from orchestrator.results.result_tables import read_tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.results.columns import Header


@dataclass(frozen=True, slots=True)
class ExtrasOrder:
    """Which columns to take out of which result: `names` of them, to be written to `target`.

    The rest is as in `ResultCheck`: `columns` are further names of the verdicts' column. `result_sha256` is the hash
    that the result must have.
    """

    result: Path
    chunk: Path
    target: Path
    platform: str
    columns: tuple[str, ...]
    names: tuple[str, ...]
    result_sha256: str
    without_verdict: bool = False


@dataclass(frozen=True, slots=True)
class ExtrasReport:
    """What was found: names that no table has, and the names of the columns that there are."""

    missing: tuple[str, ...]
    there: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Noting(Wanted):
    """Remembers the headers that it found."""

    seen: dict[str, None] = field(default_factory=dict)

    def find(self, rows: Sequence[Sequence[object]]) -> Header | None:
        header = Wanted.find(self, rows)
        # A table without any that is wanted has others, which are told all the same.
        named = (row for row, cells in enumerate(rows) if not NUMBER_HEADERS.isdisjoint(map(plain_header, cells)))
        row = header.row if header is not None else next(named, None)
        if row is not None:
            self.seen.update(dict.fromkeys(map(text_of, rows[row])))
        return header


@on_files(
    lambda orders: PieceFiles(
        tuple(path for order in orders for path in (order.result, order.chunk)),
        tuple(order.target for order in orders),
    )
)
def take_extras(orders: Sequence[ExtrasOrder]) -> list[ExtrasReport | DamagedResultError | StorageError]:
    """Read results and write their extra files: a piece. What is wrong with one comes in its place.

    Raises `StorageError` when the disk does not take what was found.
    """
    outcomes: list[ExtrasReport | DamagedResultError | StorageError] = []
    for order in orders:
        try:
            report, content = read_order(order)
        except (DamagedResultError, StorageError) as error:
            outcomes.append(error)
            continue
        replace_together(order.target.parent, [(order.target.name, content)])
        outcomes.append(report)
    return outcomes


def read_order(order: ExtrasOrder) -> tuple[ExtrasReport, bytes]:
    """Return what was found, and the extra file; raises `DamagedResultError`, and `StorageError` for files of ours."""
    numbers = read_chunk(order.chunk).numbers
    limits = ResultLimits.for_rows(len(numbers))
    wanted = _Noting(order.platform, order.columns, order.names, order.without_verdict, np.sort(numbers))
    columns = [_Column(numbers) for _ in order.names]
    with disk_errors(order.result), order.result.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != order.result_sha256:
            raise StorageError(f"{order.result}: altered since it was taken")
        file.seek(0)
        for together in read_tables(file, limits, wanted):
            for batch in chain.from_iterable(together):
                for column, (cells, which) in zip(columns, batch.extras, strict=True):
                    column.place(batch.numbers, cells, which)
            # The best table may have the verdicts only, so a column is looked for in all of them.
            if all(column.matcher.complete for column in columns):
                break
            for column in columns:
                column.matcher.next_table()
    there = set(map(plain_header, wanted.seen))
    missing = tuple(name for name in order.names if plain_header(name) not in there)
    found = [ExtraColumn(name, *column.in_chunk_order()) for name, column in zip(order.names, columns, strict=True)]
    content = extras_bytes(Extras(tuple(found), order.result_sha256), len(numbers))
    return ExtrasReport(missing, tuple(wanted.seen)), content


class _Column:
    """One column of one result: the cells of the chunk's numbers."""

    def __init__(self, numbers: NDArray[np.int64]) -> None:
        self.matcher = Matcher(numbers, np.uint32)
        self.words = {"": 0}

    def place(self, numbers: NDArray[np.int64], cells: Sequence[object], which: NDArray[np.intp]) -> None:
        codes = np.array([self.words.setdefault(text_of(cell), len(self.words)) for cell in cells], np.uint32)
        if codes.any():  # else the table has no such column, and says nothing of the numbers
            self.matcher.place(numbers, codes[which])

    def in_chunk_order(self) -> tuple[tuple[str, ...], NDArray[np.uint32]]:
        """Return the words that numbers of the chunk have, sorted, so that the same cells give the same bytes."""
        codes = self.matcher.codes
        words = list(self.words)
        used = np.flatnonzero(np.bincount(codes, minlength=len(words))).tolist()
        kept = ["", *sorted(words[code] for code in used if code)]
        places = {word: place for place, word in enumerate(kept)}
        return tuple(kept), np.array([places.get(word, 0) for word in words], np.uint32)[codes]


def text_of(cell: object) -> str:
    """Return what a cell of a result says, as text: whole numbers without a fraction, dates as ISO 8601 has them."""
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case float() if cell.is_integer():
            return str(int(cell))  # xlsx has no integers
        case dt.datetime() if cell.time() == dt.time():
            return cell.date().isoformat()
        case dt.datetime():
            return cell.isoformat(" ")
        case _:
            text = unicodedata.normalize("NFC", str(cell))
            return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
