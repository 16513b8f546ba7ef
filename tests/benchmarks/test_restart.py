"""The job of a million tasks is a real one, and its measurement measures what it says."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from orchestrator.jobdir.verdict_files import verdict_bytes
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.tasks import TaskKey
from tests.benchmarks import million, restart

TASKS, UNFINISHED = 40, 16


def contents(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    """Give all rows of all tables but for the numbering of events, which depends on who comes first."""
    tables = [name for (name,) in ledger.connection.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {name: list(ledger.connection.rows(f"SELECT * FROM {name}")) for name in tables}  # noqa: S608 - names of our own
    return {name: sorted(row[name == "events" :] for row in table) for name, table in rows.items()}


def one_by_one(ledger: Ledger, done: int, accepted: int, verdicts: str) -> None:
    """Take tasks through their lives as a run does."""
    for platform in million.PLATFORMS:
        for chunk in range(1, accepted + 1):
            key = TaskKey(platform, chunk)
            ledger.transitions.release(key, cost_nano=million.COST_NANO, max_cost_nano=None, at=million.AT)
            ledger.transitions.accept(key, f"{platform}-{chunk}", total=1, at=million.AT)
            if chunk <= done:
                ledger.transitions.note_status(key, status="exported", total=1, success=1, at=million.AT)
                detail = {"result": million.HASH, "verdicts": verdicts}
                ledger.transitions.finish(key, {"yes": 1}, at=million.AT, detail=detail)
    ledger.runs.end(1, at=million.AT, exit_code=75, reason="stopped by SIGTERM")


def test_the_ledger_made_in_bulk(tmp_path: Path) -> None:
    """Its rows are those that the transitions one by one leave."""
    million.build(tmp_path, "http://127.0.0.1:9", TASKS, UNFINISHED)
    chunks = TASKS // 2
    with Ledger.open(ledger_path(tmp_path / "out")) as bulk, Ledger.create(tmp_path / "one" / "one", "million") as one:
        settings = million.write_config(tmp_path, "http://127.0.0.1:9", chunks)
        hashes = [chunk.sha256 for chunk in bulk.plan.chunks()]
        one.change(partial(million.plan, settings=settings, hashes=hashes))
        verdicts = hashlib.sha256(verdict_bytes(million.verdicts_of(hashes[0]))).hexdigest()
        one.change(lambda it: one_by_one(it, chunks - UNFINISHED // 2, chunks - UNFINISHED // 4, verdicts))
        one.connection.run("UPDATE job SET position = ?", (bulk.runs.token.position,))  # it counts commits
        assert contents(bulk) == contents(one)


def test_a_small_restart() -> None:
    """Status answers, run reaches the vendor for a task, and a run without work sends nothing and changes nothing."""
    status, first = restart.going_on(400, 200)
    assert min(status.clock_s, first.clock_s) > 0  # which takes longer, a busy machine decides
    assert min(status.peak_bytes, restart.without_work(400).peak_bytes) > 10_000_000
