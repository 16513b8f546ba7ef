"""What a row of the table of faults is: a fault, what the program does about it, and how its run ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.address import NAME

BY_NAME = "name not found"


@dataclass(frozen=True)
class Strike:
    """What is done to the program: `fault` at `place`, in its variant `which`; to a job that has `begun`, or a new one.

    Places are the calls of `front.PLACES`, and three more: `address` is how the vendor is reached, `host` the machine
    that the program runs on, `result` what a result file holds.
    """

    place: str
    fault: str
    which: int = 0
    begun: bool = False

    @property
    def is_sleep(self) -> bool:
        """Whether the machine is suspended in the middle of a call: once, by its nature."""
        return self.fault.endswith(": sleep")

    @property
    def host(self) -> str:
        """The name that the vendor is called by."""
        return NAME if self.fault == BY_NAME else "127.0.0.1"


@dataclass(frozen=True)
class End:
    """How a run ends: its exit code; where its two tasks with the fault stand; how many of them were charged."""

    code: int
    states: str
    charged: int


@dataclass(frozen=True)
class Row:
    """One fault. `lasting` is the end of a run while it lasts, `once` that of a run in which it strikes once.

    `says` stands in what the run with the lasting fault told its user. Without `once` it can't be had once.
    """

    group: str
    fault: str
    does: str
    strike: Strike
    lasting: End
    once: End | None
    says: str

    @property
    def codes(self) -> tuple[int, ...]:
        """The exit codes: while it lasts, and, when that is another one, if it strikes once."""
        ends = [self.lasting, *([] if self.once is None else [self.once])]
        return tuple(dict.fromkeys(end.code for end in ends))


@dataclass(frozen=True)
class Outcome:
    """What many faults share."""

    does: str
    lasting: End
    once: End | None


DONE = End(0, "2 done", 2)


def several(group: str, place: str, outcome: Outcome, faults: Iterable[tuple[str, str, str]]) -> list[Row]:
    """Return rows of one outcome: (fault, how it is called at its place, what is said); `name#2` is a variant."""
    rows = []
    for fault, name, says in faults:
        name_, _, which = name.partition("#")
        strike = Strike(place, name_, int(which or 0))
        rows.append(Row(group, fault, outcome.does, strike, outcome.lasting, outcome.once, says))
    return rows
