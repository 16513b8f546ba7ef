"""Faults by seed: which call goes wrong, and how. Pure; the sandbox only counts the calls.

The n-th call of a kind about a thing always has the same fate, so a run can be repeated exactly. All rates are
moderate and the counters outlive a restart, so a client that repeats what may be repeated always gets through.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.sandbox.chance import chance

if TYPE_CHECKING:
    from collections.abc import Iterable

_RATES = {
    "error_500": 0.06,  # a JSON 500; no task was made
    "throttle_429": 0.05,  # 429 with Retry-After; no task was made
    "reset_before": 0.04,  # the connection is reset before a task is made
    "reset_after": 0.04,  # the connection is reset after the task was made and recorded
    "slow": 0.06,  # the answer takes up to some seconds
    "expired_link": 0.15,  # the result link has already expired; the next status brings a good one
    "truncated_file": 0.15,  # one of the first downloads of a task breaks off, or is a cut file
    "missing_rows": 1.0,  # every task: some 0.5 % of its rows; see verdicts.missing_numbers
    "foreign_rows": 0.25,  # such a task's result holds a few numbers that were not in its file
}

FAULTS: tuple[str, ...] = tuple(_RATES)
"""The names of all faults."""

ALL = "all"

_OF_SUBMIT = ("reset_before", "reset_after", "error_500", "throttle_429")
_OF_STATUS = ("reset_before", "error_500", "throttle_429")
_SLOWEST_S = 3.0
_LONGEST_RETRY_AFTER_S = 3
_DAMAGED_DOWNLOADS = 2


class Moment(StrEnum):
    """When a fault strikes a submit; other calls only know EARLY."""

    EARLY = "early"  # before the body was read
    WHOLE = "whole"  # the body is whole, no task was made
    MADE = "made"  # the task is made and recorded


@dataclass(frozen=True, slots=True)
class Fate:
    """What befalls one call: `fault` strikes at `moment`; the call sleeps `slow_s` at `slow_moment`."""

    fault: str = ""
    moment: Moment = Moment.EARLY
    slow_s: float = 0.0
    slow_moment: Moment = Moment.EARLY
    retry_after_s: int = 1


def expand_faults(names: Iterable[str]) -> frozenset[str]:
    """Return the faults that are meant by `names`, where "all" means every one; raises `ValueError`."""
    chosen: set[str] = set()
    for name in names:
        if name != ALL and name not in _RATES:
            guess = get_close_matches(name, [*FAULTS, ALL], n=1)
            hint = f"; did you mean {guess[0]!r}?" if guess else f"; known are {', '.join(FAULTS)} and {ALL}"
            raise ValueError(f"unknown fault {name!r}{hint}")
        chosen.update(FAULTS if name == ALL else (name,))
    return frozenset(chosen)


def strikes(seed: int, faults: frozenset[str], fault: str, *about: object) -> bool:
    """Tell whether `fault` is switched on and hits this call or task."""
    return fault in faults and chance(seed, fault, *about) < _RATES[fault]


def submit_fate(seed: int, faults: frozenset[str], path: str, nth: int) -> Fate:
    about = ("submit", path, nth)
    fault = next((name for name in _OF_SUBMIT if strikes(seed, faults, name, *about)), "")
    before = Moment.EARLY if chance(seed, "moment", *about) < 1 / 3 else Moment.WHOLE
    return Fate(
        fault=fault,
        moment=Moment.MADE if fault == "reset_after" else before,
        slow_s=_slowness(seed, faults, about),
        slow_moment=Moment.MADE if chance(seed, "slow moment", *about) < 1 / 2 else Moment.WHOLE,
        retry_after_s=_retry_after(seed, about),
    )


def status_fate(seed: int, faults: frozenset[str], task_id: str, nth: int) -> Fate:
    about = ("status", task_id, nth)
    fault = next((name for name in _OF_STATUS if strikes(seed, faults, name, *about)), "")
    return Fate(fault=fault, slow_s=_slowness(seed, faults, about), retry_after_s=_retry_after(seed, about))


def link_is_expired(seed: int, faults: frozenset[str], task_id: str, nth: int) -> bool:
    """Tell whether the link in the `nth` status answer is already expired; never two answers in a row."""
    hit, hit_before = (strikes(seed, faults, "expired_link", task_id, n) for n in (nth, nth - 1))
    return hit and not hit_before


def download_is_damaged(seed: int, faults: frozenset[str], task_id: str, nth: int) -> bool:
    """Tell whether the `nth` download (from 1) of a task's result is cut; only the first ones can be."""
    return nth <= _DAMAGED_DOWNLOADS and strikes(seed, faults, "truncated_file", task_id, nth)


def _slowness(seed: int, faults: frozenset[str], about: tuple[object, ...]) -> float:
    if not strikes(seed, faults, "slow", *about):
        return 0.0
    return _SLOWEST_S * (0.1 + 0.9 * chance(seed, "slowness", *about))


def _retry_after(seed: int, about: tuple[object, ...]) -> int:
    return 1 + int(_LONGEST_RETRY_AFTER_S * chance(seed, "retry after", *about))
