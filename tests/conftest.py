"""What tests of several stages share: a disk that is really full, and a child process that can really be killed."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import orchestrator
from orchestrator.engines import processes
from orchestrator.records import Chunk, InputFile, ListCounts, Listed, Plan, PlannedPlatform
from tests.campaigns import whose_turn
from tests.postgres import Proxy, Server

if TYPE_CHECKING:
    from tests.stores import Store

MakePlan = Callable[..., Plan]

# What decides whether a change lands draws the same examples each time; `--hypothesis-profile search` draws new ones.
settings.register_profile("search", max_examples=1000, deadline=None)
settings.register_profile("every change", derandomize=True)
settings.load_profile("every change")

# Bytecode is kept, whatever the caller's environment says: each of hundreds of children would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

KEPT_WORKERS = 2
"""Of a kind: more than that are wanted by few tests."""

Child = Callable[..., "subprocess.Popen[str]"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--turn", type=int, help="of the campaigns' tests, run those whose turn it is")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    now = config.getoption("--turn")
    if now is not None:
        chosen = whose_turn([item.nodeid for item in items], now)
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
        items[:] = [item for item in items if item.nodeid in chosen]
    # Each of several processes begins with some of the longest: at the end of its part the others would wait for them.
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    longest = [item for item in items if item.nodeid.startswith("tests/pipelines/")]
    others = [item for item in items if item not in longest]
    for number, item in enumerate(longest):
        others.insert(number % processes * (len(items) // processes), item)
    items[:] = others


@pytest.fixture(scope="session", autouse=True)
def no_stray_loop() -> None:
    """Say that there is no event loop yet: asked for one, asyncio makes it, and the test runner never closes it."""
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session", autouse=True)
def outside_of_ci() -> Iterator[None]:
    """Be in no CI system, also where the tests run in one: the program tells it what it does."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name == "CI" or name.startswith(("GITHUB_", "GITLAB_", "CI_")):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True, scope="session")
def worker_processes_outlive_jobs() -> Iterator[None]:
    """Hand the worker processes of one job to the next that would start the same: most of a small job is their imports.

    What starts processes with other limits or with another environment gets new ones. The directory is nothing to a
    piece, which is given whole paths.
    """
    idle: dict[object, list[processes._Process]] = {}
    start, close, kill = processes._started, processes._Process.close, processes._Process.kill
    started_as: dict[processes._Process, object] = {}

    @wraps(start)
    def take() -> processes._Process:
        limits = tuple(resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
        same = (limits, tuple(sorted(processes._environment().items())))
        process = idle[same].pop() if idle.get(same) else start()
        started_as[process] = same
        return process

    @wraps(close)
    def keep(process: processes._Process) -> None:
        same = started_as.pop(process, None)
        if same is None or process._process.poll() is not None or len(idle.setdefault(same, [])) >= KEPT_WORKERS:
            close(process)
        else:
            idle[same].append(process)

    @wraps(kill)
    def end(process: processes._Process) -> None:
        started_as.pop(process, None)  # it may look alive for a moment
        kill(process)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "_started", take)
        patch.setattr(processes._Process, "kill", end)
        patch.setattr(processes._Process, "close", keep)
        yield
    for kept in idle.values():
        for process in kept:
            close(process)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Start a PostgreSQL server; skip where none is installed."""
    server = Server()
    try:
        yield server.make()
    finally:
        server.remove()


@pytest.fixture
def proxy(postgres: Server) -> Iterator[Proxy]:
    """Stand between a client and the server."""
    made = Proxy(postgres.socket)
    yield made
    made.close()


@pytest.fixture(scope="session")
def make_plan() -> MakePlan:
    """Plan `chunks` chunks of ten rows for platforms of one vendor, the last of another one."""

    def make(
        chunks: int = 4, platforms: tuple[str, ...] = ("instagram", "amazon", "elsewhere"), **changes: int
    ) -> Plan:
        min_rows = changes.get("min_rows", 1)
        return Plan(
            name="spring",
            reading={"column": "phone", "exclude_calling_codes": [86]},
            listed=Listed(
                (InputFile("/b.txt", "b" * 64, 20), InputFile("/a.txt", "a" * 64, 10)),
                ListCounts(10 * chunks + 3, 10 * chunks, 2, 1, 4, {"not a number": 1}),
            ),
            chunks=tuple(Chunk(chunk, 10 * (chunk - 1), 10, f"{chunk:064x}") for chunk in range(1, chunks + 1)),
            platforms=tuple(
                PlannedPlatform(name, "other" if name == "elsewhere" else "main", {"path": f"/{name}"}, min_rows)
                for name in platforms
            ),
        )

    return make


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Start an S3 server."""
    from tests.stores import s3_server  # noqa: PLC0415 - its library takes its time, and most tests do without

    with s3_server() as address:
        yield address


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Give an empty bucket, with its credentials in the environment."""
    from tests.stores import new_store  # noqa: PLC0415 - as above

    made = new_store(endpoint)
    for name, value in made.keys.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:  # noqa: S603
        pytest.skip("mounting a small disk needs root and the right to mount")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # noqa: S603, S607 - the disk that was mounted above


@pytest.fixture
def start_child() -> Iterator[Child]:
    """Start Python on a piece of code that can import the package; what still runs at the end is killed."""
    children: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object, under: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        command = [*under, sys.executable, "-c", code, *map(str, arguments)]
        paths = os.pathsep.join([str(Path(orchestrator.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        child = subprocess.Popen(  # noqa: S603 - our own code
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths.strip(os.pathsep)},
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()
