"""What dies, freezes or goes in the middle of the work, with a real Dask cluster: it costs time, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'numbercheck-orchestrator[dask]'")

from orchestrator.engines import dask_cluster
from orchestrator.engines.dask_cluster import DaskCluster
from orchestrator.errors import EngineError, ExitCode
from orchestrator.job.run import RunOptions
from orchestrator.workers import Workers
from tests.clusters import Cluster, cluster_of
from tests.engines.pieces import add, linger, nap
from tests.job.conftest import Case

NOTICED_S = 60.0
NUMBERS = 400_000


def workers_on(cluster: Cluster, folder: Path) -> Workers:
    return Workers(1, engine=DaskCluster(cluster.address, folder / ".meeting"))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_worker_that_ends_costs_its_pieces_time(cluster: Cluster, tmp_path: Path, end: signal.Signals) -> None:
    """A worker that is killed, or frozen and later woken, amid pieces: others do what it was at, and all is there."""
    folder = tmp_path / "job"
    folder.mkdir()

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        for number in range(40):
            yield 0.1, folder / f"{number}"
            if number == 12:
                cluster.workers[0].send_signal(end)
            if number == 38:
                cluster.workers[0].send_signal(signal.SIGCONT)

    async with workers_on(cluster, folder) as workers, asyncio.timeout(NOTICED_S):
        assert len(await workers.map(nap, calls())) == 40
        assert await workers.run(add, 1, 2) == 3
    assert sorted(path.name for path in folder.iterdir()) == sorted(map(str, range(40)))


async def test_all_workers_gone_and_others_come(cluster: Cluster, tmp_path: Path) -> None:
    """Pieces wait for whoever comes."""
    async with workers_on(cluster, tmp_path) as workers, asyncio.timeout(NOTICED_S):
        for worker in cluster.workers:
            worker.kill()
        piece = asyncio.create_task(workers.run(add, 1, 2))
        await asyncio.to_thread(cluster.start_worker)
        assert await piece == 3


async def test_no_worker_for_long(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody comes: the run ends, to be repeated."""
    monkeypatch.setattr(dask_cluster, "NO_WORKER_S", 1.0)
    monkeypatch.setattr(dask_cluster, "WATCH_S", 0.2)
    async with workers_on(cluster, tmp_path) as workers, asyncio.timeout(NOTICED_S):
        for worker in cluster.workers:
            worker.kill()
        with pytest.raises(EngineError, match="has had no worker for 0 minutes; start some, and run the same command"):
            await workers.run(add, 1, 2)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_scheduler_that_ends_is_noticed(cluster: Cluster, tmp_path: Path, end: signal.Signals) -> None:
    """Killed or frozen, amid pieces: within a minute they fail with the reason, those that come later at once."""
    assert cluster.scheduler is not None
    async with workers_on(cluster, tmp_path / "job") as workers:
        piece = asyncio.create_task(workers.run(linger, tmp_path))
        await asyncio.sleep(1)
        cluster.scheduler.send_signal(end)
        before = time.monotonic()
        with pytest.raises(EngineError, match="start it again, and run the same command again"):
            await piece
        assert time.monotonic() - before < NOTICED_S
        with pytest.raises(EngineError):
            await asyncio.wait_for(workers.run(add, 1, 2), NOTICED_S)


async def test_a_loop_that_is_not_held(cluster: Cluster, tmp_path: Path) -> None:
    """While pieces come and go, and while the scheduler dies, the coordinator's loop turns."""
    late = []

    async def look() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.05)
            late.append(time.monotonic() - before - 0.05)

    watch = asyncio.create_task(look())
    assert cluster.scheduler is not None
    async with workers_on(cluster, tmp_path / "job") as workers:
        await asyncio.gather(*(workers.run(add, n, n) for n in range(200)))
        cluster.scheduler.kill()
        with pytest.raises(EngineError):
            await workers.run(add, 1, 2)
    watch.cancel()
    assert max(late) < 2.0


def _case(folder: Path, *overrides: str) -> Case:
    folder.mkdir(exist_ok=True)
    case = Case(folder)
    case.numbers(NUMBERS)
    case.overrides = ["job.chunk_size=20000", "job.trial_rows=0", "budget.max_cost=1000.0", *overrides]
    return case


def _chunks(case: Case) -> dict[str, str]:
    folder = case.directory / "chunks"
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


async def _reading(case: Case) -> None:
    """Wait until pieces of the list have been read."""
    while not list((case.directory / ".intake").glob("0*")):  # noqa: ASYNC110 - of files nobody tells
        await asyncio.sleep(0.02)


@pytest.mark.timeout(300)
async def test_the_same_command_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    """A worker killed amid a list, then the scheduler: 75, and the same command ends with the same chunks."""
    alone = _case(tmp_path / "alone")
    assert await alone.run(RunOptions(submit_only=True)) == ExitCode.AGAIN
    case = _case(tmp_path / "there", 'workers.kind="dask"', f'workers.address="{cluster.address}"')
    run = asyncio.create_task(case.outcome(RunOptions(submit_only=True)))
    await _reading(case)
    cluster.workers[1].kill()
    await asyncio.sleep(0.2)
    assert cluster.scheduler is not None
    cluster.scheduler.kill()
    report = await asyncio.wait_for(run, NOTICED_S)
    if report.summary["numbers"]["accepted"] == 0:  # else it was faster than the kill
        assert report.exit_code == ExitCode.AGAIN
        assert "Dask scheduler" in report.summary["reason"]
    cluster.close()
    with cluster_of(tmp_path / "another") as another:
        case.overrides[-1] = f'workers.address="{another.address}"'
        assert await case.run() == ExitCode.DONE
    assert _chunks(case) == _chunks(alone)
    assert len(_chunks(case)) == NUMBERS // 20_000
    assert case.charged() == NUMBERS // 20_000
