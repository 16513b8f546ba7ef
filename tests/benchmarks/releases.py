"""Releases a second, each durable before its caller goes on, in a file and in a database at a distance.

    python -m tests.benchmarks.releases

So many callers at a time ask for a release and wait for it, as submits do; what is asked for meanwhile shares the next
commit. The distance is a proxy's, between the program and a PostgreSQL server of this machine.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.ledger import Database, Ledger, LedgerWriter, ledger_path
from orchestrator.ledger.postgres import PostgreSQL
from orchestrator.records import Chunk, InputFile, ListCounts, Listed, Plan, PlannedPlatform
from orchestrator.tasks import TaskKey
from tests.postgres import Proxy, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_A_TIME = (1, 8, 64)
ROUND_TRIPS_MS = (0, 1, 5, 20)
SECONDS = 4.0
TASKS = 60_000


def _plan() -> Plan:
    chunks = tuple(Chunk(chunk, 10 * (chunk - 1), 10, f"{chunk:064x}") for chunk in range(1, TASKS + 1))
    listed = Listed((InputFile("/a.txt", "a" * 64, 1),), ListCounts(10 * TASKS, 10 * TASKS))
    return Plan("bench", {}, listed, chunks, (PlannedPlatform("instagram", "main", {"path": "/x"}, 1),))


def _release(ledger: Ledger, key: TaskKey) -> None:
    ledger.transitions.release(key, cost_nano=1, max_cost_nano=10**12, at=1.0)


async def _rate(ledger: Ledger, chunks: Iterator[int], callers: int) -> float:
    writer = LedgerWriter(ledger)
    began = time.monotonic()
    released = 0

    async def caller() -> None:
        nonlocal released
        while time.monotonic() - began < SECONDS:
            await writer.do_small(partial(_release, key=TaskKey("instagram", next(chunks))))
            released += 1

    await asyncio.gather(*(caller() for _ in range(callers)))
    rate = released / (time.monotonic() - began)
    await writer.close()
    return rate


def _row(name: str, ledger: Ledger) -> None:
    ledger.change(lambda it: it.plan.replace(_plan()))
    chunks = iter(range(1, TASKS + 1))
    rates = [asyncio.run(_rate(ledger, chunks, callers)) for callers in AT_A_TIME]
    print(f"| {name} | " + " | ".join(f"{rate:,.0f}" for rate in rates) + " |", flush=True)  # noqa: T201 - a table


def main() -> None:
    """Print the table."""
    head = " | ".join(f"{callers} at a time" for callers in AT_A_TIME)
    print(f"| releases a second | {head} |\n|---|" + "---|" * len(AT_A_TIME))  # noqa: T201 - a table
    with tempfile.TemporaryDirectory() as folder, Ledger.create(ledger_path(Path(folder)), "file") as ledger:
        _row("SQLite, a file", ledger)
    server = Server()
    try:
        server.make()
        for round_trip_ms in ROUND_TRIPS_MS:
            proxy = Proxy(server.socket, delay_s=round_trip_ms / 1000)
            url = proxy.url() if round_trip_ms else server.url()
            with Ledger(PostgreSQL.create(Database(url, f"at-{round_trip_ms}"), "job")) as ledger:
                _row(f"PostgreSQL, {round_trip_ms} ms of round trip", ledger)
            proxy.close()
    finally:
        server.remove()


if __name__ == "__main__":
    main()
