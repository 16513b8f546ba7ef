"""Results that are not believed at first sight: kept in quarantine, and in the end the best of them is taken.

The same bytes twice are what the vendor made. Then, or when trying is over for today, what the best version says of the
chunk's numbers is taken; the others are unanswered, and it is a finding. Nothing is ever removed: a version that was
not taken stays in quarantine, where another version of the program reads it again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from orchestrator import __version__
from orchestrator.errors import DamagedResultError, PieceDiedError
from orchestrator.files import disk_errors, make_private_directory, sha256_of
from orchestrator.jobdir.layout import (
    RESULT_ENDINGS,
    chunk_path,
    quarantine_folder,
    quarantine_name,
    raw_result,
    result_stem,
    task_of_quarantined,
    verdict_path,
)
from orchestrator.jobdir.verdict_words import ALARM, UNANSWERED
from orchestrator.ledger import ALTERED, Ledger, Version
from orchestrator.logger import log
from orchestrator.results import ResultCheck, check_limits, set_aside, take_results
from orchestrator.results.check import check_result
from orchestrator.staging import JobFiles
from orchestrator.tasks import TaskKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchestrator.bucket import Bucket
    from orchestrator.ledger import LedgerWriter
    from orchestrator.records import StoredFile, Task
    from orchestrator.results import ResultReport
    from orchestrator.settings import PlatformSettings
    from orchestrator.workers import Workers

T = TypeVar("T")

ODDITIES: Final = ("foreign", "contradictions", "doubled", "overruled", "odd")
"""What is counted of a result, and told."""
AT_ONCE: Final = 64
"""Files in quarantine that are on their way to the workers at a time."""


def check_of(
    directory: Path, key: TaskKey, platform: PlatformSettings, *, task_id: str, chunk_sha256: str, success: int | None
) -> ResultCheck:
    """Return how to check a task's result, which comes as a part file."""
    stem = result_stem(directory, key.platform, key.chunk)
    return ResultCheck(
        result=stem.with_suffix(".part"),
        chunk=chunk_path(directory, key.chunk),
        verdicts=verdict_path(directory, key.platform, key.chunk),
        platform=key.platform,
        columns=platform.answer_columns,
        task_id=task_id,
        success=success,
        chunk_sha256=chunk_sha256,
        keep_as=stem,
        without_verdict=not platform.result_columns,
    )


