"""From inputs to files of rows: workers make them of the parts that a thread draws out of the inputs."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from orchestrator.errors import PieceDiedError, UsageError
from orchestrator.intake.blocks import BLOCK_BYTES, LARGE_BLOCK_BYTES
from orchestrator.intake.numbers.decide import ExcludeList, NumberRules
from orchestrator.intake.parts import DrawnInput, FilePart, ListPart, Source, draw_parts, size_of, store_part
from orchestrator.intake.preparing import LARGE_BYTES, Preparation, announced_bytes
from orchestrator.intake.sources.find import Input, find_inputs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from orchestrator.intake.blocks import Look
    from orchestrator.intake.sources.line_count import LineCount
    from orchestrator.intake.sources.table_layout import Keep
    from orchestrator.intake.stored_rows import StoredRows
    from orchestrator.settings import JobSettings
    from orchestrator.workers import Workers


@dataclass(frozen=True, slots=True)
class Scanned:
    """All inputs as files of rows, in list order, each with the input it came from; `drawn` has one for each input."""

    drawn: tuple[DrawnInput, ...]
    rows: tuple[tuple[Input, StoredRows], ...]
    rules: NumberRules

    @property
    def files(self) -> list[StoredRows]:
        return [stored for _, stored in self.rows]

    @property
    def read(self) -> int:
        """How many rows were read."""
        return sum(stored.rows for _, stored in self.rows)

    @property
    def rejected(self) -> dict[str, int]:
        """How many were rejected, by reason."""
        total = sum((stored.rejected for _, stored in self.rows), Counter[str]())
        return {reason: total[reason] for reason in self.rules.reasons if total[reason]}

    @property
    def looks(self) -> list[Look]:
        return [stored.look for _, stored in self.rows if stored.look is not None]


async def source_of(job: JobSettings, stdin: BinaryIO | None, keep: Keep, block_bytes: int | None) -> Source:
    """Return where the list of a job comes from; raises what `find_inputs` does."""
    inputs = await asyncio.to_thread(find_inputs, job)  # a bucket takes its time to answer
    if block_bytes is None:
        block_bytes = LARGE_BLOCK_BYTES if announced_bytes(inputs) >= LARGE_BYTES else BLOCK_BYTES
    return Source(job, inputs, stdin, block_bytes, keep)


async def scan(
    source: Source,
    workers: Workers,
    folder: Path,
    exclude: tuple[ExcludeList, ...] = (),
    *,
    may_be_empty: bool = False,
    again: bool = False,
) -> Scanned:
    """Turn all inputs into files of rows; `again` says that the list was taken before, without a row of some input."""
    drawn: list[DrawnInput] = []
    owners: list[Input] = []
    files: list[str] = []
    rules = replace(NumberRules.of(source.job), exclude=exclude)
    stopped = threading.Event()
    preparation = Preparation(rules.default_region, announced_bytes(source.inputs), workers, folder)

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        async with aclosing(_in_thread(draw_parts(source, drawn, stopped, folder), stopped)) as parts:
            async for found, part in parts:
                owners.append(found)
                if isinstance(part, FilePart):
                    files.append(found.source)
                yield part, rules, folder / f"{len(owners):09d}", await preparation.tables(size_of(part))

    try:
        results = await workers.map(store_part, calls())
    except PieceDiedError:
        if not files:
            raise
        # Text is read in small blocks; what a worker can die of is a workbook that takes too much memory.
        raise UsageError(f"{', '.join(files)}: a worker process died of reading it; save it as .csv") from None
    rows = tuple((found, stored) for found, result in zip(owners, results, strict=True) for stored in result)
    scanned = Scanned(tuple(drawn), rows, rules)
    filled_lines = Counter[Input]()
    for found, stored in rows:
        filled_lines[found] += stored.filled_lines
    filled = {found for found, stored in rows if stored.rows}
    declared = {found: stored.declared for found, stored in rows if stored.declared is not None}
    for found, one in zip(source.inputs, drawn, strict=True):
        has_content = declared[found].has_content if one.has_content is None else one.has_content
        if has_content and found not in filled and not again:
            raise UsageError(
                f"{found.source}: there is something in it, and no row could be read: it has a header only, or is no "
                f"list; bring it right, or take it out of `{'exclude' if may_be_empty else 'inputs'}`"
            )
        if one.counted is not None and found in filled:
            _check_lines(found, one.counted, one.skipped + filled_lines[found])
    if not scanned.read and not may_be_empty:
        raise UsageError(f"{source.named}: the list is empty")
    return scanned


def _check_lines(found: Input, counted: LineCount, read: int) -> None:
    """Raise `UsageError` when rows don't stand on all lines with something in them, or on more than there are."""
    if not counted.filled <= read <= counted.lines:
        raise UsageError(
            f"{found.source}: it has {counted.lines:,} lines, {counted.filled:,} of them with something in them, and "
            f"{read:,} could be read; save it anew, as .csv in UTF-8, or as .xlsx"
        )


async def _in_thread(
    parts: Iterator[tuple[Input, ListPart]], stopped: threading.Event
) -> AsyncGenerator[tuple[Input, ListPart], None]:
    """Draw from a blocking iterator in a thread of its own; `stopped` is set when nobody wants more."""
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="intake")
    try:
        while (drawn := await loop.run_in_executor(thread, next, parts, None)) is not None:
            yield drawn
    finally:
        stopped.set()
        thread.shutdown(wait=False)
