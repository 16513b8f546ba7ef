"""Measure the peak memory of a whole job, all its processes together.

    python -m tests.benchmarks.memory 1_000_000

The list is E.164 lines; both documented platforms run on the embedded vendor, which is part of the measured process.
Resident memory is summed over processes every 50 ms, so pages that they share count once for each: an upper bound.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

INTERVAL_S = 0.05
FIRST = 41_760_000_000
CONFIG = """
[job]
inputs = ["numbers.txt"]
directory = "out"
[vendors.main]
base_url = "sandbox"
requests_per_second = inf
[platforms.instagram]
requests_per_second = inf
[platforms.amazon]
requests_per_second = inf
[polling]
min_interval_s = 0.5
[sandbox]
pace = 100_000.0
"""


def write_job(folder: Path, count: int) -> None:
    """Write a job of `count` distinct valid numbers."""
    with (folder / "numbers.txt").open("w") as file:
        file.writelines(f"+{FIRST + i}\n" for i in range(count))
    (folder / "config.toml").write_text(CONFIG)


def resident_bytes(process: psutil.Process) -> int:
    """Return what a process and its descendants hold now."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def measure(folder: Path) -> tuple[int, float, int]:
    """Run the job; return its peak in bytes, its time in seconds and its exit code."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "orchestrator", "run", "-c", str(folder / "config.toml")]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as run:  # noqa: S603
        process = psutil.Process(run.pid)
        peak = 0
        while run.poll() is None:
            peak = max(peak, resident_bytes(process))
            time.sleep(INTERVAL_S)
    return peak, time.perf_counter() - began, run.returncode


def main(count: int) -> None:
    """Measure one job and print a line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_job(folder, count)
        peak, took_s, code = measure(folder)
        rows = json.loads((folder / "out" / "summary.json").read_text())["master"][0]["rows"]
    print(f"{count:,} numbers: exit code {code}, {rows:,} rows, peak {peak / 1e6:.0f} MB, {took_s:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
