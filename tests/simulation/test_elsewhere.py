"""The same seeds with the ledger in a PostgreSQL server, and with the directory in a bucket, in virtual time.

The campaign is `python -m tests.simulation --ledger database`, or `bucket`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest

from orchestrator.errors import ExitCode, StorageError
from orchestrator.ledger import Ledger
from orchestrator.records import StoredFile
from orchestrator.staging import JobFiles
from orchestrator.tasks import State
from tests.simulation.checks import BrokenPromiseError
from tests.simulation.crashes import Doomed, Place, crash, points, small_job
from tests.simulation.elsewhere import VirtualDatabase
from tests.simulation.faults import OF_LINE, OF_STORE
from tests.simulation.loop import VirtualLoop
from tests.simulation.playing import play, scratch, substituted
from tests.simulation.runs import End
from tests.simulation.scenario import Away, drawn, moved
from tests.simulation.test_crash_everywhere import undisturbed
from tests.simulation.whole import Operator

SEEDS = 10
"""Of each place; the campaign plays thousands, and counts on from here."""
A_BATCH = 5
DRAWN = 40
PLACES = {"database": False, "bucket": True}
POINTS = {
    "database": ("commit", "committed", "call", "file", "trip"),
    "bucket": ("commit", "committed", "call", "trip", "object"),
}
EVERY = {"commit": 11, "committed": 11, "call": 13, "file": 31, "trip": 31, "object": 31}
"""In the quick form a kill falls on every so many-th point; the other ones are those of the seeds."""
SHARES = 2
ROUNDS = 48
"""A run is frozen in every so many-th round of the loop."""


@pytest.mark.parametrize("first", range(0, SEEDS, A_BATCH))
@pytest.mark.parametrize("place", PLACES)
def test_the_promises_hold(place: str, first: int, database: VirtualDatabase) -> None:
    """Coordinators are killed with their disks, frozen, replaced and woken; line and store fail: nothing is lost."""
    for seed in range(first, first + A_BATCH):
        play(seed, moved(drawn(seed), in_bucket=PLACES[place]), f"--ledger {place}", database=database)


def test_the_seeds_have_everything() -> None:
    """Every trouble of line and store, lost disks, and coordinators that are replaced while they are frozen."""
    away = [moved(drawn(seed), in_bucket=True).away for seed in range(DRAWN)]
    assert {name for one in away if one for name in one.troubles} == {*OF_LINE, *OF_STORE}
    for some in ("lost_disks", "taken_over"):
        assert 10 < sum(bool(getattr(one, some)) for one in away) < DRAWN - 10, some


@cache
def _count(place: str, kind: str, database: VirtualDatabase) -> int:
    return points(kind, away=Away(PLACES[place], lost_disks=1.0), database=database)


def survives(place: str, database: VirtualDatabase, *places: Place) -> None:
    """See that after these kills, each with the disk, the master is the one of a job on a disk, and all else is too."""
    story, operator = crash(*places, away=Away(PLACES[place], lost_disks=1.0), database=database)
    assert operator.struck == len(places), f"{places} were never reached"
    assert operator.master == undisturbed(), f"killed at {places}, the master is another"
    assert story.counts["submitted"] == 4, f"killed at {places}, a chunk went out twice"
    assert operator.doubted == operator.released, f"killed at {places}, other tasks are held than were released"


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize(("place", "kind"), [(place, kind) for place in PLACES for kind in POINTS[place]])
def test_replaced_at_any_step(place: str, kind: str, share: int, database: VirtualDatabase) -> None:
    """Killed with its disk before or behind a commit, a trip, a call: the next one goes on, to the same master."""
    count = _count(place, kind, database)
    assert count >= 25
    for nth in range(1 + share * EVERY[kind], count + 1, SHARES * EVERY[kind]):
        survives(place, database, (kind, nth))


class Replaced(Operator):
    """An operator whose first run is frozen in this round of the loop, and woken once the job is done elsewhere."""

    def __init__(self, place: str, folder: Path, loop: VirtualLoop, database: VirtualDatabase, rounds: int) -> None:
        super().__init__(replace(small_job(), away=Away(PLACES[place], lease_s=3.0)), folder, loop, database)
        self.rounds = rounds
        self.code: ExitCode | None = None

    async def _faulty_times(self) -> None:
        self.code = await self.taken_over()

    def set_alarm(self, freeze: Callable[[], None]) -> asyncio.TimerHandle:
        self.loop.alarm(self.rounds, freeze)
        return self.loop.call_later(10_000.0, freeze)

    def wakes_early(self) -> bool:
        return False

    def drawn_trips(self) -> int | None:
        return None

    _decision = Doomed._decision

    def _drawn_end_of_other(self) -> End:
        return self._awaited


class AtRelease(Replaced):
    """One that is frozen in the moment of its first release: with its commit on its way, or behind it.

    It sleeps for no longer than its connection to the vendor holds.
    """

    def wakes_early(self) -> bool:
        return True

    def drawn_sleep_s(self) -> float:
        return 1.0

    def set_alarm(self, freeze: Callable[[], None]) -> asyncio.TimerHandle:
        self.freeze: Callable[[], None] | None = freeze
        return self.loop.call_later(10_000.0, freeze)

    @contextmanager
    def watched(self, moment: str) -> Iterator[None]:
        act = getattr(Ledger, moment)

        def watching(ledger: Ledger, *args: object) -> object:
            outcome = act(ledger, *args)
            if self.freeze is not None and ledger.tasks.select(State.RELEASED):
                freeze, self.freeze = self.freeze, None
                freeze()
            return outcome

        with patch.object(Ledger, moment, watching):
            yield


class BehindTheTake(AtRelease):
    """One whose commit is on its way when it is frozen, and gets there once another one has taken the lease.

    That one has committed nothing yet, so the ledger stands where the first one has left it.
    """

    def drawn_trips(self) -> int | None:
        return 0


def _lived(make: Callable[[Path, VirtualLoop], Replaced], moment: str = "") -> Replaced:
    loop = VirtualLoop(lambda: 0.001)
    loop.most_rounds = 50_000
    with scratch() as folder, substituted():
        operator = make(folder, loop)
        watched = operator.watched(moment) if isinstance(operator, AtRelease) else nullcontext()
        with watched, asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(operator.play())
        assert (operator.directory / "master.csv").read_bytes() == undisturbed()
    assert not loop.complaints
    return operator


def _frozen_at(place: str, database: VirtualDatabase, rounds: int) -> Replaced:
    return _lived(lambda folder, loop: Replaced(place, folder, loop, database, rounds))


def _frozen_at_a_release(
    place: str, database: VirtualDatabase, moment: str, kind: type[AtRelease] = AtRelease
) -> Replaced:
    return _lived(lambda folder, loop: kind(place, folder, loop, database, 0), moment)


@pytest.mark.parametrize("moment", ["apply", "seal"])
@pytest.mark.parametrize("place", PLACES)
def test_frozen_at_a_release(place: str, moment: str, database: VirtualDatabase) -> None:
    """Woken, it commits no release; and where that was committed before, the last bytes stay here."""
    story = _frozen_at_a_release(place, database, moment).story
    assert (story.counts["frozen"], story.counts["woken"], story.counts["submitted"]) == (1, 1, 4)


@pytest.mark.parametrize("place", PLACES)
def test_a_release_that_comes_behind_the_take(place: str, database: VirtualDatabase) -> None:
    """It fails, though nobody has committed anything since: the lease is another one's."""
    story = _frozen_at_a_release(place, database, "apply", BehindTheTake).story
    assert (story.counts["threads woken"], story.counts["woken"], story.counts["submitted"]) == (1, 1, 4)


