"""`only_if`: the numbers that a platform is asked for, picked by what another platform has said of them.

They are picked once nothing of that one is under way any more, and again whenever it has said more since: after held
tasks were settled, after a retry, for the numbers of a longer list. A number is picked if it has never been asked
there, as the master's cells tell, so none is lost and none is asked twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.intake import ChunkLimits
from orchestrator.intake.list_reading import excluded_numbers
from orchestrator.intake.numbers.turned_away import stand_in
from orchestrator.job.access import ledger_place
from orchestrator.job.platform_names import planned_platform
from orchestrator.job.selecting import Part, cut_parts
from orchestrator.job.sheet import master_chunks, overlays
from orchestrator.logger import log
from orchestrator.master import resolved
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.ledger import Ledger, LedgerPlace, LedgerWriter
    from orchestrator.records import Chunk, PlannedPlatform
    from orchestrator.settings import Settings
    from orchestrator.workers import Workers


def platforms_to_follow(ledger: Ledger, settings: Settings) -> list[str]:
    """Return the platforms for which numbers are to be picked now: those before them in a chain have come to rest."""
    conditions, due = ledger.plan.conditions(), ledger.plan.due()
    standings = ledger.platforms.standing()
    return [
        name
        for name, condition in conditions.items()
        if name in settings.platforms
        and (name in due or condition.too_few >= settings.platforms[name].min_rows)
        and condition.other not in due
        and not standings[condition.other].unfinished
    ]


def too_few(ledger: Ledger, settings: Settings) -> tuple[str, ...]:
    """Say for which platforms so few numbers fit that no file can hold them, and what may be done."""
    least = {name: platform.min_rows for name, platform in settings.platforms.items()}
    return tuple(
        f"{name}: {its.too_few:,} {'more ' * bool(its.generations)}numbers fit {its}, and it takes {least[name]:,} at "
        f"least, so they are not asked; if the vendor takes so few, set [platforms.{name}] min_rows to {its.too_few} "
        "and run again"
        for name, its in ledger.plan.conditions().items()
        if name in least and 0 < its.too_few < least[name]
    )


async def follow(writer: LedgerWriter, settings: Settings, workers: Workers) -> None:
    """Plan a generation for each platform whose turn it is, of the numbers that fit; raises `StorageError`."""
    place = ledger_place(settings)
    # A list of `exclude` may have grown since the numbers were read: they are planned for this platform only now.
    excluded = await excluded_numbers(settings.job, workers) if settings.job.exclude else np.empty(0, np.int64)
    for name in await writer.do(lambda ledger: platforms_to_follow(ledger, settings)):
        platform = settings.platforms[name]
        condition = (await writer.do(lambda ledger: ledger.plan.conditions()))[name]
        generation, first_chunk = await writer.do(lambda ledger: ledger.plan.next_chunk())
        limits = ChunkLimits(settings.job.chunk_size, platform.min_rows, platform.max_rows)
        fitting = Fitting(place, name, condition.other, condition.word, excluded)
        picked = await workers.run(pick_numbers, settings.job.directory, fitting, limits, first_chunk)
        chunks = [replace(chunk, only=name, generation=generation) for chunk in picked.chunks]
        planned = planned_platform(settings, name)
        await writer.do(partial(_note, platform=planned, chunks=chunks, too_few=picked.too_few))
        numbers = sum(chunk.rows for chunk in chunks)
        log.info("followed", platform=name, only_if=str(condition), numbers=numbers, chunks=len(chunks))
        if picked.excluded:
            log.warning("numbers_excluded_by_now", platform=name, numbers=picked.excluded, help="they are not asked")
        if picked.too_few:
            log.warning(
                "too_few_fit", platform=name, only_if=str(condition), numbers=picked.too_few, takes=platform.min_rows
            )


def _note(ledger: Ledger, platform: PlannedPlatform, chunks: list[Chunk], too_few: int) -> None:
    ledger.plan.follow(platform, chunks, too_few=too_few)


@dataclass(frozen=True, slots=True)
class Fitting:
    """The numbers of a job of which `platform` has never been asked, and `other` has said `word`.

    Those that are `excluded` (ascending) are not among them.
    """

    place: LedgerPlace
    platform: str
    other: str
    word: str
    excluded: NDArray[np.int64]

    def parts(self) -> Iterator[Part]:
        """Yield them with their rows of the list, in its order; raises `StorageError`."""
        for part in self.with_excluded():
            keep = ~stand_in(part.numbers, self.excluded)
            yield Part(part.numbers[keep], part.rows[keep])

    def with_excluded(self) -> Iterator[Part]:
        """Do the same, with those that are excluded by now."""
        platforms = (self.other, self.platform)
        for block in resolved(
            platforms, master_chunks(self.place, platforms), partial(overlays, self.place, platforms)
        ):
            said, asked = block.columns
            fits = np.array([word == self.word for word in said.words], np.bool_)[said.codes]
            fits &= np.array([word == State.SKIPPED for word in asked.words], np.bool_)[asked.codes]
            yield Part(block.numbers[fits], np.flatnonzero(fits) + block.first_row)


@dataclass(frozen=True, slots=True)
class Picked:
    """The chunks of the numbers that fit, and how many of these were `too_few` for one more.

    Those that fit too and are `excluded` by now are counted beside.
    """

    chunks: tuple[Chunk, ...]
    too_few: int
    excluded: int


def pick_numbers(directory: Path, fitting: Fitting, limits: ChunkLimits, first_chunk: int) -> Picked:
    """Write the chunk files of the numbers that fit: a piece."""
    fits = excluded = 0
    for part in fitting.with_excluded():
        out = int(stand_in(part.numbers, fitting.excluded).sum())
        fits, excluded = fits + len(part.rows) - out, excluded + out
    chunks = tuple(cut_parts(directory, fitting.parts, fits, limits, first_chunk)) if fits else ()
    return Picked(chunks, fits - sum(chunk.rows for chunk in chunks), excluded)
