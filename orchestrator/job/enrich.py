"""`enrich`: a table back, every row in its place, with the verdicts of its numbers beside it."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.bucket import Bucket, is_bucket_url, split_name
from orchestrator.errors import PieceDiedError, UsageError
from orchestrator.files import MAX_NAME_BYTES, make_private_directory
from orchestrator.intake.exclude import read_exclude
from orchestrator.intake.sources.find import find_inputs
from orchestrator.job.access import opened_to_read
from orchestrator.job.enriched_table import ENDINGS, enrich_table
from orchestrator.job.extras import workers_for_extras
from orchestrator.job.platform_names import with_former_names
from orchestrator.job.scratch import job_files
from orchestrator.job.sheet import behind_a_master, index_numbers, order_master
from orchestrator.job.target import check_target, check_target_url
from orchestrator.job.url_inputs import table_here
from orchestrator.jobdir.aside import folder_aside
from orchestrator.jobdir.layout import CHUNK_FILES, VERDICT_FILES, enriched_folder
from orchestrator.logger import log
from orchestrator.report import streams
from orchestrator.report.log import logging_to
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from orchestrator.intake.numbers.decide import ExcludeList
    from orchestrator.intake.sources.find import Input
    from orchestrator.job.enriched_table import EnrichReport
    from orchestrator.job.sheet import MasterOrder
    from orchestrator.job.world import World
    from orchestrator.master.number_index import NumberIndex
    from orchestrator.report.summary import EnrichedContent
    from orchestrator.settings import JobSettings, Settings


_ENDINGS = re.compile(
    r"(?:\.(?:csv|tsv|tab|txt|xlsx|xlsm|parquet|pq))?(?:\.(?:gz|gzip|zst|zstd|zip))*\Z", re.IGNORECASE
)
_STEM_BYTES: Final = MAX_NAME_BYTES - max(len(ending) for endings in ENDINGS.values() for ending in endings)
"""What of the name of a table is not its ending, which only its content tells."""


async def enrich_file(settings: Settings, world: World, source: Path | str, target: Path | str) -> EnrichReport:
    """Write the table at `source` to `target`, with verdicts; changes nothing of the job, and needs no lock.

    Both are paths, or URLs of objects in a bucket. Raises `UsageError` when there is no job, for a table that can't be
    read, and for a target that may not be written; `StorageError`.
    """
    url = str(target) if is_bucket_url(str(target)) else ""
    with opened_to_read(settings) as ledger, logging_to(world.stderr, clock=world.clock, environ=world.environ):
        if ledger.runs.closed:
            raise UsageError(f"{settings.job.directory}: this job was purged; there are no verdicts left")
        inputs = [record.path for record in ledger.plan.inputs() if record.path != "-"]
        if url:
            check_target_url(url, settings.url, [str(source), *inputs])
        else:
            check_target(Path(target), [settings.job.directory], [Path(source), *map(Path, inputs)])
        with (
            folder_aside(settings.job.directory) as folder,
            _written_to(url, settings, folder) if url else nullcontext(Path.cwd() / target) as written,
        ):
            job_files(settings).bring_all(ledger, CHUNK_FILES, VERDICT_FILES, *behind_a_master(settings))
            settings = with_former_names(ledger, settings)
            order = order_master(ledger, settings, into=folder)
            if is_bucket_url(str(source)):
                (found,) = await asyncio.to_thread(find_inputs, replace(settings.job, inputs=(str(source),)))
                here: AbstractAsyncContextManager[str] = table_here(found, folder / "fetched")
            else:  # a worker may stand in another directory than whoever typed its name
                here = nullcontext(str(Path.cwd() / source))
            async with here as table, Workers(workers_for_extras(settings)) as workers:
                known = await _known(order, settings.job, workers, folder)
                report = await workers.run(enrich_table, settings.job, known, table, written, folder / "table")
        return replace(report, path=Path(target))


@contextmanager
def _written_to(url: str, settings: Settings, folder: Path) -> Iterator[Path]:
    """Have a path in `folder`; what was written there is put under `url` behind the block. Raises `StorageError`."""
    base, name = split_name(url)
    bucket, path = Bucket.open(base, settings.storage), folder / "written" / Path(name).name
    make_private_directory(path.parent)
    with streams.spelling(str(path), url):
        yield path
        bucket.put(name, path)


async def enrich_inputs(order: MasterOrder, settings: Settings, workers: Workers) -> list[EnrichReport]:
    """Write every input with verdicts into the job's directory, as `[output] enrich` has it; raises `StorageError`.

    Returns what was written, in the order of the inputs. What can't be read any more is left out, and that is said: the
    master is there, and nothing of it depends on this.
    """
    directory = settings.job.directory
    try:
        found = await asyncio.to_thread(find_inputs, settings.job)
    except UsageError as error:
        log.warning("inputs_not_enriched", reason=str(error))
        return []
    await asyncio.to_thread(make_private_directory, enriched_folder(directory))
    with folder_aside(directory) as folder:
        known = await _known(order, settings.job, workers, folder)

        async def enrich(number: int, one: Input, stem: str) -> EnrichReport | None:
            try:
                if one.is_standard_input:
                    raise UsageError("standard input can't be read again; keep the list in a file")
                target, aside = enriched_folder(directory) / stem, folder / f"{number:06d}"
                async with table_here(one, folder / f"fetched{number:06d}") as table:
                    report = await workers.run(enrich_table, settings.job, known, table, target, aside, True)  # noqa: FBT003 - as above
            except (UsageError, PieceDiedError) as error:
                log.warning("input_not_enriched", input=one.source, reason=str(error))
                return None
            log.info("input_enriched", input=one.source, path=str(report.path), rows=report.rows)
            return report

        # Each by another name: they are written at the same time.
        stems = enriched_stems([Path(one.path).name for one in found])
        reports = await asyncio.gather(*map(enrich, count(), found, stems))
    return [report for report in reports if report is not None]


def enriched_stems(names: Sequence[str]) -> list[str]:
    """Return what the tables of inputs with these names are called, but for their endings: no two alike.

    The second of one name is counted, from 2, past all that is another input's own name: `list (2).csv` is what
    browsers call a second `list.csv`. A stem is cut where the file that is written could not have so long a name.
    """
    own = [_cut(_ENDINGS.sub("", name) or "list", _STEM_BYTES) for name in names]
    turns = {_compared(stem): count(1) for stem in own}
    taken = set(turns)

    def counted(stem: str, turn: int) -> str:
        behind = f" ({turn})"
        return _cut(stem, _STEM_BYTES - len(behind)) + behind

    def free(stem: str) -> str:
        turn = next(turns[_compared(stem)])
        if turn == 1:
            return stem
        while _compared(name := counted(stem, turn)) in taken:
            turn = next(turns[_compared(stem)])
        taken.add(_compared(name))
        return name

    return list(map(free, own))


def _cut(text: str, most_bytes: int) -> str:
    """Return as much of a name as has so many bytes, in whole characters."""
    while len(text.encode(errors="surrogateescape")) > most_bytes:  # a name need not be UTF-8
        text = text[:-1]
    return text


def _compared(name: str) -> str:
    """Return what two names have in common that some file system takes for the same: by case, or by how ü is spelt."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def enriched_files(reports: Sequence[EnrichReport], directory: Path) -> list[EnrichedContent]:
    """Return what the summary says of tables that were written back: path, from the job's directory, and rows."""
    return [{"path": report.path.relative_to(directory).as_posix(), "rows": report.rows} for report in reports]


async def _known(
    order: MasterOrder, job: JobSettings, workers: Workers, folder: Path
) -> tuple[NumberIndex, tuple[ExcludeList, ...]]:
    """Write into `folder` what every number of the job is looked up in, and what `exclude` has left out."""
    exclude: tuple[ExcludeList, ...] = ()
    try:
        exclude, _ = await read_exclude(job, workers, folder)
    except UsageError as error:  # verdicts don't depend on it: its numbers are said to be "not in the job" then
        log.warning("exclude_not_read", reason=str(error))
    checked = order.request.checked
    index = await index_numbers(order.place, order.request.platforms, workers, folder, order.extras, checked=checked)
    return index, exclude
