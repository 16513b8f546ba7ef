"""What the sandbox keeps on disk, so that it outlives a restart and tests can read what it did.

    tasks.jsonl      one line a task made: what was charged; synced before the submit is answered
    requests.jsonl   one line a request, written when it has been answered (`time` is its arrival); not synced
    breaches.jsonl   one line a request that brought the API key to the result host
    uploads/         the uploaded files, named by task
    results/         result files of large tasks; may be removed at any time

A line that a kill cut off is dropped on reading, and cut away before the next one is appended. A whole line that
can't be read is an error: the record is evidence.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.sandbox.catalog import ApiStyle

if TYPE_CHECKING:
    from pathlib import Path

TASKS = "tasks.jsonl"
REQUESTS = "requests.jsonl"
BREACHES = "breaches.jsonl"
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task that was made. `type` is the word that was asked with, `cost` in USD, `created_at` in epoch seconds."""

    id: str
    style: ApiStyle
    type: str
    platform: str
    sha256: str
    size_bytes: int
    rows: int
    cost: float
    file_name: str
    user_id: str
    created_at: float


def read_tasks(directory: Path) -> list[TaskRecord]:
    """Return all tasks that were ever made in `directory`, in that order; also while a sandbox runs there."""
    return [TaskRecord(**line | {"style": ApiStyle(line["style"])}) for line in read_lines(directory / TASKS)]


def read_requests(directory: Path) -> list[dict[str, Any]]:
    """Return all requests in order of arrival: time, method, path, kind, task_id, nth, code, fault.

    `kind` is submit, status, balance, download or other; `code` is 0 for a connection that broke before an answer.
    """
    return sorted(read_lines(directory / REQUESTS), key=lambda line: float(line["time"]))


def read_breaches(directory: Path) -> list[dict[str, Any]]:
    """Return the requests that carried the API key to the result host."""
    return read_lines(directory / BREACHES)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a JSON-lines file, without a last one that is torn; raises `ValueError` when damaged."""
    if not path.exists():
        return []
    whole, _, _torn = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.split(b"\n") if line]


class LineFile:
    """A JSON-lines file that only grows. Each line is one write, so that a kill loses none that was written."""

    def __init__(self, path: Path, *, exclusive: bool = False) -> None:
        """Open `path`; `exclusive` raises `BlockingIOError` when another process or sandbox has it open so."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _PRIVATE)
        try:
            if exclusive:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _, _, torn = path.read_bytes().rpartition(b"\n")
            if torn:
                os.truncate(self._descriptor, os.fstat(self._descriptor).st_size - len(torn))
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, line: dict[str, Any]) -> None:
        """Write one line, without sync."""
        self.write(_encoded(line))

    def write(self, text: bytes) -> None:
        """Write whole lines; raises `OSError` when the disk is full."""
        view = memoryview(text)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        """Make all lines durable."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file, and with it the lock."""
        os.close(self._descriptor)


class TaskFile:
    """`tasks.jsonl`. Concurrent appends share a sync; each returns only when its own line is durable."""

    def __init__(self, directory: Path) -> None:
        self._file = LineFile(directory / TASKS, exclusive=True)
        # One thread: writes stay in order, and none runs beside another.
        self._thread = ThreadPoolExecutor(1, "sandbox-record")
        self._turn = asyncio.Lock()
        self._waiting: list[bytes] = []
        self._appended = self._durable = 0

    async def append(self, task: TaskRecord) -> None:
        """Write and sync one task; raises `OSError`."""
        self._waiting.append(_encoded({name: getattr(task, name) for name in TaskRecord.__slots__}))
        self._appended += 1
        mine = self._appended
        async with self._turn:
            if self._durable >= mine:
                return
            batch, upto = b"".join(self._waiting), self._appended
            self._waiting.clear()
            # Shielded: a cancelled handler must not take back the lines of the others. Whoever comes next writes
            # behind this batch in the same thread, so its own sync covers both.
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, self._commit, batch))
            self._durable = upto

    def close(self) -> None:
        """Wait for the last write and close."""
        self._thread.shutdown()
        self._file.close()

    def _commit(self, batch: bytes) -> None:
        self._file.write(batch)
        self._file.sync()


def _encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
