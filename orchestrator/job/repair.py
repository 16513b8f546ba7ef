"""What was written is compared with the ledger before it is believed, and what is lost or altered is made anew.

A chunk file out of the list; verdicts out of the result that is kept; a result, where that is lost too, by having the
next run fetch it from the vendor, free. What there is no way to bring back is failed, with the ways out in its reason.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from orchestrator.dispatch.result_versions import ResultVersions, check_of_task, read_as_before
from orchestrator.errors import DamagedResultError, PieceDiedError, StorageError, UsageError
from orchestrator.files import disk_errors, sha256_of
from orchestrator.intake.sources.find import STANDARD_INPUT
from orchestrator.job.lost_files import altered_files, changed_inputs, files_of, kept_columns, restore
from orchestrator.job.scratch import job_files
from orchestrator.jobdir.layout import (
    CHUNK_FILES,
    VERDICT_FILES,
    chunk_of,
    holds_columns,
    raw_result,
    result_stem,
    verdict_path,
)
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.logger import log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from orchestrator.job.world import World
    from orchestrator.settings import Settings
    from orchestrator.tasks import TaskKey
    from orchestrator.workers import Workers


_LOST: Final = (
    "its verdicts and its result are lost, and no task id of the vendor is known: take its result file with --result "
    "FILE, name its id with --adopt TASK_ID, or have its numbers planned again with retry"
)


async def repair_directly(ledger: Ledger, settings: Settings, workers: Workers, world: World) -> None:
    """Do what `repair` does where nothing else uses the ledger."""
    async with _versions(ledger, settings, workers, world) as versions:
        await repair(versions, settings)


async def repair_chunks(ledger: Ledger, settings: Settings, workers: Workers, world: World) -> None:
    """Make chunk files anew that are lost or altered, as `repair_directly`."""
    async with _versions(ledger, settings, workers, world) as versions:
        await _repair_chunks(versions, settings)


@asynccontextmanager
async def _versions(
    ledger: Ledger, settings: Settings, workers: Workers, world: World
) -> AsyncIterator[ResultVersions]:
    writer = LedgerWriter(ledger)
    try:
        bucket = job_files(settings).bucket
        yield ResultVersions(settings.job.directory, writer, workers, world.clock, bucket)
    finally:
        await writer.close()


async def repair(versions: ResultVersions, settings: Settings) -> bool:
    """Make anew what is lost or altered of tasks that are done; return whether any of them is not done any more.

    Raises `StorageError`, also when a chunk file is lost with the list that it was built from.
    """

    def verdict_files(ledger: Ledger) -> dict[Path, tuple[TaskKey, str, str]]:
        return {
            verdict_path(versions.directory, key.platform, key.chunk): (key, verdicts_sha256, result_sha256)
            for key, _, _, verdicts_sha256, result_sha256 in ledger.tasks.evidence()
            if key.platform in settings.platforms
        }

    await versions.files.bring_below(versions.ledger, VERDICT_FILES)
    # Chunk files first: verdicts are made anew by comparing a result with its chunk.
    await _repair_chunks(versions, settings)
    evidence = await versions.ledger.do(verdict_files)
    files = [(path, sha256) for path, (_, sha256, _) in evidence.items()]
    lost = await altered_files(versions.workers, files)
    again = [await _make_anew(versions, settings, evidence[path][0], evidence[path][2]) for path in lost]
    return not all(again)


async def _repair_chunks(versions: ResultVersions, settings: Settings) -> None:
    def chunk_files(ledger: Ledger) -> list[tuple[Path, str]]:
        columns = kept_columns(ledger.plan.counts(), settings)
        return files_of(versions.directory, ledger.plan.chunks(), columns)

    def list_is_there(ledger: Ledger) -> bool:
        inputs = ledger.plan.inputs()
        try:
            return not changed_inputs(inputs, settings) and all(record.path != STANDARD_INPUT for record in inputs)
        except UsageError:
            return False

    await versions.files.bring_below(versions.ledger, CHUNK_FILES)
    lost = await altered_files(versions.workers, await versions.ledger.do(chunk_files))
    if not lost:
        return
    # Those of a retry are built anew out of the others, these out of the list.
    retried = set(await versions.ledger.do(lambda ledger: ledger.plan.chunk_numbers(retried=True)))
    listed = [path for path in lost if chunk_of(path) not in retried]
    if listed and not await versions.ledger.do(list_is_there):
        without = ", or set [output] keep_columns = false for a master without columns of the list"
        # No mistake of the one who types: after something was sent, 2 would say that nothing was.
        raise StorageError(
            f"{listed[0]}: lost or altered, and the list that it was built from is not there as it was; put either "
            f"back{without if holds_columns(listed[0]) else ''}, or, where it came through standard input, remove the "
            "file and pipe it in once more with run"
        )
    for path in lost:
        with disk_errors(path):
            path.unlink(missing_ok=True)
    await restore(versions.ledger, settings, versions.workers, inputs_present=True)
    await versions.files.put_new(versions.ledger, CHUNK_FILES)


async def _make_anew(versions: ResultVersions, settings: Settings, key: TaskKey, result_sha256: str) -> bool:
    """Make a task's verdicts anew, out of its result if that is as it was fetched; return whether it is done still."""
    task = await versions.ledger.do(lambda ledger: ledger.tasks.get(key))
    if task is None:
        raise AssertionError(f"{key} is not in the plan")
    evidence = await versions.ledger.do(lambda ledger: ledger.tasks.evidence_of(key))
    check = check_of_task(versions.directory, task, read_as_before(settings.platforms[key.platform], evidence))
    await versions.bring(key)
    log.warning("verdicts_lost", task=str(key), file=str(check.verdicts))
    # It lies with the others, or in quarantine, if a crash cut off its replacement.
    raw = raw_result(result_stem(versions.directory, key.platform, key.chunk))
    aside = await versions.ledger.do(lambda ledger: ledger.quarantine.versions(key))
    for path in [*([raw] if raw else []), *(versions.directory / version.path for version in aside)]:
        try:
            if await asyncio.to_thread(sha256_of, path) != result_sha256:
                continue
        except OSError:
            continue
        try:
            await versions.take(replace(check, result=path, settle=True), key, task.rows)
        except (DamagedResultError, PieceDiedError) as error:
            log.warning("not_made_anew", task=str(key), reason=str(error))
            break
        log.info("verdicts_made_anew", task=str(key))
        return True
    at = versions.clock()
    if task.task_id is None:
        await versions.ledger.do_small(lambda ledger: ledger.transitions.fail(key, _LOST, at=at))
        log.error("failed", task=str(key), reason=_LOST)
    else:
        await versions.ledger.do_small(lambda ledger: ledger.transitions.refetch(key, at=at, lost=True))
        log.warning("result_lost", task=str(key), task_id=task.task_id, next="it is fetched from the vendor again")
    return False
