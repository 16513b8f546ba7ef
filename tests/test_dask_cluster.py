"""Pieces on a real Dask cluster of several processes: what comes out is what comes out on one machine."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'numbercheck-orchestrator[dask]'")

from orchestrator.engines import dask_cluster
from orchestrator.engines.dask_cluster import DaskCluster
from orchestrator.errors import EngineError, ExitCode, PieceDiedError, UsageError
from orchestrator.pieces import PieceLimits
from orchestrator.report.traces import trace_of
from orchestrator.workers import Workers
from tests.clusters import Cluster, cluster_of
from tests.engines import pieces
from tests.job.conftest import Case

BIG = 256 << 20


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_of(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def on(cluster: Cluster, folder: Path) -> Workers:
    return Workers(1, BIG, DaskCluster(cluster.address, folder / ".meeting"))


async def test_pieces_come_back_as_they_do_on_one_machine(cluster: Cluster, tmp_path: Path) -> None:
    """Values, errors with the way to them, and deaths: each costs its piece alone, and no Dask worker."""
    async with on(cluster, tmp_path) as workers:
        assert workers.count == 2
        assert await asyncio.gather(*(workers.run(pieces.add, n, 1) for n in range(20))) == list(range(1, 21))
        with pytest.raises(ValueError, match="can't read that") as raised:
            await workers.run(pieces.refuse, "that")
        assert "in refuse" in trace_of(raised.value)
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(workers.run(pieces.add, n, n)) for n in range(20)]
            with pytest.raises(PieceDiedError, match="abort killed its worker process"):
                await workers.run(pieces.abort)
            with pytest.raises(PieceDiedError, match="hoard needs more memory"):
                await workers.run(pieces.hoard)
            with pytest.raises(PieceDiedError, match="spin takes too long"):
                await workers.run(pieces.spin, "on", limits=PieceLimits(cpu_s=0.2))
        assert [task.result() for task in others] == [2 * n for n in range(20)]
    assert all(worker.poll() is None for worker in cluster.workers)
    assert not (tmp_path / ".meeting").exists()


async def test_what_needs_more_than_files_stays_here(cluster: Cluster, tmp_path: Path) -> None:
    """A piece that says nothing of files is done in a process of the coordinator's own."""
    async with on(cluster, tmp_path) as workers:
        assert await workers.run(pieces.parent) == os.getpid()


async def test_a_piece_that_nobody_waits_for_is_ended(cluster: Cluster, tmp_path: Path) -> None:
    """It is ended where it runs, so that nothing is written behind the back of whoever comes next."""
    async with on(cluster, tmp_path / "job") as workers:
        task = asyncio.create_task(workers.run(pieces.linger, tmp_path))
        pid = await asyncio.to_thread(_said, tmp_path)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(psutil.Process(pid).wait, 30) if psutil.pid_exists(pid) else None
        assert await workers.run(pieces.add, 1, 2) == 3


def _said(folder: Path) -> int:
    while not (names := [path.name for path in folder.iterdir() if path.name.isdecimal()]):
        time.sleep(0.01)
    return int(names[0])


async def test_whole_jobs_on_both(cluster: Cluster, tmp_path: Path) -> None:
    """The same list gives the same chunks, verdicts and master; no log of Dask's shows a number."""
    written = []
    for kind in ("local", "dask"):
        case = Case(tmp_path / kind)
        case.folder.mkdir()
        case.numbers(40)
        dask = ['workers.kind="dask"', f'workers.address="{cluster.address}"']
        case.overrides = ["job.chunk_size=10", *(dask if kind == "dask" else [])]
        assert (await case.outcome()).exit_code is ExitCode.DONE
        names = [*sorted((case.directory / "chunks").iterdir()), case.directory / "master.csv"]
        names += sorted((case.directory / "verdicts" / "instagram").iterdir())
        written.append([(path.name, path.read_bytes()) for path in names])
    assert written[0] == written[1]
    assert len(written[0]) == 9
    assert re.search(r"\+?417\d{8}", cluster.said()) is None


async def test_others_are_not_what_the_coordinator_is(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python, Dask, this program and what decides about bytes are compared at the start: one error that says it all."""
    ours = dask_cluster.versions()
    monkeypatch.setattr(dask_cluster, "versions", lambda *_: ours | {"phonenumbers": "1.0"})
    with pytest.raises(UsageError, match=r"Dask worker at tcp.* has phonenumbers [0-9.]+ and not 1\.0; everybody"):
        async with on(cluster, tmp_path):
            pass
    monkeypatch.setattr(dask_cluster, "versions", lambda *_: ours | {"Python": "3.4", "dask": "2020.1"})
    with pytest.raises(UsageError, match=r"Dask scheduler at tcp.* has Python 3\.\d+ and not 3\.4, dask .* everybody"):
        async with on(cluster, tmp_path):
            pass


async def test_a_worker_that_does_not_see_the_directory(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is found out before anything is read."""
    session = dask_cluster.Session
    elsewhere = lambda token, _, *more: session(token, "/nowhere/.meeting", *more)  # noqa: E731
    monkeypatch.setattr(dask_cluster, "Session", elsewhere)
    with pytest.raises(
        UsageError, match=r"does not see /nowhere, or may not write there .*; all workers need the same"
    ):
        async with on(cluster, tmp_path):
            pass


async def test_a_worker_that_came_later_and_is_unfit(cluster: Cluster, tmp_path: Path) -> None:
    """It does no piece: the run ends with a reason, to be repeated."""
    engine = DaskCluster(cluster.address, tmp_path / ".meeting")
    async with Workers(1, BIG, engine) as workers:
        assert await workers.run(pieces.add, 1, 2) == 3
        other = engine._session.versions | {"numpy": "0.1"}
        engine._session = replace(engine._session, token="another", versions=other)
        with pytest.raises(
            EngineError, match=r"worker has come that has numpy .* and not 0\.1; end it, or give it what"
        ):
            await workers.run(pieces.add, 1, 2)


async def test_no_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers, the run ends soon, to be repeated: 75."""
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 1.0)
    case = Case(tmp_path)
    case.numbers(3)
    case.overrides = ['workers.kind="dask"', 'workers.address="tcp://127.0.0.1:1"']
    report = await case.outcome()
    assert report.exit_code is ExitCode.AGAIN
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in report.summary["reason"]


async def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error says what to install, and where, or how to do without."""
    monkeypatch.setitem(sys.modules, "orchestrator.engines.dask_cluster", None)
    case = Case(tmp_path)
    case.numbers(3)
    case.overrides = ['workers.kind="dask"', 'workers.address="tcp://127.0.0.1:1"']
    report = await case.outcome()
    assert report.exit_code is ExitCode.USAGE
    assert "pip install 'numbercheck-orchestrator[dask]'" in report.summary["reason"]
    case.overrides = ['workers.kind="local"']
    assert await case.run() == ExitCode.DONE
