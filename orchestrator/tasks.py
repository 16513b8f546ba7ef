"""The life of a task: states, events, and the one table that joins them. Pure.

Dispatch, ledger and the manual's diagram all come from `TRANSITIONS`. An event that the table does not allow raises and
changes nothing.

A task is *released* in the moment its submit becomes complete at the vendor: before that it provably does not exist
there, after it only an answer tells. So RELEASED without a recorded answer means "in doubt", and nothing but a
person's decision leads from there to a second submit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_CHUNK_DIGITS = 18
"""More than that no ledger can hold."""


@dataclass(frozen=True, slots=True, order=True)
class TaskKey:
    """One chunk at the vendor for one platform; users see it as `instagram/000017`."""

    platform: str
    chunk: int

    def __str__(self) -> str:
        return f"{self.platform}/{self.chunk:06d}"

    @classmethod
    def parse(cls, name: str) -> TaskKey:
        """Read what `str` wrote; raises `ValueError`."""
        platform, _, chunk = name.rpartition("/")
        if not platform.isascii() or not platform or not chunk.isdecimal() or len(chunk) > MAX_CHUNK_DIGITS:
            raise ValueError(f"{name!r} is no task; tasks are named like instagram/000017")
        return cls(platform, int(chunk))

    def file_name(self, job: str, sha256: str) -> str:
        """Name the chunk's file as the vendor gets it, so that a person can find it there."""
        return f"{job}-{self.platform}-{self.chunk:06d}-{sha256[:8]}.txt"


class State(StrEnum):
    """Where a task stands; the value is what the ledger stores."""

    PLANNED = "planned"
    RELEASED = "released"
    SUBMITTED = "submitted"
    IN_DOUBT = "in_doubt"
    STALLED = "stalled"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    RETRIED = "retried"


class Event(StrEnum):
    """What can happen to a task."""

    RELEASE = "release"  # the last bytes of its submit are about to leave
    PUT_OFF = "put_off"  # the vendor answered that no task was made
    ACCEPT = "accept"  # the vendor named its task id
    REFUSE = "refuse"  # the vendor will never take this file
    DOUBT = "doubt"  # released, and nobody knows whether a task exists
    FINISH = "finish"  # verdicts are written and synced
    FAIL = "fail"  # the vendor's task or its result is of no use, or all that came of it is lost
    STALL = "stall"  # no progress for give_up_after_h
    RESUBMIT = "resubmit"  # a person decided to send it again
    ADOPT = "adopt"  # a person named the vendor's task id
    GIVE_UP = "give_up"  # a person decided to do without
    RETRY = "retry"  # its numbers are planned again, in a further generation
    WITHDRAW = "withdraw"  # a retry that was not sent, when a result that may answer its numbers comes first
    REFETCH = "refetch"  # its result is to be fetched again, under the id that is known
    UNDO = "undo"  # a person took back a decision of which nothing had come


class IllegalTransitionError(Exception):
    """An event that the table does not allow: an error of the program."""


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.PLANNED, Event.RELEASE): State.RELEASED,
    (State.PLANNED, Event.WITHDRAW): State.FAILED,
    (State.PLANNED, Event.REFUSE): State.FAILED,  # an early refusal, while the body was still being sent
    (State.RELEASED, Event.PUT_OFF): State.PLANNED,
    (State.RELEASED, Event.ACCEPT): State.SUBMITTED,
    (State.RELEASED, Event.REFUSE): State.FAILED,
    (State.RELEASED, Event.DOUBT): State.IN_DOUBT,
    (State.SUBMITTED, Event.FINISH): State.DONE,
    (State.SUBMITTED, Event.FAIL): State.FAILED,
    (State.SUBMITTED, Event.STALL): State.STALLED,
    (State.SUBMITTED, Event.GIVE_UP): State.FAILED,  # a vendor may be gone for good, and a job must be able to end
    (State.STALLED, Event.FINISH): State.DONE,
    (State.STALLED, Event.FAIL): State.FAILED,
    (State.STALLED, Event.RESUBMIT): State.PLANNED,
    (State.STALLED, Event.ADOPT): State.SUBMITTED,
    (State.STALLED, Event.GIVE_UP): State.FAILED,
    (State.IN_DOUBT, Event.RESUBMIT): State.PLANNED,
    (State.IN_DOUBT, Event.ADOPT): State.SUBMITTED,
    (State.IN_DOUBT, Event.FINISH): State.DONE,
    (State.IN_DOUBT, Event.GIVE_UP): State.FAILED,
    (State.FAILED, Event.ADOPT): State.SUBMITTED,  # a result that was damaged may be whole on another day
    (State.FAILED, Event.FINISH): State.DONE,
    (State.FAILED, Event.RESUBMIT): State.PLANNED,
    (State.FAILED, Event.RETRY): State.RETRIED,
    (State.STALLED, Event.REFETCH): State.SUBMITTED,
    (State.FAILED, Event.REFETCH): State.SUBMITTED,
    (State.DONE, Event.REFETCH): State.SUBMITTED,  # it has gaps, or its files are lost
    (State.DONE, Event.ADOPT): State.SUBMITTED,  # the id that it was given was another task's
    (State.DONE, Event.FINISH): State.DONE,  # its verdicts were made anew from the result that is kept
    (State.DONE, Event.FAIL): State.FAILED,  # its files are lost, and no id is known
}

DECISIONS: dict[State, tuple[Event, ...]] = {
    State.IN_DOUBT: (Event.ADOPT, Event.RESUBMIT, Event.FINISH, Event.GIVE_UP),
    State.STALLED: (Event.REFETCH, Event.ADOPT, Event.FINISH, Event.RESUBMIT, Event.GIVE_UP),
    State.FAILED: (Event.REFETCH, Event.ADOPT, Event.FINISH, Event.RESUBMIT),
    State.SUBMITTED: (Event.FINISH, Event.GIVE_UP),
    State.DONE: (Event.REFETCH, Event.ADOPT, Event.FINISH),
}
"""What a person may decide in each state, the cheapest way out first; FINISH is by a result file that a person brings.

REFETCH needs a known task id. In the states that are not here there is nothing to decide. A task on which was decided,
and nothing has come of it yet, takes what it took before: a new decision takes the place of the earlier one.
"""

HELD = frozenset({State.IN_DOUBT, State.STALLED})
"""States that wait for a person's decision; users see them as `held`."""

UNFINISHED = frozenset({State.PLANNED, State.RELEASED, State.SUBMITTED})
"""States that a run works on; their cells are `pending`."""


def state_after(state: State, event: Event) -> State:
    """Return the state that follows, or raise `IllegalTransitionError`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(f"a {state} task can't take the event {event}") from None


def undone(origin: State, decision: Event, state: State) -> State:
    """Return the state to which taking `decision` back leads, its arrow backwards; or `IllegalTransitionError`.

    So this event is not in the table: where it leads depends on where the task came from.
    """
    if TRANSITIONS.get((origin, decision)) is not state:
        raise IllegalTransitionError(f"a {state} task did not come from {origin} by {decision}")
    return origin


def mermaid() -> str:
    """Draw the table as a Mermaid state diagram, as the manual shows it."""
    lines = ["stateDiagram-v2", "    [*] --> planned", "    [*] --> skipped"]
    lines += [f"    {state} --> {target}: {event}" for (state, event), target in TRANSITIONS.items()]
    lines += [f"    {end} --> [*]" for end in (State.DONE, State.SKIPPED, State.RETRIED)]
    return "\n".join(lines)
