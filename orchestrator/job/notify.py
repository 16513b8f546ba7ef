"""Tells others how the job is: a webhook and a file for Prometheus, as [notify] has them.

Rules: it changes nothing about a run. A call has seconds, and one attempt; what fails is one warning a run.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.config.keys import read_notify_secret, read_notify_url
from orchestrator.errors import StorageError, UsageError
from orchestrator.files import replacing
from orchestrator.logger import log
from orchestrator.report import notices, streams
from orchestrator.report.metrics import metrics_text
from orchestrator.report.notices import Notice
from orchestrator.vendor_api.webhook import call_webhook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.job.world import World
    from orchestrator.records import Standing
    from orchestrator.report.summary import Summary
    from orchestrator.settings import NotifySettings


TIMEOUT_S = 5.0
HURRIED_TIMEOUT_S = 1.5
"""After a signal: a CI system that cancels a job kills it ten seconds later, and answers on their way have had four."""

METRICS_MODE = 0o644
"""The collector is another user, and the file holds no number."""


class Notifier:
    """What one run tells others; made once a run."""

    def __init__(self, settings: NotifySettings, world: World) -> None:
        self._settings = settings
        self._world = world
        self._told: frozenset[Notice] = frozenset(Notice)  # nothing, until it is known how the run has begun
        self._warned: set[str] = set()
        self._url = self._secret = ""
        try:
            self._url = read_notify_url(settings, world.environ)
            streams.hide(self._url)
            self._secret = read_notify_secret(settings, world.environ) if self._url else ""
            streams.hide(self._secret)
        except UsageError as error:
            self._warn("webhook", str(error))

    def begin(self, summary: Summary) -> None:
        """Take what holds as a run begins for known: an earlier run has told of it."""
        self._told = frozenset(notices.due(summary, frozenset(), self._settings.cost_share))

    async def look(self, summary: Summary) -> None:
        """Tell what there is to tell while the job runs."""
        for notice in notices.due(summary, self._told, self._settings.cost_share) if self._url else ():
            self._told |= {notice}
            await self._call(notice, summary, TIMEOUT_S)

    async def end(self, summary: Summary, *, hurried: bool) -> None:
        """Tell how the run has ended, and before that what nobody has had time to tell."""
        left = notices.due(summary, self._told, self._settings.cost_share)
        for notice in (*left, Notice.ENDED) if self._url else ():
            if not await self._call(notice, summary, HURRIED_TIMEOUT_S if hurried else TIMEOUT_S):
                return

    def put_metrics(
        self,
        summary: Summary,
        standings: Iterable[Standing],
        removed: Iterable[Standing],
        last_success_s: float | None,
    ) -> None:
        """Write the file for Prometheus, if there is to be one."""
        if not self._settings.metrics:
            return
        path = Path(self._settings.metrics)
        try:
            with replacing(path) as file:
                now = self._world.clock()
                file.write(metrics_text(summary, standings, removed, at_s=now, last_success_s=last_success_s))
            path.chmod(METRICS_MODE)
        except (StorageError, OSError) as error:
            self._warn("metrics", str(error))

    async def _call(self, notice: Notice, summary: Summary, timeout_s: float) -> bool:
        now = self._world.clock()
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        link = notices.link_to_ci(self._world.environ)
        content = notices.body(notice, summary, self._settings.form, at=at, link=link)
        headers = notices.headers(content, self._secret, notice_id=f"msg_{secrets.token_hex(12)}", at_s=int(now))
        agent = f"orchestrator/{__version__}"
        if failed := await call_webhook(self._url, content, headers, agent=agent, timeout_s=timeout_s):
            self._warn("webhook", failed)
        return not failed

    def _warn(self, what: str, reason: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            log.warning("not_notified", what=what, reason=reason)
