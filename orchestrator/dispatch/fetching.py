"""One result: download to a part file, read it in a worker process, keep it, and only then record the verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from orchestrator.dispatch.poll_times import STANDSTILL_SHARE
from orchestrator.dispatch.result_reader import ResultReader
from orchestrator.dispatch.result_versions import ODDITIES, ResultVersions, check_of, detail_of
from orchestrator.errors import DamagedResultError, LinkExpiredError, PieceDiedError, RefusedError, TemporaryError
from orchestrator.files import make_private_directory
from orchestrator.results import check_limits
from orchestrator.results.check import check_result

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.dispatch.context import RunContext
    from orchestrator.dispatch.platform_run import PlatformRun, Watch
    from orchestrator.dispatch.polling import Poller
    from orchestrator.results import ResultCheck, ResultReport

log = structlog.get_logger()

DAMAGE_LIMIT = 3
SUSPECT_WAITS = 4
"""A suspect file is fetched again after so many of the shortest intervals: it may not have been written to its end."""
BYTES_A_ROW = 1024
BYTES_A_FILE = 16 << 20


class Fetcher:
    """Downloads and reads results."""

    def __init__(self, context: RunContext, poller: Poller) -> None:
        self._context = context
        self._poller = poller
        self._reader = ResultReader(context.workers)
        self._versions = ResultVersions(context.directory, context.ledger, context.workers, context.clock)
        self._folders: set[Path] = set()

    async def close(self) -> None:
        """Cut off what is still being read."""
        await self._reader.close()

    async def fetch(self, platform: PlatformRun, watch: Watch) -> None:
        """Take one result in; afterwards the task is done, or waits for another try, or has ended."""
        check = self._check(platform, watch)
        self._make_folder(check.result.parent)
        try:
            most = BYTES_A_FILE + BYTES_A_ROW * watch.rows
            await platform.vendor.client.download(watch.result_url, check.result, max_bytes=most)
            report = await self._read(watch, check)
        except LinkExpiredError as error:
            log.info("link_expired", task=str(watch.key), reason=str(error))
            await self._ask_again(platform, watch)
        except TemporaryError as error:
            await self._fetch_later(platform, watch, error)
        except RefusedError as error:
            await self._poller.stall(platform, watch, str(error))
        except (DamagedResultError, PieceDiedError) as error:
            await self._suspect(platform, watch, check, str(error))
        else:
            if watch.has_result:
                await self._compare(platform, watch, check)
            else:
                await self._finish(platform, watch, report)

    def _check(self, platform: PlatformRun, watch: Watch) -> ResultCheck:
        return check_of(
            self._context.directory,
            watch.key,
            platform.settings,
            task_id=watch.task_id,
            chunk_sha256=watch.chunk_sha256,
            success=watch.success,
        )

    async def _read(self, watch: Watch, check: ResultCheck) -> ResultReport:
        self._make_folder(check.verdicts.parent)
        if watch.has_result:  # looked at only: it may be worse than what is there
            report, _ = await self._context.workers.run(check_result, check, limits=check_limits(watch.rows))
            return report
        return await self._reader.take(check, watch.rows)

    async def _finish(self, platform: PlatformRun, watch: Watch, report: ResultReport) -> None:
        platform.caution.result_read(report.answered / watch.rows)
        at, detail = self._context.clock(), detail_of(report)
        await self._context.note(platform, lambda ledger: ledger.finish(watch.key, report.counts, at=at, detail=detail))
        self._done(platform, watch, report)

    def _done(self, platform: PlatformRun, watch: Watch, report: ResultReport) -> None:
        platform.ended(watch)
        seen = {name: count for name in ODDITIES if (count := getattr(report, name))}
        log.info("done", task=str(watch.key), rows=watch.rows, verdicts=report.counts, **seen)
        platform.say_if_stopped()

    async def _suspect(self, platform: PlatformRun, watch: Watch, check: ResultCheck, reason: str) -> None:
        """Keep what came, and fetch it again; the same bytes twice are what the vendor made."""
        watch.damages += 1
        platform.suspect(watch)
        log.warning("damaged", task=str(watch.key), reason=reason, time=watch.damages)
        again = check.result.exists() and await self._versions.keep(check, watch.key)
        if again or watch.damages >= DAMAGE_LIMIT:
            await self._settle(platform, watch, check, f"its result is damaged: {reason}")
        else:
            await self._ask_again(platform, watch, at_least_s=SUSPECT_WAITS * self._context.polling.min_interval_s)

    async def _compare(self, platform: PlatformRun, watch: Watch, check: ResultCheck) -> None:
        """Take a result that was fetched again if it is better than the one that there is."""
        await self._versions.keep(check, watch.key)
        await self._settle(platform, watch, check, "what the vendor has is no better")

    async def _settle(self, platform: PlatformRun, watch: Watch, check: ResultCheck, reason: str) -> None:
        """Take the best of all that was fetched."""
        taken = await self._versions.settle(check, watch.key, watch.rows)
        if taken is None or taken.again:
            await self._poller.fail(platform, watch, reason)
        else:
            platform.caution.result_read(taken.report.answered / watch.rows)
            await self._context.note(platform, lambda _: None)
            self._done(platform, watch, taken.report)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder once a run; looking each time costs a dozen calls a task."""
        if folder not in self._folders:
            make_private_directory(folder)
            self._folders.add(folder)

    async def _ask_again(self, platform: PlatformRun, watch: Watch, *, at_least_s: float = 0.0) -> None:
        """Have the status asked once more: it signs a fresh link. At once, then ever more rarely: it may cost."""
        watch.fetches += 1
        delay_s = 0.0 if watch.fetches == 1 else max(self._context.delay_s(watch.fetches), self._standstill_s(watch))
        wait_s = max(delay_s, at_least_s)
        if not await self._poller.gave_up(platform, watch, in_vain=watch.fetches):
            platform.polls.put(watch, self._context.now + wait_s)

    def _standstill_s(self, watch: Watch) -> float:
        """Return how long to wait with a task that has had a link for a while, of which nothing came."""
        since_s = 0.0 if watch.exported_at is None else self._context.now - watch.exported_at
        return min(since_s * STANDSTILL_SHARE, self._context.polling.max_interval_s)

    async def _fetch_later(self, platform: PlatformRun, watch: Watch, error: TemporaryError) -> None:
        watch.fetches += 1
        wait_s = max(error.retry_after_s or 0.0, self._context.delay_s(watch.fetches))
        log.warning("download_failed", task=str(watch.key), reason=str(error), again_after_s=round(wait_s, 3))
        if not await self._poller.gave_up(platform, watch, in_vain=watch.fetches):
            platform.ready.put(watch, self._context.now + wait_s)
