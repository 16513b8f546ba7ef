"""What a run begins to send with: each platform as the ledger knows it, at its vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.dispatch.alarms import PAST, UsualResults
from orchestrator.dispatch.backoff import Health
from orchestrator.dispatch.caution import CANARY_FROM_TASKS, Caution
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.platform_run import PlatformRun, VendorRun
from orchestrator.job.shared import vendor_pace
from orchestrator.job.trial import trial_chunks
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.ledger import Ledger, LedgerWriter
    from orchestrator.settings import Settings
    from orchestrator.vendor_api.client import VendorClient


def vendor_runs(
    clients: Mapping[str, VendorClient],
    marks: Mapping[str, str],
    settings: Settings,
    writer: LedgerWriter,
    *,
    now: float,
) -> dict[str, VendorRun]:
    """Return the vendors behind `clients`, by name; `marks` are their fingerprints, and `now` is the event loop's."""
    return {
        name: VendorRun(
            name=name,
            client=client,
            pace=vendor_pace(settings.vendors[name], marks[name], writer, now=now),
            health=Health(settings.backoff),
            has_answered=settings.vendors[name].is_sandbox,
        )
        for name, client in clients.items()
    }


def platform_runs(
    ledger: Ledger,
    settings: Settings,
    vendors: Mapping[str, VendorRun],
    hashes: Mapping[str, str],
    *,
    now: float,
    deadline_at: float,
    trial: bool,
) -> list[PlatformRun]:
    """Return the platforms of the settings, in their order. Times are the event loop's.

    `hashes` are of each platform's settings: refusals count for those with which they came. With `trial` no more than
    the trial is sent.
    """
    standings, begins = ledger.platforms.standing(), ledger.plan.generation_begins()
    trials = trial_chunks(ledger, settings)
    made = []
    for name, platform in settings.platforms.items():
        standing = standings[name]
        unread = standing.tasks() - standing.tasks(State.DONE, State.RETRIED, State.SKIPPED)
        made.append(
            PlatformRun(
                name=name,
                settings=platform,
                vendor=vendors[platform.vendor],
                pace=Pace(platform.requests_per_second, now=now),
                caution=Caution(
                    ledger.platforms.caution_with(name, hashes[name]),
                    canary=platform.canary and unread >= (2 if name in trials else CANARY_FROM_TASKS),
                    waiting=standing.tasks(State.IN_DOUBT),
                ),
                usual=UsualResults.of(
                    ledger.tasks.past_results(name, most=PAST),
                    begins,
                    looks=standing.tasks(State.DONE),
                    one_word=platform.one_word,
                ),
                deadline_at=deadline_at,
                last_chunk=trials.get(name, 0) if trial else None,
            )
        )
    return made
