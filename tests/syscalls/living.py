"""One small job that is hit at one point, and goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.errors import ExitCode
from tests.syscalls.harness import Bench, Small, check_end, check_left, demand, finish
from tests.syscalls.points import KILL, Point, logging_all, points_of

GIVEN = ("config.toml", "numbers.txt")
"""The user's own files: if they can't be read, that is bad input."""

LIMIT_S = 120.0
"""A run that takes longer hangs."""


@dataclass(frozen=True, slots=True)
class Life:
    """What became of a job: whether the fault was met, how that run ended, how those after it did."""

    met: bool
    code: int
    later: tuple[int, ...]


def all_points(bench: Bench) -> tuple[list[Point], int]:
    """Return the points of a clean run, and how many of its calls none of them reaches."""
    job = bench.job()
    log = job.folder.parent / "strace.log"
    end = job.run(*logging_all(log))
    demand(end.returncode == ExitCode.DONE, f"a clean run under strace ended with {end.returncode}: {end.stderr}")
    with log.open(errors="replace") as lines:
        return points_of(lines, job.folder)


def live(bench: Bench, point: Point) -> Life:
    """Run a job into a fault, then to its end; raises `BrokenPromiseError` when a promise does not hold."""
    files = bench.files()
    job = bench.job()
    end, log = _hit(job, point)
    killed = point.fault == KILL and "killed by SIGKILL" in log
    check_end(end, killed=killed, also=ExitCode.USAGE if point.file in GIVEN else None)
    if not killed:
        left = [path.name for path in job.temporary.iterdir()]
        demand(not left, f"left in the folder for temporary files: {left}")
    later = finish(job)
    check_left(job, files)
    shutil.rmtree(job.folder.parent)
    return Life(met=killed or "(INJECTED)" in log, code=end.returncode, later=tuple(later))


def _hit(job: Small, point: Point) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the job with the fault; return how it ended, and what strace said.

    strace kills the process that met the fault. Where that was a worker its parent is killed by us, at once: a worker
    alone that dies is another story. All processes have to end then: the reading below waits for the last one.
    """
    read, write = os.pipe()
    out, err = job.folder.parent / "out.txt", job.folder.parent / "err.txt"
    command = [*point.strace(job.folder, f"/dev/fd/{write}"), sys.executable, "-m", "orchestrator", "run"]
    with out.open("w") as stdout, err.open("w") as stderr, os.fdopen(read, errors="replace") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*command, "-c", str(job.folder / "config.toml")],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=job.environ,
            pass_fds=(write,),
            start_new_session=True,
        )
        os.close(write)
        hangs = threading.Timer(LIMIT_S, os.killpg, (process.pid, signal.SIGTERM))
        hangs.start()
        try:
            lines = [_followed(line, process.pid, point) for line in log]
            code = process.wait()
            demand(hangs.is_alive(), "the run hangs")
        finally:
            hangs.cancel()
    return subprocess.CompletedProcess(command, code, _text(out), _text(err)), "".join(lines)


def _followed(line: str, strace: int, point: Point) -> str:
    if point.fault == KILL and "killed by SIGKILL" in line:
        with suppress(psutil.NoSuchProcess):  # it ended by itself in the meantime
            for program in psutil.Process(strace).children():
                program.kill()
    return line


def _text(path: Path) -> str:
    return path.read_text(errors="replace")