@pytest.mark.parametrize("share", range(4))
@pytest.mark.parametrize("place", PLACES)
def test_frozen_in_any_round(place: str, share: int, database: VirtualDatabase) -> None:
    """Frozen there, replaced and woken: it sends nothing more, and changes nothing that the other one has left."""
    rounds, frozen = 1 + share * ROUNDS, 0
    while True:
        operator = _frozen_at(place, database, rounds)
        if not operator.story.counts["frozen"]:
            break
        frozen += 1
        rounds += 4 * ROUNDS
    assert frozen > 2


# --- a safeguard, taken out ------------------------------------------------------------------------------------------


def test_objects_that_come_late_are_found(database: VirtualDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is put behind the commit that relies on it is not there where a kill falls in between."""
    put = JobFiles._put

    def late(files: JobFiles, path: Path) -> StoredFile:
        content = path.read_bytes()
        assert files.bucket is not None
        really_put = files.bucket.put

        class Later:
            @staticmethod
            def put(name: str, _content: object) -> None:
                asyncio.get_running_loop().call_later(5.0, _as_far_as_it_lives(really_put), name, content)

        return put(JobFiles(files.directory, Later()), path)  # type: ignore[arg-type]  # as far as it is asked for

    monkeypatch.setattr(JobFiles, "_put", late)
    with pytest.raises(BrokenPromiseError, match="was never in the bucket"):
        _calm_lives(database)


def _calm_lives(database: VirtualDatabase) -> None:
    for seed in range(10):
        calm = replace(drawn(seed, faults=()), faulty_runs=3, repeats=0, curiosity=0.0, embedded=False)
        play(seed, replace(calm, away=Away(in_bucket=True)), database=database)


def _as_far_as_it_lives(put: Callable[..., None]) -> Callable[..., None]:
    def later(*args: object) -> None:
        with suppress(StorageError):  # its process was killed
            put(*args)

    return later
