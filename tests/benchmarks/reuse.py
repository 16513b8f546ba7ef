"""Measure the memory that `[reuse]` takes, as an earlier job knows more and more.

    python -m tests.benchmarks.reuse 10_000_000          # 2 minutes; 100_000_000 take 15, and 12 GB of disk

The earlier job is planned by the program itself, and its tasks are done by what writes ledger and verdict files, with a
yes and a no in turns: no vendor could be asked for so many. The later one has a tenth of new numbers in front of all of
these. Its `plan` is measured, all of its processes together, beside that of the same list without `[reuse]`. Private is
what the processes hold for themselves; resident memory counts mapped files too, which the system takes back at will.
What is planned has to be the new numbers, and what is reused all others.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from orchestrator.jobdir.layout import verdict_path
from orchestrator.jobdir.verdict_files import Verdicts, verdict_bytes
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.tasks import State
from tests.benchmarks.intake import BATCH, lines_of
from tests.results.written import write_verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERVAL_S = 0.05
CONFIG = """
[job]
name = "JOB"
inputs = ["JOB.txt"]
directory = "JOB"
chunk_size = 1_000_000
trial_rows = 0
[vendors.main]
base_url = "sandbox"
[platforms.instagram]
"""
REUSE = '[reuse]\njobs = ["earlier"]\ndays = 30\n'
WORDS = ("unanswered", "yes", "no")


@dataclass(slots=True)
class Planned:
    """What a plan came to, and its peak memory."""

    content: dict[str, object]
    took_s: float
    private_bytes: int = 0
    resident_bytes: int = 0


def write_job(folder: Path, name: str, numbers: Sequence[range], more: str = "") -> Path:
    """Write a job of numbers that are far apart; each range has others."""
    with (folder / f"{name}.txt").open("wb") as file:
        for begin, end in (
            (at, min(at + BATCH, one.stop)) for one in numbers for at in range(one.start, one.stop, BATCH)
        ):
            file.write(lines_of(np.arange(begin, end)))
    config = folder / f"{name}.toml"
    config.write_text(CONFIG.replace("JOB", name) + more)
    return config


def plan(config: Path) -> Planned:
    """Plan a job; raises `SystemExit` when that does not end well."""
    command = [sys.executable, "-m", "orchestrator", "plan", "--json", "-c", str(config)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:  # noqa: S603
        planned = Planned({}, 0.0)
        ended = threading.Event()
        looking = threading.Thread(target=_look, args=(run.pid, planned, ended), daemon=True)
        looking.start()
        out, said = run.communicate()
        ended.set()
        looking.join()
    if run.returncode:
        raise SystemExit(f"plan ended with {run.returncode}\n{said[-2000:]}")
    planned.content, planned.took_s = json.loads(out.splitlines()[-1]), time.perf_counter() - began
    return planned


def _look(pid: int, planned: Planned, ended: threading.Event) -> None:
    while not ended.wait(INTERVAL_S):
        private = resident = 0
        try:
            process = psutil.Process(pid)
            for one in (process, *process.children(recursive=True)):
                memory = one.memory_info()
                private, resident = private + memory.rss - memory.shared, resident + memory.rss
        except psutil.NoSuchProcess:
            continue
        planned.private_bytes = max(planned.private_bytes, private)
        planned.resident_bytes = max(planned.resident_bytes, resident)


def finish(directory: Path) -> None:
    """Have all tasks of a planned job done, with a yes and a no in turns."""
    at = time.time()
    with Ledger.open(ledger_path(directory)) as ledger:
        hashes = {chunk.chunk: chunk.sha256 for chunk in ledger.plan.chunks()}
        ledger.change(lambda it: it.begin_run(at=at, host="here", pid=1))
        for task in ledger.tasks.select(State.PLANNED):
            key, codes = task.key, (b"\1\2" * (task.rows // 2 + 1))[: task.rows]
            verdicts = Verdicts(WORDS, codes, f"task-{key.chunk}", hashes[key.chunk])
            path = verdict_path(directory, key.platform, key.chunk)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_verdicts(path, verdicts)
            detail = {"result": "0" * 64, "verdicts": hashlib.sha256(verdict_bytes(verdicts)).hexdigest()}
            counts = {"yes": codes.count(1), "no": codes.count(2)}

            def done(it: Ledger) -> None:
                it.transitions.release(key, cost_nano=0, max_cost_nano=None, at=at)  # noqa: B023 - called at once
                it.transitions.accept(key, f"task-{key.chunk}", total=task.rows, at=at)  # noqa: B023
                it.transitions.finish(key, counts, at=at, detail=detail)  # noqa: B023

            ledger.change(done)
        ledger.change(lambda it: it.runs.end(1, at=at, exit_code=0, reason=""))


def main(known: int) -> None:
    """Measure, and print a line each."""
    new = known // 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan(write_job(folder, "earlier", (range(known),)))
        finish(folder / "earlier")
        for job, more, left in (("without", "", known + new), ("later", REUSE, new)):
            planned = plan(write_job(folder, job, (range(known, known + new), range(known)), more))
            platform = planned.content["platforms"]["instagram"]  # type: ignore[index]  # it is JSON
            if platform["numbers"] != left or platform.get("reused", {"numbers": 0})["numbers"] != known + new - left:
                raise SystemExit(f"{job}: {platform}")
            private, resident = planned.private_bytes / 1e6, planned.resident_bytes / 1e6
            print(  # noqa: T201 - the point
                f"{job}: {known + new:,} numbers, {left:,} to be sent: {planned.took_s:.0f} s, "
                f"{private:,.0f} MB private, {resident:,.0f} MB resident",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]))
