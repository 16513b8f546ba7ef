"""What end-to-end tests share: an empty job, vendors that end with the test, and the checks of a finished sheet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator import sandbox
from orchestrator.tasks import TaskKey
from tests.e2e.harness import SEED, Expected, Job, Vendor, chunk_files, expect, key_of, messy_lines, right_word


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Give an empty job; nothing of the caller's environment reaches it but what Python needs."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith("COV")}
    return Job(tmp_path, kept | {"EKYCPRO_API_KEY": "k-e2e-test-key", "PYTHONWARNINGS": "error"})


@pytest.fixture
def start_vendor(tmp_path: Path, job: Job) -> Iterator[Callable[..., Vendor]]:
    """Start vendors that end with the test."""
    vendors: list[Vendor] = []

    def start(*options: str) -> Vendor:
        directory = tmp_path / f"vendor{len(vendors)}"
        process = subprocess.Popen(  # noqa: S603 - our own program
            [
                sys.executable,
                "-m",
                "orchestrator",
                "sandbox",
                "--directory",
                str(directory),
                "--seed",
                str(SEED),
                *options,
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=job.environ,
        )
        assert process.stdout is not None
        vendors.append(Vendor(process, process.stdout.readline().strip(), directory))
        return vendors[-1]

    yield start
    for vendor in vendors:
        vendor.process.send_signal(signal.SIGTERM)
        assert vendor.process.wait(timeout=30) == 0
        assert vendor.process.stdout is not None
        vendor.process.stdout.close()


@pytest.fixture
def write_list(job: Job) -> Callable[..., Expected]:
    """Write a messy list with CRLF line ends as numbers.txt and return what has to come out of it."""

    def write(count: int, seed: int = SEED) -> Expected:
        lines = messy_lines(count, seed)
        (job.folder / "numbers.txt").write_bytes("\r\n".join(lines).encode())
        return expect(lines)

    return write


@pytest.fixture
def check_master(job: Job) -> Callable[..., None]:
    """Compare the master with an expectation that is computed apart from the program."""

    def check(expected: Expected, charged: list[sandbox.TaskRecord], *, name: str = "master.csv") -> None:
        header, *rows = job.master(name)
        assert header == ["Number", *job.platforms]
        assert [row[0] for row in rows] == expected.numbers
        chunks = chunk_files(job.directory)
        ids = {key_of(record): record.id for record in charged}
        held = {TaskKey.parse(held) for held in job.held()}
        for column, platform in enumerate(job.platforms, start=1):
            cells = {row[0]: row[column] for row in rows}
            for chunk, numbers in chunks.items():
                key = TaskKey(platform, chunk)
                missing = sandbox.missing_numbers(SEED, ids.get(key, ""), numbers)
                for number in numbers:
                    cell = cells.pop(number)
                    if key in held:
                        assert cell == "held"
                    elif cell == "unanswered":
                        assert number in missing
                    else:
                        assert cell == right_word(platform, number)
            assert not cells

    return check


@pytest.fixture
def charged_once() -> Callable[[list[sandbox.TaskRecord]], None]:
    """Check that no chunk was charged twice for a platform."""

    def check(charged: list[sandbox.TaskRecord]) -> None:
        keys = [key_of(record) for record in charged]
        assert len(keys) == len(set(keys))

    return check
