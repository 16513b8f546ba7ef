"""What the vendor's answers mean, as values: the rest of the program never sees HTTP.

A submit ends in exactly one of five answers. They differ in what is known about a task at the vendor:

    Accepted   it exists, and has an id
    PutOff     it provably does not exist; the same submit may be sent again later
    Denied    it does not exist; a person has to act before any submit makes sense
    Refused    it does not exist; this submit will never be taken as it is
    InDoubt    nobody knows
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


@dataclass(frozen=True, slots=True)
class Amount:
    """What the vendor says that a task costs: `nano` are 1e-9 of a `currency`, its code in capitals, "" if untold."""

    nano: int
    currency: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What the vendor expects to charge for a task, and what it has charged; None where it does not say."""

    estimated: Amount | None = None
    actual: Amount | None = None


UNTOLD: Final = Charge()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor made a task. `total` is its own count of the rows, None where it does not say."""

    task_id: str
    total: int | None
    charge: Charge = UNTOLD


class Cause(StrEnum):
    """Why a submit is put off."""

    UNSENT = "unsent"  # nothing whole reached the vendor
    THROTTLED = "throttled"  # 429: it found us too fast
    FAILED = "failed"  # 500, in the vendor's own words


@dataclass(frozen=True, slots=True)
class PutOff:
    """Provably no task. `retry_after_s` is the vendor's wish, 0 to 3600."""

    reason: str
    retry_after_s: float | None = None
    cause: Cause = Cause.UNSENT


@dataclass(frozen=True, slots=True)
class Denied:
    """The vendor wants a person to act first: 401, 402 or 403 (`status`).

    `sure` is whether these are its own words, as JSON; else a gateway may have said it.
    """

    reason: str
    status: int
    sure: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Refused for good with the HTTP `status`; `reason` says what to change."""

    reason: str
    status: int


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The whole request left, and no answer tells whether a task was made."""

    reason: str


SubmitAnswer = Accepted | PutOff | Denied | Refused | InDoubt


KNOWN_STATUSES: Final = frozenset({"pending", "processing", "completed", "exported"})
"""What the vendor documents that it says of a task."""


@dataclass(frozen=True, slots=True)
class TaskReport:
    """The vendor's view of one task. `status` is its own word in lower case, which may be one we don't know.

    `total`, `success` and `failure` count rows and are at least 0; the vendor is known to report more successes than
    rows, so nothing may be derived from their sum.
    """

    task_id: str
    status: str
    total: int
    success: int
    failure: int
    result_url: str | None
    charge: Charge = UNTOLD
