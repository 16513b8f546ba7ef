"""Play a year of one job in virtual time, with coordinators that die without a word and are replaced.

    python -m tests.benchmarks.year            # 20,000 tasks in a year, a coordinator a week

As in `makespan`, time, vendor, network and workers are simulated, and the dispatcher with its ledger is real; a task is
looked at once an hour at most. A death is that of a process: what it was doing ends where it is, what it had not
committed is lost. The next one begins half an hour later, with the ledger and nothing else. Nobody decides about what
is held: so at the end there are tasks that are done, and tasks in doubt, a few for each death at most; and none was
ever sent twice.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

from orchestrator.errors import StorageError
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.settings import PollingSettings
from orchestrator.tasks import State
from tests.benchmarks import makespan
from tests.benchmarks.makespan import COMMIT_S, PLATFORMS, ModelVendor, dispatch, plan
from tests.simulation import loop
from tests.simulation.loop import VirtualLoop

YEAR_S = 365 * 86_400.0
REPLACED_AFTER_S = 1_800.0


@dataclass(frozen=True, slots=True)
class YearOutcome:
    """What came of it; `sent_twice` counts tasks."""

    took_s: float
    deaths: int
    done: int
    in_doubt: int
    sent_twice: int


class OneByOne(ModelVendor):
    """A vendor that notes each submit, by task."""

    def __init__(self, seed: int, max_in_flight: int) -> None:
        super().__init__("mixed", seed, max_in_flight)
        self.submits: Counter[tuple[str, str]] = Counter()

    async def submit(self, platform, file, file_name, *, last_look, **calls):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN003, ANN201
        def looked() -> None:
            last_look()
            self.submits[platform.task_type, file.stem] += 1  # the last bytes leave: from here on it costs

        return await super().submit(platform, file, file_name, last_look=looked, **calls)


class _Death:
    """The end of a process: from now on nothing of it reaches the ledger."""

    def __init__(self) -> None:
        self.is_dead = False

    def of(self, ledger: Ledger) -> None:
        seal = ledger.seal

        def sealed() -> None:
            if self.is_dead:
                raise StorageError("dead")
            seal()

        setattr(ledger, "seal", sealed)  # noqa: B010 - below the writer, where disks fail


async def _until(directory: Path, vendor: ModelVendor, seed: int, death_s: float) -> bool:
    """Dispatch for so long, and die; return whether the job ended before."""
    death, opening = _Death(), Ledger.open

    def opened(path: Path) -> Ledger:
        ledger = opening(path)
        death.of(ledger)
        return ledger

    with patch.object(Ledger, "open", opened):
        work = asyncio.create_task(dispatch(directory, vendor, seed, finished=False))
        done, _ = await asyncio.wait({work}, timeout=death_s)
        if done:
            work.result()
            return True
        death.is_dead = True
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        with suppress(StorageError, asyncio.CancelledError):
            await work
        await asyncio.gather(*others, return_exceptions=True)
    return False


async def _year(directory: Path, vendor: ModelVendor, seed: int, every_s: float) -> int:
    chance = random.Random(f"{seed} deaths")  # noqa: S311 - a seed has to be repeatable
    deaths = 0
    while not await _until(directory, vendor, seed + deaths, chance.uniform(0.0, 2 * every_s)):
        deaths += 1
        await asyncio.sleep(REPLACED_AFTER_S)
    return deaths


def play(tasks: int, every_s: float, seed: int = 1, max_in_flight: int = 1) -> YearOutcome:
    """Play a job of so many tasks, in which a coordinator lives for `every_s` on the average."""
    vendor = OneByOne(seed, max_in_flight)
    chunks = -(-tasks // len(PLATFORMS))
    settings = makespan.settings

    def slow(name: str):  # type: ignore[no-untyped-def] # noqa: ANN202
        return replace(settings(name), max_in_flight=max_in_flight)

    with (
        tempfile.TemporaryDirectory() as name,
        patch.object(loop, "SETTLE", 0),
        patch.object(makespan, "settings", slow),
        patch.object(makespan, "PollingSettings", partial(PollingSettings, max_interval_s=3_600.0)),
    ):
        directory = Path(name)
        plan(directory, chunks)
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(lambda: COMMIT_S)) as runner:
            began = runner.get_loop().time()
            deaths = runner.run(_year(directory, vendor, seed, every_s))
            took_s = runner.get_loop().time() - began
        with Ledger.open(ledger_path(directory)) as ledger:
            counts = {state: len(ledger.tasks.select(state)) for state in (State.DONE, State.IN_DOUBT)}
    assert sum(counts.values()) == chunks * len(PLATFORMS)
    twice = sum(count > 1 for count in vendor.submits.values())
    return YearOutcome(took_s, deaths, counts[State.DONE], counts[State.IN_DOUBT], twice)


def main(tasks: int) -> None:
    """Print what came of a year: tasks take as long as it takes for one to be at each platform all the time."""
    takes_s = YEAR_S / (tasks / len(PLATFORMS))
    with patch.object(makespan, "EXAMPLE_S", takes_s):
        found = play(tasks, 7 * 86_400.0)
    print(f"{tasks:,} tasks: {found.took_s / 86_400:.1f} days, {found}")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
