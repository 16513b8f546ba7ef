"""A job with its vendor, for mistakes to be made with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mistakes.harness import KEY, Job, Vendor


@pytest.fixture
def a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """Give a job that would run to its end; the test stands in its folder, with the right key in the environment."""
    folder = tmp_path / "job"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EKYCPRO_API_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "80")
    with Vendor(tmp_path / "vendor", key=KEY) as vendor:
        job = Job(folder, vendor)
        job.begin()
        yield job
        while job.undo:
            job.undo.pop()()
