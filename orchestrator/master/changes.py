"""What two jobs say differently of numbers: their indices side by side, range by range, so in bounded memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.files import replacing
from orchestrator.jobdir.arrays import distinct
from orchestrator.master.base_chunks import CodedColumn, ResolvedChunk, code_type
from orchestrator.master.master_layout import BookLimits, MasterLayout, sheet_rows
from orchestrator.master.tally import Tally
from orchestrator.master.write import sink_of
from orchestrator.settings import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.master.number_index import NumberIndex

CHANGES: Final = ("new", "gone", "changed")
"""What the column `Change` says: in the second job only, in the first only, with another verdict."""
RANGE_ROWS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class DiffReport:
    """How many numbers are new, gone and changed, and how many are the same in both jobs.

    `verdicts` are by platform how many numbers had which verdict and have which now; "" is that of a number which only
    the other job has. `rows` is how many rows were written, 0 where a workbook can't have them, or nobody wanted any.
    """

    new: int
    gone: int
    changed: int
    same: int
    verdicts: dict[str, dict[tuple[str, str], int]]
    rows: int = 0


def compare(
    old: NumberIndex,
    new: NumberIndex,
    target: Path | None = None,
    output: OutputFormat = OutputFormat.CSV,
    facts: tuple[tuple[str, str], ...] = (),
    range_rows: int = RANGE_ROWS,
    limits: BookLimits = BookLimits(),  # noqa: B008 - frozen, so one for all is safe
) -> DiffReport:
    """Compare two jobs on the platforms that both have, and write what differs to `target`: a piece.

    Its columns are `Number`, `Change`, then two a platform, `instagram.old` and `instagram.new`; its rows ascend by
    number. Raises `StorageError`.
    """
    platforms = tuple(name for name in new.columns if name in old.columns)
    report = _counted(old, platforms, differences(old, new, platforms, range_rows))
    if target is None:
        return report
    rows = report.new + report.gone + report.changed
    layout = MasterLayout(
        platforms=("Change", *(f"{name}.{side}" for name in platforms for side in ("old", "new"))),
        rows=rows,
        sheet_rows=sheet_rows(rows, limits),
        facts=facts,
    )

    def parts(layout: MasterLayout, tally: Tally) -> dict[str, bytes]:
        from orchestrator.master.book import build  # noqa: PLC0415 - openpyxl, where a workbook is wanted
        from orchestrator.master.summary_sheet import fill_changes  # noqa: PLC0415

        return build(layout, tally, "Changes", partial(fill_changes, report))

    with replacing(target) as file, sink_of(file, output, layout, parts) as sink:
        for block in differences(old, new, platforms, range_rows):
            sink.write(block, ())
        sink.finish(Tally(layout.platforms))
    return DiffReport(report.new, report.gone, report.changed, report.same, report.verdicts, sink.rows)


def differences(
    old: NumberIndex, new: NumberIndex, platforms: Sequence[str], range_rows: int
) -> Iterator[ResolvedChunk]:
    """Yield the numbers that differ, ascending, with the columns `Change` and two a platform."""
    words = [_words(old, new, name) for name in platforms]
    first_row = 0
    for before, after in _ranges(old.arrays(), new.arrays(), range_rows):
        numbers = distinct(before[0], after[0])
        (was_there, was), (is_there, now) = (
            _sides(numbers, arrays, [index.columns.index(name) + 1 for name in platforms], codes)
            for arrays, index, codes in (
                (before, old, [its.old for its in words]),
                (after, new, [its.new for its in words]),
            )
        )
        differs = ~(was_there & is_there)
        for one, other in zip(was, now, strict=True):
            differs |= one != other
        if not differs.any():
            continue
        change = np.where(~was_there, 0, np.where(~is_there, 1, 2)).astype(np.uint8)[differs]
        columns = [CodedColumn(CHANGES, change)]
        for its, one, other in zip(words, was, now, strict=True):
            columns += [CodedColumn(its.all, one[differs]), CodedColumn(its.all, other[differs])]
        yield ResolvedChunk(first_row, numbers[differs], tuple(columns))
        first_row += int(differs.sum())


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a platform in both jobs, the first of them "", and the place there of each job's own codes.

    Behind these stands that of "", for numbers which the job does not have.
    """

    all: tuple[str, ...]
    old: NDArray[np.unsignedinteger[Any]]
    new: NDArray[np.unsignedinteger[Any]]


def _words(old: NumberIndex, new: NumberIndex, platform: str) -> _Words:
    of_old, of_new = (index.words[index.columns.index(platform)] for index in (old, new))
    together = tuple(dict.fromkeys(("", *of_old, *of_new)))
    places = {word: place for place, word in enumerate(together)}
    kind = code_type(len(together))
    return _Words(together, *(np.array([*(places[word] for word in its), 0], kind) for its in (of_old, of_new)))


def _ranges(
    old: Sequence[NDArray[Any]], new: Sequence[NDArray[Any]], range_rows: int
) -> Iterator[tuple[list[NDArray[Any]], list[NDArray[Any]]]]:
    """Yield the rows of both from some number to another, at most `range_rows` of each."""
    starts = [0, 0]
    while any(start < len(arrays[0]) for start, arrays in zip(starts, (old, new), strict=True)):
        windows = [arrays[0][start : start + range_rows] for start, arrays in zip(starts, (old, new), strict=True)]
        # Beyond the last number of a window that is cut off, nobody knows yet whether its side has the number.
        cut_off = [
            window[-1]
            for window, start, arrays in zip(windows, starts, (old, new), strict=True)
            if start + len(window) < len(arrays[0])
        ]
        ends = [
            start + (int(np.searchsorted(window, min(cut_off), side="right")) if cut_off else len(window))
            for window, start in zip(windows, starts, strict=True)
        ]
        before, after = (
            [array[start:end] for array in arrays] for arrays, start, end in zip((old, new), starts, ends, strict=True)
        )
        yield before, after
        starts = ends


def _sides(
    numbers: NDArray[np.int64],
    arrays: Sequence[NDArray[Any]],
    places: Sequence[int],
    codes: Sequence[NDArray[np.unsignedinteger[Any]]],
) -> tuple[NDArray[np.bool_], list[NDArray[np.unsignedinteger[Any]]]]:
    """Return which of `numbers` a job has, and their words for each platform, in the codes of both jobs."""
    known = arrays[0]
    if not len(known):
        return np.zeros(len(numbers), np.bool_), [np.zeros(len(numbers), its.dtype) for its in codes]
    at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    there = known[at] == numbers
    return there, [
        its[np.where(there, arrays[place][at], len(its) - 1)] for place, its in zip(places, codes, strict=True)
    ]


def _counted(old: NumberIndex, platforms: Sequence[str], blocks: Iterator[ResolvedChunk]) -> DiffReport:
    changes = np.zeros(len(CHANGES), np.int64)
    verdicts: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in platforms}
    for block in blocks:
        change, *columns = block.columns
        changes += np.bincount(change.codes, minlength=len(CHANGES))
        for name, was, now in zip(platforms, columns[::2], columns[1::2], strict=True):
            size = len(was.words)
            for pair, rows in enumerate(np.bincount(was.codes * np.int64(size) + now.codes, minlength=1).tolist()):
                if rows and pair // size != pair % size:
                    verdicts[name][was.words[pair // size], now.words[pair % size]] += rows
    new, gone, changed = changes.tolist()
    return DiffReport(
        new, gone, changed, old.rows - gone - changed, {name: dict(its.most_common()) for name, its in verdicts.items()}
    )
