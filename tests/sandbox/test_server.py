from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yarl

from orchestrator.sandbox import FAULTS, Sandbox, read_tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sandbox.conftest import Serve

    Numbers = Callable[..., list[str]]

PROCESS = """
import asyncio, sys
from pathlib import Path
from orchestrator.sandbox import Sandbox

async def main():
    sandbox = Sandbox(Path(sys.argv[1]), port=int(sys.argv[2]), seed=4)
    async with sandbox:
        print(sandbox.base_url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def started(directory: Path, port: int) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", PROCESS, str(directory), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own interpreter
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def curl(*arguments: str) -> str:
    command = ["curl", "--silent", "--show-error", "--location", "--max-time", "20", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - a fixed command


def test_the_documented_curl_lines_work_across_a_kill(tmp_path: Path, numbers: Numbers) -> None:
    """Word for word from the public pages; what was accepted is there again after SIGKILL, at the same port."""
    (tmp_path / "input.txt").write_text("".join(f"{number}\n" for number in numbers(120)))
    process, url = started(tmp_path / "vendor", 0)
    try:
        form = f'file=@"{tmp_path}/input.txt"'
        key = ("--header", "X-API-Key: API-KEY")
        simple = curl(f"{url}/ins/api/simple/tasks", *key, "--form", form)
        v1 = curl(f"{url}/v1/tasks", *key, "--form", form, "--form", 'task_type="amazon"')
        assert '"status": "pending"' in simple
        assert '"total": 120' in v1
    finally:
        killed(process)
    simple_task, v1_task = [task.id for task in read_tasks(tmp_path / "vendor")]
    assert simple_task in simple
    assert v1_task in v1
    process, again = started(tmp_path / "vendor", int(url.rpartition(":")[2]))
    try:
        assert again == url
        assert '"total": 120' in curl(f"{url}/ins/api/simple/tasks/{simple_task}", *key)
        assert '"exported"' in curl(f"{url}/v1/gettasks", *key, "--form", f'task_id="{v1_task}"')
    finally:
        killed(process)


async def test_links_outlive_a_restart(tmp_path: Path, numbers: Numbers) -> None:
    """With a port of one's own, the result port is the same again, and so is the secret."""
    results = []
    port = 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        url = ""
        for _ in range(2):
            async with Sandbox(tmp_path, port=port, pace=math.inf) as vendor:
                port = int(vendor.base_url.rpartition(":")[2])
                url = url or await exported(session, vendor, numbers(5))
                async with session.get(yarl.URL(url, encoded=True)) as response:
                    results.append((response.status, await response.read()))
    assert results[0] == results[1]
    assert results[0][0] == 200


async def exported(session: aiohttp.ClientSession, vendor: Sandbox, lines: list[str]) -> str:
    form = aiohttp.FormData()
    form.add_field("file", "\n".join(lines).encode(), filename="a.txt")
    path, head = f"{vendor.base_url}/ins/api/simple/tasks", {"X-API-Key": "k"}
    async with session.post(path, data=form, headers=head) as response:
        task = (await response.json())["task_id"]
    async with session.get(f"{path}/{task}", headers=head) as response:
        url: str = (await response.json())["result_url"]
    return url


def neighbours() -> tuple[int, socket.socket]:
    """Return a free port, and the socket that has the next one: below those that the system hands out by itself."""
    for port in range(20_000 + os.getpid() % 9_000, 32_000):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            taken = socket.socket()
            try:
                taken.bind(("127.0.0.1", port + 1))
            except OSError:
                taken.close()
                raise
            return port, taken
    raise AssertionError("no two free ports")


async def test_the_result_port_is_the_next_free_one(tmp_path: Path) -> None:
    """A port that is taken is passed over."""
    async with Sandbox(tmp_path / "a") as vendor:
        port = int(vendor.base_url.rpartition(":")[2])
        result_port = int(vendor.result_url.rpartition(":")[2])
    assert 0 < result_port - port < 50
    port, taken = neighbours()
    with taken:
        taken.listen()
        async with Sandbox(tmp_path / "b", port=port) as other:
            assert port + 1 < int(other.result_url.rpartition(":")[2]) < port + 50


async def test_a_taken_port_is_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    """The directory is free again for the next try."""
    async with Sandbox(tmp_path / "a") as vendor:
        port = int(vendor.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await Sandbox(tmp_path / "b", port=port).start()
    async with Sandbox(tmp_path / "b"):
        pass


async def test_one_sandbox_a_directory(tmp_path: Path) -> None:
    """The second one is told, and the first goes on."""
    async with Sandbox(tmp_path):
        with pytest.raises(BlockingIOError):
            await Sandbox(tmp_path).start()


async def test_it_can_be_started_again(tmp_path: Path) -> None:
    """After a stop; but not while it runs. Stopping twice is no error."""
    vendor = Sandbox(tmp_path)
    await vendor.start()
    with pytest.raises(RuntimeError, match="runs already"):
        await vendor.start()
    await vendor.stop()
    await vendor.stop()
    async with vendor:
        assert vendor.throttled == 0


@pytest.mark.parametrize("options", [{"faults": ["nix"]}, {"pace": 0.0}, {"pace": -1.0}, {"pace": math.nan}])
def test_impossible_settings_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    """Before anything is listened to or written."""
    with pytest.raises(ValueError, match=r"nix|pace"):
        Sandbox(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_all_faults_by_one_word(tmp_path: Path) -> None:
    """`all` is taken here as on the command line."""
    assert Sandbox(tmp_path, faults=["all"])._faults == set(FAULTS)


@pytest.mark.looptime
async def test_nobody_answers_behind_its_block(tmp_path: Path) -> None:
    """What it listened at is free again."""
    async with Sandbox(tmp_path) as vendor:
        port = int(vendor.base_url.rpartition(":")[2])
    with pytest.raises(OSError, match=r"\d"):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.looptime
async def test_stopping_does_not_wait_for_slow_answers(serve: Serve, numbers: Numbers) -> None:
    """Connections on their way get half a second."""
    loop = asyncio.get_running_loop()
    async with serve() as client:
        _, writer = await client.raw(
            b"POST /v1/tasks HTTP/1.1\r\nHost: v\r\nX-API-Key: k-123\r\nContent-Length: 9\r\n\r\n"
        )
        await asyncio.sleep(1)
        began = loop.time()
    assert loop.time() - began <= 2
    writer.close()


async def test_the_disk_is_synced_before_the_answer(
    tmp_path: Path, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submit that is answered is on disk; one whose sync fails is not answered with a task."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    async with aiohttp.ClientSession() as session, Sandbox(tmp_path, pace=math.inf) as vendor:
        await exported(session, vendor, numbers(3))
        assert len(synced) == 1

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        form = aiohttp.FormData()
        form.add_field("file", b"+41798284651\n", filename="a.txt")
        url = f"{vendor.base_url}/ins/api/simple/tasks"
        async with session.post(url, data=form, headers={"X-API-Key": "k"}) as response:
            assert (response.status, response.content_type) == (500, "text/plain")  # not the JSON that means "free"
