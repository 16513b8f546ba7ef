"""A Dask cluster of real processes on loopback: what tests kill, freeze and wake of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orchestrator

WORKER_TTL_S = 5
_AT = re.compile(rb"(Scheduler at|Start worker at): +((?:tcp|tls)://[0-9.:]+)")
_START_S = 60.0


@dataclass
class Cluster:
    """A scheduler and its workers, each a process of its own, which write what they say into `folder`."""

    folder: Path
    protocol: str = "tcp"
    address: str = ""
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _logs: list[Path] = field(default_factory=list)

    def start_scheduler(self, port: int = 0) -> None:
        options = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        options += ["--protocol", self.protocol]
        self.scheduler, self.address = self._started("dask_scheduler", options)

    def start_worker(
        self, *options: str, threads: int = 1, nanny: bool = False, environ: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        local = ["--local-directory", str(self.folder / "scratch"), "--no-dashboard", "--host", "127.0.0.1"]
        local += ["--protocol", self.protocol]
        worker, _ = self._started(
            "dask_worker",
            [self.address, "--nanny" if nanny else "--no-nanny", "--nthreads", str(threads), *local, *options],
            environ or {},
        )
        self.workers.append(worker)
        return worker

    def said(self) -> str:
        """Return all that the processes have written."""
        return "".join(path.read_text("utf-8", "replace") for path in self._logs)

    def close(self) -> None:
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    def _started(
        self, module: str, options: list[str], environ: dict[str, str] | None = None
    ) -> tuple[subprocess.Popen[bytes], str]:
        log = self.folder / f"{module}{len(self._logs)}.log"
        self._logs.append(log)
        root = str(Path(orchestrator.__file__).parents[1])
        environment = os.environ | {
            "PYTHONPATH": root,
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{WORKER_TTL_S}s",
            **(environ or {}),
        }
        with log.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - what is installed beside this program
                [sys.executable, "-m", f"distributed.cli.{module}", *options],
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env=environment,
            )
        end = time.monotonic() + _START_S
        while (found := _AT.search(log.read_bytes())) is None:
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                raise AssertionError(f"{module} did not start: {log.read_text('utf-8', 'replace')}")
            time.sleep(0.05)
        return process, found[2].decode()


@contextmanager
def cluster_of(folder: Path, workers: int = 2, protocol: str = "tcp") -> Iterator[Cluster]:
    """Have a scheduler and some workers of one thread each."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, protocol)
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.close()
