"""Recordings: the lives of one machine under strace, and what was acknowledged when."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.ledger import Ledger, ledger_path
from tests.ledgers import sqlite_of
from tests.powerloss.calls import Call, read_calls, tracer
from tests.powerloss.disk import SHARED_MEMORY, Disk
from tests.powerloss.machine import Place, digest_of, own_address
from tests.powerloss.recorded import LAST
from tests.powerloss.trees import Tree, read_tree, write_tree
from tests.simulation.loop import START_S
from tests.simulation.scenario import stream

A_LIFE_S = 100_000.0
"""From one start of a recorded machine to the next, in virtual time."""
A_BRANCH = 100
"""So many lives at most before a power loss; those after it have other names, and so other fates."""
JOB = "job"


@dataclass(frozen=True, slots=True)
class Mark:
    """What the ledger said after call `at`; acknowledged when the program had been told that it is durable."""

    at: int
    acknowledged: bool
    ledger: str
    time_s: float


@dataclass
class Recording:
    """The machine's disk, the vendor's disk, and the marks, in one order of calls."""

    place: Place
    disk: Disk
    vendor: Disk
    marks: list[Mark]
    kills: int

    def cuts(self) -> list[int]:
        """Return after which calls the power can fail so that it makes a difference."""
        disk = {change.at for change in (*self.disk.names, *self.disk.contents, *self.disk.syncs)}
        return sorted(disk | {change.at for change in self.vendor.contents} | {mark.at for mark in self.marks})

    def allowed(self, cut: int) -> set[str]:
        """Return what the ledger may say after a power loss: the last acknowledged change is in it, or a later one."""
        allowed: set[str] = set()
        for mark in self.marks:
            if mark.at <= cut and mark.acknowledged:
                allowed.clear()
            allowed.add(mark.ledger)
            if mark.at > cut:
                break
        return allowed

    def acknowledged(self, cut: int) -> int:
        return sum(mark.acknowledged for mark in self.marks if mark.at <= cut)

    def time_s(self, cut: int) -> float:
        return max((mark.time_s for mark in self.marks if mark.at <= cut), default=START_S)


@dataclass(frozen=True, slots=True)
class Outage:
    """When the power fails, and what that leaves; outages that leave the same have the same `fingerprint`.

    `lied` is whether the disk only said that it had synced.
    """

    nth: int
    cut: int
    kind: str
    job: Tree
    vendor: Tree
    ends_s: float
    fingerprint: str
    lied: bool = False

    def lay_out(self, place: Place) -> None:
        """Make the folders as they are when the power is back."""
        place.disk.mkdir(mode=0o700)
        write_tree(place.vendor, self.vendor)
        if self.job:
            write_tree(
                place.disk / JOB, {name.removeprefix(f"{JOB}/"): self.job[name] for name in self.job if name != JOB}
            )


def record(base: Path, seed: int, after: Outage | None = None) -> Recording:
    """Live the lives that a seed draws, from the beginning or on what a power loss has left; leave `base` empty.

    Raises `AssertionError` when a life fails, `BrokenPromiseError` told as text included.
    """
    place = Place(base, seed, own_address())
    recording = Recording(place, Disk(place.disk), Disk(place.vendor), [], 0)
    first = 0 if after is None else A_BRANCH * (after.nth + 1)
    try:
        _begin(recording, after)
        begun_s = START_S if after is None else after.ends_s
        lives = stream(seed, f"lives {first}").choice((1, 2, 2, 3) if after is None else (1, 1, 2))
        at = 0
        for life in range(lives):
            log = base / f"calls.{life}"
            fate = f"{first + life}" if life + 1 < lives else LAST
            recording.kills += _live(place, fate, log, begun_s + life * A_LIFE_S)
            for at, call in enumerate(read_calls(log, base), start=at + 1):  # noqa: B020 - it counts on
                _take(recording, at, call)
        _check(recording, at)
    finally:
        place.clear()
    return recording


def _begin(recording: Recording, after: Outage | None) -> None:
    place = recording.place
    if after is None:
        place.disk.mkdir(mode=0o700)
        place.vendor.mkdir(mode=0o700)
        return
    after.lay_out(place)
    recording.disk.fill(after.job)
    recording.vendor.fill(after.vendor)
    if ledger_path(place.disk / JOB).exists():
        with opened_copy(place) as ledger:
            recording.marks.append(
                Mark(0, acknowledged=True, ledger=digest_of(sqlite_of(ledger)._sql), time_s=after.ends_s)
            )


@contextmanager
def opened_copy(place: Place) -> Iterator[Ledger]:
    """Open a copy of the machine's ledger: opening one changes it."""
    here, copy = ledger_path(place.disk / JOB), place.base / "copy"
    shutil.copytree(here.parent, copy)
    try:
        with Ledger.open(copy / here.name) as ledger:
            yield ledger
    finally:
        shutil.rmtree(copy)


def _live(place: Place, life: str, log: Path, from_s: float) -> bool:
    """Live one life in a process of its own; return whether it was killed."""
    arguments = (str(place.base), str(place.seed), place.host, life, str(from_s))
    command = [*tracer(log), sys.executable, "-m", "tests.powerloss.recorded", *arguments]
    root = str(Path(__file__).parents[2])
    environ = os.environ | {"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "1"}
    told = subprocess.run(command, env=environ, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
    killed = told.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert told.returncode == 0 or killed, told.stderr[-3000:]
    return killed


def _take(recording: Recording, at: int, call: Call) -> None:
    if call.name == "write" and call.arguments[0].path == recording.place.marks:
        line = json.loads(call.arguments[1].data or b"")
        recording.marks.append(Mark(at, line["acknowledged"], line["ledger"], line["time"]))
    else:
        recording.disk.take(at, call)
        recording.vendor.take(at, call)


def _check(recording: Recording, at: int) -> None:
    """See that the disk that remembers has missed nothing: all that was done gives the folders as they are."""
    for disk in (recording.disk, recording.vendor):
        there, remembered = _comparable(read_tree(disk.root)), _comparable(disk.whole(at))
        different = [
            name for name in there.keys() | remembered.keys() if there.get(name, "") != remembered.get(name, "")
        ]
        assert not different, f"these differ from what was recorded: {different}"
    with opened_copy(recording.place) as ledger:
        assert recording.marks[-1].ledger == digest_of(sqlite_of(ledger)._sql), (
            "the ledger was changed behind the marks' back"
        )


def _comparable(tree: Tree) -> Tree:
    return {name: content for name, content in tree.items() if not name.endswith(SHARED_MEMORY)}
