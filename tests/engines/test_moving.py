"""A cluster as others run it: workers come and are taken away, it is locked with certificates, two jobs are on it."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'numbercheck-orchestrator[dask]'")

import dask
from distributed import Client
from distributed.security import Security

from orchestrator.engines import dask_cluster
from orchestrator.engines.dask_cluster import DaskCluster
from orchestrator.errors import EngineError, PieceDiedError
from orchestrator.workers import Workers
from tests.clusters import Cluster, cluster_of
from tests.engines.pieces import abort, add, much, nap

NOTICED_S = 60.0


def workers_on(address: str, folder: Path) -> Workers:
    return Workers(1, engine=DaskCluster(address, folder / ".meeting"))


async def test_workers_come_and_are_retired_amid_pieces(cluster: Cluster, tmp_path: Path) -> None:
    """As a cluster that adapts does: it costs the time of what the retired one was at, if that."""
    done: list[int] = []
    both = asyncio.Event()

    async with workers_on(cluster.address, tmp_path) as workers, asyncio.timeout(NOTICED_S):

        async def nap_on(bed: str) -> None:
            """Do one piece behind the other, until some were done on either of the first workers and on the new one."""
            number = 0
            while len({*done}) < 3:
                done.append(await workers.run(nap, 0.3, tmp_path / f"{bed}-{number}"))
                number += 1
                if len({*done}) == 2:
                    both.set()

        naps = [asyncio.create_task(nap_on(f"{bed}")) for bed in range(4)]
        await both.wait()
        async with Client(cluster.address, asynchronous=True, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            first = next(iter(await client.nthreads()))
            await asyncio.to_thread(cluster.start_worker)
            await client.retire_workers([first])
        await asyncio.gather(*naps)
        files = [tmp_path / name for name in os.listdir(tmp_path) if name[:2] in {"0-", "1-", "2-", "3-"}]  # noqa: PTH208
        assert len(files) == len(done)
        assert all(file.read_bytes() == b"done" for file in files)


async def test_nobody_is_needed_while_there_is_nothing_to_do(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor works for hours, and a cluster that adapts takes its workers away: they come back for a piece."""
    monkeypatch.setattr(dask_cluster, "NO_WORKER_S", 0.5)
    monkeypatch.setattr(dask_cluster, "WATCH_S", 0.1)
    async with workers_on(cluster.address, tmp_path) as workers, asyncio.timeout(NOTICED_S):
        for worker in cluster.workers:
            worker.terminate()
            await asyncio.to_thread(worker.wait)
        await asyncio.sleep(2)
        await asyncio.to_thread(cluster.start_worker)
        assert await workers.run(add, 1, 2) == 3


async def test_two_jobs_on_one_cluster(cluster: Cluster, tmp_path: Path) -> None:
    """Each has its own pieces; the end of one ends nothing of the other's."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with workers_on(cluster.address, tmp_path / "a") as one, asyncio.timeout(NOTICED_S):
        async with workers_on(cluster.address, tmp_path / "b") as other:
            long = asyncio.create_task(one.run(nap, 1.0, tmp_path / "a" / "long"))
            assert await asyncio.gather(*(other.run(add, n, n) for n in range(20))) == [2 * n for n in range(20)]
        await long
        assert await one.run(add, 1, 2) == 3


async def test_a_worker_comes_back_under_its_address(cluster: Cluster, tmp_path: Path) -> None:
    """As a service that is started anew does: what it was at is done again, and nobody takes it for the one it was."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    for worker in cluster.workers:
        worker.kill()
    only = await asyncio.to_thread(cluster.start_worker, "--worker-port", port)
    async with workers_on(cluster.address, tmp_path) as workers, asyncio.timeout(NOTICED_S):
        pids = {await workers.run(nap, 0.0, tmp_path / "before")}
        long = asyncio.create_task(workers.run(nap, 2.0, tmp_path / "long"))
        await asyncio.sleep(0.5)
        only.kill()
        await asyncio.to_thread(only.wait)
        await asyncio.to_thread(cluster.start_worker, "--worker-port", port)
        pids.add(await long)
        assert len(pids) == 2
        assert (tmp_path / "long").read_bytes() == b"done"


