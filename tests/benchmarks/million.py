"""A job of a million tasks on disk, made in seconds: what `restart` measures.

Two platforms, half as many chunks as tasks, of one number each. The rows of the ledger are those that its transitions
leave (a test compares the two), written in a few statements, since a million tasks one by one take minutes. Thousands
of names of chunk and verdict files lead to one file.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from orchestrator.config import load
from orchestrator.intake import fingerprint
from orchestrator.job import ledger_plan
from orchestrator.job.lost_files import keeping
from orchestrator.job.platform_names import planned_platform
from orchestrator.jobdir.layout import chunk_path, verdict_path
from orchestrator.jobdir.verdict_files import Verdicts, verdict_bytes
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.records import Chunk, ListCounts, Listed, Plan
from tests.ledgers import sqlite_of
from tests.results.written import write_verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.settings import Settings

PLATFORMS = ("instagram", "amazon")
FIRST = 41_760_000_000
LINKS = 30_000
"""So many names of one file; file systems have limits, of which ext4's 65,000 is a low one."""
AT = 1_700_000_000.0
COST_NANO = 100_000
HASH = hashlib.sha256(b"").hexdigest()
CONFIG = """
[job]
name = "million"
inputs = ["numbers.txt"]
directory = "out"
chunk_size = 1
[vendors.main]
base_url = "{base_url}"
requests_per_second = inf
[platforms.instagram]
requests_per_second = inf
max_in_flight = 100_000
[platforms.amazon]
requests_per_second = inf
max_in_flight = 100_000
min_rows = 1
price_per_10000 = 1.0
[budget]
max_cost = inf
[output]
formats = ["csv"]
"""


def build(folder: Path, base_url: str, tasks: int, unfinished: int) -> None:
    """Make the job; of its last tasks, `unfinished`, half are at the vendor and half are planned."""
    chunks = tasks // len(PLATFORMS)
    done = chunks - unfinished // len(PLATFORMS)
    settings = write_config(folder, base_url, chunks)
    hashes = write_chunks(folder / "out", chunks)
    with Ledger.create(ledger_path(folder / "out"), "million") as ledger:
        ledger.change(partial(plan, settings=settings, hashes=hashes))
        ledger.change(lambda it: accept(it, 0, chunks - (chunks - done) // 2))
        ledger.change(lambda it: finish(it, hashes[:done]))
        ledger.change(lambda it: it.runs.end(1, at=AT, exit_code=75, reason="stopped by SIGTERM"))
    link_verdicts(folder / "out", hashes[:done])


def write_config(folder: Path, base_url: str, chunks: int) -> Settings:
    """Write list and configuration."""
    with (folder / "numbers.txt").open("w") as file:
        file.writelines(f"+{n}\n" for n in range(FIRST, FIRST + chunks))
    (folder / "config.toml").write_text(CONFIG.format(base_url=base_url))
    return load(folder / "config.toml", [])


def write_chunks(directory: Path, count: int) -> list[str]:
    """Write `count` chunk files of one number; return their hashes."""
    chunk_path(directory, 1).parent.mkdir(parents=True)
    hashes: list[str] = []
    for chunk in range(1, count + 1):
        if chunk % LINKS == 1:
            original = chunk_path(directory, chunk)
            original.write_text(f"+{FIRST + chunk}\n")
            sha256 = hashlib.sha256(original.read_bytes()).hexdigest()
        else:
            os.link(original, chunk_path(directory, chunk))
        hashes.append(sha256)
    return hashes


def verdicts_of(chunk_sha256: str) -> Verdicts:
    """Give the verdicts of a chunk of one number: `yes`."""
    return Verdicts(("unanswered", "yes"), b"\1", "task", chunk_sha256)


def link_verdicts(directory: Path, hashes: Sequence[str]) -> None:
    """Write verdict files, `yes`, for the first chunks, whose hashes these are."""
    for platform in PLATFORMS:
        originals: dict[str, Path] = {}
        for chunk, sha256 in enumerate(hashes, start=1):
            path = verdict_path(directory, platform, chunk)
            if original := originals.get(sha256):
                os.link(original, path)
            else:
                write_verdicts(path, verdicts_of(sha256))
                originals[sha256] = path


def plan(ledger: Ledger, settings: Settings, hashes: Sequence[str]) -> None:
    """Plan as the program does, and begin a run."""
    planned = Plan(
        name=settings.job.name,
        reading=ledger_plan._reading(settings) | keeping(settings),
        listed=Listed(fingerprint(settings.job), ListCounts(len(hashes), len(hashes))),
        chunks=tuple(Chunk(row + 1, row, 1, sha256) for row, sha256 in enumerate(hashes)),
        platforms=tuple(planned_platform(settings, name) for name in PLATFORMS),
    )
    ledger.plan.replace(planned)
    ledger.begin_run(at=AT, host="host", pid=1)


def accept(ledger: Ledger, above: int, upto: int) -> None:
    """Release the planned tasks of some chunks, and give them a vendor's ids."""
    columns = f"cost_nano = {COST_NANO}, quoted_nano = {COST_NANO}, released_at = {AT}"
    _move(ledger, "release", above, upto, columns, {"cost_nano": COST_NANO})
    _move(
        ledger,
        "accept",
        above,
        upto,
        f"task_id = platform || '-' || chunk, submitted_at = {AT}, progress_at = {AT}, total = 1",
    )
    for platform in PLATFORMS:
        ledger.platforms.charge(platform, submits=upto - above, cost_nano=COST_NANO * (upto - above))
    ledger.runs.begin_job(at=AT)


def finish(ledger: Ledger, hashes: Sequence[str]) -> None:
    """Look at the tasks of the first chunks, whose hashes these are, once, and take their verdicts: `yes`."""
    above, upto = 0, len(hashes)
    for sha256, chunks in groupby(hashes):
        verdicts = hashlib.sha256(verdict_bytes(verdicts_of(sha256))).hexdigest()
        evidence = json.dumps({"result": HASH, "verdicts": verdicts, "counts": {"yes": 1}, "finding": ""})
        columns = f"vendor_status = 'exported', success = 1, evidence = '{evidence}'"
        last = above + len(list(chunks))
        _move(ledger, "finish", above, last, columns)
        above = last
    for platform in PLATFORMS:
        ledger.platforms.charge(platform, status_calls=upto)
        sqlite_of(ledger)._sql.execute(
            "INSERT INTO verdicts VALUES (?, 'yes', ?) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows",
            (platform, upto),
        )


_COURSE = {"release": ("planned", "released"), "accept": ("released", "submitted"), "finish": ("submitted", "done")}


def _move(
    ledger: Ledger, event: str, above: int, upto: int, columns: str, detail: Mapping[str, object] | None = None
) -> None:
    origin, target = _COURSE[event]
    which = f"chunk > {above} AND chunk <= {upto} AND state = ?"
    update = f"UPDATE tasks SET state = ?, {columns} WHERE {which}"  # noqa: S608 - of our own constants
    sqlite_of(ledger)._sql.execute(update, (target, origin))
    sqlite_of(ledger)._sql.execute(
        "INSERT INTO events (at, serial, platform, chunk, event, origin, target, task_id, detail) "  # noqa: S608
        f"SELECT ?, job.serial, platform, chunk, ?, ?, ?, task_id, ? FROM tasks, job WHERE {which}",
        (AT, event, origin, target, json.dumps(detail or {}), target),
    )
