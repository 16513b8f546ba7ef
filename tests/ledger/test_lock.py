"""One run a job, between real processes."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import LockedError, StorageError
from orchestrator.ledger import job_lock

Child = Callable[..., "subprocess.Popen[str]"]

HOLD = """
import sys
from pathlib import Path
from orchestrator.errors import LockedError
from orchestrator.ledger import job_lock
try:
    with job_lock(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except LockedError as error:
    print(f"{int(error.exit_code)} {error}", flush=True)
"""


def first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_a_second_process_is_turned_away_at_once(tmp_path: Path, start_child: Child) -> None:
    """It ends with 6 and a message that names the job; once the first is through the job is free."""
    with job_lock(tmp_path / "spring"):
        line = first_line(start_child(HOLD, tmp_path / "spring"))
        assert line.startswith(f"6 {tmp_path / 'spring'}: another run holds this job")
        with job_lock(tmp_path / "summer"):
            pass
    assert first_line(start_child(HOLD, tmp_path / "spring")) == "held"


def test_the_lock_dies_with_its_holder(tmp_path: Path, start_child: Child) -> None:
    """A killed run leaves no lock that a person would have to remove."""
    holder = start_child(HOLD, tmp_path)
    assert first_line(holder) == "held"
    with pytest.raises(LockedError), job_lock(tmp_path):
        pytest.fail("the job is held")
    holder.kill()
    holder.wait()
    with job_lock(tmp_path):
        pass


def test_children_do_not_inherit_the_lock(tmp_path: Path, start_child: Child) -> None:
    """A worker process that outlives its run does not keep the job."""
    with job_lock(tmp_path):
        child = start_child("import sys; print('up', flush=True); sys.stdin.read()")
        assert first_line(child) == "up"
    with job_lock(tmp_path):
        assert child.poll() is None


def test_twice_in_one_process(tmp_path: Path) -> None:
    """The same process can't hold a job twice either."""
    with job_lock(tmp_path), pytest.raises(LockedError), job_lock(tmp_path):
        pytest.fail("the job is held")


def test_an_error_frees_the_job(tmp_path: Path) -> None:
    """Whatever ends the run ends the lock."""
    with pytest.raises(KeyboardInterrupt), job_lock(tmp_path):
        raise KeyboardInterrupt
    with job_lock(tmp_path):
        pass


def test_what_the_lock_leaves_is_private(tmp_path: Path) -> None:
    """File 0600, directory 0700."""
    with job_lock(tmp_path / "spring"):
        pass
    folder = tmp_path / "spring"
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_disk_that_takes_no_lock(tmp_path: Path) -> None:
    """Where no lock can be had nothing runs, and the message is about the disk, not about another run."""
    (tmp_path / ".lock").mkdir()
    with pytest.raises(StorageError, match="Is a directory"), job_lock(tmp_path):
        pytest.fail("there is no lock")
