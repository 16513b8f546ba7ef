"""When to poll a task again: pure functions of what is known about it, and of what its platform's tasks have taught.

A status call may cost something, and a place at the vendor that is free but not seen to be free costs time. So polls
aim at the moment of export. The task's own progress says when its last row will be done; how long after that it is
exported, earlier tasks have taught. Far from the end a poll comes a little short of it, since tasks change their speed.
Where progress tells nothing, polls begin some time before the usual end. A task that is overdue is polled ever more
rarely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.settings import PollingSettings

JITTER = 0.1
STANDSTILL_SHARE = 0.25
NEAR_SHARE = 0.05
"""From where on a poll aims at the end itself, of what the task takes."""
APPROACH = 0.95
"""How much of a longer way to the end is waited for."""
DELAY_SHARE = 0.01
"""How late a result may be seen, of the task's age: a task of half an hour needs no poll every five seconds."""
BLIND_FIRST_SHARE = 0.55
BLIND_STEP_SHARE = 0.045
BLIND_OVERDUE_SHARE = 0.1
BLIND_LATE = 1.5
"""Where progress tells nothing, of what tasks typically take: when to poll first (some are much faster), and how far
apart polls are at the usual end: earlier, where few tasks end, farther; and beyond what is late, by a part of that."""
TRUST = 2.0
"""How far ahead a first progress is believed, in ages: a task that waited in a queue looks slower than it is."""
PACE_SHARE = 0.5
LEARNING = 0.1
HITS = 0.5
"""How many of the polls that aim at the end shall find the export. With more of them they would come later, and with
fewer there would be more polls."""
MARGIN_STEP = 0.002


@dataclass(frozen=True, slots=True)
class PollProgress:
    """What is known at a poll: ages in seconds; `done` is the share of rows that the vendor has done, 0 while unknown.

    A task that was submitted just now has an age of 0. `since` is an earlier age, and the share that was done then,
    from where on the task's speed is reckoned. `worked_s` is when, at the poll before, its last row was expected.
    """

    age_s: float
    since_progress_s: float
    done: float
    since: tuple[float, float] = (0.0, 0.0)
    worked_s: float | None = None


@dataclass(frozen=True, slots=True)
class Experience:
    """What a platform's tasks have taught: what one takes, and how long after its last row to aim, as a share."""

    typical_s: float | None = None
    margin: float = 0.0


def worked_s(progress: PollProgress) -> float | None:
    """Return the age at which the last row will be, or was, done; None while nothing tells."""
    age_s, done = progress.age_s, progress.done
    if done <= 0.0:
        return None
    if done >= 1.0:
        return age_s if progress.worked_s is None else min(age_s, progress.worked_s)
    since_s, since_done = progress.since
    to_go_s = age_s * min((1.0 - done) / done, TRUST)
    if done > since_done:
        to_go_s = min(to_go_s, (age_s - since_s) * (1.0 - done) / (done - since_done))
    return age_s + to_go_s


def next_poll_s(
    progress: PollProgress, experience: Experience, polling: PollingSettings, *, floor_s: float, draw: float
) -> float:
    """Return the seconds until the next poll. `floor_s` is what the pace allows, `draw` is from [0, 1)."""
    last_row_s, typical_s, age_s = worked_s(progress), experience.typical_s, progress.age_s
    if last_row_s is not None:
        end_s = last_row_s * (1.0 + experience.margin)
        to_go_s = end_s - age_s
        aim_s = max(to_go_s * APPROACH, min(to_go_s, end_s * NEAR_SHARE))
        wait_s = max(aim_s, age_s * DELAY_SHARE, progress.since_progress_s * STANDSTILL_SHARE)
    elif typical_s:
        step_s = typical_s * BLIND_STEP_SHARE * max(1.0, typical_s / max(age_s, typical_s * BLIND_FIRST_SHARE))
        late_s = max(0.0, age_s - typical_s * BLIND_LATE) * BLIND_OVERDUE_SHARE
        wait_s = max(typical_s * BLIND_FIRST_SHARE - age_s, step_s + late_s)
    else:  # nothing is known, or a time of nothing, which tells no more
        wait_s = age_s
    wait_s *= 1.0 + JITTER * (draw - 0.5)  # tasks that were sent together are not polled together
    lowest_s = max(polling.min_interval_s, floor_s)
    return max(lowest_s, min(wait_s, polling.max_interval_s))


def floor_s(in_flight: int, interval_s: float) -> float:
    """Return how far apart one task's polls must be so that all of them take at most half of the pace."""
    return in_flight * interval_s / PACE_SHARE


def learn(experience: Experience, *, polled_s: float, seen_s: float, worked_s: float | None) -> Experience:
    """Learn from a task that was exported after the age of `polled_s`, when it was polled, and before `seen_s`.

    `worked_s` is when its last row was expected then. The margin follows a share of the tasks, not their mean: polls
    that come later see later exports, so a mean would run away from itself.
    """
    took_s = (polled_s + seen_s) / 2
    typical_s = took_s if experience.typical_s is None else experience.typical_s
    typical_s += LEARNING * (took_s - typical_s)
    margin = experience.margin
    if worked_s is not None and seen_s > polled_s:
        # How much of the time in question lies before the aim: so likely is it that the aim was late enough.
        hit = ((1.0 + margin) * worked_s - polled_s) / (seen_s - polled_s)
        margin += MARGIN_STEP * (HITS - min(1.0, max(0.0, hit)))
    return Experience(typical_s, margin)
