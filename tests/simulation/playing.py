"""Living through a seed, in a folder and on a loop of its own."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from tests.simulation.checks import BrokenPromiseError
from tests.simulation.elsewhere import VirtualDatabase
from tests.simulation.loop import DeadlockError, VirtualLoop
from tests.simulation.scenario import Scenario, drawn, stream
from tests.simulation.whole import OnTheLoop, Operator, Story

MOST_ROUNDS = 2_000_000


@contextmanager
def substituted() -> Iterator[None]:
    """Put the loop's turns in the place of worker processes; for speed, write the summary less often, and no page."""
    with ExitStack() as stack:
        for name in ("engine", "resolve", "retry", "merge", "verify", "pages"):
            stack.enter_context(patch(f"orchestrator.job.{name}.Workers", OnTheLoop))
        stack.enter_context(patch("orchestrator.job.run.SUMMARY_INTERVAL_S", 200.0))
        stack.enter_context(patch("orchestrator.job.pages.write_page", lambda _: None))
        # The trial is drawn from the job's name for itself: the same seed has to give the same one.
        names = itertools.count(1)
        stack.enter_context(patch("orchestrator.ledger.place.uuid.uuid4", lambda: uuid.UUID(int=next(names))))
        yield


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder in memory where there is one: syncing a disk would be all that a simulation does."""
    memory = Path("/dev/shm")  # noqa: S108 - a name of our own is made in it
    base = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base, prefix="simulation-") as folder:
        yield Path(folder)


def play(
    seed: int,
    scenario: Scenario | None = None,
    options: str = "",
    *,
    database: VirtualDatabase | None = None,
    live: type[Operator] = Operator,
) -> Story:
    """Live through one seed as `live` does; raises `BrokenPromiseError` with the command that replays it.

    `options` are part of that. A scenario whose ledger is elsewhere needs the `database`.
    """
    scenario = drawn(seed) if scenario is None else scenario
    delays = stream(seed, "delays")
    slow = 1.0 if scenario.slow_disk else 0.0

    def delay_s() -> float:
        draw = delays.random()
        return draw * 0.002 if draw < 0.95 else draw * (0.05 + slow)

    loop = VirtualLoop(delay_s)
    loop.most_rounds = MOST_ROUNDS
    before = _open_files()
    with scratch() as folder, substituted():
        operator = live(scenario, folder, loop, database)
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                story = runner.run(operator.play())
            _check_left_behind(loop, before)
        except (BrokenPromiseError, DeadlockError) as error:
            raise BrokenPromiseError(_told(seed, operator, str(error), options)) from error
        except Exception as error:
            raise BrokenPromiseError(_told(seed, operator, repr(error), options)) from error
    return story


def _check_left_behind(loop: VirtualLoop, before: int) -> None:
    if loop.complaints:
        raise BrokenPromiseError(f"nobody caught: {loop.complaints[:3]}")
    if _open_files() > before:
        gc.collect()
    if (left := _open_files()) > before:
        raise BrokenPromiseError(f"{left - before} files or connections were left open")


def _open_files() -> int:
    descriptors = Path("/proc/self/fd")
    return len(list(descriptors.iterdir())) if descriptors.exists() else 0


def _told(seed: int, operator: Operator, reason: str, options: str) -> str:
    last = "\n".join(operator.story.trace[-25:])
    return f"{reason}\n--- the last events of seed {seed}:\n{last}\n--- replay: {replay(seed, options)}"


def replay(seed: int, options: str = "") -> str:
    """Return the command that lives through a seed again."""
    return f"python -m tests.simulation --seeds 1 --from {seed} --trace {options}".rstrip()
