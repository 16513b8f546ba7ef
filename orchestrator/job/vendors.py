"""The vendors of one job, ready to be called: keys read, sessions open, the embedded one started."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.config import read_key
from orchestrator.errors import LockedError, StorageError
from orchestrator.jobdir.layout import sandbox_folder
from orchestrator.report import streams
from orchestrator.sandbox import Sandbox
from orchestrator.vendor_api.client import VendorClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from orchestrator.job.world import World
    from orchestrator.ledger import Ledger
    from orchestrator.settings import Settings


def read_keys(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the key of every vendor that a platform uses; `UsageError` when one is missing."""
    used = {platform.vendor for platform in settings.platforms.values()}
    keys = {name: read_key(settings.vendors[name], environ) for name in settings.vendors if name in used}
    streams.hide(*keys.values())
    return keys


def is_made_up(ledger: Ledger, settings: Settings) -> bool:
    """Return whether verdicts come from the embedded vendor; before anything is planned, whether they would."""
    planned = ledger.platforms.fixed().keys() & settings.platforms.keys()
    return not ledger.platforms.made_up().isdisjoint(planned) if planned else settings.is_sandbox


@asynccontextmanager
async def vendor_clients(
    settings: Settings, keys: Mapping[str, str], world: World
) -> AsyncIterator[dict[str, VendorClient]]:
    """Yield a client per vendor in `keys`; the embedded vendor runs on this event loop until the end of the block."""
    sandbox = None
    if settings.is_sandbox:
        sandbox = Sandbox(
            sandbox_folder(settings.job.directory),
            seed=settings.sandbox.seed,
            faults=settings.sandbox.faults,
            pace=settings.sandbox.pace,
            clock=world.clock,
        )
        try:
            await sandbox.start()
        except BlockingIOError as error:
            raise LockedError(
                f"{settings.job.directory / 'sandbox'}: another embedded vendor uses it; end that one"
            ) from error
        except OSError as error:
            raise StorageError(f"the embedded vendor can't start: {error.strerror or error}") from error
    clients = {}
    try:
        for name, key in keys.items():
            vendor = settings.vendors[name]
            base_url = vendor.base_url
            if sandbox and vendor.is_sandbox:
                base_url, vendor = sandbox.base_url, replace(vendor, proxy="")  # its calls stay on this machine
            clients[name] = await VendorClient(vendor, base_url, key, version=__version__).__aenter__()
        yield clients
    finally:
        for client in clients.values():
            await client.__aexit__(None, None, None)
        if sandbox:
            await sandbox.stop()
