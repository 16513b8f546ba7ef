"""Measure dispatch: many small tasks against the embedded vendor in another process, beside the same calls bare.

    python -m tests.benchmarks.dispatch 10_000

Both sides send the same chunk files of 100 numbers, fetch results as csv, without any limit of pace and without a
pause between looks. The bare side is what a user would write with aiohttp: a fresh connection a submit, each result
stored and synced, no ledger, no checks. Ours is the whole program: start-up, list, ledger, checks and master included;
the time of dispatch alone is read from its log.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 100
FIRST = 41_760_000_000
IN_FLIGHT = 64
VENDOR = """
import asyncio, math, sys
from pathlib import Path
from orchestrator.sandbox import Options, ResultFormat, Sandbox
async def main():
    options = Options(result_format=ResultFormat.CSV)
    async with Sandbox(Path(sys.argv[1]), pace=math.inf, options=options) as vendor:
        print(vendor.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""
CONFIG = """
[job]
inputs = ["numbers.txt"]
directory = "out"
chunk_size = {rows}
trial_rows = 0
[vendors.main]
base_url = "{base_url}"
requests_per_second = inf
[platforms.instagram]
requests_per_second = inf
max_in_flight = {in_flight}
canary = false
[polling]
min_interval_s = 0.0
[budget]
max_cost = inf
[output]
formats = ["csv"]
"""


@contextmanager
def vendor(folder: Path) -> Iterator[str]:
    """Run the embedded vendor as a process of its own."""
    command = [sys.executable, "-c", VENDOR, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


async def bare(base_url: str, folder: Path, tasks: int) -> None:
    """Make the same calls without us."""
    await asyncio.to_thread(folder.mkdir)
    slots = asyncio.Semaphore(IN_FLIGHT)
    headers = {"X-API-Key": "bench"}
    url = f"{base_url}/ins/api/simple/tasks"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(task: int) -> None:
            async with slots:
                numbers = range(FIRST + task * ROWS, FIRST + (task + 1) * ROWS)
                form = aiohttp.FormData()
                form.add_field("file", "".join(f"+{n}\n" for n in numbers).encode(), filename=f"{task}.txt")
                async with (
                    aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as fresh,
                    fresh.post(url, data=form, headers=headers) as answer,
                ):
                    made = await answer.json()
                report = made
                while report["status"] != "exported":
                    async with session.get(f"{url}/{made['task_id']}", headers=headers) as answer:
                        report = await answer.json()
                link = URL(report["result_url"], encoded=True)  # or its signature is altered
                async with session.get(link, raise_for_status=True) as answer:
                    store(folder / f"{task}.csv", await answer.read())

        async with asyncio.TaskGroup() as group:
            for task in range(tasks):
                group.create_task(one(task))


def store(path: Path, content: bytes) -> None:
    """Write a file and sync it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def ours(base_url: str, folder: Path, tasks: int) -> float:
    """Run the program; return the seconds of dispatch alone, by its log."""
    (folder / "config.toml").write_text(CONFIG.format(rows=ROWS, base_url=base_url, in_flight=IN_FLIGHT))
    with (folder / "numbers.txt").open("w") as file:
        file.writelines(f"+{n}\n" for n in range(FIRST, FIRST + tasks * ROWS))
    command = [sys.executable, "-m", "orchestrator", "run", "-c", str(folder / "config.toml")]
    environ = os.environ | {"EKYCPRO_API_KEY": "bench"}
    subprocess.run(command, check=True, capture_output=True, env=environ)  # noqa: S603 - our own program
    events = [json.loads(line) for line in (folder / "out" / "run.jsonl").read_text().splitlines()]
    at = {event["event"]: datetime.fromisoformat(event["timestamp"]).timestamp() for event in events}
    return at["writing_master"] - at["planned"]


def main(tasks: int) -> None:
    """Measure both sides and print a line each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with vendor(folder / "vendor1") as base_url:
            began = time.perf_counter()
            asyncio.run(bare(base_url, folder / "bare", tasks))
            bare_s = time.perf_counter() - began
        with vendor(folder / "vendor2") as base_url:
            began = time.perf_counter()
            dispatch_s = ours(base_url, folder, tasks)
            whole_s = time.perf_counter() - began
    for side, took_s in (("bare aiohttp", bare_s), ("dispatch alone", dispatch_s), ("the whole program", whole_s)):
        print(f"{side:<18} {took_s:7.1f} s {tasks / took_s:7.0f} tasks/s {bare_s / took_s:6.2f} x")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
