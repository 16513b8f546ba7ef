"""When a list is worth the tables of the fast path: where loading or building them costs less than they save."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.intake.sources.find import Input
    from orchestrator.workers import Workers

LARGE_BYTES = 700_000
"""Some 50,000 lines: slowly they take as long as building tables does."""
SMALL_BYTES = 50_000
"""Some 4,000 lines: a smaller list does not even look for tables that were kept."""


class Preparation:
    """Gets the tables for a list once it is large enough; `announced` is what is known of its size beforehand."""

    def __init__(self, region: str | None, announced: int, workers: Workers, folder: Path) -> None:
        self._region = region
        self._seen = announced
        self._workers = workers
        self._work_folder = folder
        self._tables: Path | None = None
        self._looked = False

    async def tables(self, drawn: int) -> Path | None:
        """Return the folder of the tables, None while they are not worth it; `drawn` bytes more are being read.

        Raises `StorageError`.
        """
        self._seen += drawn
        if self._tables is None and self._seen >= SMALL_BYTES:
            from orchestrator.intake.numbers.lookup import lookup_tables  # noqa: PLC0415 - small lists need none of it

            cache = lookup_tables.cache_folder()
            if not self._looked:
                self._looked = True
                self._tables = cache if lookup_tables.are_kept(self._region, cache) else None
            if self._tables is None and self._seen >= LARGE_BYTES:
                prepare = lookup_tables.prepare_tables
                self._tables = await self._workers.run(prepare, self._region, cache, self._work_folder)
        return self._tables


def announced_bytes(inputs: Iterable[Input]) -> int:
    """Return the size of the inputs as far as it is known: a stream's is not, and that of packed files is a start."""
    total = 0
    for found in inputs:
        with suppress(OSError):
            if found.object is not None:
                total += found.object.size_bytes
            elif not found.is_standard_input:
                total += Path(found.path).stat().st_size
    return total
