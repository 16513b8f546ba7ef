"""Real signals to real processes, from the first moment on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import orchestrator
from orchestrator.errors import ExitCode
from tests.e2e.test_machines import CONFIG

Start = Callable[..., "subprocess.Popen[str]"]

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a command on a job, and wait until it takes signals, which is the first thing that it does."""
    (tmp_path / "numbers.txt").write_text("+41798284651\n")
    (tmp_path / "config.toml").write_text(CONFIG)
    started: list[subprocess.Popen[str]] = []

    def start(command: str, *, under: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        program = [sys.executable, "-m", "orchestrator", command, "-c", str(tmp_path / "config.toml")]
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*under, *program],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(orchestrator.__file__).parents[1])},
        )
        started.append(process)
        while not takes(process.pid, TERM):
            assert process.poll() is None
            time.sleep(0.001)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def takes(pid: int, kind: signal.Signals) -> bool:
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (kind - 1) & 1)


@pytest.mark.parametrize("kind", [INT, TERM, HUP])
def test_from_the_first_moment_on(start: Start, kind: signal.Signals) -> None:
    """Whenever the first one comes, `run` ends in good order, or is done before; the next run comes to the end."""
    for after_ms in (0, 100, 300, 700):
        process = start("run")
        time.sleep(after_ms / 1000)
        process.send_signal(kind)
        said, _ = process.communicate(timeout=60)
        assert process.returncode in (ExitCode.AGAIN, ExitCode.DONE), (after_ms, said)
        assert after_ms or f"stopped by {kind.name}" in said
        assert "Traceback" not in said
    process = start("run")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.DONE, said


def test_a_second_one_stops_at_once(start: Start) -> None:
    """Also before anything has begun."""
    process = start("run")
    process.send_signal(TERM)
    while takes_soon(process):  # it was delivered: two of a kind at once would be one
        pass
    process.send_signal(TERM)
    assert process.wait(timeout=60) in (128 + TERM, ExitCode.AGAIN)


def takes_soon(process: subprocess.Popen[str]) -> bool:
    pending = next(
        line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("ShdPnd")
    )
    return process.poll() is None and bool(int(pending.split()[1], 16) >> (TERM - 1) & 1)


def test_no_hangup_under_nohup(start: Start) -> None:
    """What ignores SIGHUP on entry is not stopped by it."""
    process = start("run", under=("nohup",))
    assert not takes(process.pid, HUP)
    process.send_signal(HUP)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.DONE, said


@pytest.mark.parametrize("kind", [INT, TERM, HUP])
def test_other_commands_are_interrupted(start: Start, kind: signal.Signals) -> None:
    """They end with 128 + the signal's number and a word, from the first moment on."""
    process = start("plan")
    process.send_signal(kind)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + kind, f"orchestrator: interrupted by {kind.name}\n")
