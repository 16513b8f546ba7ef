"""A coordinator that is lost with its disk, or seems to be: with the ledger in a database, another one goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from orchestrator.errors import ExitCode
from orchestrator.ledger import Database
from orchestrator.ledger.postgres import PostgreSQL
from tests.e2e.harness import Check, Job, StartVendor, WriteList, sections
from tests.ledgers import new_job
from tests.postgres import Proxy, Server

LEASE_S = 2.0

pytestmark = pytest.mark.timeout(600)  # some twenty processes, one after the other


@pytest.fixture
def replaceable(job: Job, postgres: Server) -> Job:
    """Give a job whose ledger is in a database; `configure` is to be called with its vendor."""
    database = new_job(postgres)
    job.environ |= {"LEDGER": database.url, "NAME": database.job}
    return job


def configure(job: Job, base_url: str) -> None:
    job.configure(
        job=f'name = "{job.environ["NAME"]}"\ninputs = ["numbers.txt"]\ndirectory = "out"\nchunk_size = 1_000\n'
        'default_region = "CH"',
        **sections(base_url),
        ledger=f'url = "{job.environ["LEDGER"]}"\nlease_s = {LEASE_S}',
    )


def end_of(job: Job, rounds: int = 6) -> int:
    """Run until nothing is left, and send again what is held: how a person would bring the job to its end."""
    code = -1
    for _ in range(rounds):
        end = job.call("run")
        code = end.returncode
        if code != ExitCode.HELD:
            assert code == 0, end.stderr[-3000:]
            break
        assert job.call("resolve", "--all", "--resubmit").returncode == 0
    return code


def test_killed_with_its_disk_again_and_again(
    replaceable: Job, write_list: WriteList, start_vendor: StartVendor, check_master: Check, charged_once: Check
) -> None:
    """The same command on an empty disk: the same master, nothing charged twice, nothing to be restored or named."""
    job = replaceable
    expected = write_list(8_000)
    vendor = start_vendor("--pace", "4000")
    configure(job, vendor.base_url)
    rng = random.Random(1)  # noqa: S311 - test data

    killed = 0
    for _ in range(3):
        process = job.start("run")
        assert process.stderr is not None
        for _ in range(rng.randrange(2, 12)):
            if not process.stderr.readline():
                break
        killed += process.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        shutil.rmtree(job.directory)
    assert killed >= 2
    end = job.call("run")
    assert end.returncode in (0, 3), end.stderr[-3000:]
    charged_once(vendor.charged())
    assert end_of(job) == 0
    check_master(expected, vendor.charged())
    assert "--after" not in job.summary()["next"]


def test_connections_that_break_all_the_time(
    replaceable: Job,
    postgres: Server,
    write_list: WriteList,
    start_vendor: StartVendor,
    check_master: Check,
    charged_once: Check,
) -> None:
    """Commits are cut off before and behind what the server says of them: each is looked up, and nothing sent twice."""
    job = replaceable
    expected = write_list(8_000)
    vendor = start_vendor("--pace", "4000")
    proxy = Proxy(postgres.socket)
    job.environ["LEDGER"] = proxy.url()
    configure(job, vendor.base_url)
    ended = threading.Event()
    cuts = 0

    def cut_again_and_again() -> None:
        nonlocal cuts
        rng = random.Random(2)  # noqa: S311 - test data
        while not ended.wait(0.02):
            if proxy.cut_at is None and proxy.messages:  # a connection takes some five of them
                cuts += 1
                proxy.answer_lost = rng.random() < 0.5
                proxy.cut_at = proxy.messages + rng.randrange(6, 12)

    cutter = threading.Thread(target=cut_again_and_again)
    process = job.start("run")
    assert process.stderr is not None
    for line in process.stderr:
        if "accepted" in line:
            break
    cutter.start()
    said = ""
    try:
        for line in process.stderr:
            said += line
            if "writing_master" in line:  # whoever reads a whole ledger needs a connection for longer than these last
                ended.set()
                proxy.cut_at = None
        process.wait(300)
    finally:
        ended.set()
        cutter.join()
        proxy.cut_at = None
        process.communicate()
    assert cuts > 3
    assert process.returncode == 0, said[-3000:]
    charged_once(vendor.charged())
    check_master(expected, vendor.charged())
    proxy.close()


def test_told_to_stop_while_it_waits(replaceable: Job, postgres: Server, write_list: WriteList) -> None:
    """A run that waits for the lease of a dead one ends at once: a CI system kills it some seconds later."""
    job = replaceable
    write_list(100)
    configure(job, "http://127.0.0.1:9")
    name = job.environ["NAME"]
    PostgreSQL.create(Database(job.environ["LEDGER"], name), "job").close()
    postgres.sql(
        "UPDATE numbercheck.lease SET ended = false, lease_s = 600, renewed_at = clock_timestamp() "  # noqa: S608
        f"WHERE name = '{name}'"
    )
    for kind in (signal.SIGINT, signal.SIGTERM):
        process = job.start("run")
        assert process.stderr is not None
        for line in process.stderr:
            if "waiting for up to" in line:
                break
        began = time.monotonic()
        process.send_signal(kind)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, f"stopped by {kind.name}" in said) == (ExitCode.AGAIN, True), said
        assert time.monotonic() - began < 20


def test_frozen_and_woken(
    replaceable: Job, write_list: WriteList, start_vendor: StartVendor, check_master: Check, charged_once: Check
) -> None:
    """Another machine waits for the lease and finishes the job; the first one, woken, sends nothing and says why."""
    first = replaceable
    expected = write_list(8_000)
    vendor = start_vendor("--pace", "4000")
    configure(first, vendor.base_url)
    other = replace(first, folder=first.folder / "other")
    other.folder.mkdir()
    for name in ("config.toml", "numbers.txt"):
        shutil.copy(first.folder / name, other.folder / name)
    process = first.start("run")
    assert process.stderr is not None
    for line in process.stderr:
        if "accepted" in line:
            break
    os.killpg(process.pid, signal.SIGSTOP)

    end = other.call("run")

    assert end.returncode in (0, 3), end.stderr[-3000:]
    charged = vendor.charged()
    charged_once(charged)
    os.killpg(process.pid, signal.SIGCONT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == ExitCode.LOCKED, said[-3000:]
    assert "another coordinator has taken this job over" in said
    assert vendor.charged() == charged
    held = end.returncode == ExitCode.HELD
    assert end_of(other) == 0
    assert held or vendor.charged() == charged
    shutil.rmtree(first.directory)
    shutil.move(other.directory, first.directory)
    check_master(expected, vendor.charged())
