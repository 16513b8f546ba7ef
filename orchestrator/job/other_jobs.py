"""Jobs beside the one that a command is for: whose verdicts are reused, or compared.

One is named by its directory, or by its configuration file, which says where all of it is.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.bucket import is_bucket_url
from orchestrator.config import load
from orchestrator.errors import UsageError
from orchestrator.job.access import ledger_place
from orchestrator.job.scratch import job_files, on_scratch
from orchestrator.jobdir.layout import CHUNK_FILES, VERDICT_FILES, ledger_mark
from orchestrator.ledger import LedgerPlace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME_ITS_CONFIG = "name its configuration file instead, which says where all of it is"


@contextmanager
def other_job(path: Path) -> Iterator[LedgerPlace]:
    """Have the ledger of another job, and beside it its chunks and verdicts; there may be no ledger at all.

    Raises `UsageError` for what can't be a job, `StorageError`.
    """
    if path.suffix == ".toml":
        with on_scratch(load(path)) as settings:
            place = ledger_place(settings)
            if place.exists():
                with place.open_to_read() as ledger:
                    job_files(settings).bring_all(ledger, CHUNK_FILES, VERDICT_FILES)
            yield place
        return
    refuse_url(str(path))
    if ledger_mark(path).exists():
        raise UsageError(f"{path}: the ledger of the job in this directory is in a database; {_NAME_ITS_CONFIG}")
    yield LedgerPlace(path)


def refuse_url(text: str) -> None:
    """Raise `UsageError` for a job that is named by a URL: its ledger is elsewhere."""
    if is_bucket_url(text):
        raise UsageError(f"{text}: the ledger of a job in a bucket is in a database; {_NAME_ITS_CONFIG}")
