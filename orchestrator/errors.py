"""Everything that can go wrong, as one tree; the class says what to do next.

    OrchestratorError            ends the run, or in dispatch its platform; carries the exit code
    ├── UsageError          2    the command, the configuration or the list is wrong: nothing was sent
    │   └── ChangedError    2    the list or a fixed setting is not what the job began with
    ├── BudgetError         5    the planned cost does not fit max_cost
    ├── LockedError         6    another run holds this job
    ├── StorageError       74    disk or ledger failed: repair it and run again
    │   └── LeaseLostError  6    another coordinator has taken the job over
    └── EngineError        75    nobody is there to do pieces any more: run again
    CallError                    one call to the vendor failed; never ends a run by itself
    ├── TemporaryError           the same call may succeed later
    │   ├── NoSuchHostError      the vendor's name is not found: most likely base_url is wrong
    │   └── CertificateError     the certificate there does not hold for that name
    ├── LinkExpiredError         ask the task's status again for a fresh link
    ├── DeniedError              401, 402, 403: the vendor says stop
    └── RefusedError             the vendor will never take this call
    DamagedResultError           a result file that can't be read: fetch it again, then quarantine it
    └── SuspectResultError       one that says too little of its chunk: fetch it again, then take what it says
    PieceDiedError               a worker process died on this piece of work

Messages are for the user: they name the thing and the way out.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """The exit codes of every command; frozen by a test."""

    DONE = 0
    SOME_FAILED = 1
    USAGE = 2
    HELD = 3
    VENDOR_STOP = 4
    OVER_BUDGET = 5
    LOCKED = 6
    INTERNAL = 70
    STORAGE = 74
    AGAIN = 75


EXIT_CODES: Final = {
    ExitCode.DONE: "done",
    ExitCode.SOME_FAILED: "finished, but some tasks failed for good; or a finding",
    ExitCode.USAGE: "bad command, config or input, or a changed list: sent nothing",
    ExitCode.HELD: "something is held and needs a decision",
    ExitCode.VENDOR_STOP: "the vendor said stop: key or balance",
    ExitCode.OVER_BUDGET: "over budget",
    ExitCode.LOCKED: "another run holds this job",
    ExitCode.INTERNAL: "internal error",
    ExitCode.STORAGE: "disk or ledger failed: repair it and run again",
    ExitCode.AGAIN: "stopped in good order, or the vendor is out of reach; run again",
}
"""What each of them says, in words for people."""


class OrchestratorError(Exception):
    """Ends the run with a message for the user and an exit code."""

    exit_code = ExitCode.INTERNAL


class UsageError(OrchestratorError):
    """The command, the configuration or the list is wrong; nothing was sent."""

    exit_code = ExitCode.USAGE


class ChangedError(UsageError):
    """The list or a fixed setting is not what the job began with."""


class BudgetError(OrchestratorError):
    """The planned cost does not fit the budget."""

    exit_code = ExitCode.OVER_BUDGET


class LockedError(OrchestratorError):
    """Another run holds this job."""

    exit_code = ExitCode.LOCKED


class StorageError(OrchestratorError):
    """Disk or ledger failed."""

    exit_code = ExitCode.STORAGE


class LeaseLostError(StorageError):
    """Another coordinator has taken the job over; nothing can be recorded, so nothing may be sent, by this one."""

    exit_code = ExitCode.LOCKED


class EngineError(OrchestratorError):
    """What runs the pieces is out of reach, or has lost those that did them."""

    exit_code = ExitCode.AGAIN


class CallError(Exception):
    """One call to the vendor failed."""


class TemporaryError(CallError):
    """The same call may succeed later.

    `retry_after_s` is the vendor's own wish, if it sent one. `throttled` says that the vendor found us too fast
    (429), which slows the pace and does not count as an outage.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, throttled: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.throttled = throttled


class NoSuchHostError(TemporaryError):
    """The vendor's name is not found: most likely it is misspelt. Names come back too, so it is worth trying again."""


class CertificateError(TemporaryError):
    """The certificate at the vendor's address does not hold for it; a renewed one may."""


class LinkExpiredError(CallError):
    """The result link no longer opens the file."""


class DeniedError(CallError):
    """The vendor answered 401, 402 or 403 (`status`); unless it is `sure`, a gateway may have done so in its place."""

    def __init__(self, message: str, *, status: int, sure: bool) -> None:
        super().__init__(message)
        self.status = status
        self.sure = sure


class RefusedError(CallError):
    """The vendor will never take this call; `status` is the HTTP status."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class DamagedResultError(Exception):
    """A result file that can't be read, or not be trusted; the message says why, without numbers."""


class SuspectResultError(DamagedResultError):
    """A result file that can be read, and says too little of its chunk to be believed at first sight."""


class PieceDiedError(Exception):
    """A worker process died, or ran out of memory, on this piece of work."""
