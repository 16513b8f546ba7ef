"""Measure the peak memory of a whole job, all its processes together.

    python -m tests.benchmarks.memory 1_000_000

The list is E.164 lines; both documented platforms run on the embedded vendor, which is part of the measured process.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.figures import Taken, watched

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


def measure(count: int) -> Taken:
    """Run a job of `count` numbers; raises `SystemExit` when it does not end well or a row is missing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_job(folder, count)
        taken = watched([sys.executable, "-m", "orchestrator", "run", "-c", str(folder / "config.toml")])
        rows = json.loads((folder / "out" / "summary.json").read_text())["master"][0]["rows"]
    if rows != count:
        raise SystemExit(f"the master has {rows:,} rows for {count:,} numbers")
    return taken


def main(count: int) -> None:
    """Measure one job and print a line."""
    taken = measure(count)
    print(f"{count:,} numbers: peak {taken.peak_bytes / 1e6:.0f} MB, {taken.clock_s:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
