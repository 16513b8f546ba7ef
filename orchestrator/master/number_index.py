"""All numbers of a job by their value, with what the master says of each: on disk, to look up blocks of numbers in.

A dictionary of a hundred million numbers takes some 10 GB. Here a number takes eight bytes, and four a column, in files
that are mapped: what is looked at often stays in memory, the system lets go of the rest. Long lists are sorted in runs,
which are then merged range by range.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.files import disk_errors, open_private
from orchestrator.jobdir.arrays import write_array
from orchestrator.jobdir.extra_files import CellKind
from orchestrator.master.master_layout import header, with_checked
from orchestrator.master.resolved import no_overlays, resolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.master.base_chunks import ResolvedChunk
    from orchestrator.master.resolved import Chunks, Overlays, Waiting

RUN_ROWS: Final = 4_000_000
"""Numbers that are sorted at once: with their codes some 100 MB."""
_SAMPLED: Final = 4096
"""One of so many numbers of a run says where ranges may end."""
_NUMBERS: Final = np.dtype(np.int64)
_CODES: Final = np.dtype(np.uint32)


@dataclass(frozen=True, slots=True)
class NumberIndex:
    """`rows` numbers, ascending, in files that begin with `stem`.

    `words[c]` are those of column `c`, and `kinds[c]` is what they are.
    """

    stem: Path
    rows: int
    columns: tuple[str, ...]
    words: tuple[tuple[str, ...], ...] = ()
    kinds: tuple[CellKind, ...] = ()

    def arrays(self) -> list[NDArray[Any]]:
        """Return the numbers, and behind them for each column the codes of their words, all mapped."""
        mapped: list[NDArray[Any]] = []
        for place in range(len(self.columns) + 1):
            path, kind = self.path(place), _CODES if place else _NUMBERS
            with disk_errors(path):  # nothing can't be mapped
                mapped.append(np.memmap(path, kind, "r", shape=(self.rows,)) if self.rows else np.empty(0, kind))
        return mapped

    def path(self, place: int) -> Path:
        """Return the file of the numbers, which is 0, or of the codes of a column."""
        return self.stem.with_name(f"{self.stem.name}{place}")


def build_index(  # noqa: PLR0913, PLR0917 - what a piece is told
    folder: Path,
    platforms: Sequence[str],
    extras: Sequence[Mapping[str, CellKind]],
    chunks: Chunks,
    overlays: Overlays = no_overlays,
    run_rows: int = RUN_ROWS,
    checked: bool = False,  # noqa: FBT001, FBT002 - a piece's arguments have no names
    waiting: Sequence[Waiting] = (),
) -> NumberIndex:
    """Write the index of a job into `folder`: a piece; raises `StorageError` as `resolved` does.

    `extras` are for each platform its extra columns and what these hold. `checked` says that chunks and overlays
    tell when they were, which is one more column of each platform. Memory does not grow with the list.
    """
    further = with_checked(extras, len(platforms)) if checked else (extras or [{}] * len(platforms))
    _, *columns = header(platforms, (), [tuple(its) for its in further])
    words: list[dict[str, int]] = [{} for _ in columns]
    blocks = resolved(platforms, chunks(), overlays, tuple(map(len, extras)), waiting)
    runs = []
    for place, arrays in enumerate(_runs(blocks, words, run_rows)):
        order = np.argsort(arrays[0], kind="stable")
        run = NumberIndex(folder / f"run{place}-", len(order), tuple(columns))
        _write(run, [[array[order] for array in arrays]])
        runs.append(run)
    if len(runs) == 1:
        (merged,) = runs
    else:
        merged = NumberIndex(folder / "index", sum(run.rows for run in runs), tuple(columns))
        _write(merged, _merged([run.arrays() for run in runs], run_rows))
        for path in (run.path(place) for run in runs for place in range(len(columns) + 1)):
            with disk_errors(path):
                path.unlink()
    kinds = [kind for its in further for kind in (CellKind.TEXT, *its.values())]
    return NumberIndex(merged.stem, merged.rows, tuple(columns), tuple(map(tuple, words)), tuple(kinds))


def _runs(
    blocks: Iterable[ResolvedChunk], words: Sequence[dict[str, int]], run_rows: int
) -> Iterator[list[NDArray[Any]]]:
    """Yield numbers and codes of so many rows; `words` learns the words, whose codes are the same in all runs."""
    waiting: list[list[NDArray[Any]]] = []
    for block in blocks:
        coded = [
            np.array([known.setdefault(word, len(known)) for word in column.words], _CODES)[column.codes]
            for column, known in zip(block.in_order, words, strict=True)
        ]
        waiting.append([block.numbers, *coded])
        if sum(len(numbers) for numbers, *_ in waiting) >= run_rows:
            yield [np.concatenate(column) for column in zip(*waiting, strict=True)]
            waiting = []
    if waiting:
        yield [np.concatenate(column) for column in zip(*waiting, strict=True)]


def _merged(runs: Sequence[list[NDArray[Any]]], run_rows: int) -> Iterator[list[NDArray[Any]]]:
    """Yield the rows of all runs by ascending number, in ranges of about `run_rows`."""
    sample = np.sort(np.concatenate([numbers[:: min(_SAMPLED, run_rows)] for numbers, *_ in runs]))
    step = max(run_rows // min(_SAMPLED, run_rows), 1)
    limits = sample[step::step]
    cuts = [np.concatenate(([0], np.searchsorted(numbers, limits), [len(numbers)])) for numbers, *_ in runs]
    for first, last in ((place, place + 1) for place in range(len(limits) + 1)):
        slices = [[array[cut[first] : cut[last]] for array in run] for run, cut in zip(runs, cuts, strict=True)]
        columns = [np.concatenate(column) for column in zip(*slices, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        yield [column[order] for column in columns]


def _write(index: NumberIndex, parts: Iterable[list[NDArray[Any]]]) -> None:
    with ExitStack() as stack, disk_errors(index.stem):
        files = [
            stack.enter_context(open(index.path(place), "wb", opener=open_private))
            for place in range(len(index.columns) + 1)
        ]
        for part in parts:
            for file, array in zip(files, part, strict=True):
                write_array(file, array)
