"""What the stages hand one another and the ledger keeps: frozen records, each of which stands here once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.tasks import HELD, UNFINISHED, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.tasks import TaskKey

NANO: Final = 1_000_000_000
"""Of these are a USD: the ledger counts money in 1e-9 USD, as sums of floats would drift away from max_cost."""

_TOKEN = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?")


class Token(NamedTuple):
    """How far a ledger has come: its runs, and its commits since it was made. An older copy has a lower one."""

    serial: int
    position: int = 0

    def __str__(self) -> str:
        return f"{self.serial}.{self.position}"

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read a token as it is written, a serial alone, or nothing, which is before the first run; `ValueError`."""
        match = _TOKEN.fullmatch(text.strip() or "0")
        if match is None:
            raise ValueError('expected the "after" of summary.json, such as 3.157, or 0 for a first run')
        return cls(int(match[1]), int(match[2] or 0))


@dataclass(frozen=True, slots=True)
class InputFile:
    """An input as it was read: its absolute path, or "-" for standard input."""

    path: str
    sha256: str
    size_bytes: int


class StoredFile(NamedTuple):
    """A file of the job that is in the bucket; its path is from the job's directory on."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of the accepted list; `sha256` is of the chunk file. Chunks count from 1, rows from 0.

    One for all platforms (`only` is None) has the rows `first_row` to `first_row + rows - 1`, counted without those of
    the trial, which come first: `jobdir.list_rows` says where in the list that is. `columns_sha256` is of the file of
    its kept columns, "" where it has none or an earlier version planned it. The rows of the trial, from anywhere in the
    list, are packed in `places`. One for a single platform has what `retry` asks again, or what is left to ask where
    verdicts were taken from earlier jobs; its rows, anywhere in the list, stand in a file beside the chunk's, and
    packed in `places`. `is_trial` tells of such a one that it is its platform's trial.
    """

    chunk: int
    first_row: int
    rows: int
    sha256: str
    generation: int = 1
    only: str | None = None
    columns_sha256: str = ""
    places: bytes | None = None
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """What was left unread of an input, and why; `rows` is 0 where it is not made of rows."""

    what: str
    rows: int
    why: str


@dataclass(frozen=True, slots=True)
class InputAccount:
    """What became of an input, or of a sheet or member of one: `read` = `accepted` + `duplicates` + `rejected`.

    `name` is what tables for people call it. `parts` are the sheets of a workbook, unread ones included, or the member
    of an archive. `columns` are the headers of the columns that its numbers were read from, none where it is no table
    with headers; `guessed` says that the headers themselves were the reason, and nobody named them.
    """

    name: str
    read: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    unread: tuple[Unread, ...] = ()
    is_hidden: bool = False
    parts: tuple[InputAccount, ...] = ()
    columns: tuple[str, ...] = ()
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class ListCounts:
    """How the lines of the list were read: `read` = `accepted` + `duplicates` + `rejected`, exactly.

    `rejected_by_reason` has the reasons that occurred, in the order of `reasons.REASONS`. `from_text` counts the
    accepted numbers that were found in a text with letters, which is rarely what was meant. `columns` are the names of
    columns that are kept for the master. `inputs` are the same counts for each input, empty where an earlier version
    read them.
    """

    read: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    from_text: int = 0
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    inputs: tuple[InputAccount, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedPlatform:
    """A platform's tasks at planning: `fixed` is what may not change once it has tasks at the vendor.

    Chunks of fewer than `min_rows` rows become skipped tasks.
    """

    name: str
    vendor: str
    fixed: Mapping[str, str]
    min_rows: int


@dataclass(frozen=True, slots=True)
class Listed:
    """What is known of the list's files: the inputs, how they were read, what stands beside the chunks.

    `lists` has the hashes of rejected.csv and duplicates.csv, empty where an earlier version wrote them. `order` says,
    for each row of the chunks, where the inputs have it among the accepted numbers; packed, None where both go the same
    way.
    """

    inputs: tuple[InputFile, ...]
    counts: ListCounts
    lists: Mapping[str, str] = field(default_factory=dict)
    order: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reused:
    """What was taken from earlier jobs for a chunk: its `cells`, as `pack_reused` packs them, and their `sums`."""

    chunk: int
    cells: bytes
    sums: ReusedSums


@dataclass(frozen=True, slots=True)
class Condition:
    """A platform is asked only for numbers that have the verdict `word` on the platform `other`.

    `followed` is the last event of that one that was seen when numbers were last picked, -1 before; `too_few` are those
    that fitted then, and were too few for a file. `generations` are those that were planned so.
    """

    other: str
    word: str
    followed: int = -1
    too_few: int = 0
    generations: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.other} == {self.word}"