async def test_a_scheduler_that_comes_back_between_two_pieces(cluster: Cluster, tmp_path: Path) -> None:
    """The run goes on with it, or ends to be repeated, and the next one is served; none waits for what is gone."""
    port = int(cluster.address.rpartition(":")[2])
    async with workers_on(cluster.address, tmp_path) as workers, asyncio.timeout(NOTICED_S):
        assert await workers.run(add, 1, 2) == 3
        assert cluster.scheduler is not None
        cluster.scheduler.kill()
        await asyncio.to_thread(cluster.scheduler.wait)
        await asyncio.to_thread(cluster.start_scheduler, port)
        await asyncio.to_thread(cluster.start_worker)
        try:
            assert await workers.run(add, 1, 2) == 3
        except EngineError as error:
            assert "run the same command again" in str(error)  # noqa: PT017 - it hangs on when the client noticed
    async with workers_on(cluster.address, tmp_path) as workers, asyncio.timeout(NOTICED_S):
        assert await workers.run(add, 1, 2) == 3


async def test_workers_with_a_nanny_and_with_many_threads(cluster: Cluster, tmp_path: Path) -> None:
    """Not as the manual has it, and no less right: a piece that dies costs itself, and one at a time is a thread's."""
    for worker in cluster.workers:
        worker.kill()
    await asyncio.to_thread(cluster.start_worker, nanny=True)
    await asyncio.to_thread(cluster.start_worker, threads=16)
    async with workers_on(cluster.address, tmp_path) as workers, asyncio.timeout(NOTICED_S):
        assert workers.count == 17
        naps = [asyncio.create_task(workers.run(nap, 0.05, tmp_path / f"{number}")) for number in range(40)]
        with pytest.raises(PieceDiedError, match="abort killed its worker process"):
            await workers.run(abort)
        await asyncio.gather(*naps)
        assert all((tmp_path / f"{number}").read_bytes() == b"done" for number in range(40))


async def test_a_large_answer(cluster: Cluster, tmp_path: Path) -> None:
    """What a piece returns may be large, although none of ours is."""
    async with workers_on(cluster.address, tmp_path) as workers, asyncio.timeout(NOTICED_S):
        assert len(await workers.run(much, 100 << 20)) == 100 << 20
        assert await workers.run(add, 1, 2) == 3


@contextmanager
def cuttable(address: str) -> Iterator[tuple[str, threading.Event]]:
    """Stand between a client and a scheduler; what is set cuts all that goes through, and lets nobody in."""
    host, _, port = address.removeprefix("tcp://").partition(":")
    listener, cut = socket.create_server(("127.0.0.1", 0)), threading.Event()
    opened: list[socket.socket] = []

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if cut.is_set():
                    break
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if cut.is_set():
                client.close()
                continue
            server = socket.create_connection((host, int(port)))
            opened.extend((client, server))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=carry, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", cut
    finally:
        cut.set()
        for one in (listener, *opened):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


async def test_a_network_that_cuts_the_coordinator_off(cluster: Cluster, tmp_path: Path) -> None:
    """The run ends within a minute, to be repeated, and the cluster does others' pieces."""
    with cuttable(cluster.address) as (address, cut):
        async with workers_on(address, tmp_path) as workers:
            assert await workers.run(add, 1, 2) == 3
            piece = asyncio.create_task(workers.run(nap, 30.0, tmp_path / "long"))
            await asyncio.sleep(0.5)
            cut.set()
            with pytest.raises(EngineError, match="run the same command again"):
                await asyncio.wait_for(piece, NOTICED_S)
    async with workers_on(cluster.address, tmp_path) as workers, asyncio.timeout(NOTICED_S):
        assert await workers.run(add, 1, 2) == 3


async def test_a_scheduler_with_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates as Dask's own settings name them; without them one error says who does not answer."""
    pytest.importorskip("cryptography")
    made = Security.temporary()  # type: ignore[no-untyped-call]
    for name, content in (("key", made.tls_client_key), ("cert", made.tls_client_cert), ("ca", made.tls_ca_file)):
        (tmp_path / name).write_text(content)
    locked: dict[str, object] = {"distributed.comm.require-encryption": True}
    locked["distributed.comm.tls.ca-file"] = str(tmp_path / "ca")
    for who in ("scheduler", "worker", "client"):
        locked[f"distributed.comm.tls.{who}.cert"] = str(tmp_path / "cert")
        locked[f"distributed.comm.tls.{who}.key"] = str(tmp_path / "key")
    for name, value in locked.items():
        monkeypatch.setenv("DASK_" + name.upper().replace(".", "__").replace("-", "_"), str(value))
    with cluster_of(tmp_path / "cluster", protocol="tls") as cluster:
        assert cluster.address.startswith("tls://")
        with dask.config.set(locked):
            async with workers_on(cluster.address, tmp_path) as workers, asyncio.timeout(NOTICED_S):
                assert await workers.run(add, 1, 2) == 3
        monkeypatch.setattr(dask_cluster, "CONNECT_S", 3.0)
        with pytest.raises(EngineError, match="no Dask scheduler answers at tls://"):
            async with workers_on(cluster.address, tmp_path):
                pass
