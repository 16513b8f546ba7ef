"""The promise never to pay twice, with the run cut off after every single commit of the ledger."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from orchestrator.dispatch.caution import DOUBTS
from orchestrator.errors import StorageError
from orchestrator.ledger import LedgerWriter
from orchestrator.sandbox import Sandbox
from orchestrator.tasks import HELD, State, TaskKey
from tests.dispatch.harness import AMAZON, Bench, Interrupted, clock

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.sandbox import TaskRecord

pytestmark = pytest.mark.looptime


def key_of(record: TaskRecord) -> TaskKey:
    _, platform, chunk, _ = record.file_name.rsplit("-", 3)
    return TaskKey(platform, int(chunk))


def assert_kept(bench: Bench, charged: list[TaskRecord]) -> None:
    """Check that nothing was charged twice, and that what is done or held is all that was charged.

    Three doubts a platform may wait, and then nothing more of it is sent.
    """
    keys = [key_of(record) for record in charged]
    assert len(keys) == len(set(keys))
    for platform in bench.platforms:
        doubts = bench.states(platform).count(State.IN_DOUBT)
        assert doubts <= DOUBTS
        for task in bench.tasks(platform):
            assert task.state in {State.DONE} | HELD or (task.state is State.PLANNED and doubts == DOUBTS)
            assert (task.key in keys) is (task.state is not State.PLANNED) or task.state in HELD


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("at", range(1, 20))
async def test_cut_off_after_every_commit(bench: Bench, tmp_path: Path, at: int, kept: bool) -> None:  # noqa: FBT001
    """Whatever commit was the last, kept by the disk or not: the next run pays for nothing twice."""
    bench.platforms["amazon"] = AMAZON
    bench.plan(2, rows=100)
    async with Sandbox(tmp_path / "vendor", pace=20.0, clock=clock) as vendor:
        bench.writer = lambda ledger: Interrupted(ledger, at=at, kept=kept)
        with suppress(StorageError):  # commits are grouped as they come, so the last numbers may not be reached
            await bench.run(vendor.base_url)
        bench.writer = LedgerWriter
        await bench.run(vendor.base_url)
        assert_kept(bench, vendor.tasks)
        held = sum(task.state in HELD for name in bench.platforms for task in bench.tasks(name))
        assert held <= 2  # the submits that were on their way


@pytest.mark.parametrize("seed", range(5))
async def test_cut_off_again_and_again(bench: Bench, tmp_path: Path, seed: int) -> None:
    """Many runs, each cut off at a random commit, at a vendor with all its faults."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    bench.platforms["amazon"] = AMAZON
    bench.plan(6, rows=100)
    async with Sandbox(tmp_path / "vendor", seed=seed, faults=["all"], pace=20.0, clock=clock) as vendor:
        for _ in range(12):
            at, kept = dice.randrange(1, 25), dice.random() < 0.5
            bench.writer = lambda ledger, at=at, kept=kept: Interrupted(ledger, at=at, kept=kept)  # type: ignore[misc]
            with suppress(StorageError):
                await bench.run(vendor.base_url)
        bench.writer = LedgerWriter
        await bench.run(vendor.base_url)
        assert_kept(bench, vendor.tasks)


async def test_what_is_sent_again_on_a_decision_is_charged_again(bench: Bench, tmp_path: Path) -> None:
    """Only a person's decision leads from a doubt to a second submit; then everything is done."""
    bench.plan(3, rows=100)
    async with Sandbox(tmp_path / "vendor", pace=20.0, clock=clock) as vendor:
        bench.writer = lambda ledger: Interrupted(ledger, at=4, kept=False)
        with pytest.raises(StorageError):
            await bench.run(vendor.base_url)
        bench.writer = LedgerWriter
        await bench.run(vendor.base_url)
        held = [task.key for task in bench.tasks() if task.state in HELD]
        assert held == [TaskKey("instagram", 1)]
        bench.change(lambda ledger: ledger.transitions.resubmit(held[0], at=clock()))
        await bench.run(vendor.base_url)
        charged = [key_of(record) for record in vendor.tasks]
    assert bench.states() == [State.DONE] * 3
    assert sorted(charged) == sorted([*[TaskKey("instagram", chunk) for chunk in (1, 2, 3)], held[0]])
