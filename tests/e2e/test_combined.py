"""The main job with all that a team may have: ledger in PostgreSQL, files in S3, workers on Dask, each a real server.

No part sees another one's disk: the coordinators' folders are named by way of /proc/self/cwd, which is another place in
every process. A coordinator is lost with its disk at some point, another one elsewhere goes on.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'numbercheck-orchestrator[dask]'")
pytest.importorskip("moto.server", reason="moto is not installed: pip install -e '.[dev]'")

import orchestrator
from orchestrator import sandbox
from orchestrator.errors import ExitCode
from orchestrator.tasks import TaskKey
from tests.clusters import Cluster, cluster_of
from tests.e2e.harness import SEED, Check, Expected, Job, StartVendor, Vendor, WriteList, key_of, right_word, sections
from tests.ledgers import new_job
from tests.postgres import Server
from tests.stores import KEYS, Store

LEASE_S = 2.0
SCRATCH = "/proc/self/cwd/scratch"

pytestmark = [
    pytest.mark.timeout(600),  # some twenty processes, one after the other
    pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="no /proc: all processes would see one disk"),
]


@dataclass
class Machine(Job):
    """A coordinator in a folder that stands for its disk; what outlives it is elsewhere."""

    store: Store = field(default_factory=lambda: Store("", ""))

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    def lies_at(self, pattern: str) -> list[Path]:
        return list(self.scratch.glob(f"orchestrator-*/*/{pattern}"))


@dataclass
class World:
    """All that is there: two disks, a vendor, and what is shared."""

    first: Machine
    other: Machine
    vendor: Vendor
    expected: Expected
    cluster: Cluster
    store: Store

    def check(self, charged: list[sandbox.TaskRecord]) -> None:
        """Compare the master in the bucket with what a plain loop makes of the list and the vendor says of it."""
        header, *rows = csv.reader(self.store.content("master.csv").decode().splitlines())
        assert header == ["Number", "instagram", "amazon"]
        assert [row[0] for row in rows] == self.expected.numbers
        ids = {key_of(record): record.id for record in charged}
        chunks = {
            int(name.split("/")[2].partition(".")[0]): self.store.content(name).decode().split()
            for name in self.store.names()
            if name.startswith("objects/chunks/")
        }
        for column, platform in enumerate(header[1:], start=1):
            cells = {row[0]: row[column] for row in rows}
            for chunk, numbers in chunks.items():
                missing = sandbox.missing_numbers(SEED, ids[TaskKey(platform, chunk)], numbers)
                for number in numbers:
                    cell = cells.pop(number)
                    assert cell == right_word(platform, number) or (cell == "unanswered" and number in missing)
            assert not cells

    def settle(self) -> None:
        """Give each task that is held the id that the vendor has for it: how a person ends the job without paying."""
        ids = {str(key_of(record)): record.id for record in self.vendor.charged()}
        for key in self.other.held():
            # One that the vendor never got is sent again.
            how = ["--adopt", ids[key]] if key in ids else ["--resubmit"]
            end = self.other.call("resolve", key, *how)
            assert end.returncode == 0, end.stderr[-3000:]
        end = self.other.call("run")
        assert end.returncode == 0, end.stderr[-3000:]


@pytest.fixture
def world(
    job: Job, postgres: Server, store: Store, write_list: WriteList, start_vendor: StartVendor, tmp_path: Path
) -> Iterator[World]:  # fmt: skip
    database = new_job(postgres)
    expected, vendor = write_list(8_000), start_vendor("--pace", "4000")
    with cluster_of(tmp_path / "cluster") as cluster:
        machines: list[Machine] = []
        environ = job.environ | KEYS | {"PYTHONPATH": str(Path(orchestrator.__file__).parents[1])}
        for name in ("first", "other"):
            machine = Machine(job.folder / name, environ, cwd=job.folder / name, store=store)
            machine.scratch.mkdir(parents=True)
            shutil.copy(job.folder / "numbers.txt", machine.folder / "numbers.txt")
            machine.configure(
                job=f'name = "{database.job}"\ninputs = ["numbers.txt"]\ndirectory = "{store.url}"\n'
                'chunk_size = 1_000\ndefault_region = "CH"',
                **sections(vendor.base_url),
                ledger=f'url = "{database.url}"\nlease_s = {LEASE_S}',
                storage=f'endpoint = "{store.endpoint}"\nregion = "us-east-1"\nscratch = "{SCRATCH}"',
                workers=f'kind = "dask"\naddress = "{cluster.address}"',
            )
            machines.append(machine)
        first, other = machines
        yield World(first, other, vendor, expected, cluster, store)


def planning(world: World) -> bool:
    """Whether pieces of the list have been read, and it is not cut yet."""
    return bool(world.first.lies_at(".intake/0*"))


def released(world: World) -> bool:
    """Freeze the vendor amid its first submits: they are on their way to it, and nobody knows whether it has them."""
    if len(world.vendor.charged()) < 2:
        return False
    world.vendor.process.send_signal(signal.SIGSTOP)
    time.sleep(1.0)
    return True


def amid_results(world: World) -> bool:
    """Whether some are read and recorded, others downloaded, others at the vendor."""
    return len(world.first.lies_at("verdicts/*/*.bin")) >= 4


def amid_the_merge(world: World) -> bool:
    """Whether all verdicts are there, and the master is being written or published."""
    return bool(world.first.lies_at("master.csv*"))


@pytest.mark.parametrize("point", [planning, released, amid_results, amid_the_merge])
def test_a_coordinator_is_lost_with_its_disk(world: World, point: Callable[[World], bool], charged_once: Check) -> None:
    """The same command elsewhere: the same master, nothing charged twice, and nothing is left but what counts."""
    process = world.first.start("run")
    while not point(world):
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said[-3000:]
    shutil.rmtree(world.first.folder)
    world.vendor.process.send_signal(signal.SIGCONT)

    end = world.other.call("run")

    assert end.returncode in (ExitCode.DONE, ExitCode.HELD), end.stderr[-3000:]
    charged_once(world.vendor.charged())
    if point is released:
        assert end.returncode == ExitCode.HELD
    world.settle()
    charged = world.vendor.charged()
    charged_once(charged)
    assert len(charged) == 16
    world.check(charged)
    assert json.loads(world.store.content("summary.json"))["exit_code"] == 0
    master = world.store.content("master.csv")
    end = world.other.call("merge")
    assert end.returncode == 0, end.stderr[-3000:]
    assert world.store.content("master.csv") == master
    assert not [name for name in world.store.names() if name.startswith("objects/staged/")]
    assert list(world.other.scratch.iterdir()) == []
    assert all(worker.poll() is None for worker in world.cluster.workers)


@pytest.mark.parametrize("point", [planning, amid_results])
def test_a_coordinator_is_frozen_and_woken(world: World, point: Callable[[World], bool], charged_once: Check) -> None:
    """Another one has finished the job: the first sends nothing, overwrites nothing in the bucket, and says why."""
    process = world.first.start("run")
    while not point(world):
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGSTOP)

    end = world.other.call("run")

    assert end.returncode in (ExitCode.DONE, ExitCode.HELD), end.stderr[-3000:]
    charged = world.vendor.charged()
    charged_once(charged)
    before = {name: world.store.content(name) for name in world.store.names()}
    os.killpg(process.pid, signal.SIGCONT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == ExitCode.LOCKED, said[-3000:]
    assert "another coordinator has taken this job over" in said
    assert world.vendor.charged() == charged
    after = {name: world.store.content(name) for name in world.store.names()}
    assert {name: content for name, content in after.items() if name in before} == before
    world.settle()
    charged = world.vendor.charged()
    charged_once(charged)
    world.check(charged)
