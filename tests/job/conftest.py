"""What the tests of a job share: a list, a config, and the calls that the commands make."""

from __future__ import annotations

import csv
import io
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from orchestrator import sandbox
from orchestrator.config import load
from orchestrator.job.run import RunOptions, RunReport, run_job
from orchestrator.job.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.settings import Settings

CONFIG = """
[job]
name = "bench"
inputs = ["numbers.txt"]
directory = "out"
chunk_size = 3
[vendors.main]
base_url = "BASE_URL"
requests_per_second = inf
[platforms.instagram]
requests_per_second = inf
canary = false
[polling]
min_interval_s = 0.01
max_interval_s = 0.05
[backoff]
base_delay_s = 0.01
max_delay_s = 0.05
[budget]
max_cost = 1.0
[output]
formats = ["csv"]
[workers]
count = 1
[sandbox]
pace = 1_000_000.0
"""


@dataclass
class Case:
    """A job in a folder. `base_url` and `overrides` may change from call to call."""

    folder: Path
    base_url: str = "sandbox"
    overrides: list[str] = field(default_factory=list)
    config: str = CONFIG
    environ: dict[str, str] = field(default_factory=lambda: {"EKYCPRO_API_KEY": "k-0123456789abcdef"})
    stdin: bytes | None = None
    dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - jitter
    said: str = ""

    @property
    def directory(self) -> Path:
        return self.folder / "out"

    def numbers(self, count: int, first: int = 0) -> None:
        lines = [f"+{41_790_000_000 + n}\n" for n in range(first, first + count)]
        (self.folder / "numbers.txt").write_text("".join(lines))

    def settings(self) -> Settings:
        (self.folder / "config.toml").write_text(self.config.replace("BASE_URL", self.base_url))
        return load(self.folder / "config.toml", self.overrides)

    def world(self, stderr: io.StringIO | None = None) -> World:
        stdin = None if self.stdin is None else io.BytesIO(self.stdin)
        return World(time.time, self.dice, self.environ, stdin, stderr or io.StringIO())

    async def outcome(self, options: RunOptions | None = None) -> RunReport:
        stderr = io.StringIO()
        try:
            return await run_job(self.settings(), options or RunOptions(), self.world(stderr))
        finally:
            self.said = stderr.getvalue()

    async def run(self, options: RunOptions | None = None) -> int:
        return int((await self.outcome(options)).exit_code)

    def cells(self, name: str = "master.csv") -> list[str]:
        with (self.directory / name).open(newline="") as file:
            return [row[1] for row in csv.reader(file)][1:]

    def charged(self) -> int:
        return len(sandbox.read_tasks(self.directory / "sandbox"))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Give a job of ten numbers in chunks of three."""
    made = Case(tmp_path)
    made.numbers(10)
    return made