@dataclass(frozen=True, slots=True)
class Selection:
    """A platform that is not asked for all of some chunks: what was taken for them, and `chunks` with the rest.

    Its tasks for the chunks themselves are skipped. With a `condition` the rest is picked once that can be told.
    """

    platform: PlannedPlatform
    reused: Iterable[Reused]
    chunks: tuple[Chunk, ...] = ()
    condition: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ReusedSums:
    """How many yes and no were taken from earlier jobs, and when the oldest was checked, in s since the epoch.

    `asked_again` are further ones that were known as well, and fill a file that would else be too short. `tasks` with
    `rows` are those for chunks that are not sent, as they are known, or asked for in other chunks.
    """

    yes: int = 0
    no: int = 0
    asked_again: int = 0
    oldest: int | None = None
    tasks: int = 0
    rows: int = 0

    @property
    def numbers(self) -> int:
        """How many verdicts were taken."""
        return self.yes + self.no

    @property
    def known(self) -> int:
        """How many there are to be taken, with those that are asked for again all the same."""
        return self.numbers + self.asked_again

    def __add__(self, other: ReusedSums) -> ReusedSums:
        return ReusedSums(
            yes=self.yes + other.yes,
            no=self.no + other.no,
            asked_again=self.asked_again + other.asked_again,
            oldest=min((at for at in (self.oldest, other.oldest) if at is not None), default=None),
            tasks=self.tasks + other.tasks,
            rows=self.rows + other.rows,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A list, cut into chunks, for some platforms. `reading` is what may not change once the job has begun.

    `selections` are of platforms that are not asked for all of it.
    """

    name: str
    reading: Mapping[str, object]
    listed: Listed
    chunks: tuple[Chunk, ...]
    platforms: tuple[PlannedPlatform, ...]
    selections: tuple[Selection, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the ledger has it. Times are seconds since the epoch; `success` and `total` are the vendor's words.

    `has_result` says that there are verdicts and a result of it, also while it is being fetched again.
    `sent_name` is the name under which its file was last sent, "" while it was not. `decided` is what it was before a
    person's decision of which nothing has come yet, as JSON; None when there is none.
    """

    key: TaskKey
    state: State
    rows: int
    sha256: str
    task_id: str | None
    cost_nano: int
    submitted_at: float | None
    progress_at: float | None
    total: int
    success: int
    reason: str
    has_result: bool = False
    sent_name: str = ""
    released_at: float | None = None
    decided: str | None = None


class PastResult(NamedTuple):
    """What a task that is done has said: how many of its numbers have which word, and what was odd about it."""

    chunk: int
    counts: Mapping[str, int]
    finding: str


@dataclass(frozen=True, slots=True)
class LastingCaution:
    """What outlives a run of a platform's caution.

    `refusals` are the submits refused in a row, `losses` the results in a row that came to nothing, `unread` whether a
    first result is still to be read. They begin anew with other settings, and with what a person decides on a failed
    task. `slowest_s` is the slowest answer to a submit of the last run that got any, 0 when none is known.
    """

    refusals: int = 0
    losses: int = 0
    unread: bool = True
    slowest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Passage:
    """Some events that follow one another: when they began and ended, and by how much they changed what is counted.

    `submits` are as in `Standing`; `at_the_vendor` and `done` are tasks. `put_off` are the submits that the vendor did
    not take then.
    """

    began_at: float
    ended_at: float
    submits: int
    at_the_vendor: int
    done: int
    put_off: int


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One call of `run`: `exit_code` is None while it runs, and for ever when it was killed."""

    serial: int
    started_at: float
    ended_at: float | None
    exit_code: int | None
    reason: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class BalanceLook:
    """What a vendor said of its balance at a moment, beside what its tasks may have cost by then; both in 1e-9 USD.

    `doubts` are the tasks that were in doubt then, each with what it may have cost.
    """

    at: float
    balance_nano: int
    spent_nano: int
    doubts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Money:
    """Sums of money, in 1e-9 USD. `reserved`, `charged` and `in_doubt` together are what counts against the budget.

    `quoted` is what the prices gave for all that was sent, each task once. `reserved` is at the vendor, `charged` is
    over, `in_doubt` is what nobody knows the vendor to have charged. Each counts what the vendor told instead of the
    price, where it told anything: `told` is how much that is, `told_quoted` what the prices gave for the same tasks.
    `refunded` is by how much less it told at the end than at first.
    """

    quoted: int = 0
    reserved: int = 0
    charged: int = 0
    in_doubt: int = 0
    refunded: int = 0
    told: int = 0
    told_quoted: int = 0

    def __add__(self, other: Money) -> Money:
        return Money(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def spent(self) -> int:
        """What counts against the budget."""
        return self.reserved + self.charged + self.in_doubt

    def expected(self, price_nano: int) -> int:
        """Return what is to be expected of a task for which the price gives `price_nano`.

        That is more where the vendor has told more than the prices gave so far.
        """
        if not 0 < self.told_quoted < self.told:
            return price_nano
        return -(-price_nano * self.told // self.told_quoted)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one platform stands, summed in the ledger.

    `submits` and `cost_nano` (1e-9 USD) count what the vendor may have charged: refused and put-off submits are free.
    `generations` has the money of each generation of which anything was sent, and `other_currencies` are those in which
    the vendor told amounts that were not added. What was `reused` is not among the tasks.
    """

    platform: str
    tasks_by_state: Mapping[State, int]
    rows_by_state: Mapping[State, int]
    verdicts: Mapping[str, int]
    submits: int
    status_calls: int
    cost_nano: int
    generations: Mapping[int, Money] = field(default_factory=dict)
    other_currencies: tuple[str, ...] = ()
    reused: ReusedSums = ReusedSums()

    @property
    def money(self) -> Money:
        return sum(self.generations.values(), Money())

    def tasks(self, *states: State) -> int:
        """Return how many tasks are in one of `states`, or in all when none is named."""
        return sum(count for state, count in self.tasks_by_state.items() if not states or state in states)

    @property
    def held(self) -> int:
        """Tasks that wait for a person's decision."""
        return self.tasks(*HELD)

    @property
    def unfinished(self) -> int:
        """Tasks that a run still has work with."""
        return self.tasks(*UNFINISHED)
