"""The lists of `exclude`: numbers that are never sent. Of their tables all columns of numbers are read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.files import DIRECTORY_MODE, disk_errors
from orchestrator.intake.blocks import private_file, read_numbers
from orchestrator.intake.numbers.decide import ExcludeList
from orchestrator.intake.scanning import scan, source_of
from orchestrator.jobdir.arrays import save_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.settings import JobSettings
    from orchestrator.workers import Workers


SAVED_ROWS = 5_000_000
"""Known numbers that are looked at together."""


async def read_exclude(
    job: JobSettings, workers: Workers, folder: Path, save_for: Path | None = None
) -> tuple[tuple[ExcludeList, ...], tuple[str, ...]]:
    """Read the lists into files of numbers in `folder`; return them, and what is to be said of them.

    Numbers in the file `save_for` are not excluded: a begun job has them. Raises `UsageError` for a list that can't be
    read, `StorageError`.
    """
    if not job.exclude:
        return (), ()
    own = folder / "exclude"
    with disk_errors(own):
        own.mkdir(mode=DIRECTORY_MODE)
    listed = replace(
        job, inputs=job.exclude, sheet=None, header_row=None, exclude_calling_codes=(), exclude=(), line_types=()
    )
    source = replace(await source_of(listed, None, keep=False, block_bytes=None), every=True)
    scanned = await scan(source, workers, own, may_be_empty=True)
    lists, said = [], []
    for place, found in enumerate(source.inputs):
        files = [stored for owner, stored in scanned.rows if owner == found]
        path = folder / f"exclude{place:06d}"
        rows = sum(stored.rows for stored in files)
        await workers.run(sort_numbers, [stored.path for stored in files], rows, save_for, path)
        lists.append(ExcludeList(found.source, path))
        if not rows:
            said.append(f"{found.source}: it is empty, and excludes nothing")
        if rejected := sum(sum(stored.rejected.values()) for stored in files):
            said.append(
                f"{found.source}: {rejected:,} of its {rows:,} lines can't be read as numbers, and exclude nothing"
            )
    return tuple(lists), tuple(said)


def sort_numbers(files: Sequence[Path], rows: int, save_for: Path | None, path: Path) -> None:
    """Write the numbers of files of `rows` rows to `path`, each once, in order: a piece; raises `StorageError`.

    It takes some ten bytes a row: whoever leaves out what an earlier job has bought may have a hundred million.
    """
    numbers, filled = np.zeros(rows, np.int64), 0
    for one in map(read_numbers, files):
        numbers[filled : filled + len(one)] = one
        filled += len(one)
    numbers.sort()
    kept = numbers > 0
    kept[1:] &= numbers[1:] != numbers[:-1]
    with disk_errors(path):
        if save_for is not None and rows:
            known = np.load(save_for, mmap_mode="r", allow_pickle=False)
            for begin in range(0, len(known), SAVED_ROWS):
                saved = known[begin : begin + SAVED_ROWS]
                places = np.minimum(np.searchsorted(numbers, saved), rows - 1)
                kept[places[numbers[places] == saved]] = False
        with private_file(path) as file:
            parts = (slice(begin, begin + SAVED_ROWS) for begin in range(0, rows, SAVED_ROWS))
            save_blocks(file, (numbers[part][kept[part]] for part in parts), int(np.count_nonzero(kept)))
