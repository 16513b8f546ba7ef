"""The ledger's file under real faults: kills, a full disk, a sync that fails."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.records import Plan
from orchestrator.tasks import State
from tests.ledgers import release

Child = Callable[..., "subprocess.Popen[str]"]
MakePlan = Callable[..., Plan]

CREATE = """
import sys
from pathlib import Path
from orchestrator.ledger import Ledger, ledger_path
Ledger.create(ledger_path(Path(sys.argv[1])), "job-1").close()
"""

COMMIT_FOR_EVER = """
import sys
from pathlib import Path
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.tasks import TaskKey
ledger = Ledger.open(ledger_path(Path(sys.argv[1])))
for chunk in range(1, 100_000):
    key = TaskKey("instagram", chunk)
    ledger.change(lambda it: it.transitions.release(key, cost_nano=1, max_cost_nano=None, at=1.0))
    print(chunk, flush=True)
"""

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="faults at a system call need strace")


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


@needs_strace
def test_a_crash_while_creating_leaves_none_or_a_whole_one(tmp_path: Path, start_child: Child) -> None:
    """Killed at any of its syncs and renames, a creation leaves no ledger or one that opens; it can be repeated."""
    whole = 0
    for number in itertools.count(1):
        directory = tmp_path / str(number)
        calls = "fsync,fdatasync,rename,unlink"
        strace = (
            "strace",
            "-f",
            "-qq",
            "-o",
            os.devnull,
            "-e",
            calls,
            "-e",
            f"inject={calls}:signal=KILL:when={number}",
        )
        child = start_child(CREATE, directory, under=strace)
        child.communicate(timeout=60)
        path = ledger_path(directory)
        if path.exists():
            whole += 1
            with Ledger.open(path) as ledger:
                assert ledger.runs.job_id == "job-1"
        else:
            Ledger.create(path, "job-2").close()
        if child.returncode == 0:
            break
    assert number > 5  # or the faults hit nothing
    assert whole > 1


def test_a_full_disk_changes_nothing(small_disk: Path, make_plan: MakePlan) -> None:
    """Commits fail once the disk is full, each as a `StorageError`; all that succeeded before are in the ledger."""
    path = ledger_path(small_disk)
    done = 0
    with Ledger.create(path, "job-1") as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(1_000, ("instagram",))))
        with pytest.raises(StorageError, match="full"):  # noqa: PT012 - how many fit is found out here
            for chunk in range(1, 1_001):
                ledger.change(release(chunk))
                done = chunk
        with pytest.raises(StorageError, match="full"):
            ledger.change(release(done + 1))
        assert len(ledger.tasks.select(State.RELEASED)) == done > 0
    with Ledger.open_to_read(path) as reader:
        assert [task.key.chunk for task in reader.tasks.select(State.RELEASED)] == list(range(1, done + 1))
        assert reader.connection.value("PRAGMA integrity_check") == "ok"


def test_a_kill_loses_no_acknowledged_change(tmp_path: Path, make_plan: MakePlan, start_child: Child) -> None:
    """Killed with no warning amid commits: all that were reported are there, at most the next one besides."""
    path = ledger_path(tmp_path)
    with Ledger.create(path, "job-1") as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(5_000, ("instagram",))))
    child = start_child(COMMIT_FOR_EVER, tmp_path)
    assert child.stdout is not None
    acknowledged = [int(child.stdout.readline()) for _ in range(300)]
    child.kill()
    acknowledged += [int(line) for line in child.stdout.read().split()]
    with Ledger.open(path) as ledger:
        found = [task.key.chunk for task in ledger.tasks.select(State.RELEASED)]
        assert found[: len(acknowledged)] == acknowledged
        assert len(found) <= len(acknowledged) + 1
        assert ledger.platforms.spent_nano() == len(found) == len(list(ledger.tasks.events()))
        assert ledger.connection.value("PRAGMA integrity_check") == "ok"
    assert names(path.parent) == ["ledger.sqlite"]


@needs_strace
def test_a_sync_that_fails_is_an_error(tmp_path: Path, make_plan: MakePlan, start_child: Child) -> None:
    """A commit whose sync fails is a `StorageError`, and not acknowledged; all earlier ones are in the ledger.

    The failed one may be there or not after the next opening: its bytes were written, and nobody knows how far.
    """
    path = ledger_path(tmp_path)
    with Ledger.create(path, "job-1") as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan(100, ("instagram",))))
    strace = ("strace", "-f", "-qq", "-o", os.devnull, "-e", "fdatasync", "-e", "inject=fdatasync:error=EIO:when=30")
    output, errors = start_child(COMMIT_FOR_EVER, tmp_path, under=strace).communicate(timeout=60)
    acknowledged = [int(line) for line in output.split()]
    assert "StorageError" in errors
    assert "disk I/O error; repair the disk" in errors
    with Ledger.open(path) as ledger:
        found = [task.key.chunk for task in ledger.tasks.select(State.RELEASED)]
        assert found[: len(acknowledged)] == acknowledged
        assert 0 < len(acknowledged) <= len(found) <= len(acknowledged) + 1
        assert ledger.connection.value("PRAGMA integrity_check") == "ok"
