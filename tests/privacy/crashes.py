"""Ways to break the program from within, with exceptions whose words hold everything that nobody may read.

A place is a function on the way of at least one command; while it is broken it raises. What it raises is what parsers,
databases and systems really say: they quote the line that they could not read.
"""

from __future__ import annotations

import errno
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from orchestrator.errors import DamagedResultError, StorageError, TemporaryError, UsageError
from tests.privacy.baits import KEY, NATIONAL, USER_ID, spellings

LINK = "https://files.example/t/1.zip?X-Amz-Credential=AKIAQUOTED&X-Amz-Signature=5ca1ab1e5ca1ab1e"
RAW = f"Aurelia Quillfeather;{spellings(NATIONAL[3])[4]};{spellings(NATIONAL[4])[3]}"
WORDS = f"cannot read {RAW!r} with {KEY} for {USER_ID} from {LINK}"
OURS = f"cannot read {spellings(NATIONAL[3])[4]}, {spellings(NATIONAL[4])[5]} with {KEY} from {LINK}"
"""What messages of our own could quote by mistake: never a raw line, which no part of the program hands to them."""


def _chained() -> Exception:
    error = KeyError(spellings(NATIONAL[0])[2])
    error.__cause__ = ValueError(WORDS)
    error.add_note(WORDS)
    return error


RAISED: dict[str, Callable[[], Exception]] = {
    "words": lambda: ValueError(WORDS),
    "chained": _chained,
    "group": lambda: ExceptionGroup(WORDS, [ValueError(WORDS), ExceptionGroup("inner", [_chained()])]),
    "bytes": lambda: UnicodeDecodeError("utf-8", WORDS.encode(), 0, 1, WORDS),
    "name": lambda: OSError(errno.ENOENT, "No such file", WORDS),
    "full": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "ours: storage": lambda: StorageError(OURS),
    "ours: usage": lambda: UsageError(OURS),
    "ours: call": lambda: TemporaryError(OURS),
    "ours: result": lambda: DamagedResultError(OURS),
}

WITH_ANSWERS = (
    *("VendorClient.submit", "client.open_upload", "VendorClient.status", "VendorClient.download"),
    *("results.keeping.check_result", "retry.resolved"),
)
"""Places that are reached where the vendor answers; the others are broken while it fails at every call."""

PLACES = (
    "orchestrator.config.load",
    "orchestrator.config.starter.replacing",
    "orchestrator.job.ledger_plan.read_list",
    "orchestrator.intake.scanning.draw_parts",
    "orchestrator.intake.list_reading.drop_duplicates",
    "orchestrator.ledger.ledger.Ledger.commit",
    "orchestrator.ledger.platform_table.PlatformTable.standing",
    "orchestrator.ledger.task_table.TaskTable.select",
    "orchestrator.vendor_api.client.VendorClient.submit",
    "orchestrator.vendor_api.client.VendorClient.status",
    "orchestrator.vendor_api.client.VendorClient.download",
    "orchestrator.vendor_api.client.VendorClient.balance",
    "orchestrator.vendor_api.client.open_upload",
    "orchestrator.vendor_api.dialects.read_content",
    "orchestrator.results.keeping.check_result",
    "orchestrator.job.sheet.write_master",
    "orchestrator.report.summary.build",
    "orchestrator.report.summary.write",
    "orchestrator.job.retry.resolved",
    "orchestrator.job.purge._remove",
    "orchestrator.job.verify.sha256_of",
    "orchestrator.files.os.fsync",
    "orchestrator.files.os.open",
    "orchestrator.sandbox.server.Sandbox.start",
)


@dataclass
class Broken:
    """One place, and what it raises while it is broken; `reached` grows with every time."""

    place: str
    raised: str
    reached: int = 0

    def __str__(self) -> str:
        return f"{self.place.removeprefix('orchestrator.')}: {self.raised}"

    @property
    def faults(self) -> tuple[str, ...]:
        """Return the faults that lead here."""
        return () if self.place.endswith(WITH_ANSWERS) else ("after: 503",)

    def __enter__(self) -> None:
        self._patch = patch(self.place, self._fail)
        self._patch.start()

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def _fail(self, *_: Any, **__: Any) -> Any:
        some_local = WORDS  # noqa: F841 - a traceback that shows local variables would show this one
        self.reached += 1
        logging.getLogger("some.library").error("cannot read %s", WORDS)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn_explicit(WORDS, UserWarning, "book.py", 7)
        error = RAISED[self.raised]()
        raise error


def each_place(*, everything: bool = False) -> Iterator[Broken]:
    """Break every place, and raise everything somewhere; or everything everywhere."""
    raised = tuple(RAISED)
    for number, place in enumerate(PLACES):
        for step in range(len(raised) if everything else 1):
            yield Broken(place, raised[(number + step) % len(raised)])
