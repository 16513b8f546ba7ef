from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from orchestrator.ledger import Ledger, ledger_path
from orchestrator.results import read_verdicts, verdict_path
from orchestrator.sandbox import Sandbox, read_requests, verdict
from orchestrator.tasks import State
from tests.dispatch.harness import AMAZON, INSTAGRAM, Bench, Script, clock, numbers_of, serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.looptime


async def test_two_platforms_to_the_end(bench: Bench, tmp_path: Path) -> None:
    """Every chunk is charged once a platform, and every verdict is the vendor's."""
    bench.platforms["amazon"] = AMAZON
    bench.plan(5, rows=120)
    async with Sandbox(tmp_path / "vendor", pace=10.0, clock=clock) as vendor:
        await bench.run(vendor.base_url)
        charged = [(task.platform, task.file_name) for task in vendor.tasks]

    assert len(charged) == len(set(charged)) == 10
    for platform in ("instagram", "amazon"):
        assert bench.states(platform) == [State.DONE] * 5
        for chunk in range(1, 6):
            found = read_verdicts(verdict_path(bench.directory, platform, chunk))
            words = [found.words[code] for code in found.codes]
            assert words == [verdict(0, platform, number).lower() for number in numbers_of(chunk, 120)]


async def test_first_submit_is_awaited_alone(bench: Bench) -> None:
    """Until one submit was accepted there is never a second one on its way."""
    at_once = []

    async def on_submit(_chunk: int, nth: int) -> None:
        await asyncio.sleep(5)
        at_once.append((nth, vendor._at_once))

    bench.plan(6)
    async with serving(Script(on_submit=on_submit)) as vendor:
        await bench.run(vendor.base_url)

    assert at_once[0] == (1, 1)
    assert vendor.most_at_once == 5
