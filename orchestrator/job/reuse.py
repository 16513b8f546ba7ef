"""`[reuse]`: yes and no of earlier jobs, taken instead of asked for again, and the plan of what is left.

Whatever is planned for a platform passes here once: its chunks at first, those that a longer list adds, all of them for
a platform that joins. What was taken stays with the job; the earlier jobs are not needed any more.
"""

from __future__ import annotations

import glob
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.errors import StorageError, UsageError
from orchestrator.files import make_private_directory
from orchestrator.intake import ChunkLimits
from orchestrator.job.other_jobs import other_job, refuse_url
from orchestrator.job.platform_names import known_call, planned_platform
from orchestrator.job.selecting import Choice, Known, select_numbers
from orchestrator.job.sheet import index_numbers
from orchestrator.jobdir.aside import folder_aside
from orchestrator.jobdir.layout import ledger_mark
from orchestrator.jobdir.reused_cells import moment_of, moment_text
from orchestrator.jobdir.verdict_words import CHECKED_AT
from orchestrator.ledger import LedgerPlace
from orchestrator.logger import log
from orchestrator.records import Selection
from orchestrator.report.printed import plural

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from orchestrator.job.sheet import Answers
    from orchestrator.master.number_index import NumberIndex
    from orchestrator.records import Chunk
    from orchestrator.settings import Settings
    from orchestrator.workers import Workers

SECONDS_A_DAY: Final = 86_400.0
AHEAD_S: Final = SECONDS_A_DAY
"""By so much the clocks of two jobs may differ: ages are counted in days."""


@dataclass(frozen=True, slots=True)
class Selections:
    """What is planned for platforms that are not asked for all of their chunks; `said` are sentences about it."""

    platforms: tuple[Selection, ...] = ()
    said: tuple[str, ...] = ()


@asynccontextmanager
async def selections(
    settings: Settings,
    wanted: Mapping[str, Sequence[Chunk]],
    workers: Workers,
    *,
    now: float,
    seed: str,
    next_chunk: tuple[int, int],
) -> AsyncGenerator[Selections]:
    """Have what is planned for each platform of the chunks that are `wanted` for it; without what is sent as a whole.

    `now` is in s since the epoch; a trial is drawn by `seed`. Further generations and chunks count from `next_chunk`.
    What was taken lies in files that are gone behind the block. Raises `UsageError` for a job that can't be read.
    """
    conditions = {name: settings.platforms[name].condition for name in wanted}
    wanted = {name: chunks for name, chunks in wanted.items() if chunks}
    # The cells of those columns would be empty where a verdict is taken, and nobody could have them filled.
    whole = [name for name in wanted if settings.platforms[name].extra_columns and settings.reuse.jobs]
    said = [f"{name}: nothing is reused, as verdicts are reused without extra_columns" for name in whole]
    looked_up = [name for name in wanted if name not in whole]
    jobs = _named_jobs(settings) if looked_up else []
    if not jobs and not any(conditions[name] for name in wanted):
        yield Selections(said=tuple(said))
        return
    generation, first_chunk = next_chunk
    with folder_aside(settings.job.directory) as folder:
        known: dict[str, list[Known]] = {name: [] for name in wanted}
        for number, path in enumerate(jobs):
            make_private_directory(own := folder / f"job{number}")
            found, sentences = await _look_up(path, settings, looked_up, workers, own, until=now + AHEAD_S)
            said += [f"{path}: {sentence}" for sentence in sentences]
            for name, its in found.items():
                known[name].append(its)
        chosen = []
        for name, chunks in wanted.items():
            if not known[name] and not conditions[name]:
                continue
            platform = settings.platforms[name]
            trial_rows = chunks[0].rows if chunks[0].places is not None else 0
            make_private_directory(own := folder / f"platform-{name}")
            days = settings.reuse_days
            selected = await workers.run(
                select_numbers,
                Choice(
                    directory=settings.job.directory,
                    chunks=tuple(chunks),
                    known=tuple(known[name]),
                    yes_since=now - days.yes * SECONDS_A_DAY,
                    no_since=now - days.no * SECONDS_A_DAY,
                    until=now + AHEAD_S,
                    limits=ChunkLimits(
                        settings.job.chunk_size, platform.min_rows, platform.max_rows, trial_rows, f"{seed} {name}"
                    ),
                    first_chunk=first_chunk,
                    folder=own,
                    has_condition=conditions[name] is not None,
                ),
            )
            if selected is None:
                continue
            planned = tuple(
                replace(chunk, only=name, generation=generation + (not chunk.is_trial)) for chunk in selected.chunks
            )
            generation, first_chunk = generation + 2, first_chunk + len(planned)
            chosen.append(Selection(planned_platform(settings, name), selected.reused, planned, conditions[name]))
            taken = sum(sums.numbers for _, sums in selected.sums)
            if taken:
                log.info("reused", platform=name, numbers=taken, left=sum(chunk.rows for chunk in planned))
        yield Selections(tuple(chosen), tuple(said))


