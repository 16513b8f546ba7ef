"""Prepare a list on this machine, on a Dask cluster that shares its disk, and on one that shares nothing.

    python -m tests.benchmarks.cluster 3_000_000
    python -m tests.benchmarks.cluster 100_000_000 --folder /var/tmp   # needs some 12 GB there

All have as many processes for pieces as there are cores, and write the same chunk files, which is compared. Through a
bucket everything is written to and read from one disk three times; on real machines each has its own, and a network
between. The table says how many bytes went that way.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from orchestrator.engines.dask_cluster import DaskCluster
from orchestrator.intake import ChunkLimits, read_list
from orchestrator.settings import JobSettings
from orchestrator.workers import Workers
from tests.benchmarks.intake import CHUNK, write_list
from tests.clusters import cluster_of
from tests.stores import KEYS, S3RVER, Store, another_s3_server, new_store, s3_server

if TYPE_CHECKING:
    from collections.abc import Callable

OF_THIS_PROCESS = Path("/proc/self/cwd")
"""Another place in every process, whatever the path."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One way: the hash of all chunk files one behind the other, seconds, and bytes that went to others and back."""

    way: str
    sha256: str
    clock_s: float
    through_dask: int = 0
    to_bucket: int = 0
    from_bucket: int = 0

    def told(self, lines: int) -> str:
        moved = (f"{size / 1e6:,.0f} MB" if size else "-" for size in astuple(self)[3:])
        return " | ".join((self.way, f"{self.clock_s:.1f} s", f"{lines / self.clock_s:,.0f} lines/s", *moved))


def prepared(way: str, numbers: Path, directory: Path, engine: Callable[[], DaskCluster] | None) -> Prepared:
    """Read a list into `directory`, which goes, and say how it went."""
    sent = 0
    real = DaskCluster._sent

    async def counted(self: DaskCluster, session: object, name: str, content: bytes) -> object:
        nonlocal sent
        sent += len(content)
        return await real(self, session, name, content)  # type: ignore[arg-type]

    async def read() -> tuple[float, list[int]]:
        job = JobSettings(name="job", inputs=(str(numbers),), directory=directory)
        on = engine() if engine else None
        started = time.monotonic()
        async with Workers(os.cpu_count() or 1, engine=on) as workers:
            await read_list(job, lambda _: ChunkLimits(CHUNK, 1, 10_000_000), workers)
            took = time.monotonic() - started
            moved = on._stage.moved if on is not None and on._stage is not None else None
            puts = moved.put_bytes + moved.workers_put_bytes if moved else 0
            gets = moved.fetched_bytes + moved.workers_fetched_bytes if moved else 0
            return took, [puts, gets]

    with patch.object(DaskCluster, "_sent", counted):
        clock_s, moved = asyncio.run(read())
    digest = hashlib.sha256()
    for path in sorted((directory / "chunks").iterdir()):
        digest.update(path.read_bytes())
    shutil.rmtree(directory)
    return Prepared(way, digest.hexdigest(), clock_s, sent, *moved)


def ways(lines: int, folder: Path) -> list[Prepared]:
    """Prepare the same list in the three ways, one behind the other."""
    numbers = folder / "list.txt"
    write_list(numbers, lines)
    own = folder / "coordinator"
    (own / "scratch").mkdir(parents=True)
    os.chdir(own)
    found = [prepared("this machine", numbers, folder / "local", None)]
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, KEYS))
        server = another_s3_server(folder / "objects") if S3RVER.exists() else s3_server()
        store: Store = new_store(stack.enter_context(server))
        cluster = stack.enter_context(cluster_of(folder / "cluster", workers=os.cpu_count() or 1))
        shared = folder / "shared"
        found.append(prepared("Dask, one disk", numbers, shared, lambda: DaskCluster(cluster.address, shared / ".m")))
        alone = OF_THIS_PROCESS / "scratch"
        bucket = (store.url, store.settings())
        # The directory is the coordinator's alone, so its pieces are staged.
        found.append(
            prepared(
                "Dask, through a bucket",
                numbers,
                alone / "job",
                lambda: DaskCluster(cluster.address, alone / ".m", bucket),
            )
        )
    return found


def main() -> int:
    """Print the table; the exit code is 1 when the chunk files differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("lines", type=int)
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's place for such")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        found = ways(given.lines, Path(name).resolve())
        os.chdir("/")
    print("| way | time | lines/s | through Dask | into the bucket | out of it |\n|---|---|---|---|---|---|")  # noqa: T201
    for one in found:
        print(f"| {one.told(given.lines)} |")  # noqa: T201 - the point
    same = len({one.sha256 for one in found}) == 1
    print("the same chunk files" if same else "the chunk files differ")  # noqa: T201
    return not same


if __name__ == "__main__":
    sys.exit(main())
