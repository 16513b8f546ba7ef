"""Power losses by number: each block of them has one recording, and a second one of what went on after one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.powerloss.operations import Lies, honest
from tests.powerloss.outage import drawn_outage, survive
from tests.powerloss.recording import Recording, record
from tests.simulation.checks import BrokenPromiseError
from tests.simulation.playing import scratch

A_BLOCK = 60
FIRST_LOSSES = 40
"""So many power losses of a block hit the recording, the others hit the lives after one of these."""


@dataclass
class Tally:
    """What a campaign has seen."""

    states: int = 0
    distinct: int = 0
    recordings: int = 0
    kills: int = 0
    calls: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def take(self, recording: Recording) -> Recording:
        self.recordings += 1
        self.kills += recording.kills
        self.calls += len(recording.cuts())
        return recording


def lose_power(first: int, states: int, tally: Tally, lies: Lies = honest) -> Iterator[str]:
    """Live through power losses `first` and following; yield what each that breaks a promise has to tell."""
    with scratch() as folder:
        for block in range(first // A_BLOCK, -(-(first + states) // A_BLOCK)):
            numbers = range(max(first, block * A_BLOCK), min(first + states, (block + 1) * A_BLOCK))
            yield from _block(folder, block, [number - block * A_BLOCK for number in numbers], tally, lies)


def _block(folder: Path, block: int, numbers: list[int], tally: Tally, lies: Lies) -> Iterator[str]:
    seen: set[str] = set()
    recording = tally.take(record(folder, block))
    again = None
    for number in numbers:
        if number >= FIRST_LOSSES and again is None:
            again = tally.take(record(folder, block, drawn_outage(recording, FIRST_LOSSES)))
        outage = drawn_outage(again or recording, number, lies)
        tally.states += 1
        tally.kinds[outage.kind] += 1
        if outage.fingerprint in seen:
            continue
        seen.add(outage.fingerprint)
        tally.distinct += 1
        try:
            survive(again or recording, outage)
        except BrokenPromiseError as error:
            yield f"{error}\n--- replay: python -m tests.powerloss --states 1 --from {block * A_BLOCK + number}"
