"""What a purge leaves: neither numbers nor what they could be found from."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from orchestrator.cli import main
from orchestrator.errors import StorageError
from orchestrator.job.merge import merge_job
from orchestrator.job.purge import purge_job
from orchestrator.job.status import job_status
from orchestrator.jobdir.aside import folder_aside
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.ledger.sqlite import SQLite
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.job.conftest import Case


def bytes_left(directory: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def hashes(case: Case) -> set[bytes]:
    """Return the hashes of every file that there is, and of every number as text and as a file of its own."""
    contents = [path.read_bytes() for path in case.folder.rglob("*") if path.is_file()]
    numbers = (case.folder / "numbers.txt").read_bytes().split()
    kinds = (hashlib.sha256, hashlib.sha1, hashlib.md5)
    texts = (text for number in numbers for text in (number, number[1:], number + b"\n"))
    every: Iterable[bytes] = (*contents, *texts)
    return {kind(content).hexdigest().encode() for content in every for kind in kinds}


async def run_alone(case: Case) -> None:
    """Run a job of chunks of one number, and have every kind of record name their hashes."""
    case.numbers(5)
    case.overrides = ["job.chunk_size=1", "output.formats=['csv', 'xlsx']"]
    assert await case.run() == 0
    chunks = sorted((case.directory / "chunks").glob("*.txt"))
    said = f"bad file bench-instagram-000001-{hashlib.sha256(chunks[0].read_bytes()).hexdigest()[:8]}.txt"
    with closing(sqlite3.connect(ledger_path(case.directory), isolation_level=None)) as ledger:
        ledger.execute("UPDATE tasks SET reason = ?", (said,))
        ledger.executemany(
            "INSERT INTO quarantine VALUES ('instagram', 1, ?, ?, '')",
            [(hashlib.sha256(chunk.read_bytes()).hexdigest(), str(chunk)) for chunk in chunks],
        )
        detail = f'{{"result": "{hashlib.sha256(chunks[0].read_bytes()).hexdigest()}"}}'
        ledger.execute("INSERT INTO events VALUES (999, 0, 1, 'instagram', 1, 'finish', 'a', 'b', NULL, ?)", (detail,))
    with (case.directory / "run.jsonl").open("a") as log:
        log.write(f'{{"event": "refused", "reason": "{said}"}}\n')


async def test_no_hash_is_left(case: Case) -> None:
    """Of a chunk of one number the number is found from its hash: no hash is left, and no part of one."""
    await run_alone(case)
    before = hashes(case)
    found = bytes_left(case.directory)
    assert sum(hash_ in found for hash_ in before) >= 15  # the test would see them
    await purge_job(case.settings(), case.world(), yes=True)
    left = bytes_left(case.directory)
    assert not [hash_ for hash_ in before if hash_ in left or b"-" + hash_[:8] in left]
    assert {path.name for path in case.directory.rglob("*") if path.is_file()} == {
        ".lock", "ledger.sqlite", "summary.json", "report.html", "run.jsonl",
    }  # fmt: skip
    assert (await purge_job(case.settings(), case.world(), yes=True)).files == 0


async def test_what_is_no_hash_is_left(case: Case) -> None:
    """Counts, cost, task ids and the log stay: they are what the vendor's bill is compared with."""
    await run_alone(case)
    with Ledger.open_to_read(ledger_path(case.directory)) as ledger:
        tasks, standing, events = (
            ledger.tasks.select(*_states()),
            ledger.platforms.standing(),
            [*ledger.tasks.events()],
        )
    lines = (case.directory / "run.jsonl").read_text().splitlines()
    await purge_job(case.settings(), case.world(), yes=True)
    with Ledger.open_to_read(ledger_path(case.directory)) as ledger:
        assert ledger.platforms.standing() == standing
        kept = ledger.tasks.select(*_states())
        assert [task.task_id for task in kept] == [task.task_id for task in tasks]
        assert kept[0].reason == "bad file bench-instagram-000001---------.txt"
        assert [event[:-1] for event in ledger.tasks.events()] == [event[:-1] for event in events]
    assert (case.directory / "run.jsonl").read_text().splitlines()[:-1] == lines[:-1]


async def test_a_closed_job_says_so(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """`status` works after a purge, for people and for programs, and so does summary.json."""
    await run_alone(case)
    await purge_job(case.settings(), case.world(), yes=True)
    assert job_status(case.settings()).closed
    config = str(case.folder / "config.toml")
    assert await asyncio.to_thread(main, ["status", "-c", config]) == 1  # the vendor said something
    assert "bench: purged after run 1; it is closed" in capsys.readouterr().out
    assert await asyncio.to_thread(main, ["status", "--json", "-c", config]) == 1
    assert '"state": "purged"' in capsys.readouterr().out
    summary = (case.directory / "summary.json").read_text()
    assert '"state": "purged"' in summary
    assert '"master": []' in summary


async def test_an_event_stays_until_the_job_is_closed(case: Case) -> None:
    """Only a closed job may forget: in an open one the details of events can't be changed."""
    await run_alone(case)
    with Ledger.open(ledger_path(case.directory)) as ledger:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            ledger.change(lambda changed: changed.forget_hashes())
        assert all("-" * 64 not in detail for *_, detail in ledger.tasks.events())


async def test_a_reader_holds_up_the_end_of_a_purge(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody reads, old pages stay in the log: that is said, and the purge can be repeated."""
    await run_alone(case)
    before = hashes(case)
    compact = SQLite.compact

    def beside_a_reader(ledger: SQLite) -> None:
        ledger._sql.execute("PRAGMA busy_timeout = 1")
        with closing(sqlite3.connect(ledger.path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM job").fetchall()
            compact(ledger)

    monkeypatch.setattr(SQLite, "compact", beside_a_reader)
    with pytest.raises(StorageError, match="another program is reading the ledger; end it, then purge again"):
        await purge_job(case.settings(), case.world(), yes=True)
    monkeypatch.undo()
    assert not (case.directory / "chunks").exists()
    await purge_job(case.settings(), case.world(), yes=True)
    left = bytes_left(case.directory)
    assert not [hash_ for hash_ in before if hash_ in left]


async def test_what_a_killed_verify_left_is_swept(case: Case) -> None:
    """By the next command that writes, and by a purge; what a living one uses stays."""
    assert await case.run() == 0
    left = case.directory / ".verify-ab_d0123"
    (left / "files").mkdir(parents=True)
    (left / ".numbercheck-in-use").touch()
    (left / "files" / "master.csv").write_text("+41790000000\n")
    with folder_aside(case.directory) as living:
        await merge_job(case.settings(), case.world())
        assert not left.exists()
        assert living.is_dir()
    left.mkdir()
    await purge_job(case.settings(), case.world(), yes=True)
    assert not left.exists()


def _states() -> list[State]:
    return list(State)
