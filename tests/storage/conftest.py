"""A job whose directory is in a bucket of a real S3 server."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from orchestrator.job.run import RunOptions, RunReport, run_job
from orchestrator.job.scratch import on_scratch
from orchestrator.settings import Settings
from tests.job.conftest import Case
from tests.stores import Store


@dataclass
class Staged(Case):
    """A job in a bucket, whose ledger is a file in a folder that outlives each command, as a database would."""

    store: Store = field(default_factory=lambda: Store("", ""))
    endpoint: str = ""

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    @contextmanager
    def staged(self) -> Iterator[Settings]:
        """Have the settings as a command has them: with a directory that was empty a moment ago."""
        self.ledger.mkdir(exist_ok=True)
        storage = replace(self.store.settings(self.endpoint), scratch=self.folder / "scratch")
        with on_scratch(replace(self.settings(), url=self.store.url, storage=storage)) as settings:
            (settings.job.directory / "ledger").symlink_to(self.ledger)
            yield settings

    async def outcome(self, options: RunOptions | None = None) -> RunReport:
        stderr = io.StringIO()
        try:
            with self.staged() as settings:
                return await run_job(settings, options or RunOptions(), self.world(stderr))
        finally:
            self.said = stderr.getvalue()

    def cells(self, name: str = "master.csv") -> list[str]:
        return [row[1] for row in csv.reader(self.store.content(name).decode().splitlines())][1:]


@pytest.fixture
def case(tmp_path: Path, store: Store) -> Staged:
    """Give a job of ten numbers in chunks of three."""
    made = Staged(tmp_path, store=store)
    made.numbers(10)
    return made
