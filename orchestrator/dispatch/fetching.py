"""One result: download to a part file, read it in a worker process, keep it, and only then record the verdicts."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from orchestrator.dispatch.poll_times import STANDSTILL_SHARE
from orchestrator.dispatch.result_reader import ResultReader
from orchestrator.dispatch.result_versions import ResultVersions, check_of
from orchestrator.dispatch.watching import CALLS_IN_VAIN, FetchAgain, Hold, InVain, PollAgain
from orchestrator.errors import DamagedResultError, LinkExpiredError, PieceDiedError, RefusedError, TemporaryError
from orchestrator.files import make_private_directory
from orchestrator.logger import log
from orchestrator.results import check_limits
from orchestrator.results.check import check_result

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.dispatch.context import RunContext
    from orchestrator.dispatch.platform_run import PlatformRun
    from orchestrator.dispatch.watching import Watch, Watcher, WatchStep
    from orchestrator.results import ResultCheck

DAMAGE_LIMIT: Final = 3
SUSPECT_WAITS: Final = 4
"""A suspect file is fetched again after so many of the shortest intervals: it may not have been written to its end."""
BYTES_A_ROW: Final = 1024
BYTES_A_FILE: Final = 16 << 20


def most_bytes(rows: int) -> int:
    """Return how large a result of a chunk of `rows` may be."""
    return BYTES_A_FILE + BYTES_A_ROW * rows


class Fetcher:
    """Downloads and reads results."""

    def __init__(self, context: RunContext, watcher: Watcher) -> None:
        self._context = context
        self._watcher = watcher
        self._reader = ResultReader(context.workers)
        self._versions = ResultVersions(
            context.directory, context.ledger, context.workers, context.clock, context.bucket
        )
        self._folders: set[Path] = set()

    async def close(self) -> None:
        """Cut off what is still being read."""
        await self._reader.close()

    async def fetch(self, platform: PlatformRun, watch: Watch) -> None:
        """Take one result in; afterwards the task is done, or waits for another try, or has ended."""
        check = check_of(
            self._context.directory,
            watch.key,
            platform.settings,
            task_id=watch.task_id,
            chunk_sha256=watch.chunk_sha256,
            success=watch.success,
        )
        for folder in {check.result.parent, check.verdicts.parent} - self._folders:
            make_private_directory(folder)  # once a run: looking each time costs a dozen calls a task
            self._folders.add(folder)
        await self._versions.bring(watch.key)
        step: WatchStep | None
        try:
            await platform.vendor.client.download(watch.result_url, check.result, max_bytes=most_bytes(watch.rows))
            if watch.has_result:  # looked at only, for it may be worse than what is there
                report, _ = await self._context.workers.run(check_result, check, limits=check_limits(watch.rows))
            else:
                report = await self._reader.take(check, watch.rows)
        except LinkExpiredError as error:
            log.info("link_expired", task=str(watch.key), reason=str(error))
            step = self._after_a_useless_link(watch)
        except TemporaryError as error:
            step = self._after_a_broken_download(watch, error)
        except RefusedError as error:
            step = self._after_a_refused_link(watch, error)
        except (DamagedResultError, PieceDiedError) as error:
            step = await self._suspect(platform, watch, check, str(error))
        else:
            step = None
            if watch.has_result:
                await self._versions.set_aside(check, watch.key)
                step = await self._take_the_best(platform, watch, check, "what the vendor has is no better")
            else:
                await self._watcher.done(platform, watch, report)
        if step is not None:
            await self._watcher.carry_out(platform, watch, step)

    async def _suspect(self, platform: PlatformRun, watch: Watch, check: ResultCheck, reason: str) -> WatchStep | None:
        """Keep what came, and fetch it again; the same bytes twice are what the vendor made."""
        watch.damages += 1
        platform.suspect(watch)
        log.warning("damaged", task=str(watch.key), reason=reason, time=watch.damages)
        again = check.result.exists() and await self._versions.set_aside(check, watch.key)
        if again or watch.damages >= DAMAGE_LIMIT:
            return await self._take_the_best(platform, watch, check, f"its result is damaged: {reason}")
        return self._after_a_useless_link(watch, at_least_s=SUSPECT_WAITS * self._context.polling.min_interval_s)

    async def _take_the_best(
        self, platform: PlatformRun, watch: Watch, check: ResultCheck, reason: str
    ) -> InVain | None:
        """Take the best of all that was fetched; where that is nothing new it was in vain, for the `reason`."""
        taken = await self._versions.take_best(check, watch.key, watch.rows)
        if taken is None or taken.again:
            return InVain(reason)
        await self._watcher.done(platform, watch, taken.report, recorded=True)
        return None

    def _after_a_refused_link(self, watch: Watch, error: RefusedError) -> Hold | PollAgain:
        """Hold a task whose link we may not follow, or to too large a file. Else what stands between may have said it.

        Then a fresh link is asked for a few times: a gateway that is set up wrongly for a while redirects, too.
        """
        log.warning("link_refused", task=str(watch.key), status=error.status, reason=str(error))
        if error.status in {0, HTTPStatus.OK}:
            return Hold(str(error))
        step = self._after_a_useless_link(watch)
        return Hold(str(error)) if watch.fetches >= CALLS_IN_VAIN else step

    def _after_a_useless_link(self, watch: Watch, *, at_least_s: float = 0.0) -> Hold | PollAgain:
        """Have the status asked once more: it signs a fresh link. At once, then ever more rarely: it may cost."""
        watch.fetches += 1
        delay_s = 0.0
        if watch.fetches > 1:
            # A task that has had a link for long, of which nothing came, is asked for as one that stands still.
            since_s = 0.0 if watch.exported_at is None else self._context.now - watch.exported_at
            still_s = min(since_s * STANDSTILL_SHARE, self._context.polling.max_interval_s)
            delay_s = max(self._context.delay_s(watch.fetches), still_s)
        return self._watcher.standstill(watch, in_vain=watch.fetches) or PollAgain(max(delay_s, at_least_s))

    def _after_a_broken_download(self, watch: Watch, error: TemporaryError) -> Hold | FetchAgain:
        watch.fetches += 1
        wait_s = max(error.retry_after_s or 0.0, self._context.delay_s(watch.fetches))
        log.warning("download_failed", task=str(watch.key), reason=str(error), again_after_s=round(wait_s, 3))
        return self._watcher.standstill(watch, in_vain=watch.fetches) or FetchAgain(wait_s)
