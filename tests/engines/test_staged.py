"""Workers that don't see the job's directory, with a real cluster and a real store: what they need goes through that.

The coordinator's scratch folder is named by way of /proc/self/cwd: the same path is another place in every process.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'numbercheck-orchestrator[dask]'")
pytest.importorskip("moto.server", reason="moto is not installed: pip install -e '.[dev]'")

from orchestrator.engines.dask_cluster import DaskCluster
from orchestrator.engines.staged_pieces import PLACES, PieceStage, StagePlace, WorkerStage
from orchestrator.errors import ExitCode, PieceDiedError, StorageError, UsageError
from orchestrator.job.run import RunOptions, RunReport, run_job
from orchestrator.job.scratch import on_scratch
from orchestrator.pieces import Order
from orchestrator.settings import Settings
from orchestrator.workers import Workers
from tests.clusters import Cluster, cluster_of
from tests.engines import pieces
from tests.job.conftest import Case
from tests.stores import KEYS, Store

HERE = Path("/proc/self/cwd")
BIG = 256 << 20
NOTICED_S = 60.0

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not HERE.exists(), reason="no /proc: nothing that is another place in every process"),
]


@pytest.fixture
def cluster(tmp_path: Path, store: Store) -> Iterator[Cluster]:
    """Have two workers, which have the credentials of the store from their own environment."""
    assert store
    with cluster_of(tmp_path / "cluster") as started:
        yield started


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a path that is a folder of this process, and of nobody else."""
    (tmp_path / "coordinator" / "scratch").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "coordinator")
    monkeypatch.setenv("HOME", str(tmp_path))  # so that no worker of another test is used, which is in its directory
    return HERE / "scratch"


def on(cluster: Cluster, store: Store, here: Path) -> Workers:
    return Workers(1, BIG, DaskCluster(cluster.address, here / ".meeting", (store.url, store.settings())))


def kept_by_workers(cluster: Cluster) -> list[Path]:
    return sorted((cluster.folder / "scratch").rglob("staged/kept/*"))


async def test_pieces_find_their_files_and_leave_what_they_made(cluster: Cluster, store: Store, here: Path) -> None:
    """Whole paths mean here what they mean there: in arguments, values and errors; what is removed there goes here."""
    folder = here / "job"
    folder.mkdir()
    (folder / "a").write_bytes(b"of a")
    async with on(cluster, store, here) as workers:
        made = await workers.run(pieces.turn, folder / "a", folder / "deep" / "b")
        assert made == folder / "deep" / "b"
        assert (made.read_bytes(), (folder / "a").exists()) == (b"a fo", False)
        made.write_bytes(b"another")  # with another hash by now
        back = await workers.run(pieces.turn, made, folder / "c")
        assert (back.read_bytes(), made.exists()) == (b"rehtona", False)
        with pytest.raises(StorageError) as refused:
            await workers.run(pieces.turn, folder / "nowhere", folder / "d")
        assert str(refused.value).startswith(f"{folder / 'nowhere'}: No such file")
        with pytest.raises(PieceDiedError, match="abort killed its worker process"):
            await workers.run(pieces.abort)
        assert await workers.run(pieces.look, folder) == os.getpid()  # it writes nothing: nothing is moved for it
    assert store.names() == []
    assert not list((cluster.folder / "scratch").rglob("staged/pieces/*"))
    assert {path.stat().st_mode & 0o077 for path in kept_by_workers(cluster)} == {0}


@dataclass
class Combined(Case):
    """A job in a bucket with workers that don't see it; its ledger is a file that outlives each command."""

    store: Store = field(default_factory=lambda: Store("", ""))

    @contextmanager
    def staged(self) -> Iterator[Settings]:
        (self.folder / "ledger").mkdir(exist_ok=True)
        storage = replace(self.store.settings(), scratch=HERE / "scratch")
        with on_scratch(replace(self.settings(), url=self.store.url, storage=storage)) as settings:
            (settings.job.directory / "ledger").symlink_to(self.folder / "ledger")
            yield settings

    async def outcome(self, options: RunOptions | None = None) -> RunReport:
        stderr = io.StringIO()
        with self.staged() as settings:
            return await run_job(settings, options or RunOptions(), self.world(stderr))


def combined(folder: Path, store: Store, address: str) -> Combined:
    folder.mkdir(exist_ok=True)
    made = Combined(folder, store=store)
    made.overrides = ["job.chunk_size=1000", 'workers.kind="dask"', f'workers.address="{address}"']
    return made


@pytest.mark.usefixtures("here")
async def test_a_job_in_a_bucket_gives_what_one_on_a_disk_gives(cluster: Cluster, store: Store, tmp_path: Path) -> None:
    """The same chunks, verdicts and master; nothing is left of what was staged, and no log shows a number."""
    alone = Case(tmp_path / "alone")
    alone.folder.mkdir()
    alone.overrides = ["job.chunk_size=1000"]
    case = combined(tmp_path / "there", store, cluster.address)
    for one in (alone, case):
        one.numbers(8_000)
        report = await one.outcome()
        assert report.exit_code is ExitCode.DONE, report.summary["reason"]
    names = store.names()
    for path in (*(alone.directory / "chunks").iterdir(), *(alone.directory / "verdicts" / "instagram").iterdir()):
        (name,) = [it for it in names if it.startswith(f"objects/{path.relative_to(alone.directory).as_posix()}.")]
        assert store.content(name) == path.read_bytes()
    assert store.content("master.csv") == (alone.directory / "master.csv").read_bytes()
    assert not [name for name in names if name.startswith(PLACES)]
    log = store.content("run.jsonl").decode()
    moved = re.search(r'"workers_put_bytes": ?(\d+)', log)
    assert moved is not None
    assert int(moved[1]) > 8_000 * 13
    assert kept_by_workers(cluster)
    assert re.search(r"\+?417\d{8}", cluster.said() + log) is None


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_worker_that_ends_costs_its_pieces_time(
    cluster: Cluster, store: Store, here: Path, end: signal.Signals
) -> None:
    """Killed, or frozen and woken when others have done it: what a zombie publishes changes nothing."""
    folder = here / "job"
    folder.mkdir()

    async def calls() -> AsyncGenerator[tuple[object, ...], None]:
        for number in range(30):
            yield 0.1, folder / f"{number}"
            if number == 10:
                cluster.workers[0].send_signal(end)
            if number == 28:
                cluster.workers[0].send_signal(signal.SIGCONT)

    async with on(cluster, store, here) as workers, asyncio.timeout(NOTICED_S):
        assert len(await workers.map(pieces.nap, calls())) == 30
    assert {path.read_bytes() for path in folder.iterdir()} == {b"done"}
    assert len(list(folder.iterdir())) == 30


