"""One result: download to a part file, read it in a worker process, keep it, and only then record the verdicts."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import structlog

from orchestrator.dispatch.polling import STANDSTILL_SHARE
from orchestrator.dispatch.reading import ResultReader
from orchestrator.errors import DamagedResultError, LinkExpiredError, PieceDiedError, RefusedError, TemporaryError
from orchestrator.files import disk_errors, keep_together, make_private_directory
from orchestrator.intake import chunk_path
from orchestrator.results import ResultCheck, verdict_path
from orchestrator.results.suffix import result_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.dispatch.context import Context
    from orchestrator.dispatch.lanes import Lane, Watch
    from orchestrator.dispatch.looking import Looker
    from orchestrator.results import ResultReport

log = structlog.get_logger()

DAMAGE_LIMIT = 3
BYTES_A_ROW = 1024
BYTES_A_FILE = 16 << 20


@lru_cache(64)  # a path costs more than it looks, and every result wants these
def results_folder(directory: Path, platform: str) -> Path:
    """Return where a platform's result files are kept, as downloaded."""
    return directory / f"results/{platform}"


class Fetcher:
    """Downloads and reads results."""

    def __init__(self, context: Context, looker: Looker) -> None:
        self._context = context
        self._looker = looker
        self._reader = ResultReader(context.workers)
        self._folders: set[Path] = set()

    async def close(self) -> None:
        """Cut off what is still being read."""
        await self._reader.close()

    async def fetch(self, lane: Lane, watch: Watch) -> None:
        """Take one result in; afterwards the task is done, or waits for another try, or has ended."""
        part = results_folder(self._context.directory, watch.key.platform) / f"{watch.key.chunk:06d}.part"
        self._make_folder(part.parent)
        try:
            await lane.side.client.download(watch.result_url, part, max_bytes=BYTES_A_FILE + BYTES_A_ROW * watch.rows)
            report = await self._read(lane, watch, part)
        except LinkExpiredError as error:
            log.info("link_expired", task=str(watch.key), reason=str(error))
            await self._ask_again(lane, watch)
        except TemporaryError as error:
            await self._fetch_later(lane, watch, error)
        except RefusedError as error:
            await self._looker.stall(lane, watch, str(error))
        except (DamagedResultError, PieceDiedError) as error:
            await self._damaged(lane, watch, part, str(error))
        else:
            await self._finish(lane, watch, report)

    async def _read(self, lane: Lane, watch: Watch, part: Path) -> ResultReport:
        verdicts = verdict_path(self._context.directory, watch.key.platform, watch.key.chunk)
        self._make_folder(verdicts.parent)
        check = ResultCheck(
            result=part,
            chunk=chunk_path(self._context.directory, watch.key.chunk),
            verdicts=verdicts,
            platform=watch.key.platform,
            columns=lane.settings.result_columns,
            task_id=watch.task_id,
            success=watch.success,
        )
        return await self._reader.take(check, watch.rows)

    async def _finish(self, lane: Lane, watch: Watch, report: ResultReport) -> None:
        at = self._context.clock()
        names = ("foreign", "contradictions", "doubled", "overruled", "odd")
        oddities = {name: getattr(report, name) for name in names}
        detail = oddities | {"result": report.result_sha256, "verdicts": report.verdicts_sha256}
        await self._context.ledger.record(lambda ledger: ledger.finish(watch.key, report.counts, at=at, detail=detail))
        lane.ended(watch)
        lane.caution.result_read()
        seen = {name: count for name, count in oddities.items() if count}
        log.info("done", task=str(watch.key), rows=watch.rows, verdicts=report.counts, **seen)

    async def _damaged(self, lane: Lane, watch: Watch, part: Path, reason: str) -> None:
        watch.damages += 1
        log.warning("damaged", task=str(watch.key), reason=reason, time=watch.damages)
        if watch.damages < DAMAGE_LIMIT:
            await self._ask_again(lane, watch)
            return
        self._quarantine(watch, part)
        await self._looker.fail(lane, watch, f"its result is damaged: {reason}")

    def _make_folder(self, folder: Path) -> None:
        """Make a folder once a run; looking each time costs a dozen calls a task."""
        if folder not in self._folders:
            make_private_directory(folder)
            self._folders.add(folder)

    def _quarantine(self, watch: Watch, part: Path) -> None:
        if not part.exists():
            return
        folder = self._context.directory / "results" / "quarantine"
        make_private_directory(folder)
        with disk_errors(part):
            suffix = result_suffix(part)
        keep_together([(part, folder / f"{watch.key.platform}-{watch.key.chunk:06d}{suffix}")])

    async def _ask_again(self, lane: Lane, watch: Watch) -> None:
        """Have the status asked once more: it signs a fresh link. At once, then ever more rarely: it may cost."""
        watch.fetches += 1
        wait_s = 0.0 if watch.fetches == 1 else max(self._context.delay_s(watch.fetches), self._standstill_s(watch))
        if not await self._looker.gave_up(lane, watch, in_vain=watch.fetches):
            lane.looks.put(watch, self._context.now + wait_s)

    def _standstill_s(self, watch: Watch) -> float:
        """Return how long to wait with a task that has had a link for a while, of which nothing came."""
        since_s = 0.0 if watch.exported_at is None else self._context.now - watch.exported_at
        return min(since_s * STANDSTILL_SHARE, self._context.polling.max_interval_s)

    async def _fetch_later(self, lane: Lane, watch: Watch, error: TemporaryError) -> None:
        watch.fetches += 1
        wait_s = max(error.retry_after_s or 0.0, self._context.delay_s(watch.fetches))
        log.warning("download_failed", task=str(watch.key), reason=str(error), again_after_s=round(wait_s, 3))
        if not await self._looker.gave_up(lane, watch, in_vain=watch.fetches):
            lane.ready.put(watch, self._context.now + wait_s)
