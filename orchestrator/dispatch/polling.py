"""When to look at a task again: a pure function of what is known about it.

A status call may cost something, so the looks aim at the moment of export: from the task's own progress once it has
some, from what earlier tasks took before that. Near the end they come closer together, down to a small share of what
the task took so far; a task that stands still is looked at ever more rarely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.settings import PollingSettings

JITTER = 0.1
STANDSTILL_SHARE = 0.25
DELAY_SHARE = 0.02
"""How late a result may be seen, of the task's age: a task of half an hour needs no look every five seconds."""
FIRST_LOOK_SHARE = 0.75
"""When to look first, of what tasks typically take: some are faster."""
TRUST = 2.0
"""How far ahead a first progress is believed, in ages: a task that waited in a queue looks slower than it is."""
PACE_SHARE = 0.5
LEARNING = 0.2


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known at a look: ages in seconds; `done` is `success / total`, 0 while nothing is known.

    A task that was submitted just now has an age of 0.
    """

    age_s: float
    since_progress_s: float
    done: float
    typical_s: float | None


def next_look_s(progress: Progress, polling: PollingSettings, *, floor_s: float, draw: float) -> float:
    """Return the seconds until the next look. `floor_s` is what the pace allows, `draw` is from [0, 1)."""
    standstill_s, delay_s = progress.since_progress_s * STANDSTILL_SHARE, progress.age_s * DELAY_SHARE
    wait_s = max(_remaining_s(progress), standstill_s, delay_s)
    wait_s *= 1.0 + JITTER * (draw - 0.5)
    lowest_s = max(polling.min_interval_s, floor_s)
    return max(lowest_s, min(wait_s, polling.max_interval_s))


def _remaining_s(progress: Progress) -> float:
    if progress.done > 0.0:
        done = min(progress.done, 1.0)
        return progress.age_s * min((1.0 - done) / done, TRUST)
    if progress.typical_s is not None:
        return max(progress.typical_s * FIRST_LOOK_SHARE - progress.age_s, 0.0)
    return progress.age_s


def floor_s(in_flight: int, interval_s: float) -> float:
    """Return how far apart one task's looks must be so that all of them take at most half of the pace."""
    return in_flight * interval_s / PACE_SHARE


def learn(typical_s: float | None, took_s: float) -> float:
    """Mix the duration of one more task into what a task typically takes."""
    return took_s if typical_s is None else typical_s + LEARNING * (took_s - typical_s)
