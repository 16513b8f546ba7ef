"""A repository with a job in it, the vendor in a process of its own, and what a CI system keeps."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator import sandbox
from orchestrator.cli import main
from tests.pipelines.server import Server

KEY = "k-0123456789abcdef"
CONFIG = """\
[job]
inputs = ["numbers.txt"]
chunk_size = {chunk_size}
[vendors.main]
base_url = "{url}"
requests_per_second = inf
[platforms.instagram]
requests_per_second = inf
max_in_flight = 2
canary = false
[platforms.amazon]
requests_per_second = inf
max_in_flight = 2
canary = false
[polling]
min_interval_s = 0.2
max_interval_s = 0.5
[budget]
max_cost = 1000
[output]
formats = ["csv"]
[workers]
count = 1
"""


@dataclass
class Stage:
    """The repository, the server of the CI system, and what the vendor has charged."""

    repository: Path
    server: Server
    vendor: Path
    numbers: int

    def charged(self) -> list[sandbox.TaskRecord]:
        return sandbox.read_tasks(self.vendor)


def set_up(
    folder: Path, system: str, *, numbers: int, chunk_size: int, pace: float, faults: str = ""
) -> Generator[Stage]:
    """Make the repository as a user does, with `init`, and start the vendor beside it."""
    repository = folder / "repository"
    (repository / ".git").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository)
        assert main(["init", "spring", f"--{system}"]) == 0
    vendor = folder / "vendor"
    command = [sys.executable, "-m", "orchestrator", "sandbox", "--directory", str(vendor), "--pace", str(pace)]
    command += ["--faults", faults]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            (repository / "spring" / "config.toml").write_text(CONFIG.format(chunk_size=chunk_size, url=url))
            lines = (f"+4479{number:08}\n" for number in range(11_000_000, 11_000_000 + numbers))
            (repository / "spring" / "numbers.txt").write_text("".join(lines))
            with Server(folder / "server") as server:
                yield Stage(repository, server, vendor, numbers)
        finally:
            process.terminate()


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Stage]:
    if not all(map(shutil.which, ("bash", "curl", "jq"))):
        pytest.skip("the steps of the workflow need bash, curl and jq")
    # A task takes ten seconds, and all of them a hundred: two rounds of twenty-five never end, on the fastest machine.
    yield from set_up(tmp_path, "github", numbers=2_000, chunk_size=100, pace=10)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Stage]:
    if not all(map(shutil.which, ("bash", "curl", "jq"))):
        pytest.skip("the steps of the workflow need bash, curl and jq")
    yield from set_up(tmp_path, "github", numbers=1_000, chunk_size=500, pace=1e9, faults="missing_rows")
