"""The way from a TOML file to settings: read, override, fill in, validate, check; then settings or all problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from orchestrator.config import checks, defaults
from orchestrator.config.draft import Draft
from orchestrator.config.overrides import parse_override
from orchestrator.config.table_reader import TableReader
from orchestrator.config.unknown import check_named, check_top
from orchestrator.redact import AS_BEFORE
from orchestrator.settings import (
    BackoffSettings,
    BudgetSettings,
    JobSettings,
    LedgerSettings,
    NotifySettings,
    OutputSettings,
    PlatformSettings,
    PollingSettings,
    ReuseDays,
    ReuseSettings,
    SandboxSettings,
    Settings,
    StorageSettings,
    StoredListJob,
    VendorSettings,
    WorkersSettings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

T = TypeVar("T")


def load(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """Return the settings of the TOML file at `path`, with `overrides` of the form key=value.

    The paths in it become absolute; nothing but the file itself is read, no key and no list. Raises `UsageError` with
    every problem found, one a line, each with file, line and key (or the override that caused it).
    """
    draft = Draft(path, overrides)
    check_top(draft)
    vendors: dict[str, VendorSettings] = {}
    check_named(draft, "vendors")
    for name in draft.names("vendors"):
        table = defaults.vendor_table(draft, name)
        if vendor := TableReader(draft, ("vendors", name), VendorSettings, table).read():
            vendors[name] = vendor
    platforms: dict[str, PlatformSettings] = {}
    check_named(draft, "platforms")
    for name in draft.names("platforms"):
        table, explained = defaults.platform_table(draft, name)
        if platform := TableReader(draft, ("platforms", name), PlatformSettings, table, explained).read():
            platforms[name] = platform
    job = TableReader(draft, ("job",), JobSettings, defaults.job_table(draft)).read()
    workers = TableReader(draft, ("workers",), WorkersSettings, defaults.workers_table(draft)).read()
    polling, backoff = _plain(draft, "polling", PollingSettings), _plain(draft, "backoff", BackoffSettings)
    budget, output = _plain(draft, "budget", BudgetSettings), _plain(draft, "output", OutputSettings)
    reuse, reuse_days = _reuse(draft)
    notify = TableReader(draft, ("notify",), NotifySettings, defaults.notify_table(draft)).read()
    ledger = TableReader(draft, ("ledger",), LedgerSettings, defaults.ledger_table(draft)).read()
    storage = TableReader(draft, ("storage",), StorageSettings, defaults.storage_table(draft)).read()
    sandbox = TableReader(draft, ("sandbox",), SandboxSettings, defaults.sandbox_table(draft)).read()
    checks.check_vendors(draft, vendors)
    checks.check_platforms(draft, platforms, vendors)
    checks.check_conditions(draft, platforms)
    if job:
        checks.check_sizes(draft, job, platforms)
    if polling:
        checks.check_polling(draft, polling)
    if backoff:
        checks.check_backoff(draft, backoff)
    if reuse:
        checks.check_reuse(draft, reuse, platforms)
    if output:
        checks.check_output(draft, output)
    if notify:
        checks.check_notify(draft, notify)
    if workers:
        checks.check_workers(draft, workers)
    url = defaults.bucket_url(draft)
    checks.check_storage(draft, url, storage)
    draft.finish()
    return Settings(
        source=path.absolute(),
        job=StoredListJob.of(_sure(job), _sure(storage), url),
        vendors=vendors,
        platforms=platforms,
        polling=_sure(polling),
        backoff=_sure(backoff),
        budget=_sure(budget),
        reuse=_sure(reuse),
        reuse_days=_sure(reuse_days),
        output=_sure(output),
        notify=_sure(notify),
        workers=_sure(workers),
        sandbox=_sure(sandbox),
        ledger=_sure(ledger),
        storage=_sure(storage),
        overrides=tuple(map(_repeatable, overrides)),
        url=url,
    )


def _repeatable(override: str) -> str:
    """Return an override as it may be printed: a path to a key and a variable's name are no secrets, these are."""
    place, value = parse_override(override)
    leaves, secret = [(place[-1], value)], False
    while leaves:
        name, value = leaves.pop()
        if isinstance(value, dict):
            leaves += value.items()
        secret |= (name in ("user_id", "url") and value != "") or (name == "proxy" and "@" in str(value))
    secret &= place[0] != "ledger"  # its address is told apart from its password, and the next run needs it
    return f"{override.partition('=')[0].strip()}={AS_BEFORE}" if secret else override


def _reuse(draft: Draft) -> tuple[ReuseSettings | None, ReuseDays | None]:
    """Return `[reuse]`, and for how long each verdict counts: `days` is a number for both, or a table."""
    table = defaults.reuse_table(draft)
    if isinstance(table.get("days"), dict):
        days = TableReader(draft, ("reuse", "days"), ReuseDays, table.pop("days")).read()
        return TableReader(draft, ("reuse",), ReuseSettings, table).read(), days
    reuse = TableReader(draft, ("reuse",), ReuseSettings, table).read()
    return reuse, None if reuse is None else ReuseDays(yes=reuse.days, no=reuse.days)


def _plain(draft: Draft, name: str, cls: type[T]) -> T | None:
    return TableReader(draft, (name,), cls, draft.table(name)).read()


def _sure(settings: T | None) -> T:
    """Narrow the type: a table that could not be read has left a problem, and `Draft.finish` has raised."""
    if settings is None:
        raise AssertionError("a table is missing, but no problem was noted")
    return settings