async def _look_up(
    path: Path, settings: Settings, wanted: Sequence[str], workers: Workers, folder: Path, *, until: float
) -> tuple[dict[str, Known], list[str]]:
    """Return what an earlier job knows of platforms that are `wanted`, and sentences about what is not taken of it.

    Raises `UsageError` where there is no job, and for one that can't be read.
    """
    try:
        with other_job(path) as place:
            if not place.exists():
                raise UsageError(f"{place}: there is no job")
            with place.open_to_read() as ledger:
                if ledger.runs.closed:
                    return {}, ["it was purged, so nothing is reused of it"]
                ledger.plan.check_chunks()
                theirs = {known_call(its): name for name, its in ledger.platforms.fixed().items()}
            calls = {name: known_call(planned_platform(settings, name).fixed) for name in wanted}
            names = {name: theirs[call] for name, call in calls.items() if call in theirs}
            if not names:
                return {}, [f"nothing is reused of it: it asked for none of {', '.join(calls)}"]
            answers = {its: settings.platforms[name] for name, its in names.items()}
            index = await index_numbers(place, tuple(answers), workers, folder, checked=True, answers=answers)
            said = list(_passed_over(place, index, answers, until=until))
    except (StorageError, UsageError) as error:
        raise UsageError(f"{error} ({path} is one of [reuse] jobs: put it right, or leave it out)") from error
    return {name: Known(index, its) for name, its in names.items()}, said


def _passed_over(place: LedgerPlace, index: NumberIndex, answers: Answers, *, until: float) -> Iterator[str]:
    """Say what an earlier job knows that is not taken: what came with an alarm, or is of a time still to come."""
    moments = {name: index.words[place] for place, name in enumerate(index.columns) if name.endswith(f".{CHECKED_AT}")}
    with place.open_to_read() as ledger:
        for name in (column.removesuffix(f".{CHECKED_AT}") for column in moments):
            tasks, numbers = ledger.tasks.alarms(name)
            if tasks and not answers[name].one_word:
                yield (
                    f"nothing is reused of {plural(tasks, 'task')} of {name} that came with an alarm, "
                    f"{plural(numbers, 'number')}: see orchestrator status there; if they are right, set one_word = "
                    "true here"
                )
    latest = max((moment_of(text) for texts in moments.values() for text in texts), default=0)
    if latest > until:
        yield (
            f"it has verdicts from a time that is still to come by this machine's clock, up to {moment_text(latest)}: "
            "those are not reused, as nobody knows how old they are; see to the clocks of both machines"
        )


def _named_jobs(settings: Settings) -> list[Path]:
    """Return the directories and configuration files of earlier jobs; a glob may match none, and other things, too."""
    found: dict[Path, None] = {}
    for text in settings.reuse.jobs:
        refuse_url(text)
        paths = sorted(glob.glob(text), key=str.encode) or [glob.escape(text)]  # noqa: PTH207 - a pattern may be absolute
        is_glob = glob.has_magic(text) and paths != [text]
        # A glob for directories may match configuration files of whatever; one for these says so.
        configs = text.endswith(".toml")
        jobs = [
            path
            for path in map(Path, paths)
            if (path.is_file() if configs else LedgerPlace(path).exists() or ledger_mark(path).exists())
        ]
        if not jobs and not is_glob:
            raise UsageError(
                f"{text}, of [reuse] jobs: there is no job; name the directory of one, as its [job] directory has it, "
                "or its configuration file, or leave it out"
            )
        found |= dict.fromkeys(jobs)
    ours = settings.job.directory.resolve(), settings.source.resolve()
    return [path for path in found if path.resolve() not in ours]
