"""What the tests of dispatch share: a job in a directory of its own, and a platform without a vendor."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.dispatch.backoff import Health
from orchestrator.dispatch.caution import Caution
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.platform_run import PlatformRun, VendorRun
from orchestrator.records import LastingCaution
from orchestrator.settings import BackoffSettings
from orchestrator.vendor_api.client import VendorClient
from tests.dispatch.harness import INSTAGRAM, VENDOR, Bench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give a job for instagram that is not planned yet."""
    return Bench(tmp_path)


@pytest.fixture
def make_platform() -> Callable[..., PlatformRun]:
    """Make platforms whose client is never called; `changes` are of the platform's settings."""

    def make(name: str = "instagram", **changes: Any) -> PlatformRun:
        now = asyncio.get_running_loop().time()
        client = VendorClient(VENDOR, "http://127.0.0.1:9", "key", version="0")
        vendor = VendorRun("main", client, Pace(float("inf"), now=now), Health(BackoffSettings()))
        vendor.has_answered = True
        settings = replace(INSTAGRAM, **changes)
        return PlatformRun(
            name, settings, vendor, Pace(settings.requests_per_second, now=now), Caution(LastingCaution(), canary=False)
        )

    return make
