"""Measure how a job with a million tasks goes on: `status`, the way of `run` to its first task, a run without work.

    python -m tests.benchmarks.restart 1_000_000

`run` opens such a job, hashes its list, looks for its chunk files, compares plan and settings, and takes over what is
at the vendor; the vendor here is a socket that notes when it is first asked about a task. `run` on a smaller job that
is finished sends nothing, reads every verdict again and writes the same master.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Taken, looked_at, megabytes, watched

if TYPE_CHECKING:
    from collections.abc import Iterator

UNFINISHED = 8_000
FINISHED = 20_000
"""A run without work reads all verdicts, some 2,000 files a second: it grows with the tasks, and takes minutes for a
million."""
PATIENCE_S = 300.0


@dataclass(slots=True)
class Vendor:
    """Where the vendor listens, and when it was first asked about a task, by `perf_counter`."""

    base_url: str
    asked: threading.Event = field(default_factory=threading.Event)
    asked_at: float = 0.0

    def note(self, path: str) -> None:
        """Note a request; the one for the balance is none about a task."""
        if "tasks" in path and not self.asked.is_set():
            self.asked_at = time.perf_counter()
            self.asked.set()


class _Server(ThreadingHTTPServer):
    vendor: Vendor
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.vendor.note(self.path)
        self.send_error(503)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextmanager
def listening() -> Iterator[Vendor]:
    """Listen for the first request; every one is answered with 503."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.vendor = Vendor(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.vendor
        finally:
            server.shutdown()
            thread.join()


def command(name: str, folder: Path) -> list[str]:
    """Return what a user would type."""
    return [sys.executable, "-m", "orchestrator", name, "-c", str(folder / "config.toml")]


def environ() -> dict[str, str]:
    """Return the environment with a key for the vendor."""
    return os.environ | {"EKYCPRO_API_KEY": "bench"}


def first_task(folder: Path, vendor: Vendor) -> Taken:
    """Start `run`, wait until it asks about a task, stop it; the time is up to that request, the memory of all."""
    began = time.perf_counter()
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(command("run", folder), stdout=said, stderr=said, env=environ()) as run,  # noqa: S603
        looked_at(run.pid) as usage,
    ):
        in_time = vendor.asked.wait(PATIENCE_S)
        cpu_s = usage.cpu_s
        run.send_signal(signal.SIGTERM)
        run.wait(PATIENCE_S)
    if not in_time:
        raise SystemExit(f"no request about a task in {PATIENCE_S:g} s: {(folder / 'said').read_text()[-2000:]}")
    return Taken(vendor.asked_at - began, cpu_s, usage.peak_bytes)


def going_on(tasks: int, unfinished: int = UNFINISHED) -> tuple[Taken, Taken]:
    """Make a job and measure `status`, and `run` up to its first task."""
    from tests.benchmarks import million  # noqa: PLC0415 - for the sake of those who want only `listening`

    with tempfile.TemporaryDirectory() as name, listening() as vendor:
        million.build(Path(name), vendor.base_url, tasks, unfinished)
        return watched(command("status", Path(name)), environ=environ()), first_task(Path(name), vendor)


def without_work(tasks: int) -> Taken:
    """Make a finished job and measure `run`; raises `SystemExit` when anything was sent or the master differs."""
    from tests.benchmarks import million  # noqa: PLC0415 - see above

    with tempfile.TemporaryDirectory() as name, listening() as vendor:
        folder = Path(name)
        million.build(folder, vendor.base_url, tasks, 0)
        watched(command("merge", folder), environ=environ())
        before = (folder / "out" / "master.csv").read_bytes()
        taken = watched(command("run", folder), environ=environ())
        if vendor.asked.is_set() or before != (folder / "out" / "master.csv").read_bytes():
            raise SystemExit("a run of a finished job sent something, or changed the master")
    return taken


def told(what: str, taken: Taken) -> str:
    """Say one figure."""
    figures = f"{taken.clock_s:6.2f} s, {taken.cpu_s:6.2f} s of processor time, {megabytes(taken.peak_bytes)}"
    return f"{what:<40} {figures}"


def main(tasks: int) -> None:
    """Measure and print."""
    status, first = going_on(tasks, min(UNFINISHED, tasks))
    print(told(f"status, {tasks:,} tasks", status))  # noqa: T201 - the point
    print(told(f"run to its first task, {tasks:,} tasks", first), flush=True)  # noqa: T201 - the point
    finished = min(tasks, FINISHED)
    print(told(f"run when all is done, {finished:,} tasks", without_work(finished)))  # noqa: T201 - the point


if __name__ == "__main__":
    main(int(sys.argv[1]))