def check_of_task(directory: Path, task: Task, platform: PlatformSettings) -> ResultCheck:
    """Do the same for a task as the ledger has it."""
    success = task.success or None  # nobody may have asked
    return check_of(
        directory, task.key, platform, task_id=task.task_id or "", chunk_sha256=task.sha256, success=success
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """The best version of a task's result, and what taking it has led to; `again` is the one that there was before."""

    report: ResultReport
    again: bool


@dataclass(frozen=True, slots=True)
class ResultVersions:
    """Chooses among the versions of a result. `clock` is the wall clock."""

    directory: Path
    ledger: LedgerWriter
    workers: Workers
    clock: Callable[[], float]
    bucket: Bucket | None = None

    @property
    def files(self) -> JobFiles:
        return JobFiles(self.directory, self.bucket)

    async def bring(self, key: TaskKey) -> None:
        """Have in the directory what there is of a task: its chunk, its result, and what is in quarantine."""
        if self.bucket is not None:
            aside = await self.ledger.do(lambda it: it.quarantine.versions(key))
            paths = (self.directory / version.path for version in aside)
            chunk = chunk_path(self.directory, key.chunk)
            await self.files.bring_chunk(self.ledger, chunk, *raw_results(self.directory, key), *paths)

    async def set_aside(self, check: ResultCheck, key: TaskKey) -> bool:
        """Put what was downloaded into quarantine; return whether the same bytes were there before."""
        read_by = reader_of(check.columns)
        await self.bring(key)
        sha256 = await _in_thread(partial(_hash, check.result))
        known = {
            version.sha256: version.path for version in await self.ledger.do(lambda it: it.quarantine.versions(key))
        }
        used = await self.ledger.do(lambda it: it.tasks.result_sha256(key))
        raw = raw_result(result_stem(self.directory, key.platform, key.chunk)) if sha256 == used else None
        for there in (raw, self.directory / known[sha256] if sha256 in known else None):
            # It may be lost or altered, and this is what brings it back.
            if there is not None and there.is_file() and await _in_thread(partial(_hash, there)) == sha256:
                await _in_thread(check.result.unlink)
                return True
        name = quarantine_name(key.platform, key.chunk)
        path = await _in_thread(partial(set_aside, check.result, name, self.directory))
        version = Version(sha256, self._place(path))
        stored = await self.files.put(path)

        def note(ledger: Ledger) -> None:
            ledger.quarantine.set_aside(key, version, read_by=read_by)
            note_files(ledger, key, stored)

        await self.ledger.do_small(note)
        return sha256 in known or sha256 == used

    async def take_best(self, check: ResultCheck, key: TaskKey, rows: int) -> Taken | None:
        """Take the best version of a result and record that the task is done; None when none can be read.

        One that is not suspect is better than one that is, then one that answers more, then one that is in use. Where
        the one in use is an alarm, one that says several words is better than one that says a single one.
        `again` leaves the recording to the caller: the task was done with that version before.
        """
        await self.bring(key)
        used_sha256 = await self.ledger.do(lambda it: it.tasks.result_sha256(key))
        alarmed = await self.ledger.do(lambda it: it.tasks.finding_of(key).startswith(ALARM))
        versions = [Version(v.sha256, v.path) for v in await self.ledger.do(lambda it: it.quarantine.versions(key))]
        raw = raw_result(result_stem(self.directory, key.platform, key.chunk))
        if raw is not None and used_sha256:
            versions.append(Version(used_sha256, self._place(raw)))
        best: tuple[tuple[bool, bool, int, bool], ResultCheck, ResultReport] | None = None
        for version in versions:
            path = self.directory / version.path
            # A crash may have cut off taking it, between its new name and the record.
            tried = replace(check, result=raw if raw is not None and not path.exists() else path, settle=True)
            report = await self._read(tried, version, rows)
            if report is None:
                continue
            says_more = not (alarmed and len(report.counts.keys() - {UNANSWERED}) == 1)
            rank = (not report.finding, says_more, report.answered, version.sha256 == used_sha256)
            if best is None or rank > best[0]:
                best = rank, tried, report
        if best is None:
            return None
        _, tried, report = best
        is_used = report.result_sha256 == used_sha256
        if is_used and raw is not None and await _in_thread(partial(_hash, raw)) == used_sha256:
            return Taken(report, again=True)
        return Taken(await self.take(tried, key, rows), again=False)

    async def take(self, check: ResultCheck, key: TaskKey, rows: int) -> ResultReport:
        """Take what a file says, and record it; raises what reading it raises."""
        await _in_thread(partial(make_private_directory, check.verdicts.parent))
        await self.bring(key)
        (report,) = await self.workers.run(take_results, (check,), limits=check_limits(rows))
        if isinstance(report, Exception):
            raise report
        at, stored = self.clock(), await self.files.put(*files_of(self.directory, key, report))
        await self.ledger.do_small(lambda ledger: note_result(ledger, check, key, report, stored, at=at))
        if report.finding:
            log.warning("finding", task=str(key), reason=report.finding, verdicts=report.counts)
        return report

    async def _read(self, check: ResultCheck, version: Version, rows: int) -> ResultReport | None:
        """Read one version, if it is there and as it was fetched."""
        if not check.result.is_file() or await _in_thread(partial(_hash, check.result)) != version.sha256:
            return None
        try:
            report, _ = await self.workers.run(check_result, check, limits=check_limits(rows))
        except (DamagedResultError, PieceDiedError):
            return None
        return report

    def _place(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()


def reader_of(columns: Iterable[str]) -> str:
    """Return by what a result was read: another version, or other names for the column, may read what this one can't.

    They are those of `result_columns` of the platform, or `extra_columns`, once the user has set them right.
    """
    return " ".join((__version__, *columns))


def raw_results(directory: Path, key: TaskKey) -> list[Path]:
    """Return where a task's result may lie: its ending is that of its kind."""
    stem = result_stem(directory, key.platform, key.chunk)
    return [stem.with_suffix(ending) for ending in RESULT_ENDINGS]


def files_of(directory: Path, key: TaskKey, report: ResultReport) -> list[Path]:
    """Return the files that a task has by a result: itself, its verdicts, and what lay in its place."""
    raw = result_stem(directory, key.platform, key.chunk).with_suffix(report.suffix)
    return [raw, verdict_path(directory, key.platform, key.chunk), *(path for _, path in report.displaced)]


def note_files(ledger: Ledger, key: TaskKey, stored: Sequence[StoredFile]) -> None:
    """Note in which objects a task's files are; nothing where there is no bucket. A task has one result."""
    if stored:
        folder = Path()
        if any(file.path.startswith(result_stem(folder, key.platform, key.chunk).as_posix()) for file in stored):
            ledger.objects.forget([path.as_posix() for path in raw_results(folder, key)])
        ledger.objects.note(stored)


def note_result(
    ledger: Ledger,
    check: ResultCheck,
    key: TaskKey,
    report: ResultReport,
    stored: Sequence[StoredFile] = (),
    *,
    at: float,
    decided: bool = False,
) -> None:
    """Record that a task is done with a result, which may come out of the quarantine and send another one there.

    `decided` says that a person brought it, `stored` which objects its files are in.
    """
    note_files(ledger, key, stored)
    used = ledger.tasks.result_sha256(key) if report.displaced else ""
    for sha256, path in report.displaced:
        version = Version(sha256, "/".join(path.parts[-3:]))  # results/quarantine/…
        ledger.quarantine.set_aside(key, version, read_by=reader_of(check.columns) if sha256 == used else ALTERED)
    ledger.quarantine.taken_out(key, report.result_sha256)
    detail = detail_of(report) | ({"by": "decision"} if decided else {})
    finding = report.finding or _alarm_of(ledger, key, report)
    ledger.transitions.finish(key, report.counts, at=at, detail=detail, finding=finding, decided=decided)


def _alarm_of(ledger: Ledger, key: TaskKey, report: ResultReport) -> str:
    """Return the alarm that a task's result was when it came first: read once more it says what it said then."""
    known = ledger.tasks.evidence_of(key)
    is_same = (known.get("result"), known.get("counts")) == (report.result_sha256, dict(report.counts))
    finding = str(known.get("finding", ""))
    return finding if is_same and finding.startswith(ALARM) else ""


def detail_of(report: ResultReport) -> dict[str, object]:
    """Return what the ledger notes of a result."""
    oddities: dict[str, object] = {name: getattr(report, name) for name in ODDITIES}
    columns = "extra_columns" if report.without_verdict else "result_columns"
    hashes = {"result": report.result_sha256, "verdicts": report.verdicts_sha256}
    return {**oddities, **hashes, columns: report.columns}


def read_as_before(platform: PlatformSettings, evidence: Mapping[str, object]) -> PlatformSettings:
    """Let a result be read by the columns by which it was read: settings may have changed since its task was done."""
    for name in ("result_columns", "extra_columns"):
        if isinstance(columns := evidence.get(name), list):
            answers = tuple(map(str, columns))
            if name == "result_columns":
                return replace(platform, result_columns=answers)
            return replace(platform, result_columns=(), extra_columns=answers)
    return platform  # an earlier version noted none


async def read_quarantine(versions: ResultVersions, platforms: Mapping[str, PlatformSettings]) -> int:
    """Read again, free, what another reader could not; return how many tasks are done by that."""
    await _note_strays(versions, platforms)
    done = 0
    for name, platform in platforms.items():
        read_by = reader_of(platform.answer_columns)
        keys = await versions.ledger.do(partial(_to_read_again, platform=name, read_by=read_by))
        for batch in (keys[first : first + AT_ONCE] for first in range(0, len(keys), AT_ONCE)):
            done += sum(await asyncio.gather(*(_read_again(versions, key, platform) for key in batch)))
    return done


async def _read_again(versions: ResultVersions, key: TaskKey, platform: PlatformSettings) -> bool:
    task = await versions.ledger.do(lambda it: it.tasks.get(key))
    if task is None:
        raise AssertionError(f"{key} is in quarantine, and not in the plan")
    taken = await versions.take_best(check_of_task(versions.directory, task, platform), key, task.rows)
    if taken is None:
        read_by = reader_of(platform.answer_columns)
        await versions.ledger.do_small(lambda it: it.quarantine.read_in_vain(key, read_by))
        return False
    log.info("read_from_quarantine", task=str(key), verdicts=taken.report.counts)
    return True


async def _note_strays(versions: ResultVersions, platforms: Iterable[str]) -> None:
    """Note files of tasks that no record names: a version without such records, or a crash, left them."""
    folder = quarantine_folder(versions.directory)
    found = await _in_thread(lambda: sorted(folder.iterdir()) if folder.is_dir() else [])
    for path in found:
        platform, chunk = task_of_quarantined(path.name) or ("", 0)
        key = TaskKey(platform, chunk)
        if platform not in platforms or await versions.ledger.do(partial(_is_known, key=key)):
            continue
        version = Version(await _in_thread(partial(_hash, path)), path.relative_to(versions.directory).as_posix())
        await versions.ledger.do_small(partial(_note_stray, key=key, version=version))


def _note_stray(ledger: Ledger, key: TaskKey, version: Version) -> None:
    ledger.quarantine.set_aside(key, version, read_by="")  # as read by nobody, so that it is read now


def _to_read_again(ledger: Ledger, platform: str, read_by: str) -> list[TaskKey]:
    return ledger.quarantine.quarantined(platform, unless_read_by=read_by)


def _is_known(ledger: Ledger, key: TaskKey) -> bool:
    return ledger.tasks.get(key) is None or ledger.quarantine.has_versions(key)


def _hash(path: Path) -> str:
    with disk_errors(path):
        return sha256_of(path)


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, work)