async def test_a_worker_without_credentials_is_named_at_the_start(
    cluster: Cluster, store: Store, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are its own platform's: none travel with the pieces."""
    for worker in cluster.workers:
        worker.kill()
    monkeypatch.setenv("HOME", str(cluster.folder))
    await asyncio.to_thread(cluster.start_worker, environ=dict.fromkeys(KEYS, ""))
    with pytest.raises(UsageError, match=r"Dask worker at tcp.* no credentials for it.*does not see .*of their own"):
        async with on(cluster, store, here):
            pass


async def test_without_a_bucket_they_have_to_see_the_directory(cluster: Cluster, here: Path) -> None:
    """One error says so when a run begins, before anything is read."""
    with pytest.raises(UsageError, match=r"does not see /proc/self/cwd/scratch, .*directory is in a bucket"):
        async with Workers(1, BIG, DaskCluster(cluster.address, here / ".meeting")):
            pass


async def test_a_blind_worker_that_comes_later(cluster: Cluster, store: Store, tmp_path: Path) -> None:
    """All saw the directory; one that does not, in a piece's way, has the rest of the run staged."""
    engine = DaskCluster(cluster.address, tmp_path / ".meeting", (store.url, store.settings()))
    async with Workers(1, BIG, engine) as workers:
        (tmp_path / "a").write_bytes(b"abc")
        assert (await workers.run(pieces.turn, tmp_path / "a", tmp_path / "b")).read_bytes() == b"cba"
        assert not engine._session.is_staged
        engine._session = replace(engine._session, meeting=str(HERE / ".meeting"))
        assert await workers.run(pieces.turn, tmp_path / "b", tmp_path / "c") == tmp_path / "c"
        assert engine._session.is_staged
        assert (tmp_path / "c").read_bytes() == b"abc"


async def test_what_a_store_has_lost_is_said(cluster: Cluster, store: Store, here: Path) -> None:
    """A piece that can't have its files is no piece that fails by itself."""
    folder = here / "job"
    folder.mkdir()
    (folder / "a").write_bytes(b"abc")
    async with on(cluster, store, here) as workers:
        assert await workers.run(pieces.pass_on, folder / "a", folder / "handed") == 3
        assert not (folder / "handed").exists()  # other pieces read it, and nobody else
        assert (await workers.run(pieces.turn, folder / "handed", folder / "b")).read_bytes() == b"abc"
        for name in store.names():
            store.remove(name)
        (folder / "a").write_bytes(b"other")
        await workers.run(pieces.pass_on, folder / "a", folder / "handed")
        for name in store.names():
            store.replace(name, b"?")
        for path in kept_by_workers(cluster):
            path.unlink()
        with pytest.raises(StorageError, match=r"on the worker .*altered .*same command again"):
            await workers.run(pieces.turn, folder / "handed", folder / "b")


def test_what_is_kept_beside_a_worker_keeps_to_half_of_the_room(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read longest ago goes first; a piece that has it goes on."""
    place = StagePlace(store.url, store.settings(), "0")
    room = 1_000
    stage = WorkerStage(tmp_path / "staged")
    kept = tmp_path / "staged" / "kept"

    def disk_usage(_: Path) -> object:
        held = sum(path.stat().st_size for path in kept.iterdir())
        return type("Usage", (), {"free": room - held})

    monkeypatch.setattr("orchestrator.engines.staged_pieces.shutil.disk_usage", disk_usage)
    here = PieceStage(place)
    folders = []
    for number in (0, 1, 0, 2, 0):
        path = tmp_path / f"{number}"
        path.write_bytes(bytes([number]) * 200)
        sent = here.pack(Order(pieces.turn, (path, tmp_path / "out"), None, BIG))
        order, _, _ = stage.begin(place, sent)
        folders.append((order.args[0], number))
    assert sorted(path.read_bytes()[0] for path in kept.iterdir()) == [0, 2]
    assert all(isinstance(path, Path) and path.read_bytes() == bytes([number]) * 200 for path, number in folders)


async def test_a_full_disk_is_a_machine_and_no_piece(cluster: Cluster, store: Store, here: Path) -> None:
    """It is said on which machine, and what to do; the run ends with 74 and goes on later."""
    (here / "a").write_bytes(b"abc")
    async with on(cluster, store, here) as workers:
        for folder in (cluster.folder / "scratch").rglob("staged/pieces"):
            folder.rmdir()
            folder.symlink_to("/dev/full")
        with pytest.raises(StorageError, match=r"on the worker .*--local-directory, and run the same command again"):
            await workers.run(pieces.turn, here / "a", here / "b")
