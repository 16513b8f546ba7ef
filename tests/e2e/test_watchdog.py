"""The event loop is never held for long: what takes time is done in threads and processes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.harness import Job, StartVendor, WriteList, configure

LIMIT_MS = 50.0


def watched(job: Job) -> list[dict[str, Any]]:
    """Run the job under the watchdog; return the callbacks that held its loop longest."""
    report = job.folder / "report.json"
    command = [sys.executable, "-m", "tests.e2e.watchdog", str(report), "run", "-c", str(job.folder / "config.toml")]
    end = subprocess.run(command, capture_output=True, text=True, env=job.environ, check=False)  # noqa: S603
    assert end.returncode == 0, end.stderr[-3000:]
    found = json.loads(report.read_text())
    assert found["objects_left_alone"] > 10_000, "a full collection of garbage looks at all that was imported"
    callbacks: list[dict[str, Any]] = found.pop("callbacks")
    print(found, *callbacks[:15], sep="\n")  # noqa: T201 - shown by pytest -s, and when the test fails
    return callbacks


HOG = """
import asyncio, sys, time
from tests.e2e.watchdog import Watchdog
async def hog():
    await asyncio.sleep(0)
    until = time.thread_time() + 0.1
    while time.thread_time() < until:
        pass
watchdog = Watchdog()
watchdog.watch()
asyncio.run(hog())
print(watchdog.report())
"""


def test_the_watchdog_barks() -> None:
    """A coroutine that holds the loop for 100 ms is the first of the report, by its name and its place."""
    said = subprocess.run([sys.executable, "-c", HOG], capture_output=True, text=True, check=True).stdout  # noqa: S603
    worst = json.loads(said)["callbacks"][0]
    assert worst["ms"] >= 100.0
    assert worst["callback"].endswith("hog")
    assert "hog" in worst["seen_at"][0]


@pytest.mark.parametrize(
    ("numbers", "old", "new"),
    [
        pytest.param(60_000, '["csv"]', '["xlsx", "csv"]', id="a large messy list"),
        pytest.param(20_000, "chunk_size = 5_000", "chunk_size = 100", id="hundreds of tasks"),
    ],
)
def test_the_loop_is_never_held(
    numbers: int, old: str, new: str, job: Job, write_list: WriteList, start_vendor: StartVendor
) -> None:
    """No callback holds it for more than 50 ms of processor time, be it in a whole job or in one that is done already.

    That is start, list, dispatch as fast as it goes, checks, sheets, end.
    """
    write_list(numbers)
    vendor = start_vendor("--pace", "1000000")
    configure(job, vendor=f'base_url = "{vendor.base_url}"\nrequests_per_second = inf')
    config = job.folder / "config.toml"
    config.write_text(config.read_text().replace(old, new))

    assert [one for one in watched(job) if one["ms"] > LIMIT_MS] == []
    assert [one for one in watched(job) if one["ms"] > LIMIT_MS] == []
