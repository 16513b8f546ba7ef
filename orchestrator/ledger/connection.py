"""An open ledger's connection: what a file gives, and a database by way of its mirror.

The ledger's statements are SQLite's, with a question mark for each value: it is either the ledger, or the mirror of one
that is elsewhere. What differs is how a ledger is opened, and what makes a commit durable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestrator.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

RESTORE: Final = "restore the job's directory from its last run"
ALL: Final = 2**63 - 1
"""A limit that limits nothing: -1 does so in SQLite alone."""

_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What comes of values that this program never wrote."""


class ApplyAgainError(Exception):
    """A commit of which nothing has happened, for what other jobs have spent is not what it was thought to be."""


class Turn(NamedTuple):
    """When a vendor may be called that others call too: from `begins_s` on, the last time `spacing_s` before `ends_s`.

    Both count from when it was asked for. Calls leave `spacing_s` apart.
    """

    begins_s: float
    ends_s: float
    spacing_s: float


class Connection(ABC):
    """Statements, transactions and readings of one open ledger; errors of the database are `StorageError`.

    Only a change that violates a constraint has an error of its own: it says nothing about the disk.
    """

    restore: str = RESTORE
    """What there is to do about a ledger that is damaged."""

    def __init__(self, name: str) -> None:
        self.name = name
        """What messages call it."""
        self.others_nano = 0
        """What other jobs have spent of this one's budget, as far as is known; see `share`."""
        self.room_nano: int | None = None
        """How much that may be at most for what this transaction releases to fit; None where it releases nothing."""
        self.others_in_question = False
        """Whether something would fit had others spent less by now."""

    @property
    def holds(self) -> bool:
        """Whether nobody else can have taken the job over by now."""
        return True

    def fingerprint(self, base_url: str, key: str) -> str:  # noqa: ARG002 - for those that have others beside them
        """Return by what name jobs of this place know a vendor that each calls with this key, "" where none share it.

        Nobody who reads it there finds out the key.
        """
        return ""

    def share(self, vendors: Mapping[str, Sequence[str]]) -> None:
        """Count what is spent at vendors, fingerprint → platforms, together with other jobs."""
        raise NotImplementedError(f"{self.name}: nobody shares {', '.join(vendors)}")

    def others_spent(self, vendors: Sequence[str] | None = None) -> int:  # noqa: ARG002 - as above
        """Return what others have spent of a budget that they share with this job, in 1e-9 USD.

        At `vendors`, and now; or, without them, where the job has been before, when it was opened.
        """
        return 0

    def turn(self, vendor: str, holder: str, *, places: int, spacing_s: float, slack_s: float) -> Turn:
        """Ask for so many calls at a vendor that other jobs call too, spaced as given; `StorageError` if that fails."""
        raise NotImplementedError(f"{self.name}: nobody shares {vendor} with {holder}: {places, spacing_s, slack_s}")

    @abstractmethod
    def run(self, statement: str, values: Sequence[object] = ()) -> int:
        """Run a statement that changes something, and return how many rows it changed."""

    @abstractmethod
    def run_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each of `rows`."""

    @abstractmethod
    def row(self, statement: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a reading."""

    @abstractmethod
    def rows(self, statement: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a reading, as they come."""

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction that no other writer can come between."""

    @abstractmethod
    def commit(self) -> None:
        """Make the transaction durable; whatever keeps it from that is `StorageError`."""

    @property
    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    @property
    @abstractmethod
    def changed_rows(self) -> int:
        """How many rows were changed since the connection was opened, those included that were changed back."""

    @abstractmethod
    def defer_references(self) -> None:
        """Check references between tables when the transaction ends, not at each statement."""

    @abstractmethod
    def rewrite_texts(self, rewrite: Callable[[str], str], *, leave: Container[str]) -> None:
        """Put every text through `rewrite`, except for those of keys and of the columns in `leave`."""

    @abstractmethod
    def compact(self) -> None:
        """Leave nothing on the disk of what was changed or deleted."""

    @abstractmethod
    def close(self) -> None:
        """Close; what was committed stays."""

    def value(self, statement: str, values: Sequence[object] = ()) -> Any:
        """Return the first value of the first row of a reading, None without one."""
        row = self.row(statement, values)
        return None if row is None else row[0]

    def damaged(self, what: str) -> StorageError:
        """Return the error of a ledger that holds what this program never wrote."""
        return StorageError(f"{self.name}: {what}; {self.restore}")

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Turn what comes of values that make no sense into `StorageError`: a database guards their types alone."""
        try:
            yield
        except _NONSENSE as error:
            raise self.damaged(f"a record is damaged ({type(error).__name__})") from error


def marks(values: Sequence[object]) -> str:
    """Return a question mark for each value, for `IN (…)`."""
    return ", ".join("?" * len(values))
