"""The program as it is started, with a real database and a real store: one machine is lost, the next one goes on."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.dispatch.harness import Answer, Made, Script, serving
from tests.job.conftest import CONFIG, Case
from tests.ledgers import new_job
from tests.postgres import Server
from tests.stores import KEYS, Store


class Machine:
    """A folder with the configuration and nothing else, and the program there."""

    def __init__(self, folder: Path, config: str, numbers: bytes) -> None:
        self.folder = folder
        (folder / "tmp").mkdir(parents=True)
        (folder / "config.toml").write_text(config)
        (folder / "numbers.txt").write_bytes(numbers)

    async def start(self, command: str, *options: str) -> asyncio.subprocess.Process:
        keys = {"EKYCPRO_API_KEY": "k-0123456789abcdef", "TMPDIR": str(self.folder / "tmp")}
        with (self.folder / "said").open("ab") as said:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "orchestrator", command, "-c", str(self.folder / "config.toml"), *options),
                stdout=said,
                stderr=said,
                env=os.environ | KEYS | keys,
            )

    async def run(self, command: str, *options: str) -> int:
        return await (await self.start(command, *options)).wait()

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text()


@pytest.mark.timeout(400)
async def test_a_lost_machine_is_replaced_by_one_with_an_empty_disk(
    tmp_path: Path, store: Store, postgres: Server
) -> None:
    """Killed amid its results and its disk gone: the same command elsewhere pays nothing twice, to the same master."""
    local = Case(tmp_path)
    local.numbers(30)
    numbers = (tmp_path / "numbers.txt").read_bytes()
    database = new_job(postgres)
    script = Script(takes_s=0.3)
    results = 0

    async def on_result(_made: Made) -> Answer | None:
        nonlocal results
        results += 1
        if results >= 4 and len(script.submits) == 10 and first.returncode is None:
            first.kill()
        return None

    script.on_result = on_result
    async with serving(script):
        config = CONFIG.replace("BASE_URL", script.base_url).replace('"out"', f'"{store.url}"')
        config = config.replace('"bench"', f'"{database.job}"')  # this server keeps the jobs of other tests
        config += (
            f'[ledger]\nurl = "{database.url}"\nlease_s = 2.0\n'
            f'[storage]\nendpoint = "{store.endpoint}"\nregion = "us-east-1"\n'
        )
        one = Machine(tmp_path / "one", config, numbers)
        first = await one.start("run")
        assert await first.wait() == -9, one.said
        assert list((one.folder / "tmp").glob("orchestrator-*/*/chunks/*.txt"))  # as a killed one leaves it
        held = one.folder / "tmp"
        shutil.rmtree(held)
        other = Machine(tmp_path / "other", config, numbers)
        assert await other.run("run") == 0, other.said
        assert max(script.charged().values()) == 1
        assert await other.run("verify") == 0, other.said
        assert await other.run("status") == 0, other.said
        assert str(other.folder / "tmp") not in other.said
        assert list((other.folder / "tmp").iterdir()) == []
        script.on_result = None
        local.base_url = script.base_url
        assert await local.run() == 0
    assert store.content("master.csv") == (local.directory / "master.csv").read_bytes()


async def test_without_credentials_one_clear_error_says_which_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No machine's address is asked: that could wait for ever, or act in the name of the machine."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tests.storage.test_other_machines.KEYS", {"HOME": str(tmp_path)})
    config = CONFIG.replace("BASE_URL", "sandbox").replace('"out"', '"s3://bucket/job"')
    config += '[ledger]\nurl = "postgresql://nobody@127.0.0.1:1/none"\n'
    machine = Machine(tmp_path / "one", config, b"+41791234567\n")
    assert await machine.run("run") == 2
    assert "set AWS_ACCESS_KEY_ID and what belongs to it" in machine.said


async def test_a_url_needs_a_ledger_elsewhere(tmp_path: Path) -> None:
    """And a store that only the database's machine could find is no ledger."""
    machine = Machine(tmp_path / "one", CONFIG.replace('"out"', '"s3://bucket"'), b"")
    assert await machine.run("plan") == 2
    assert "set [ledger] url" in machine.said
    assert "a bucket and a folder in it" in machine.said
