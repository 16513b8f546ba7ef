"""The list's files of a begun job, as the ledger knows them: what is lost is made anew, out of the list or the ledger.

Chunk files are looked for by name only, since a job may have a million: each is hashed before it is sent or merged.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from orchestrator.errors import UsageError
from orchestrator.intake import Planned, fingerprint, rebuild
from orchestrator.intake.generations import restore_retry, restore_rows, take_lists
from orchestrator.intake.sources.find import STANDARD_INPUT
from orchestrator.job.scratch import job_files
from orchestrator.jobdir.chunk_files import lost_chunks
from orchestrator.jobdir.layout import CHUNK_FILES, LISTS, chunk_path, columns_path
from orchestrator.logger import log
from orchestrator.results import altered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.ledger import Ledger, LedgerWriter
    from orchestrator.records import Chunk, InputFile, ListCounts, Listed
    from orchestrator.settings import Settings
    from orchestrator.workers import Workers

FILES_A_PIECE: Final = 2_000


def changed_inputs(planned: Sequence[InputFile], settings: Settings) -> set[str]:
    """Return the inputs that are not those that were planned; raises `UsageError` when some are missing."""
    files = [record for record in planned if record.path != STANDARD_INPUT]
    found = fingerprint(settings.job)
    changed: set[str] = set()
    if [i.sha256 for i in found] != [i.sha256 for i in files]:
        changed = {i.path for i in found} ^ {i.path for i in files} or {
            new.path for new, old in zip(found, files, strict=True) if new.sha256 != old.sha256
        }
    if (len(files) < len(planned)) != (STANDARD_INPUT in settings.job.inputs):
        changed.add("standard input")
    return changed


def kept_columns(counts: ListCounts, settings: Settings) -> tuple[str, ...]:
    """Return the kept columns that the master has: none when they are not wanted any more."""
    return counts.columns if settings.output.keep_columns else ()


def keeping(settings: Settings) -> dict[str, object]:
    """Return which columns are to be kept, as the ledger has it."""
    keep = settings.output.keep_columns
    return {"keep_columns": list(keep) if isinstance(keep, tuple) else keep}


def base_chunks(ledger: Ledger) -> list[Chunk]:
    """Return the chunks that cover the list, in order."""
    return [chunk for chunk in ledger.plan.chunks() if chunk.only is None]


def files_of(directory: Path, chunks: Iterable[Chunk], columns: tuple[str, ...]) -> list[tuple[Path, str]]:
    """Return the files of chunks, those of their kept `columns` among them, each with the hash that it should have."""
    files = []
    for chunk in chunks:
        files.append((chunk_path(directory, chunk.chunk), chunk.sha256))
        if columns and chunk.columns_sha256:  # an earlier version noted none
            files.append((columns_path(directory, chunk.chunk), chunk.columns_sha256))
    return files


async def altered_files(workers: Workers, files: Sequence[tuple[Path, str]]) -> list[Path]:
    """Return those of `files` that are not there or have another hash than the one beside them."""
    batches = [files[first : first + FILES_A_PIECE] for first in range(0, len(files), FILES_A_PIECE)]
    found = await asyncio.gather(*(workers.run(altered, batch) for batch in batches))
    return [path for paths in found for path in paths]


async def restore(
    writer: LedgerWriter,
    settings: Settings,
    workers: Workers,
    *,
    inputs_present: bool,
    stdin: BinaryIO | None = None,
) -> None:
    """Make lost files of the list anew: those of a retry out of the ledger and the chunks, all others out of the list.

    The files of kept columns are made anew as well when others are wanted than before. Raises `UsageError` when chunk
    files or wanted columns are lost, and so is the list; rejected.csv and duplicates.csv are missed, and that is all.
    """
    directory, keep = settings.job.directory, settings.output.keep_columns
    listed = await writer.do(lambda ledger: ledger.plan.listed())
    columns = kept_columns(listed.counts, settings)
    kept_so_far = (await writer.do(lambda ledger: ledger.plan.reading())).get("keep_columns", False)
    others = bool(keep) and kept_so_far != keeping(settings)["keep_columns"]
    base = await writer.do(lambda ledger: ledger.plan.chunk_numbers())
    files = job_files(settings)
    elsewhere = frozenset(Path(name).name for name in await files.names(writer, CHUNK_FILES))
    lost = await asyncio.to_thread(lost_chunks, directory, base, columns=bool(columns), elsewhere=elsewhere)
    await files.bring(writer, *(directory / name for name in LISTS))
    lists = await asyncio.to_thread(_lost_lists, settings, listed)
    if lost or others:
        from_stdin = any(record.path == STANDARD_INPUT for record in listed.inputs)
        if not inputs_present and not from_stdin:
            raise UsageError(_missing(settings, lost))
        log.warning("rebuilding_chunk_files", lost=len(lost), from_standard_input=from_stdin)
    if lost or others or (lists and inputs_present):
        await files.bring_below(writer, CHUNK_FILES)
        planned = Planned(await writer.do(base_chunks), None if others else columns, listed.order, lists)
        rebuilt = await rebuild(settings.job, workers, planned, stdin, keep=keep)

        def note(ledger: Ledger) -> None:
            if rebuilt.columns_sha256:
                ledger.plan.note_columns(rebuilt.columns, keeping(settings), rebuilt.columns_sha256)
            if rebuilt.lists:
                log.warning("lists_rebuilt", names=sorted(rebuilt.lists))
                ledger.plan.note_lists({**listed.lists, **rebuilt.lists})

        await writer.do(note)
        lists = {name: records for name, records in lists.items() if name not in rebuilt.lists}
    if lists:
        log.warning("lists_lost", names=sorted(lists), help="they come back once the list is there as it was planned")
    if await writer.do(lambda ledger: ledger.plan.chunk_numbers(retried=True)):
        chunks = await writer.do(lambda ledger: list(ledger.plan.chunks()))
        await files.bring_below(writer, CHUNK_FILES)
        await asyncio.to_thread(_restore_retries, directory, chunks)


def _restore_retries(directory: Path, chunks: Sequence[Chunk]) -> None:
    base = [chunk for chunk in chunks if chunk.only is None]
    retried = [chunk for chunk in chunks if chunk.only is not None]
    for chunk in retried:
        restore_rows(directory, chunk)
    for name in lost_chunks(directory, [chunk.chunk for chunk in retried], columns=False):
        restore_retry(directory, next(chunk for chunk in retried if chunk.chunk == name), base)


def _lost_lists(settings: Settings, listed: Listed) -> dict[str, int]:
    """Return those of rejected.csv and duplicates.csv that are not what the ledger knows, with their records.

    Of what an earlier version wrote, the ledger knows nothing: there a file counts that is there.
    """
    directory = settings.job.directory
    wrong = take_lists(directory, listed.lists)
    wrong += [name for name in LISTS if name not in listed.lists and not (directory / name).is_file()]
    records: Mapping[str, int] = dict(zip(LISTS, (listed.counts.rejected, listed.counts.duplicates), strict=True))
    return {name: records[name] for name in wrong}


def _missing(settings: Settings, lost: Sequence[int]) -> str:
    """Say which file is missed, and what may be done."""
    if not lost:
        return (
            f"{settings.source}: [output] keep_columns has changed, and the list that columns are taken from is "
            "missing; put it back as it was, or set keep_columns to what it was, or to false"
        )
    path = chunk_path(settings.job.directory, lost[0])
    if not path.exists():
        return f"{path}: missing, and so is the list that it was built from; put either back"
    return (
        f"{columns_path(settings.job.directory, lost[0])}: missing, and so is the list that it was built from; put "
        "either back, or set [output] keep_columns = false for a master without these columns"
    )
