"""What the vendor knows and enforces between two requests: tasks, money, limits, counters.

Decisions about a new task (balance, tasks in flight) are taken in one synchronous step with making it, so concurrent
submits can't slip past a limit together.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestrator.sandbox.catalog import MIN_ROWS, ApiStyle
from orchestrator.sandbox.chance import hash64
from orchestrator.sandbox.course import TaskCourse, course
from orchestrator.sandbox.links import MAX_LIFETIME_S
from orchestrator.sandbox.record import BREACHES, REQUESTS, LineFile, TaskFile, TaskRecord, read_requests, read_tasks
from orchestrator.sandbox.results import ResultFormat, ResultOrder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_UNLIMITED_BALANCE = 1_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What else a sandbox can be told.

    `requests_per_second`: a request that comes less than 1/rate - `tolerance_s` after the one before it, whatever
    became of that one, is answered 429; None is no limit. `max_in_flight`: unfinished tasks a platform. `balance`:
    USD, over the life of the directory. `min_rows`: by platform, over what the catalogue says. `price_factor`: what it
    takes against the catalogue, for whole blocks of `billing_block` rows, and `estimate_factor`: what it says at first
    against what it takes, both told in `currency`, or not at all with None. `blocked_after`: from so many tasks on it
    is blocked itself, answers "no" for every number, and charges.
    """

    requests_per_second: float | None = None
    tolerance_s: float = 0.002
    max_in_flight: int | None = None
    balance: float | None = None
    min_rows: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    max_upload_bytes: int = 1 << 30
    link_lifetime_s: int = 3_600
    result_format: ResultFormat = ResultFormat.DOCUMENTED
    price_factor: float = 1.0
    billing_block: int = 1
    estimate_factor: float = 1.0
    currency: str | None = "USD"
    blocked_after: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.link_lifetime_s <= MAX_LIFETIME_S:
            raise ValueError(f"link_lifetime_s must be between 1 and {MAX_LIFETIME_S}")
        if self.requests_per_second is not None and not self.requests_per_second > 0:
            raise ValueError("requests_per_second must be above 0")


class NoMoneyError(Exception):
    """The balance does not cover the task."""


class TooManyTasksError(Exception):
    """The platform has as many unfinished tasks as it may have; `wait_s` until the next one ends."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


class Spacing:
    """Enforces the rate: looks at one gap between two requests, and at no average."""

    def __init__(self, requests_per_second: float | None, tolerance_s: float) -> None:
        self._gap_s = 1 / requests_per_second if requests_per_second else 0.0
        self._tolerance_s = tolerance_s
        self._last = -math.inf

    def too_soon_by(self, now: float) -> float:
        """Note a request at `now` (any monotonic clock); return the seconds it came too soon, or 0."""
        early_s = self._last + self._gap_s - now
        self._last = now
        return early_s if early_s > self._tolerance_s else 0.0


class VendorState:
    """The vendor's memory, rebuilt from `directory`."""

    def __init__(self, directory: Path, seed: int, faults: frozenset[str], pace: float, options: Options) -> None:
        """Raise `BlockingIOError` when another sandbox works in `directory`, `ValueError` when it is damaged."""
        self.uploads, self.results = directory / "uploads", directory / "results"
        for folder in (directory, self.uploads, self.results):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.seed, self.faults, self.options = seed, faults, options
        self._pace = pace
        self._file = TaskFile(directory)
        self.requests, self.breaches = LineFile(directory / REQUESTS), LineFile(directory / BREACHES)
        self.tasks: dict[str, TaskRecord] = {}
        self.spent = 0.0
        self._copies: Counter[tuple[str, ...]] = Counter()
        self._ends: defaultdict[str, list[float]] = defaultdict(list)
        for task in read_tasks(directory):
            self._know(task)
        self._counts = _counts(directory)
        for part in (*self.uploads.glob("*.part"), *self.results.glob("*.part")):
            part.unlink()  # a kill left it behind

    def close(self) -> None:
        """Close the files, and with them the hold on the directory."""
        self._file.close()
        self.requests.close()
        self.breaches.close()

    def count(self, kind: str, about: str) -> int:
        """Count a call of a kind about a thing and return which one it is, from 1; goes on after a restart."""
        self._counts[kind, about] += 1
        return self._counts[kind, about]

    def min_rows(self, platform: str) -> int:
        return self.options.min_rows.get(platform, MIN_ROWS.get(platform, 1))

    @property
    def balance(self) -> float:
        """What is left, in USD."""
        whole = self.options.balance
        return round((_UNLIMITED_BALANCE if whole is None else whole) - self.spent, 9)

    def admit(self, task: TaskRecord) -> None:
        """Take a task in, or raise `NoMoneyError` or `TooManyTasksError` and change nothing."""
        if self.options.balance is not None and task.cost > self.balance:
            raise NoMoneyError
        ends = self._ends[task.platform]
        while ends and ends[0] <= task.created_at:
            heapq.heappop(ends)
        if self.options.max_in_flight is not None and len(ends) >= self.options.max_in_flight:
            raise TooManyTasksError(ends[0] - task.created_at)
        self._know(task)

    async def charge(self, task: TaskRecord) -> None:
        """Put an admitted task on record; when this returns, it is durable."""
        await self._file.append(task)

    def new_task_id(self, style: ApiStyle, word: str, sha256: str) -> str:
        """Return the id of the next task with this file: it depends on nothing that happens beside it."""
        return task_id(self.seed, style, word, sha256, self._copies[style, word, sha256] + 1)

    def course_of(self, task: TaskRecord) -> TaskCourse:
        return course(self.seed, self._pace, task.id, task.style, task.rows, task.created_at)

    def upload_of(self, task: str) -> Path:
        """Return where the uploaded file of a task id stands."""
        return self.uploads / f"{task}.txt"

    def order_of(self, task: TaskRecord) -> ResultOrder:
        """Return what decides the result file of a task."""
        upload, after = self.upload_of(task.id), self.options.blocked_after
        return ResultOrder(
            self.seed,
            self.faults,
            task.id,
            task.style,
            task.platform,
            upload,
            self.options.result_format,
            is_blocked=after is not None and list(self.tasks).index(task.id) >= after,
        )

    def _know(self, task: TaskRecord) -> None:
        self.tasks[task.id] = task
        self.spent += task.cost
        self._copies[task.style, task.type, task.sha256] += 1
        heapq.heappush(self._ends[task.platform], self.course_of(task).exported_at)


def task_id(seed: int, style: ApiStyle, word: str, sha256: str, nth: int) -> str:
    """Return the id (20 letters and digits) of the `nth` task, from 1, that was made with a file."""
    high, low = (hash64(seed, "task", style, word, sha256, nth, half) for half in ("high", "low"))
    bits = high << 64 | low
    return "".join(_ALPHABET[bits >> shift & 31] for shift in range(0, 100, 5))


def _counts(directory: Path) -> Counter[tuple[str, str]]:
    """Take the counters of an earlier life from the log of requests, or a fault could strike again and again."""
    counts: Counter[tuple[str, str]] = Counter()
    for line in read_requests(directory):
        if nth := line.get("nth"):
            about = line["kind"], line.get("about", "")
            counts[about] = max(counts[about], nth)
    return counts
